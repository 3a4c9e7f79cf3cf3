"""The first page after signing in."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.access import all_waiting_for, person_of, requires
from accounts.models import User
from accounts.permissions import Permission
from moderation import access, case_page, outcomes


@require_safe
@requires(Permission.OWN_ACCOUNT)
def home(request: HttpRequest) -> HttpResponse:
    """Show a person's leases and queues, what was taken over from them and how their cases ended.

    People whose role works no cases find the way to their own rooms.
    """
    user = person_of(request)
    works = user.may(Permission.CASES_CLAIM)
    unrouted = access.count_unrouted(user)
    unpublished = access.count_unpublished(user)
    context: dict[str, Any] = {
        "works": works,
        "claims": list(access.claims_of(user)) if works else [],
        "queues": list(access.queue_figures(user)) if works else [],
        "notices": _notices(user) if works else [],
        "waiting": all_waiting_for(user),
        "rooms": [] if works else _rooms(user),
        "outcomes": outcomes.latest_of(user) if works else [],
        "unrouted": unrouted,
        "unrouted_text": f"{unrouted} could not be routed. They are kept as they were received and tried again.",
        "unpublished": unpublished,
        "unpublished_text": f"{unpublished} decided, and nothing was sent to the platform. The cases say why.",
    }
    if works:
        context["next"] = access.next_waiting(user)
    return render(request, "moderation/home.html", context)


def _notices(user: User) -> list[dict[str, str]]:
    """Return what the person has to be told: cases that a lead took over, by whom and why."""
    return [
        {
            "title": f"{claim.ended_by or 'A lead'} took {claim.case} over at "
            f"{claim.ended_at:%H:%M} UTC",
            "text": claim.end_reason,
            "url": case_page.case_url(claim.case),
        }
        for claim in access.taken_over_from(user)[:5]
    ]


_ROOMS = [
    (
        Permission.REFERRALS_VIEW,
        "referrals:list",
        "Referrals",
        "Decided cases on their way to agencies.",
    ),
    (
        Permission.HASHING_LISTS_VIEW,
        "hashing:lists",
        "Hash lists",
        "Digests that media is compared with.",
    ),
    (
        Permission.HASHING_RULES_VIEW,
        "hashing:rules",
        "Text rules",
        "Terms that texts are compared with.",
    ),
    (
        Permission.HASHING_EXCHANGES_VIEW,
        "hashing:exchanges",
        "Exchanges",
        "Hashes that partners share.",
    ),
    (
        Permission.HASHING_CLASSIFIERS_VIEW,
        "hashing:classifiers",
        "Classifiers",
        "What learns from decisions.",
    ),
    (
        Permission.HASHING_DETECTORS_VIEW,
        "hashing:detectors",
        "Detectors",
        "What looks at every item, and what it could not look at.",
    ),
    (
        Permission.AUDIT_VIEW,
        "accounts:audit",
        "Audit",
        "Who did and saw what, in a chain that shows tampering.",
    ),
    (Permission.PEOPLE_MANAGE, "accounts:people", "People", "Accounts, roles and invitations."),
    (Permission.QUEUES_MANAGE, "moderation:grants", "Access to cases", "Who works which queue."),
    (
        Permission.SOURCES_MANAGE,
        "reports:sources",
        "Sources",
        "Who may send reports, and their keys.",
    ),
    (
        Permission.DELIVERIES_VIEW,
        "moderation:deliveries",
        "Deliveries",
        "What the platform was told.",
    ),
    (Permission.JOBS_VIEW, "accounts:jobs", "Jobs", "What runs, waits and fails."),
    (Permission.POLICIES_VIEW, "moderation:policies", "Policies", "What is not allowed."),
]


def _rooms(user: User) -> list[dict[str, str]]:
    """Return the rooms that the person's role works in."""
    return [
        {"url": reverse(name), "title": title, "text": text}
        for permission, name, title, text in _ROOMS
        if user.may(permission)
    ]
