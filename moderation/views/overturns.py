"""Overturning a decision in effect: what exactly would be sent, then doing it, then taking it back."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid, Refused
from core.views import wants_problem
from moderation import access, actions, case_page, order_access, overturning
from moderation.forms import OverturnForm, add_errors
from moderation.views.answers import refused_page, see

OVERTURN = Permission.DECISIONS_OVERTURN


@require_http_methods(["GET", "HEAD", "POST"])
@requires(OVERTURN)
def overturn(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Show what overturning a decision would do and send, and do it."""
    user = person_of(request)
    decision = access.get_decision_for(user, id)
    form = OverturnForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.overturn_decision(decision, reason=form.cleaned_data["reason"], actor=user)
        except Invalid as invalid:
            if wants_problem(request):
                raise
            add_errors(form, invalid)
        except Refused as refused:
            return refused_page(request, decision.case, refused)
        else:
            # The bar says so, with its undo.
            return see(case_page.case_url(decision.case))
    elif refusal := overturning.why_not(decision, user):
        return refused_page(request, decision.case, Refused(refusal))
    context = {
        "form": form,
        "decision": decision,
        "case": decision.case,
        **overturning.preview(decision),
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "moderation/overturn.html", context, status=status)


@require_POST
@requires(OVERTURN)
def overturn_undo(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Take it back inside its undo window."""
    user = person_of(request)
    found = order_access.get_overturn_for(user, id)
    try:
        actions.undo_overturn(found, actor=user)
    except Refused as refused:
        if wants_problem(request):
            raise
        messages.warning(request, refused.message)
    else:
        messages.success(request, "The decision stands as before. Nothing was sent.")
    return see(case_page.case_url(found.decision.case))
