"""Queues: what waits in them, pulling the next case, finding a case, and who may work them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.destinations import is_htmx
from accounts.models import User
from accounts.permissions import Permission
from accounts.searches import searched, stored_search
from core.errors import Invalid, Refused
from core.views import wants_problem
from moderation import access, actions, case_page
from moderation.case_search import search_cases
from moderation.forms import GrantForm, QueueFilterForm, SearchForm, add_errors
from moderation.models import Case, CaseStatus, CategoryGrant, Queue
from moderation.views.answers import see

ROWS_ON_A_PAGE = 50


@require_safe
@requires(Permission.CASES_VIEW)
def index(request: HttpRequest) -> HttpResponse:
    """List the person's queues with their figures."""
    context = {"queues": list(access.queue_figures(person_of(request)))}
    return render(request, "moderation/queues.html", context)


@require_safe
@requires(Permission.CASES_CLAIM)
def queue(request: HttpRequest, slug: str) -> HttpResponse:
    """List the cases of one queue, in the order in which they are pulled."""
    user = person_of(request)
    found = access.get_queue_for(user, slug)
    form = QueueFilterForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    cases = _filtered(access.cases_for(user).filter(queue=found), wanted, user)
    page = Paginator(case_page.queue_rows(cases), ROWS_ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "queue": found,
        "page": page,
        "filter_form": form,
        "waiting": access.waiting_cases(user, found).exists(),
        "elsewhere": access.next_waiting(user, besides=found),
        "mine": access.claims_of(user),
    }
    template = "moderation/_queue_table.html" if is_htmx(request) else "moderation/queue.html"
    return render(request, template, context)


@require_POST
@requires(Permission.CASES_CLAIM)
def claim_next(request: HttpRequest, slug: str) -> HttpResponse:
    """Lease the next waiting case of a queue to the person and go there."""
    return _start(request, access.get_queue_for(person_of(request), slug))


@require_POST
@requires(Permission.CASES_CLAIM)
def start(request: HttpRequest) -> HttpResponse:
    """Lease the case that is due first in all queues of the person, and go there."""
    return _start(request, None)


def _start(request: HttpRequest, found: Queue | None) -> HttpResponse:
    try:
        claim = actions.claim_next(found, actor=person_of(request))
    except Refused as refused:
        if wants_problem(request):
            raise
        messages.warning(request, refused.message)
        return see(reverse("moderation:home"))
    if claim is not None:
        return see(case_page.case_url(claim.case))
    sentence = f"Nothing is waiting for you in {found.name if found else 'any of your queues'}."
    if wants_problem(request):
        raise Refused(sentence, "nothing_waiting", 404)
    messages.info(request, sentence)
    if found is None:
        return see(reverse("moderation:home"))
    return see(reverse("moderation:queue", kwargs={"slug": found.slug}))


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.CASES_VIEW)
@stored_search("q")
def search(request: HttpRequest) -> HttpResponse:
    """Find a case by its number or its subject's id. One hit opens at once; every search is audited."""
    user = person_of(request)
    form = SearchForm(searched(request))
    text = form.cleaned_data["q"] if form.is_valid() else ""
    cases = search_cases(user, text)
    page = Paginator(case_page.queue_rows(cases), ROWS_ON_A_PAGE).get_page(request.GET.get("page"))
    if text:
        actions.record_search(text, found=page.paginator.count, actor=user)
    if page.paginator.count == 1:
        return redirect(case_page.case_url(page[0]))
    return render(request, "moderation/search.html", {"form": form, "page": page, "text": text})


@require_safe
@requires(Permission.QUEUES_MANAGE)
def grants(request: HttpRequest) -> HttpResponse:
    """List queues and categories with how many people hold them. Names and counts, no cases."""
    user = person_of(request)
    queues, categories = access.count_holders(Queue), access.count_holders(CategoryGrant)
    context = {
        "queues": [(row, queues.get(str(row.pk), 0)) for row in access.queues_to_grant(user)],
        "categories": [
            (row, categories.get(str(row.pk), 0)) for row in access.categories_to_grant(user)
        ],
    }
    return render(request, "moderation/grants.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.QUEUES_MANAGE)
def queue_people(request: HttpRequest, slug: str) -> HttpResponse:
    """Show and change who works a queue."""
    found = access.get_queue_to_grant(person_of(request), slug)
    return _people(
        request,
        found,
        name=found.name,
        permission=Permission.CASES_CLAIM,
        grant=lambda person, actor: actions.grant_queue(found, to=person, actor=actor),
        revoke=lambda person, actor: actions.revoke_queue(found, of=person, actor=actor),
        here=reverse("moderation:queue_people", kwargs={"slug": slug}),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.QUEUES_MANAGE)
def category_people(request: HttpRequest, category: str) -> HttpResponse:
    """Show and change who sees the cases of a category."""
    found = access.get_category_to_grant(person_of(request), category)
    return _people(
        request,
        found,
        name=found.get_category_display(),
        permission=Permission.CASES_VIEW,
        grant=lambda person, actor: actions.grant_category(category, to=person, actor=actor),
        revoke=lambda person, actor: actions.revoke_category(category, of=person, actor=actor),
        here=reverse("moderation:category_people", kwargs={"category": category}),
    )


def _people(
    request: HttpRequest,
    row: Queue | CategoryGrant,
    *,
    name: str,
    permission: Permission,
    grant: Any,
    revoke: Any,
    here: str,
) -> HttpResponse:
    actor = person_of(request)
    holders = access.holders_of(row)
    form = GrantForm(
        request.POST if request.POST.get("verb") == "grant" else None,
        permission=permission,
        granted=[person.pk for person in holders],
    )
    if request.method == "POST":
        if request.POST.get("verb") == "revoke":
            person = next((p for p in holders if str(p.pk) == request.POST.get("person")), None)
            if person is not None:
                revoke(person, actor)
                messages.success(request, f"{person.name} no longer has {name}.")
            return see(here)
        if form.is_bound and form.is_valid():
            person = form.cleaned_data["person"]
            try:
                grant(person, actor)
            except Invalid as problem:
                if wants_problem(request):
                    raise
                add_errors(form, problem)
            else:
                messages.success(request, f"{person.name} has {name} now.")
                return see(here)
        elif wants_problem(request):
            raise Invalid({"person": ["Choose a person who may hold this and does not yet."]})
    context = {
        "name": name,
        "is_queue": isinstance(row, Queue),
        "people": holders,
        "form": form,
        "here": here,
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "moderation/grant_people.html", context, status=status)


def _filtered(cases: QuerySet[Case], wanted: dict[str, Any], user: User) -> QuerySet[Case]:
    held = access.live_claims()
    if severity := wanted.get("severity"):
        cases = cases.filter(severity__gte=int(severity))
    if source := wanted.get("source"):
        is_trusted = access.has_trusted_report()
        cases = cases.filter(is_trusted) if source == "trusted" else cases.filter(~is_trusted)
    match wanted.get("state"):
        case "decided":
            return cases.filter(status=CaseStatus.DECIDED).order_by("-decided_at")
        case "waiting":
            cases = cases.exclude(pk__in=held.values("case"))
        case "held":
            cases = cases.filter(pk__in=held.values("case"))
        case "mine":
            cases = cases.filter(pk__in=held.filter(user=user).values("case"))
        case "over":
            cases = cases.filter(due_at__lte=Now())
    return cases.exclude(status=CaseStatus.DECIDED).order_by("due_at", "-score", "number")
