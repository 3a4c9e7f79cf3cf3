"""Which orders the platform and its leads see. Not visible is 404."""

from __future__ import annotations

import re
import uuid
from datetime import datetime

from django.db.models import F, Prefetch, Q, QuerySet
from django.db.models.functions import Least
from django.http import Http404
from django.urls import reverse

from accounts.access import Waiting
from accounts.models import User
from accounts.permissions import Permission
from moderation.access import cases_for
from moderation.models import (
    Appeal,
    AppealState,
    Case,
    Delivery,
    Enforcement,
    OrderResult,
    Overturn,
    ResultState,
)
from reports.models import Source

_CASE_NUMBER = re.compile(r"C-?0*(\d{1,15})", re.IGNORECASE)
_MADE_AT = Least("appealed_at", "received_at")
"""When the platform had an appeal; never after it was received, whatever its clock says."""
CAME_BACK = (ResultState.IMPOSSIBLE, ResultState.REFUSED)


def orders_in_force() -> QuerySet[Enforcement]:
    """Return every order that came into force, withdrawn ones too: their numbers have no gaps."""
    return Enforcement.objects.filter(sequence__isnull=False)


def orders_for(source: Source) -> QuerySet[Enforcement]:
    """Return the orders that a source may read: all of them; none for test keys, whose practice orders nothing."""
    return orders_in_force() if source.practice_of_id is None else Enforcement.objects.none()


def orders_of(
    source: Source,
    *,
    state: str | None = None,
    verb: str | None = None,
    since: datetime | None = None,
    after_sequence: int | None = None,
    report: str | None = None,
    case: str | None = None,
    account: str | None = None,
    group: str | None = None,
    beyond: int | None = None,
    limit: int,
) -> list[int]:
    """Return the numbers of orders, at most ``limit``: the newest first, or with ``after_sequence`` the oldest.

    Orders are the platform's as a whole; ``report`` is an id that this very source gave. ``beyond`` is the number of the
    last order of the page before.
    """
    found = orders_for(source)
    rising = after_sequence is not None
    if state is not None:
        found = found.filter(state=state)
    if verb is not None:
        found = found.filter(verb=verb)
    if since is not None:
        found = found.filter(published_at__gte=since)
    if after_sequence is not None:
        found = found.filter(sequence__gt=after_sequence)
    if beyond is not None:
        found = found.filter(**{"sequence__gt" if rising else "sequence__lt": beyond})
    if account is not None:
        found = found.filter(account__external_id=account)
    if group is not None:
        found = found.filter(group__external_id=group)
    if case is not None:
        number = _CASE_NUMBER.fullmatch(case)
        found = found.filter(decision__case__number=int(number[1]) if number else -1)
    if report is not None:
        found = found.filter(
            decision__case__case_reports__report__external_id=report,
            decision__case__case_reports__report__source=source,
            decision__case__case_reports__case_version__lte=F("decision__case_version"),
        )
    order = "sequence" if rising else "-sequence"
    return [row.sequence or 0 for row in found.order_by(order).only("sequence")[:limit]]


def read_orders(sequences: list[int]) -> list[Enforcement]:
    """Return orders with their messages and what was answered, in the order of their numbers as given."""
    rows = {
        row.sequence: row
        for row in orders_in_force()
        .filter(sequence__in=sequences)
        .select_related("reversed_by")
        .prefetch_related(
            Prefetch("deliveries", Delivery.objects.order_by("created_at", "pk")),
            Prefetch("results", OrderResult.objects.filter(stands=True)),
        )
    }
    return [rows[number] for number in sequences if number in rows]


def get_order(source: Source, id: uuid.UUID) -> Enforcement:
    """Return an order in force, for the platform itself. Raises Http404 for one that was never published."""
    found = orders_for(source).filter(pk=id).first()
    if found is None:
        raise Http404
    return found


def waiting_for(user: User) -> list[Waiting]:
    """Return what of the orders waits for a lead: those that came back, and appeals against them."""
    count = came_back_for(user).count()
    appeals = appeals_for(user).exclude(enforcement__decision__made_by=user).count()
    return [
        Waiting(
            "Orders that the platform could not carry out", count, reverse("moderation:orders")
        ),
        Waiting("Appeals to decide", appeals, reverse("moderation:appeals")),
    ]


def get_appeal_of(source: Source, id: uuid.UUID) -> Appeal:
    """Return an appeal that this source handed on. Raises Http404 for all others."""
    found = Appeal.objects.filter(pk=id, source=source).first()
    if found is None:
        raise Http404
    return found


# ── People ────────────────────────────────────────────────────────────────────────────────────
def came_back_for(user: User, *, is_open: bool = True) -> QuerySet[OrderResult]:
    """Return answers of the platform that it could not carry out an order, of cases that a lead may see.

    ``is_open``: those that nobody has looked after yet; else those that somebody has, the latest first.
    """
    if not user.may(Permission.DELIVERIES_REPLAY):
        return OrderResult.objects.none()
    found = OrderResult.objects.filter(
        state__in=CAME_BACK, enforcement__decision__case__in=cases_for(user)
    ).select_related(
        "enforcement__decision__case",
        "enforcement__account",
        "enforcement__group",
        "seen_by",
        "source",
    )
    if is_open:
        return found.filter(Q(stands=True), seen_at=None).order_by("received_at", "pk")
    return found.filter(seen_at__isnull=False).order_by("-seen_at", "pk")


def get_overturn_for(user: User, id: uuid.UUID) -> Overturn:
    """Return how a decision on a case that the person may see is overturned. Raises Http404 otherwise."""
    found = (
        Overturn.objects.select_related("decision__case", "made_by")
        .filter(pk=id, decision__case__in=cases_for(user))
        .first()
    )
    if found is None:
        raise Http404
    return found


def get_came_back_for(user: User, id: uuid.UUID) -> OrderResult:
    """Return one such answer. Raises Http404 when not visible."""
    if not user.may(Permission.DELIVERIES_REPLAY):
        raise Http404
    found = (
        OrderResult.objects.filter(
            pk=id, state__in=CAME_BACK, enforcement__decision__case__in=cases_for(user)
        )
        .select_related("enforcement")
        .first()
    )
    if found is None:
        raise Http404
    return found


def appeals_for(user: User) -> QuerySet[Appeal]:
    """Return the appeals that wait, of cases that a lead may see, the oldest first."""
    if not user.may(Permission.DECISIONS_OVERTURN):
        return Appeal.objects.none()
    return (
        Appeal.objects.filter(
            state=AppealState.OPEN, enforcement__decision__case__in=cases_for(user)
        )
        .select_related(
            "enforcement__decision__case",
            "enforcement__decision__made_by",
            "enforcement__account",
            "enforcement__group",
        )
        .annotate(made_at=_MADE_AT)
        .order_by("made_at", "pk")
    )


def get_appeal_for(user: User, id: uuid.UUID) -> Appeal:
    """Return an appeal of a case that a lead may see. Raises Http404 otherwise."""
    found = (
        Appeal.objects.filter(pk=id, enforcement__decision__case__in=cases_for(user))
        .select_related("enforcement__decision__case")
        .first()
    )
    if found is None or not user.may(Permission.DECISIONS_OVERTURN):
        raise Http404
    return found


def appeals_on(case: Case) -> QuerySet[Appeal]:
    """Return the latest appeals on a case that the person was shown, the newest first."""
    rows = Appeal.objects.filter(enforcement__decision__case=case).annotate(made_at=_MADE_AT)
    return rows.select_related("enforcement__decision", "decided_by").order_by("-made_at")[:20]
