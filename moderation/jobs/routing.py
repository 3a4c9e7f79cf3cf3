"""Placing what waits for its case: many rows in one job, some dozens in one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.jobs import enqueue, is_stopping, job
from moderation import actions
from moderation.routing import Rule
from reports.models import Item, Report

BATCH = 32
"""Rows placed in one transaction. Whoever works on one of their cases waits for its end: a fraction of a second."""
BUSY_SECONDS = 5.0
"""After this long a job gives its place to another one: a decision that is to be published goes before."""

ENOUGH_AT_ONCE = 500


@job
def route_waiting() -> None:
    """Place reports and items, oldest first, until none waits or the time of this job is over.

    What failed before has its turn when nothing else waits, so that a heap of it never delays what is new. Safe to
    repeat, to kill and to run beside itself: what one process holds, another passes by.
    """
    over = time.monotonic() + BUSY_SECONDS
    while not is_stopping():
        if time.monotonic() > over:
            enqueue("route_waiting")
            return
        batch = _next()
        if not batch:
            return
        _route(batch, actions.current_rules())


def _next() -> Sequence[Report] | Sequence[Item]:
    return (
        actions.take_waiting_reports(limit=BATCH)
        or actions.take_waiting_items(limit=BATCH)
        or actions.take_failed_reports(limit=BATCH)
        or actions.take_failed_items(limit=BATCH)
    )


def _route(rows: Sequence[Report] | Sequence[Item], rules: list[Rule]) -> None:
    reports = [row for row in rows if isinstance(row, Report)]
    items = [row for row in rows if isinstance(row, Item)]
    actions.route_reports(reports, rules=rules)
    actions.route_items(items, rules=rules)


def sweep_routing() -> int:
    """Wake the routing when reports or items wait, or failed ones are due; return how many, at most 500 of each."""
    reports, items = actions.failed_routes()
    found = sum(
        rows.values("pk")[:ENOUGH_AT_ONCE].count()
        for rows in (
            actions.due_now(actions.waiting_reports()),
            actions.due_now(actions.waiting_items()),
            actions.due_again(reports),
            actions.due_again(items),
        )
    )
    if found:
        enqueue("route_waiting")
    return found
