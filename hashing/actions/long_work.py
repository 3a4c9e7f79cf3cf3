"""Doing in batches what no request may do at once: scanning again after a quarantine, rating again after a change.

A row of ``LongWork`` says what is asked. Each batch is a transaction of its own that moves the row's cursor, so that
a kill loses at most one batch, and two workers do not do the same: whoever comes second finds the row locked.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from core import audit
from hashing.models import LongWork, LongWorkKind, RiskScore
from reports.actions import note_changes, scan_again
from reports.models import Item, ItemKind, ScanState, SubjectChange

__all__ = ["do_batch", "open_works"]

ITEMS = 250
"""Items that are put in line at once."""
ITEMS_IN_LINE = 500
"""While so many items wait for being scanned again, no more are put in line: what comes in new goes first."""
SCORES = 2_000
MARKS_IN_LINE = 10_000
"""While so many subjects wait for being rated, no more are marked."""


def open_works() -> QuerySet[LongWork]:
    """Return what is not done yet, the oldest first."""
    return LongWork.objects.filter(ended_at=None).order_by("pk")


@transaction.atomic
def do_batch(work: LongWork) -> int:
    """Do the next batch of a work; return how many rows, 0 when it has ended, waits, or is in other hands."""
    taken = open_works().select_for_update(no_key=True, skip_locked=True).filter(pk=work.pk).first()
    if taken is None:
        return 0
    if taken.kind == LongWorkKind.RESCAN:
        if _many(
            Item.objects.filter(scan_state=ScanState.WAITING, scanned_at__isnull=False),
            ITEMS_IN_LINE,
        ):
            LongWork.objects.filter(pk=taken.pk).update(
                moved_at=Now()
            )  # It moves: at the scanners' pace.
            return 0
        count = _rescan(taken)
    else:
        if _many(SubjectChange.objects.all(), MARKS_IN_LINE):
            LongWork.objects.filter(pk=taken.pk).update(moved_at=Now())
            return 0
        count = _rerate(taken)
    taken.done += count
    LongWork.objects.filter(pk=taken.pk).update(
        cursor_at=taken.cursor_at,
        cursor_key=taken.cursor_key,
        done=taken.done,
        moved_at=Now(),
        ended_at=None if count else Now(),
    )
    return count


def _many(rows: QuerySet, limit: int) -> bool:
    return rows.values("pk")[:limit].count() >= limit


def _rescan(work: LongWork) -> int:
    rows = (
        Item.objects.filter(
            scanned_at__gte=work.cursor_at or work.since, scanned_at__lte=work.until
        )
        .exclude(kind=ItemKind.TEXT)
        .order_by("scanned_at", "pk")
    )
    if work.cursor_at is not None:
        rows = rows.filter(
            Q(scanned_at__gt=work.cursor_at)
            | Q(scanned_at=work.cursor_at, pk__gt=UUID(work.cursor_key))
        )
    batch = list(rows.values_list("pk", "scanned_at")[:ITEMS])
    if batch:
        scan_again([key for key, _ in batch], actor=audit.SYSTEM)
        last, work.cursor_at = batch[-1]
        work.cursor_key = str(last)
    return len(batch)


def _rerate(work: LongWork) -> int:
    rows = RiskScore.objects.filter(pk__gt=int(work.cursor_key or 0)).order_by("pk")
    batch = list(rows.values_list("pk", "account", "group")[:SCORES])
    if batch:
        note_changes(
            accounts=[row[1] for row in batch if row[1]], groups=[row[2] for row in batch if row[2]]
        )
        work.cursor_key = str(batch[-1][0])
    return len(batch)
