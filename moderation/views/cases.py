"""One case: its page, its lease, its notes."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import person_of, requires, sign_in_of
from accounts.destinations import is_htmx
from accounts.permissions import Permission
from core.errors import Invalid, Refused
from core.views import wants_problem
from moderation import access, actions, case_page, presence
from moderation.forms import MoveForm, NoteForm, ReasonForm, add_errors, checked
from moderation.models import Case, Claim
from moderation.timeline import timeline
from moderation.views.answers import refused_page, see


@require_safe
@requires(Permission.CASES_VIEW)
def case(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Show a case. Seeing it is recorded; seeing its media is another right."""
    user = person_of(request)
    found = access.get_case_for(user, id)
    actions.record_case_viewed(found, actor=user)
    shown = request.GET.get("text", "") if user.may(Permission.MEDIA_PREVIEW) else ""
    if shown:
        item = access.get_case_item_for(user, found.pk, shown).item
        actions.record_text_shown(found, item, actor=user)
    context = case_page.context(
        found, user=user, sign_in=sign_in_of(request), shown_text=shown, asked=request.GET
    )
    return render(request, "moderation/case.html", context)


@require_POST
@requires(Permission.CASES_CLAIM)
def claim(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Lease this case to the person."""
    user = person_of(request)
    found = access.get_case_for(user, id)
    try:
        actions.claim(found, actor=user)
    except Refused as refused:
        return refused_page(request, found, refused)
    return see(case_page.case_url(found))


@require_POST
@requires(Permission.CASES_CLAIM)
def heartbeat(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Keep the person's lease alive. 409 with the reason when it is gone."""
    user = person_of(request)
    try:
        found = access.get_case_to_work(user, id)
    except Refused as refused:
        if wants_problem(request):
            raise
        # In place of the panel that asked; the status makes the page cover what it shows.
        panel = request.headers.get("HX-Target", "") or "lease"
        context = {"id": panel, "text": refused.message}
        return render(request, "moderation/_withdrawn.html", context, status=refused.status)
    try:
        kept = actions.heartbeat(_lease(found, request), actor=user)
    except Refused as refused:
        return _lost(request, found, refused)
    presence.seen(found.pk, user.pseudonym)
    return JsonResponse({"expires": kept.expires_at.isoformat()})


@require_POST
@requires(Permission.CASES_CLAIM)
def extend(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Add a lease's time to what is left."""
    user = person_of(request)
    found = access.get_case_to_work(user, id)
    try:
        extended = actions.extend_claim(_lease(found, request), actor=user)
    except Refused as refused:
        if is_htmx(request):
            return _lost(request, found, refused)
        return refused_page(request, found, refused)
    if is_htmx(request):
        return render(request, "moderation/_lease.html", case_page.lease_context(found, extended))
    return see(case_page.case_url(found))


@require_POST
@requires(Permission.CASES_CLAIM)
def release(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Give the case back with a reason; it does not come back to this person for a while."""
    user = person_of(request)
    found = access.get_case_to_work(user, id)
    try:
        actions.release_claim(
            _lease(found, request), reason=_reason(request, "release"), actor=user
        )
    except Refused as refused:
        return refused_page(request, found, refused)
    except Invalid as problem:
        return _invalid(request, found, problem)
    messages.success(request, f"{found} is back in {found.queue}.")
    return see(reverse("moderation:queue", kwargs={"slug": found.queue.slug}))


@require_POST
@requires(Permission.CASES_TAKE_OVER)
def take_over(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Take the case from the person who holds it."""
    user = person_of(request)
    found = access.get_case_for(user, id)
    try:
        actions.take_over(found, reason=_reason(request, "take_over"), actor=user)
    except Refused as refused:
        return refused_page(request, found, refused)
    except Invalid as problem:
        return _invalid(request, found, problem)
    messages.success(request, f"{found} is yours. The former holder is told why.")
    return see(case_page.case_url(found))


@require_POST
@requires(Permission.CASES_MOVE)
def move(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Put the case into another queue."""
    user = person_of(request)
    found = access.get_case_for(user, id)
    form = MoveForm(request.POST, prefix="move" if "move-queue" in request.POST else None)
    try:
        wanted = checked(form)
        actions.move_case(
            found,
            to=wanted["queue"],
            reason=wanted["reason"],
            case_version=wanted["case_version"],
            actor=user,
        )
    except Refused as refused:
        return refused_page(request, found, refused)
    except Invalid as problem:
        return _invalid(request, found, problem)
    messages.success(request, f"{found} is in {wanted['queue']} now.")
    return see(reverse("moderation:queue", kwargs={"slug": found.queue.slug}))


@require_POST
@requires(Permission.CASES_DECIDE)
def note(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Leave a note on the case."""
    user = person_of(request)
    found = access.get_case_to_work(user, id)
    form = NoteForm(request.POST)
    status = 200
    try:
        actions.add_note(found, text=checked(form)["text"], actor=user)
        form = NoteForm()
    except Refused as refused:
        return refused_page(request, found, refused)
    except Invalid as problem:
        if wants_problem(request):
            raise
        if form.is_valid():
            add_errors(form, problem)
        status = 422
    if is_htmx(request):
        events, part = timeline(found, {})
        context = {"case": found, "events": events, "events_window": part, "works": True}
        context |= {"note_form": form}
        return render(request, "moderation/_timeline.html", context, status=status)
    if status == 200:
        return see(f"{case_page.case_url(found)}#timeline")
    context = case_page.context(found, user=user, sign_in=sign_in_of(request), note_form=form)
    return render(request, "moderation/case.html", context, status=status)


def _lease(found: Case, request: HttpRequest) -> Claim:
    """Return the person's live or latest lease on the case. Raises Refused when there never was one."""
    user = person_of(request)
    latest = found.claims.filter(user=user).select_related("case").order_by("-started_at").first()
    if latest is None:
        raise Refused(actions.why_no_lease(found, actor=user), code="no_lease")
    return latest


def _lost(request: HttpRequest, found: Case, refused: Refused) -> HttpResponse:
    """Answer with the panel that says who has the case now; scripts get the problem document."""
    if wants_problem(request):
        raise refused
    context = {
        "case": found,
        "lost": refused.message,
        "is_lost": isinstance(refused, actions.LeaseLost),
    }
    return render(request, "moderation/_lease.html", context, status=refused.status)


def _reason(request: HttpRequest, prefix: str) -> str:
    """Read the reason of a dialog's form, or of a script that sends the bare name."""
    is_prefixed = f"{prefix}-reason" in request.POST
    form = ReasonForm(request.POST, prefix=prefix if is_prefixed else None)
    return str(checked(form)["reason"])


def _invalid(request: HttpRequest, found: Case, problem: Invalid) -> HttpResponse:
    if wants_problem(request):
        raise problem
    sentence = " ".join(sentence for some in problem.errors.values() for sentence in some)
    context = case_page.context(
        found, user=person_of(request), sign_in=sign_in_of(request), refusal=sentence
    )
    return render(request, "moderation/case.html", context, status=422)
