"""What became of a person's decisions, and what of theirs can still be undone."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.urls import reverse

from accounts.models import User
from moderation import access, orders_shown
from moderation.models import Case, Decision, Outcome, Overturn


class Became(NamedTuple):
    """A decision in effect, its orders in words, and who overturned it, if somebody did."""

    decision: Decision
    at: datetime
    orders: list[str]
    overturn: Overturn | None


class Undoable(NamedTuple):
    """One line of the bar: what takes effect when, and where it is undone."""

    case: Case
    what: str
    made_at: datetime
    publish_at: datetime
    url: str


def latest_of(user: User, *, limit: int = 5) -> list[Became]:
    """Return what became of the person's latest decisions, newest first.

    The latest is what took effect, or was overturned, last: whoever decided reads of it, however old the decision is.
    """
    gone = {row.decision_id: row for row in _overturned(user)[:limit]}
    decisions = {row.pk: row for row in access.outcomes_for(user)[:limit]}
    decisions |= {row.decision_id: row.decision for row in gone.values()}
    sums = orders_shown.sums_of(decisions)
    found = []
    for key, decision in decisions.items():
        overturn = gone.get(key)
        at = (overturn and overturn.published_at) or decision.published_at or decision.made_at
        found.append(Became(decision, at, sums.get(key, []), overturn))
    return sorted(found, key=lambda row: row.at, reverse=True)[:limit]


def undoable_of(user: User) -> list[Undoable]:
    """Return the person's decisions and overturnings that are inside their undo windows, newest first."""
    found = [
        Undoable(
            row.case,
            Outcome(row.outcome).label.lower(),
            row.made_at,
            row.publish_at,
            reverse("moderation:undo", args=[row.pk]),
        )
        for row in access.pending_decisions_of(user)
    ]
    found += [
        Undoable(
            row.decision.case,
            "overturned",
            row.made_at,
            row.publish_at,
            reverse("moderation:overturn_undo", args=[row.pk]),
        )
        for row in _pending_overturns(user)
    ]
    return sorted(found, key=lambda row: row.made_at, reverse=True)


def _pending_overturns(user: User) -> QuerySet[Overturn]:
    return Overturn.objects.filter(
        made_by=user,
        undone_at=None,
        published_at=None,
        publish_at__gt=Now(),
        decision__case__in=access.cases_for(user),
    ).select_related("decision__case")


def _overturned(user: User) -> QuerySet[Overturn]:
    return (
        Overturn.objects.filter(
            decision__made_by=user,
            published_at__isnull=False,
            decision__case__in=access.cases_for(user),
        )
        .select_related("made_by", "decision__case", "decision__policy_version__policy")
        .order_by("-published_at")
    )
