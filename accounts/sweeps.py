"""The accounts' own sweep, run by the scheduler."""

from __future__ import annotations

from accounts import actions
from core.jobs import is_time_for
from core.sweeps import DAILY

HOURLY = 3600
CLOCKS_EVERY = 30


def sweep_sign_ins() -> int:
    """Once a day, delete sign-ins that ended long ago; return how many."""
    return actions.forget_old_sign_ins() if is_time_for("sign-ins", DAILY) else 0


def sweep_clocks() -> int:
    """Correct times of open sessions that lie ahead since a clock was put back; return how many."""
    return actions.pull_back_sessions() if is_time_for("accounts-clocks", CLOCKS_EVERY) else 0


def sweep_searches() -> int:
    """Once an hour, delete stored searches that ran out; return how many."""
    return actions.forget_old_searches() if is_time_for("searches", HOURLY) else 0
