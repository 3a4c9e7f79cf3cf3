"""Placing the subjects of risk scores that ask for a case."""

from __future__ import annotations

from core.jobs import enqueue, job
from hashing import actions as hashing
from hashing.models import RiskScore
from moderation import actions

ENOUGH_AT_ONCE = 500


@job
def route_risk_case(score_id: int) -> None:
    """Place the subject of one score."""
    actions.route_risk_case(RiskScore.objects.get(pk=score_id))


def sweep_risk_cases() -> int:
    """Wake workers for the scores that wait for their case; return how many."""
    waiting = list(hashing.waiting_risk_cases().values_list("pk", flat=True)[:ENOUGH_AT_ONCE])
    for key in waiting:
        enqueue("route_risk_case", key)
    return len(waiting)
