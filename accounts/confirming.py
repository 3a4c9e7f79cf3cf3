"""Asking the person at the keyboard to prove who they are before a verb that cannot be undone."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import actions
from accounts.attempts import TooOften
from accounts.destinations import go, here, is_htmx
from accounts.forms import ConfirmForm
from accounts.models import SignIn, User

CONFIRM_FIELDS = ("confirm_password", "confirm_code")
"""Names that a page's own form may not use: they belong to the proof sent along with it."""


def proves(form: ConfirmForm, *, sign_in: SignIn, user: User) -> bool:
    """Return whether a valid form's proof is right; say at the form why not."""
    try:
        if actions.confirm(sign_in, **form.proof(), actor=user):
            return True
        form.add_error(None, ConfirmForm.NO_MATCH)
    except TooOften as refused:
        form.add_error(None, refused.message)
    return False


def ask_if_stale(request: HttpRequest, *, sign_in: SignIn, user: User) -> HttpResponse | None:
    """Return the page that asks for password or code, or None when the proof is fresh.

    A GET goes to the confirm page and comes back. A POST is answered with its own fields as hidden
    fields plus the question; sent again, the proof is checked and taken out before the view sees it.
    Files cannot be held in a page, so a POST with files goes back to the page it came from.
    """
    limit = timedelta(minutes=settings.HOLDFAST_REAUTH_MINUTES)
    if request.method in {"GET", "HEAD"}:
        if sign_in.since_confirmed < limit:
            return None
        return go(request, "accounts:confirm", next=here(request))
    sends_proof = any(name in request.POST for name in CONFIRM_FIELDS)
    if not sends_proof and sign_in.since_confirmed < limit:
        return None
    form = ConfirmForm(request.POST if sends_proof else None, asks_code=actions.has_totp(user))
    if sends_proof:
        if form.is_valid() and proves(form, sign_in=sign_in, user=user):
            fields = request.POST.copy()
            for name in CONFIRM_FIELDS:
                fields.pop(name, None)
            request.POST = fields  # type: ignore[assignment]
            return None
    elif request.FILES:
        return go(request, "accounts:confirm", next=here(request))
    held = [
        (name, value)
        for name, values in request.POST.lists()
        if name not in {"csrfmiddlewaretoken", *CONFIRM_FIELDS}
        for value in values
    ]
    context = {
        "form": form,
        "held": held,
        "action": request.get_full_path(),
        "back": here(request),
    }
    if not is_htmx(request):
        return render(request, "accounts/confirm.html", context, status=HTTPStatus.FORBIDDEN)
    # In place of the page's content, whatever corner of it the verb belongs to. The form is then sent
    # without htmx, so the view answers with a whole page as for any browser.
    response = render(request, "accounts/_confirm.html", context)
    response["HX-Retarget"] = "#main"
    response["HX-Reswap"] = "innerHTML show:window:top"
    return response
