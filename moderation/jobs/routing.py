"""Waking up what waits for its case."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db.models import QuerySet
from redis.exceptions import RedisError

from core.jobs import enqueue, job
from moderation import actions
from reports.models import Item, Report

TRY_AGAIN_SECONDS = 60
ENOUGH_AT_ONCE = 500


@job
def route_item(item_id: str) -> None:
    """Place one scanned item."""
    actions.route_item(Item.objects.select_related("report").get(pk=item_id))


@job
def route_report(report_id: str) -> None:
    """Place one report with its items."""
    actions.route_report(Report.objects.get(pk=report_id))


def sweep_routing() -> int:
    """Enqueue every report and item that waits for its case; failed ones once a minute."""
    failed_reports, failed_items = actions.failed_routes()
    reports = [*_oldest(actions.waiting_reports()), *_due_again(failed_reports)]
    items = [*_oldest(actions.waiting_items()), *_due_again(failed_items)]
    for key in reports:
        enqueue("route_report", key)
    for key in items:
        enqueue("route_item", key)
    return len(reports) + len(items)


def _oldest(rows: QuerySet[Any]) -> list[UUID]:
    return list(rows.order_by("received_at").values_list("pk", flat=True)[:ENOUGH_AT_ONCE])


def _due_again(rows: QuerySet[Any]) -> list[UUID]:
    """Return failed rows whose pause is over. Without the cache there is no pause."""
    due = []
    for key in _oldest(rows):
        try:
            is_time = cache.add(f"route-again:{key}", 1, TRY_AGAIN_SECONDS)
        except (RedisError, OSError):
            is_time = True
        if is_time:
            due.append(key)
    return due
