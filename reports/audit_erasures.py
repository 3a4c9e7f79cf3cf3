"""Whether requests to erase are what was asked, as the log keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry
from reports.erasures import Erasure


def asked_digest(erasure: Erasure) -> str:
    """Return what the log keeps of a request: it must not hold the id of whoever wants to be forgotten."""
    names = ("source_id", "external_id", "kind", "subject_id", "account_id", "group_id", "reason")
    return digest({name: getattr(erasure, name) for name in (*names, "requested_at")})


def _erasures(case: Any | None) -> QuerySet[Erasure]:
    return Erasure.objects.all() if case is None else Erasure.objects.none()


def _compare(erasure: Erasure, lines: Sequence[AuditEntry]) -> Iterator[str]:
    if lines[0].data.get("facts") != asked_digest(erasure):
        yield f"Erasure {erasure.pk}: it is not what was asked"


_ASKED = frozenset({AuditEvent.ERASURE_ASKED})
KINDS = [
    Kind(
        "erasures",
        Erasure,
        _ASKED,
        _ASKED,
        _erasures,
        _compare,
        lambda line: f"Erasure {line.subject_id}: its row is gone",
    ),
]
