"""What the page says before a decision is overturned: exactly what would be sent, taken back, and what stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, F

from accounts.models import User
from accounts.permissions import Permission
from hashing.models import HashEntry, Verdict
from moderation import access, actions
from moderation.enforcement import REVERSALS
from moderation.models import (
    Case,
    CaseStatus,
    Decision,
    Enforcement,
    Overturn,
)
from moderation.orders_shown import in_words


def why_not(decision: Decision, user: User) -> str:
    """Return why this person cannot overturn it now (the action asks again), or an empty text."""
    if not user.may(Permission.DECISIONS_OVERTURN) or not access.may_work(user, decision.case):
        return "You may not overturn decisions on this case."
    if decision.published_at is None or decision.overturned_at is not None:
        return "This decision is not in effect."
    if decision.case.is_practice:
        return "Practice orders nothing: there is nothing to take back."
    if decision.made_by_id == user.pk:
        return "You made this decision. Another lead has to look at it and overturn it."
    if decision.overturns.filter(undone_at=None).exists():
        return "It is being overturned already."
    return ""


def pending_overturn(decision: Decision | None) -> Overturn | None:
    """Return the overturning of a decision that is still in its undo window or could not take effect yet."""
    if decision is None:
        return None
    rows = decision.overturns.filter(undone_at=None, published_at=None)
    return rows.select_related("made_by").first()


def overturned_on(case: Case) -> list[Overturn]:
    """Return how decisions on a case were overturned, the latest first."""
    rows = Overturn.objects.filter(decision__case=case, published_at__isnull=False)
    return list(
        rows.select_related(
            "made_by", "decision__made_by", "decision__policy_version__policy"
        ).order_by("-published_at")[:10]
    )


def preview(decision: Decision) -> dict[str, Any]:
    """Return what overturning the decision does, as it stands now."""
    follows = actions.what_follows(decision)
    case = decision.case
    about = {"account": case.account_id, "group": case.group_id, "category": case.category}
    others = Case.objects.filter(**about).exclude(pk=case.pk).exclude(status=CaseStatus.DECIDED)
    blobs = case.case_items.filter(item__blob__isnull=False).values("item__blob")
    return {
        "sent": [
            (in_words(verb, count), in_words(REVERSALS[verb], count))
            for verb, count in _by_verb(follows.reversed)
        ],
        "withdrawn": [in_words(verb, count) for verb, count in _by_verb(follows.withdrawn)],
        "never_done": [in_words(verb, count) for verb, count in _by_verb(follows.never_done)],
        # Their application knows this one, not the other way: asked for by name.
        "referrals": case.referrals.annotate(fetched=Count("package__downloads")).order_by(
            "number", "revision"
        ),
        "reports": case.case_reports.filter(case_version__lte=decision.case_version).count(),
        "labels": Verdict.objects.filter(decision=decision.pk).count(),
        "joins": others.first(),
        "listed": HashEntry.objects.filter(
            note__startswith="From a confirmed item",
            retired_at=None,
            value__in=case.case_items.filter(item__blob__in=blobs).values("item__blob__sha256"),
        )
        .values(name=F("hash_list__name"))
        .annotate(count=Count("pk"))
        .order_by("name")[:5],
        "undo_seconds": settings.HOLDFAST_UNDO_SECONDS,
    }


def _by_verb(keys: Iterable[UUID]) -> list[tuple[str, int]]:
    rows = Enforcement.objects.filter(pk__in=list(keys)).order_by("verb")
    return list(rows.values_list("verb").annotate(count=Count("pk")))
