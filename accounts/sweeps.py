"""The accounts' own sweep, run by the scheduler."""

from __future__ import annotations

from accounts import actions
from core.sweeps import DAILY, is_time_for


def sweep_sign_ins() -> int:
    """Once a day, delete sign-ins that ended long ago; return how many."""
    return actions.forget_old_sign_ins() if is_time_for("sign-ins", DAILY) else 0
