"""What a person is told of the index: one sentence, and whether something waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hashing.models import IndexBuild, IndexState
from reports.models import Item, ScanState

__all__ = ["IndexStatus", "index_status"]


@dataclass(frozen=True)
class IndexStatus:
    """``tone`` is ``ok``, ``info`` or ``warn``; ``waiting`` counts items whose scan waits for an index."""

    sentence: str
    tone: str
    built_at: datetime | None
    waiting: int


def index_status() -> IndexStatus:
    """Return how digests are looked up at this moment. Costs three small queries."""
    latest = (
        IndexBuild.objects.filter(state__in=[IndexState.READY, IndexState.DAMAGED])
        .order_by("-pk")
        .first()
    )
    asked = IndexBuild.objects.filter(state=IndexState.WAITING).first()
    waiting = Item.objects.filter(scan_state=ScanState.WAITING).exclude(scan_waits_for="").count()
    built_at = latest.built_at if latest else None
    if asked is not None and asked.problem:
        return IndexStatus(
            f"The index could not be built and is tried again ({asked.problem}).",
            "warn",
            built_at,
            waiting,
        )
    if latest is not None and latest.state == IndexState.DAMAGED:
        return IndexStatus(
            "The file of the index is damaged; another one is built.", "warn", built_at, waiting
        )
    if asked is not None:
        return IndexStatus(f"The index is being built: {asked.reason}.", "info", built_at, waiting)
    if latest is None:
        return IndexStatus("", "ok", None, waiting)
    return IndexStatus(
        f"Looked up in an index of {latest.size:,} digests; later changes count at once.",
        "ok",
        built_at,
        waiting,
    )
