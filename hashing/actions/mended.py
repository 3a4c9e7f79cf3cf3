"""Scanning again what could not be looked at for a reason that is over: a converter or a model that was missing.

The flag that says so stands until a scan no longer finds it, so the flags themselves are the list of what is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from core import audit
from hashing.models import Flag, FlagKind
from reports.actions import scan_again
from reports.models import Item, ScanState

__all__ = ["scan_mended", "standing_refusals"]

BATCH = 200
"""Items that are put in line at once."""
IN_LINE = 500
"""While so many items wait for being scanned again, no more are put in line: what comes in new goes first."""
NOT_BEFORE = timedelta(hours=1)
"""Between two such scans of one item: a worker that does not have the converter yet would say the same again."""


def standing_refusals(codes: Iterable[str]) -> QuerySet[Flag]:
    """Return the flags that stand and say that something could not be scanned for one of these reasons."""
    return (
        Flag.objects.filter(kind=FlagKind.COULD_NOT_SCAN, superseded_at=None)
        .annotate(code=KT("evidence__code"))
        .filter(code__in=list(codes))
    )


@transaction.atomic
def scan_mended(refusals: QuerySet[Flag]) -> int:
    """Put the next batch of items in line whose reason is over; return how many. Safe to repeat and to kill."""
    waiting = Item.objects.filter(scan_state=ScanState.WAITING, scanned_at__isnull=False)
    if waiting.values("pk")[:IN_LINE].count() >= IN_LINE:
        return 0
    due = refusals.exclude(item__scan_state=ScanState.WAITING).filter(
        item__scanned_at__lte=Now() - NOT_BEFORE
    )
    keys = set(due.order_by("pk").values_list("item", flat=True)[:BATCH])
    return scan_again(keys, actor=audit.SYSTEM) if keys else 0
