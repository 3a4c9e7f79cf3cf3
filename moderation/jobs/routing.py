"""Waking up what waits for its case."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from core.jobs import enqueue, job
from moderation import actions
from reports.models import Item, Report

ENOUGH_AT_ONCE = 500


@job
def route_item(item_id: str) -> None:
    """Place one scanned item."""
    actions.route_item(Item.objects.select_related("report").get(pk=item_id))


@job
def route_items(*item_ids: str) -> None:
    """Place items whose scans ended together: one wake-up and one process for all of them.

    Each is placed in a transaction of its own. Safe to repeat and to kill: the sweep finds those left.
    """
    for item_id in item_ids:
        # Loaded one by one: placing one may have placed the report of the next.
        item = Item.objects.select_related("report").filter(pk=item_id).first()
        if item is not None:
            actions.route_item(item)


@job
def route_report(report_id: str) -> None:
    """Place one report with its items."""
    actions.route_report(Report.objects.get(pk=report_id))


def sweep_routing() -> int:
    """Enqueue every report and item that waits for its case, and the failed ones whose pause is over."""
    failed_reports, failed_items = actions.take_failed_routes(limit=ENOUGH_AT_ONCE)
    reports = [*_oldest(actions.waiting_reports()), *failed_reports]
    items = [*_oldest(actions.waiting_items()), *failed_items]
    for key in reports:
        enqueue("route_report", key)
    for key in items:
        enqueue("route_item", key)
    return len(reports) + len(items)


def _oldest(rows: QuerySet[Any]) -> list[UUID]:
    return list(rows.order_by("received_at").values_list("pk", flat=True)[:ENOUGH_AT_ONCE])
