"""Whether what the platform said of orders is what the log says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from core.audit import plain
from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry
from moderation.models import OrderResult


def answer_said(result: OrderResult) -> dict[str, Any]:
    """Return what the log keeps of an answer of the platform; of its words a digest."""
    return {
        "enforcement": result.enforcement_id,
        "state": str(result.state),
        "at": result.at,
        "counts_at": result.counts_at,
        "code": result.code,
        "detail_digest": digest({"result": result.pk, "detail": result.detail}),
    }


def _results(case: Any | None) -> QuerySet[OrderResult]:
    rows = OrderResult.objects.all()
    return rows if case is None else rows.filter(enforcement__decision__case=case)


def _compare_result(result: OrderResult, lines: Sequence[AuditEntry]) -> Iterator[str]:
    said = lines[0].data
    if any(said.get(name) != value for name, value in plain(answer_said(result)).items()):
        yield f"Answer {result.pk} about an order: it is not what the platform said"


_ANSWERED = frozenset({AuditEvent.ORDER_ANSWERED})
KINDS = [
    Kind(
        "answers about orders",
        OrderResult,
        _ANSWERED,
        _ANSWERED,
        _results,
        _compare_result,
        lambda line: f"Answer {line.subject_id} about an order: its row is gone",
    ),
]
