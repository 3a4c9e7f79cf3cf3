"""Agencies and their public keys."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid
from referrals import access, actions
from referrals.forms import RecipientForm
from referrals.models import Recipient


@requires(Permission.REFERRALS_VIEW)
@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    """All agencies."""
    recipients = access.recipients_for(person_of(request))
    return render(request, "referrals/recipients.html", {"recipients": recipients})


@requires(Permission.RECIPIENTS_MANAGE, recent_login=True)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Add an agency."""
    form = RecipientForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        said = dict(form.cleaned_data)
        said.pop("is_active")
        try:
            recipient = actions.create_recipient(
                keys=said.pop("age_recipients"), **said, actor=person_of(request)
            )
        except Invalid as invalid:
            return _again(request, form, invalid, None)
        messages.success(request, f"{recipient} was added.")
        return redirect("referrals:recipients")
    return _page(request, form, None)


@requires(Permission.RECIPIENTS_MANAGE, recent_login=True)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, recipient_id: uuid.UUID) -> HttpResponse:
    """Change an agency's details or keys."""
    recipient = access.get_recipient_for(person_of(request), recipient_id)
    initial = {
        "name": recipient.name,
        "unit": recipient.unit,
        "country": recipient.country,
        "contact": recipient.contact,
        "age_recipients": "\n".join(recipient.age_recipients),
        "is_active": recipient.is_active,
    }
    form = RecipientForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        said = dict(form.cleaned_data)
        try:
            actions.change_recipient(
                recipient, keys=said.pop("age_recipients"), **said, actor=person_of(request)
            )
        except Invalid as invalid:
            return _again(request, form, invalid, recipient)
        messages.success(request, f"{recipient.name} was changed.")
        return redirect("referrals:recipients")
    return _page(request, form, recipient)


def _again(
    request: HttpRequest, form: RecipientForm, invalid: Invalid, recipient: Recipient | None
) -> HttpResponse:
    for field, sentences in invalid.errors.items():
        form.add_error(field or None, sentences)
    return _page(request, form, recipient)


def _page(request: HttpRequest, form: RecipientForm, recipient: Recipient | None) -> HttpResponse:
    return render(
        request,
        "referrals/recipient.html",
        {"form": form, "recipient": recipient},
        status=422 if request.method == "POST" else 200,
    )
