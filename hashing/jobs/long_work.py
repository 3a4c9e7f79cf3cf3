"""Long work in the background, and the sweep that finds what is left of it."""

from __future__ import annotations

import time

from core.jobs import enqueue, is_time_for, job
from hashing import actions
from hashing.models import LongWork

__all__ = ["do_long_work", "sweep_clocks", "sweep_long_work"]

BUSY_SECONDS = 20.0
CLOCKS_EVERY = 30


@job
def do_long_work(work_id: int) -> None:
    """Do batches of one work until it is done, must wait, or the time of this job is over. Safe to kill."""
    over = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < over:
        if not actions.do_batch(LongWork(pk=work_id)):
            return


def sweep_long_work() -> int:
    """Wake a worker for each work that is not done; return how many."""
    waiting = list(actions.open_works().values_list("pk", flat=True)[:50])
    for work_id in waiting:
        enqueue("do_long_work", work_id)
    return len(waiting)


def sweep_clocks() -> int:
    """Make due what lies further ahead than code sets it: the clock was put back. Return how many rows."""
    return actions.pull_back_due_times() if is_time_for("hashing-clocks", CLOCKS_EVERY) else 0
