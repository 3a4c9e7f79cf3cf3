"""Ending leases that ran out, and due times that a clock put back left far ahead."""

from __future__ import annotations

from core.jobs import is_time_for
from moderation import actions
from moderation.actions.clocks import pull_back_due_times

CLOCKS_EVERY = 30


def sweep_claims() -> int:
    """End every lease that ran out, so that lists and the audit log say so."""
    return actions.end_expired_claims()


def sweep_clocks() -> int:
    """Make due what lies further ahead than code sets it: the clock was put back. Return how many rows."""
    return pull_back_due_times() if is_time_for("moderation-clocks", CLOCKS_EVERY) else 0
