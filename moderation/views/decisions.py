"""Deciding, taking back, sending early."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import person_of, requires, sign_in_of
from accounts.permissions import Permission
from core.errors import Invalid, Refused, problem
from core.views import wants_problem
from moderation import access, actions, case_page, decide_panel, outcomes
from moderation.forms import DecideForm, add_errors, checked
from moderation.models import Case
from moderation.views.answers import see


@require_POST
@requires(Permission.CASES_DECIDE)
def decide(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Record a verdict. Nothing that was typed is lost when it cannot be recorded."""
    user = person_of(request)
    try:
        found = access.get_case_to_work(user, id)
    except Refused as refused:
        if wants_problem(request):
            raise
        context = {"text": refused.message, "typed": request.POST.get("reason", "")[:5000]}
        return render(request, "moderation/withdrawn.html", context, status=refused.status)
    form = DecideForm(request.POST)
    try:
        verdict = checked(form)
        decision = actions.decide(
            found,
            policy=verdict["policy"],
            outcome=verdict["outcome"],
            enforcements=verdict["enforcements"],
            reason=verdict["reason"],
            case_version=verdict["case_version"],
            idempotency_key=verdict["idempotency_key"],
            actor=user,
        )
    except Invalid as invalid:
        if wants_problem(request):
            raise
        if form.is_valid():
            add_errors(form, invalid)
        return _again(request, found, form, status=422)
    except actions.CaseChanged as changed:
        changes = actions.changes_since(found, changed.since)
        if wants_problem(request):
            return problem(
                409,
                "Refused",
                changed.message,
                code=changed.code,
                case_version=changed.case.version,
                changes=changes,
            )
        return _again(request, found, form, status=409, changes=changes, refusal=changed.message)
    except Refused as refused:
        if wants_problem(request):
            raise
        if isinstance(refused, actions.DecisionUndone):
            # The key is spent; with a new one the person can decide again without typing it all anew.
            typed = request.POST.copy()
            typed["idempotency_key"] = str(uuid.uuid4())
            form = DecideForm(typed)
        return _again(request, found, form, status=refused.status, refusal=refused.message)
    return _after(request, decision.case)


@require_POST
@requires(Permission.CASES_DECIDE)
def undo(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Take a decision back inside its undo window and return to the case."""
    user = person_of(request)
    decision = access.get_decision_for(user, id)
    try:
        actions.undo_decision(decision, actor=user)
    except Refused as refused:
        if wants_problem(request):
            raise
        messages.warning(request, refused.message)
    else:
        messages.success(request, f"{decision.case} is open again. Nothing was sent.")
    return see(case_page.case_url(decision.case))


@require_POST
@requires(Permission.CASES_DECIDE)
def send_now(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """End the undo window of a decision early."""
    user = person_of(request)
    decision = access.get_decision_for(user, id)
    try:
        actions.send_now(decision, actor=user)
    except Refused as refused:
        if wants_problem(request):
            raise
        messages.warning(request, refused.message)
    else:
        messages.success(request, f"The decision on {decision.case} takes effect now.")
    return see(case_page.case_url(decision.case))


@require_safe
@requires(Permission.CASES_DECIDE)
def undo_bar(request: HttpRequest) -> HttpResponse:
    """Return the bar with what the person decided or overturned and can still undo, newest first, else nothing."""
    rows = outcomes.undoable_of(person_of(request))
    return render(request, "ui/undo.html", {"rows": rows}) if rows else HttpResponse("")


@require_safe
@requires(Permission.CASES_DECIDE)
def panel(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Return the part of the form that follows from the chosen policy: its text and its verbs."""
    user = person_of(request)
    found = access.get_case_for(user, id)
    context = decide_panel.context(found, user=user, form=DecideForm(request.GET), tried=False)
    return render(request, "moderation/_policy_choice.html", {"case": found, **context})


@require_safe
@requires(Permission.CASES_DECIDE)
def consequence(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Return the sentence that says what the form, as it stands, would do."""
    found = access.get_case_for(person_of(request), id)
    sentence = decide_panel.consequence(found, request.GET)
    return render(request, "moderation/_consequence.html", {"consequence": sentence})


def _again(
    request: HttpRequest,
    found: Case,
    form: DecideForm,
    *,
    status: int,
    changes: list[str] | None = None,
    refusal: str = "",
) -> HttpResponse:
    fresh = access.get_case_for(person_of(request), found.pk)
    context = case_page.context(
        fresh,
        user=person_of(request),
        sign_in=sign_in_of(request),
        form=form,
        changes=changes,
        refusal=refusal,
    )
    return render(request, "moderation/case.html", context, status=status)


def _after(request: HttpRequest, decided: Case) -> HttpResponse:
    """Lead on after a recorded decision: to the next case, if that was asked for, or to the queue."""
    user = person_of(request)
    try:
        queue = access.get_queue_for(user, decided.queue.slug)
    except Http404:
        # Switched off or withdrawn meanwhile. "Not found" would read as if nothing had been recorded.
        messages.info(
            request, f"Your decision on {decided} is recorded. You do not work its queue any more."
        )
        return see(reverse("moderation:home"))
    if request.POST.get("then") != "next":
        return see(reverse("moderation:queue", kwargs={"slug": queue.slug}))
    try:
        claim = actions.claim_next(queue, actor=user)
    except Refused as refused:
        messages.warning(request, refused.message)
        return see(reverse("moderation:home"))
    if claim is None:
        # The page of the queue offers what is due in the others.
        messages.info(request, f"Nothing more is waiting for you in {queue}.")
        return see(reverse("moderation:queue", kwargs={"slug": queue.slug}))
    return see(case_page.case_url(claim.case))
