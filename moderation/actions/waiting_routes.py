"""What waits for its case, and what failed to get one and waits for its next turn."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest, Least, Now

from reports.models import Item, Report, RouteState, ScanState

SHORTEST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=15)


def waiting_reports() -> QuerySet[Report]:
    """Return reports that can be routed now: scanned, without items, or kept waiting long enough."""
    scanning = Item.objects.filter(scan_state=ScanState.WAITING).values("report")
    return Report.objects.filter(
        Q(route_state=RouteState.WAITING)
        & (~Q(pk__in=scanning.filter(report__isnull=False)) | Q(received_at__lt=Now() - patience()))
    )


def waiting_items() -> QuerySet[Item]:
    """Return items whose scan is over and which are in no case and not clear yet."""
    return (
        Item.objects.filter(route_state__in=[RouteState.WAITING, RouteState.NOT_YET])
        .exclude(scan_state=ScanState.WAITING)
        .exclude(report__route_state__in=[RouteState.WAITING, RouteState.FAILED])
    )


def failed_routes() -> tuple[QuerySet[Report], QuerySet[Item]]:
    """Return reports and items whose routing failed: they wait for the next try, in sight."""
    return (
        Report.objects.filter(route_state=RouteState.FAILED),
        Item.objects.filter(route_state=RouteState.FAILED),
    )


@transaction.atomic
def take_failed_routes(*, limit: int = 500) -> tuple[list[UUID], list[UUID]]:
    """Return the reports and the items that failed and are due again, and put off their next turn.

    Those that have waited longest come first, so that many that fail for good never keep later ones from
    their turn. The wait is as long as the row is old, between ``SHORTEST_PAUSE`` and ``LONGEST_PAUSE``.
    """
    reports, items = failed_routes()
    return _put_off(reports, limit), _put_off(items, limit)


def due_again(failed: QuerySet[Any]) -> QuerySet[Any]:
    """Return those of the failed whose pause is over."""
    return failed.filter(route_due_at__lte=Now())


def _put_off(failed: QuerySet[Any], limit: int) -> list[UUID]:
    due = due_again(failed).order_by("route_due_at", "pk")
    keys = list(
        due.select_for_update(of=("self",), skip_locked=True).values_list("pk", flat=True)[:limit]
    )
    next_turn = Greatest(
        Now() + SHORTEST_PAUSE, Least(Now() + (Now() - F("received_at")), Now() + LONGEST_PAUSE)
    )
    failed.filter(pk__in=keys).update(route_due_at=next_turn)
    return keys


def patience() -> timedelta:
    """Return how long a report waits for the scans of its items."""
    return timedelta(seconds=settings.HOLDFAST_ROUTE_ANYWAY_SECONDS)
