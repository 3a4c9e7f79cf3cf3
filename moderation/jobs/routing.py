"""Placing what waits for its case: many rows in one job, each in a transaction of its own."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from core.jobs import enqueue, is_stopping, job
from moderation import actions
from moderation.routing import Rule
from reports.models import Item, Report

BATCH = 50
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
    seen: set[UUID] = set()  # What cannot be placed now is not looked at twice.
    while batch := _next(seen):
        rules = actions.current_rules()
        for row in batch:
            if is_stopping():
                return
            if time.monotonic() > over:
                enqueue("route_waiting")
                return
            seen.add(row.pk)
            _route(row, rules)


def _next(seen: set[UUID]) -> list[Report | Item]:
    reports = list(_oldest(actions.waiting_reports(), seen))
    if reports:
        return list(reports)
    items = list(_oldest(actions.waiting_items(), seen).select_related("report"))
    if items:
        return list(items)
    failed_reports, failed_items = actions.take_failed_routes(limit=BATCH // 2)
    return [
        *Report.objects.filter(pk__in=failed_reports).exclude(pk__in=seen),
        *Item.objects.select_related("report").filter(pk__in=failed_items).exclude(pk__in=seen),
    ]


def _route(row: Report | Item, rules: list[Rule]) -> None:
    if isinstance(row, Report):
        actions.route_report(row, rules=rules)
    else:
        actions.route_item(row, rules=rules)


def sweep_routing() -> int:
    """Wake the routing when reports or items wait, or failed ones are due; return how many, at most 500 of each."""
    reports, items = actions.failed_routes()
    found = sum(
        rows.values("pk")[:ENOUGH_AT_ONCE].count()
        for rows in (
            actions.waiting_reports(),
            actions.waiting_items(),
            actions.due_again(reports),
            actions.due_again(items),
        )
    )
    if found:
        enqueue("route_waiting")
    return found


def _oldest(rows: QuerySet[Any], seen: set[UUID]) -> QuerySet[Any]:
    return rows.exclude(pk__in=seen).order_by("received_at", "pk")[:BATCH]
