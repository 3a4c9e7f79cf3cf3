"""What the pages of lists show beyond their entries: imports, reviews, and what a threshold would change."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.shortcuts import get_object_or_404

from accounts.models import User
from accounts.permissions import Permission
from core.tables import csv_line
from hashing import lookup
from hashing.csv_lists import COLUMNS
from hashing.live import live_flags
from hashing.models import Digest, Flag, HashEntry, HashImport, HashList
from reports.models import Item

__all__ = [
    "EXPORT_FORMATS",
    "Precision",
    "ThresholdPreview",
    "export_rows",
    "flags_of_entry",
    "get_import_for",
    "own_lists_for",
    "precision_of",
    "preview_threshold",
    "problems_as_csv",
]

PREVIEWED = 2000
"""Digests that a preview compares, the newest first: a person waits for it."""

EXPORT_FORMATS = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


def get_import_for(user: User, id: UUID) -> HashImport:
    """Return one import with its list. Raises Http404."""
    rows = HashImport.objects.select_related("hash_list", "imported_by")
    if not user.may(Permission.HASHING_LISTS_VIEW):
        rows = rows.none()
    return get_object_or_404(rows, pk=id)


def own_lists_for(user: User) -> QuerySet[HashList]:
    """Return the own lists of known material that a person may add confirmed items to."""
    if not user.may(Permission.HASHING_ENTRIES_ADD):
        return HashList.objects.none()
    return HashList.objects.filter(kind="own", is_negative=False, is_active=True).order_by("name")


@dataclass(frozen=True)
class Precision:
    """What reviews said of the items that a list or an entry flagged."""

    confirmed: int
    dismissed: int

    @property
    def decided(self) -> int:
        return self.confirmed + self.dismissed

    @property
    def percent(self) -> int | None:
        """The share that was confirmed; None when nothing was decided."""
        return round(self.confirmed * 100 / self.decided) if self.decided else None

    @property
    def interval(self) -> tuple[int, int] | None:
        """Wilson's 95 % interval of that share, in percent (Wilson 1927)."""
        n = self.decided
        if not n:
            return None
        z, p = 1.96, self.confirmed / n
        middle = p + z * z / (2 * n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
        return round(low * 100), round(high * 100)


def precision_of(flags: QuerySet[Flag]) -> Precision:
    """Return how many of the flagged items were confirmed and dismissed, each counted once, by its newest verdict."""
    decided = (
        flags.filter(item__verdicts__isnull=False)
        .order_by("item", "item__verdicts__decided_at")
        .values_list("item", "item__verdicts__is_violation")
    )
    newest: dict[UUID, bool] = dict(decided)  # Of several verdicts the last one stays.
    confirmed = sum(newest.values())
    return Precision(confirmed, len(newest) - confirmed)


def flags_of_entry(entry: HashEntry) -> QuerySet[Flag]:
    """Return the flags that rest on an entry, newest first."""
    return live_flags().filter(hash_entry=entry).order_by("-created_at")


@dataclass(frozen=True)
class ThresholdPreview:
    """What another threshold would have done to what came in lately."""

    compared: int
    now: int
    then: int

    @property
    def difference(self) -> int:
        return self.then - self.now


def preview_threshold(hash_list: HashList, algorithm: str, threshold: int) -> ThresholdPreview:
    """Return how many items of the last 30 days a list flags with its threshold and would with another.

    Compares the newest ``PREVIEWED`` distinct digests. Raises IndexNotReady.
    """
    since = Now() - timedelta(days=30)
    rows = (
        Digest.objects.filter(algorithm=algorithm, computed_at__gte=since)
        .filter(Q(quality=None) | Q(quality__gte=50))
        .order_by("-computed_at")
        .values_list("value", "blob")[: PREVIEWED * 2]
    )
    blobs: dict[str, set[UUID]] = {}
    for value, blob in rows:
        if value in blobs or len(blobs) < PREVIEWED:
            blobs.setdefault(value, set()).add(blob)
    view = lookup.current()
    listed = view.lists.get(hash_list.pk)
    if listed is None or not blobs:
        return ThresholdPreview(len(blobs), 0, 0)
    before = lookup.reach_of(listed, algorithm)
    wider = view.reaching(algorithm, {hash_list.pk: max(before, threshold)})
    values = list(blobs)
    now: set[UUID] = set()
    then: set[UUID] = set()
    for value, hits in zip(values, wider.near(algorithm, values), strict=True):
        nearest = min((hit.distance for hit in hits if hit.list_id == hash_list.pk), default=None)
        if nearest is not None and nearest <= before:
            now |= blobs[value]
        if nearest is not None and nearest <= threshold:
            then |= blobs[value]
    items = dict(
        Item.objects.filter(blob__in=now | then, received_at__gte=since, source__practice_of=None)
        .values_list("blob")
        .annotate(count=Count("pk"))
    )
    return ThresholdPreview(
        len(values),
        sum(items.get(blob, 0) for blob in now),
        sum(items.get(blob, 0) for blob in then),
    )


def export_rows(hash_list: HashList, form: str) -> Iterator[str]:
    """Yield a list as CSV or NDJSON, a piece at a time; retired entries are marked."""
    entries = (
        HashEntry.objects.filter(hash_list=hash_list)
        .order_by("pk")
        .values_list("algorithm", "value", "note", "retired_at", "retired_reason")
    )
    if form == "csv":
        yield csv_line(COLUMNS)
    for algorithm, value, note, retired_at, reason in entries.iterator(chunk_size=5000):
        retired = retired_at.isoformat() if retired_at else ""
        if form == "csv":
            yield csv_line((algorithm, value, note, retired, reason))
        else:
            document = {"algorithm": algorithm, "value": value, "note": note}
            if retired:
                document |= {"retired_at": retired, "retired_reason": reason}
            yield json.dumps(document, ensure_ascii=False) + "\n"


def problems_as_csv(file_import: HashImport) -> str:
    """Return the bad rows that were kept of an import, as CSV."""
    rows = [csv_line((each["row"], each["reason"])) for each in file_import.problems]
    return "".join([csv_line(("row", "reason")), *rows])
