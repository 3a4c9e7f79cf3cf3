"""Looking after hash lists."""

from __future__ import annotations

from core.jobs import is_time_for
from hashing import actions

__all__ = ["sweep_lists"]

EVERY = 60


def sweep_lists() -> int:
    """Hold lists that flag too much, and retire entries that reviews refuted; return how many of both."""
    if not is_time_for("hash-lists", EVERY):
        return 0
    return actions.guard_against_floods() + actions.retire_refuted_entries()
