"""Whether what the platform said of orders, and which decisions were overturned, is what the log says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from core.audit import plain
from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry
from moderation.models import Appeal, OrderResult, Overturn


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


def overturn_said(overturn: Overturn) -> dict[str, Any]:
    """Return what the log keeps of a decision being overturned; of the words a digest."""
    return {
        "decision": overturn.decision_id,
        "made_at": overturn.made_at,
        "reason_digest": digest({"overturn": overturn.pk, "reason": overturn.reason}),
    }


def _overturns(case: Any | None) -> QuerySet[Overturn]:
    rows = Overturn.objects.all()
    return rows if case is None else rows.filter(decision__case=case)


def _compare_overturn(overturn: Overturn, lines: Sequence[AuditEntry]) -> Iterator[str]:
    name = f"Overturning {overturn.pk} of decision {overturn.decision_id}"
    said = lines[0]
    if any(said.data.get(key) != value for key, value in plain(overturn_said(overturn)).items()):
        yield f"{name}: it is not what was said"
    if said.actor_id != str(overturn.made_by_id):
        yield f"{name}: it names another person than the log"
    undone = next((line for line in lines if line.event == AuditEvent.OVERTURN_UNDONE), None)
    if (undone is None) != (overturn.undone_at is None):
        yield f"{name}: whether it was taken back is not what the log says"


def appeal_said(appeal: Appeal) -> dict[str, Any]:
    """Return what the log keeps of an appeal; of its words a digest."""
    return {
        "enforcement": appeal.enforcement_id,
        "source": appeal.source_id,
        "external_id": appeal.external_id,
        "appealed_at": appeal.appealed_at,
        "reason_digest": digest({"appeal": appeal.pk, "reason": appeal.reason}),
    }


def _appeals(case: Any | None) -> QuerySet[Appeal]:
    rows = Appeal.objects.all()
    return rows if case is None else rows.filter(enforcement__decision__case=case)


def _compare_appeal(appeal: Appeal, lines: Sequence[AuditEntry]) -> Iterator[str]:
    said = lines[0].data
    if any(said.get(name) != value for name, value in plain(appeal_said(appeal)).items()):
        yield f"Appeal {appeal.pk}: it is not what the platform handed on"
    decided = next((line for line in lines if line.event == AuditEvent.APPEAL_DECIDED), None)
    if decided is not None and decided.data.get("state") != str(appeal.state):
        yield f"Appeal {appeal.pk}: it was decided otherwise than the log says"


_APPEAL = frozenset({AuditEvent.APPEAL_RECEIVED})
_OVERTURN = frozenset({AuditEvent.OVERTURN_MADE})
_ANSWERED = frozenset({AuditEvent.ORDER_ANSWERED})
KINDS = [
    Kind(
        "appeals",
        Appeal,
        _APPEAL,
        _APPEAL | {AuditEvent.APPEAL_DECIDED},
        _appeals,
        _compare_appeal,
        lambda line: f"Appeal {line.subject_id}: its row is gone",
    ),
    Kind(
        "overturned decisions",
        Overturn,
        _OVERTURN,
        _OVERTURN | {AuditEvent.OVERTURN_UNDONE},
        _overturns,
        _compare_overturn,
        lambda line: f"Overturning {line.subject_id}: its row is gone",
    ),
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
