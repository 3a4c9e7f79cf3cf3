"""The end of practice."""

from __future__ import annotations

from core.jobs import is_time_for
from moderation.actions.practice import remove_old_practice

EVERY = 600
BATCHES = 20


def sweep_practice() -> int:
    """Remove what test keys sent and whose time is over, in batches; return how many rows went."""
    if not is_time_for("moderation-practice", EVERY):
        return 0
    removed = 0
    for _ in range(BATCHES):
        batch = remove_old_practice()
        removed += batch
        if not batch:
            break
    return removed
