"""Whether the findings on items are those that the log says were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry
from hashing.models import Flag
from reports.models import Item


def flag_digest(flag: Flag) -> str:
    """Return the digest of everything that a flag says, and of what."""
    names = (
        "id",
        "item_id",
        "detector",
        "detector_version",
        "summary",
        "evidence",
        "fingerprint",
        "hash_list_id",
        "hash_entry_id",
        "term_list_id",
        "classifier_version_id",
    )
    facts = {name: getattr(flag, name) for name in names}
    words = {"kind": str(flag.kind), "category": str(flag.category), "score": float(flag.score)}
    return digest(facts | words)


def _items(case: Any | None) -> QuerySet[Item]:
    rows = Item.objects.prefetch_related("flags")
    return rows if case is None else rows.filter(case_items__case=case).distinct()


def _compare(item: Item, lines: Sequence[AuditEntry]) -> Iterator[str]:
    told: dict[str, Any] = {}
    standing: dict[str, bool] = {}
    for line in lines:
        for flag in line.data.get("flags", []):
            told[flag["flag"]] = flag.get("facts")
            standing[flag["flag"]] = True
        standing |= dict.fromkeys(line.data.get("again", []), True)
        standing |= dict.fromkeys(line.data.get("vanished", []), False)
    for row in item.flags.all():
        key = str(row.pk)
        name = f"Flag {key} of item {item.pk}"
        if key not in told:
            yield f"{name}: the log has no line of it"
        elif told.pop(key) != flag_digest(row):
            yield f"{name}: it is not what the scan found"
        elif standing[key] != (row.superseded_at is None):
            yield f"{name}: whether it still stands is not what the log says"
    for key in told:
        yield f"Flag {key} of item {item.pk}: its row is gone"


_FLAGGED = frozenset({AuditEvent.ITEM_FLAGGED})
KINDS = [
    Kind(
        "items with flags",
        Item,
        _FLAGGED,
        _FLAGGED,
        _items,
        _compare,
        lambda line: f"Item {line.subject_id}, which was flagged: its row is gone",
        is_silent=True,
    ),
]
