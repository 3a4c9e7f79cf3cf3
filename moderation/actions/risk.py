"""Cases that a risk score asks for: opened or made more urgent, by the routing rules like any other."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from core.audit import SYSTEM, Actor
from core.errors import Refused, describe
from hashing import actions as hashing
from hashing.models import FlagKind, RiskScore
from moderation import routing
from moderation.actions.placing import place_subject
from moderation.models import Case
from reports.models import NOT_SENT, Item, TrustLevel

__all__ = ["route_risk_case"]

ITEMS_SHOWN = 50
REASONS_NAMED = 3


def route_risk_case(score: RiskScore, *, actor: Actor = SYSTEM) -> Case | None:
    """Place the subject of a score in a case; None if that is done or no rule wants it. Safe to repeat.

    What goes wrong is recorded on the score, shown, and tried again by the sweep.
    """
    taken = hashing.take_risk_case(score)
    if taken is None:
        return None
    try:
        with transaction.atomic():
            facts = routing.Facts(
                subject=taken.kind,
                source_kind="",
                trust=TrustLevel.STANDARD,
                flags=(_flag_of(taken),),
            )
            case = place_subject(taken.subject, facts, items=_items_of(taken), actor=actor)
            hashing.record_risk_case(taken)
            return case
    except Exception as failed:  # noqa: BLE001 — recorded on the row, shown, and tried again
        said = failed.message if isinstance(failed, Refused) else describe(failed)
        hashing.record_risk_case(taken, error=said)
        return None


def _flag_of(score: RiskScore) -> routing.FlagFact:
    named = "; ".join(
        f"+{each['points']}: {each['text']}" for each in score.contributions[:REASONS_NAMED]
    )
    more = len(score.contributions) - REASONS_NAMED
    return routing.FlagFact(
        kind=FlagKind.RISK,
        category="",
        score=score.score / 100,
        summary=f"{score.score} of 100 ({named}{f'; and {more} more' if more > 0 else ''})",
        detector="risk",
    )


def _items_of(score: RiskScore) -> list[Item]:
    """Return what is known of the subject itself, the newest, in the order in which it came."""
    about: dict[str, Any] = {score.kind: score.subject}
    newest = (
        Item.objects.filter(**about)
        .exclude(surface__in=NOT_SENT)
        .order_by("-received_at", "-pk")[:ITEMS_SHOWN]
    )
    return list(reversed(newest))
