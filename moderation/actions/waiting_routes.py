"""What waits for its case, and what failed to get one and waits for its next turn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest, Least, Now

from core import audit
from core.audit import SYSTEM
from core.audit_events import AuditEvent
from reports.models import Item, Report, RouteState, ScanState

Row = TypeVar("Row", Report, Item)

SHORTEST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=15)
LEASE = timedelta(seconds=10)
"""How long a row that was taken is left to whoever took it; twice that after each attempt that never ended.
While it is placed its row is locked as well, so this only covers the moment before."""
MOST_ATTEMPTS = 4
"""Routing that began this often and never ended is given up: the row may kill whoever places it."""
GIVEN_UP_PAUSE = timedelta(days=1)
GAVE_UP = (
    "Placing it began 4 times and the process was gone each time before it ended. It is kept as it was received "
    "and tried again once a day. Whoever runs this installation should look at the log of the case worker."
)


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


def due_now(waiting: QuerySet[Row]) -> QuerySet[Row]:
    """Return those of the waiting that nobody has in hand: never begun, or begun and not ended in its time."""
    return waiting.filter(Q(route_attempts=0) | Q(route_due_at__lte=Now()))


def due_again(failed: QuerySet[Row]) -> QuerySet[Row]:
    """Return those of the failed whose pause is over."""
    return failed.filter(route_due_at__lte=Now())


def take_waiting_reports(*, limit: int) -> list[Report]:
    """Take up to ``limit`` reports that can be routed now and that nobody has in hand, oldest first; see ``_take``."""
    return _take(waiting_reports(), limit)


def take_waiting_items(*, limit: int) -> list[Item]:
    """Take up to ``limit`` items that wait by themselves, oldest first; see ``_take``."""
    return _take(waiting_items(), limit)


def take_failed_reports(*, limit: int) -> list[Report]:
    """Take up to ``limit`` reports that failed and are due again, and put off their next turn; see ``_take_failed``."""
    return _take_failed(failed_routes()[0], limit)


def take_failed_items(*, limit: int) -> list[Item]:
    """Take up to ``limit`` items that failed and are due again; see ``_take_failed``."""
    return _take_failed(failed_routes()[1], limit)


@transaction.atomic
def _take(waiting: QuerySet[Row], limit: int) -> list[Row]:
    """Write down that an attempt begins, before it does: a row may kill the process that places it.

    A row whose attempt began before and never ended comes alone, when nothing new waits: the others must not
    count its end as their own. After ``MOST_ATTEMPTS`` it is *failed*, with a sentence for a person.
    Whoever places or fails a row sets its count to nothing.
    """
    rows = due_now(waiting).select_for_update(no_key=True, skip_locked=True, of=("self",))
    new = rows.filter(route_attempts=0).order_by("received_at", "pk")
    # What ended the fewest processes first: most of them were only taken along.
    taken = list(new[:limit]) or list(rows.order_by("route_attempts", "received_at", "pk")[:1])
    given_up = [row for row in taken if row.route_attempts >= MOST_ATTEMPTS]
    for row in given_up:
        _give_up(row)
    taken = [row for row in taken if row not in given_up]
    if taken:
        lease = LEASE * 2 ** taken[0].route_attempts
        _base(taken).update(route_attempts=F("route_attempts") + 1, route_due_at=Now() + lease)
    return taken or (_take(waiting, limit) if given_up else [])


@transaction.atomic
def _take_failed(failed: QuerySet[Row], limit: int) -> list[Row]:
    """Take rows whose pause is over and put off their next turn; those that have waited longest come first.

    So many that fail for good never keep later ones from their turn. The pause is as long as the row is old,
    between ``SHORTEST_PAUSE`` and ``LONGEST_PAUSE``. Attempts that never ended count as in ``_take``: from
    ``MOST_ATTEMPTS`` on the row has its turn once in ``GIVEN_UP_PAUSE``, lest it kill a process every few minutes.
    """
    rows = (
        due_again(failed)
        .select_for_update(no_key=True, skip_locked=True, of=("self",))
        .order_by("route_due_at", "pk")
    )
    taken = list(rows.filter(route_attempts=0)[:limit]) or list(rows[:1])
    if not taken:
        return []
    attempts = taken[0].route_attempts + 1
    pause: Any = Greatest(
        Now() + SHORTEST_PAUSE, Least(Now() + (Now() - F("received_at")), Now() + LONGEST_PAUSE)
    )
    said = {}
    if attempts >= MOST_ATTEMPTS:
        pause, said = Now() + GIVEN_UP_PAUSE, {"route_error": GAVE_UP}
    _base(taken).update(route_attempts=attempts, route_due_at=pause, **said)
    return taken


def _give_up(row: Row) -> None:
    _base([row]).update(
        route_state=RouteState.FAILED, route_error=GAVE_UP, route_due_at=Now() + GIVEN_UP_PAUSE
    )
    audit.record(AuditEvent.ROUTING_FAILED, actor=SYSTEM, subject=row, error=GAVE_UP)


def _base(rows: Sequence[Row]) -> QuerySet[Row]:
    return type(rows[0]).objects.filter(pk__in=[row.pk for row in rows])


def patience() -> timedelta:
    """Return how long a report waits for the scans of its items."""
    return timedelta(seconds=settings.HOLDFAST_ROUTE_ANYWAY_SECONDS)
