"""Whether reveals and decisions are what the custody log says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from core.audit import timestamp
from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry
from moderation.models import Decision, PolicyVersion, Reveal


def reason_digest(decision: Decision) -> str:
    """Return what the log keeps of a decision's words."""
    return digest({"decision": decision.pk, "reason": decision.reason})


def orders_digest(decision: Decision) -> str:
    """Return the digest of what a decision orders, and of whom."""
    rows = decision.enforcements.all()
    orders = sorted(
        [
            str(row.pk),
            str(row.verb),
            *(str(key or "") for key in (row.account_id, row.group_id, row.item_id)),
        ]
        for row in rows
        if row.reverses_id is None  # What takes them back came later, and has lines of its own.
    )
    return digest({"decision": decision.pk, "orders": orders})


def policy_digest(policy: PolicyVersion) -> str:
    """Return the digest of the words and limits that a decision was made by."""
    names = (
        "id",
        "policy_id",
        "version",
        "summary",
        "definition",
        "include",
        "exclude",
        "severity",
        "enforcements",
        "requires_referral",
        "effective_from",
    )
    return digest({name: getattr(policy, name) for name in names})


def _decisions(case: Any | None) -> QuerySet[Decision]:
    rows = Decision.objects.select_related("case", "policy_version__policy")
    rows = rows.prefetch_related("enforcements")
    return rows if case is None else rows.filter(case=case)


def _first(lines: Sequence[AuditEntry]) -> dict[str, AuditEntry]:
    found: dict[str, AuditEntry] = {}
    for line in lines:
        found.setdefault(line.event, line)
    return found


def _at(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment is not None else None


def _said(line: AuditEntry | None, name: str, otherwise: Any = None) -> Any:
    return otherwise if line is None else line.data.get(name)


def _of_case(model: Any, case: Any | None) -> QuerySet[Any]:
    rows = model.objects.select_related("case")
    return rows if case is None else rows.filter(case=case)


def _compare_reveal(reveal: Reveal, lines: Sequence[AuditEntry]) -> Iterator[str]:
    by_event = _first(lines)
    begun = by_event[AuditEvent.MEDIA_REVEALED]
    used = by_event.get(AuditEvent.REVEAL_USED)
    served = by_event.get(AuditEvent.REVEAL_SERVED)
    closed = by_event.get(AuditEvent.REVEAL_CLOSED)
    name = f"Reveal {reveal.pk} of item {reveal.item_id} in case {reveal.case}"
    if begun.actor_id != str(reveal.user_id):
        yield f"{name}: it names another person than the log"
    if begun.data.get("item") != str(reveal.item_id) or begun.chain != f"case:{reveal.case_id}":
        yield f"{name}: the log says another item or case"
    if begun.data.get("purpose") != reveal.purpose:
        yield f"{name}: the purpose is not the one given"
    if begun.data.get("issued_at") != _at(reveal.issued_at):
        yield f"{name}: the time of asking is not the one in the log"
    if _said(used, "used_at") != _at(reveal.used_at):
        yield f"{name}: whether and when it was opened is not what the log says"
    whole = bool(_said(served, "is_complete", otherwise=False))
    if whole != reveal.is_complete or _said(served, "bytes", 0) != reveal.bytes_served:
        yield f"{name}: how much of it was served is not what the log says"
    if _said(closed, "closed_at") != _at(reveal.closed_at):
        yield f"{name}: whether and when it was closed is not what the log says"
    if _said(closed, "shown_ms") != reveal.shown_ms:
        yield f"{name}: how long it was shown is not what the log says"
    for field in ("painted_ms", "played", "film_ms"):
        if _said(closed, field) != getattr(reveal, field):
            yield f"{name}: what was painted of it is not what the log says"
            break


def _compare_decision(decision: Decision, lines: Sequence[AuditEntry]) -> Iterator[str]:
    by_event = _first(lines)
    begun = by_event[AuditEvent.CASE_DECIDED]
    published = by_event.get(AuditEvent.DECISION_PUBLISHED)
    undone = by_event.get(AuditEvent.DECISION_UNDONE)
    overturned = by_event.get(AuditEvent.DECISION_OVERTURNED)
    name = f"Decision {decision.pk} of case {decision.case}"
    if _said(overturned, "overturned_at") != _at(decision.overturned_at):
        yield f"{name}: whether and when it was overturned is not what the log says"
    counterparts = {str(row.pk) for row in decision.enforcements.all() if row.reverses_id}
    given = set(_said(overturned, "orders", otherwise=[]) or [])
    for line in lines:
        if line.event == AuditEvent.DECISION_COUNTERPART:
            given |= set(line.data.get("orders", []))
    if counterparts != given:
        yield f"{name}: the orders that take it back are not the ones that were given"
    if begun.actor_id != str(decision.made_by_id):
        yield f"{name}: it names another author than the log"
    if begun.data.get("outcome") != decision.outcome:
        yield f"{name}: the outcome is not the one decided"
    if begun.data.get("policy_version") != decision.policy_version_id:
        yield f"{name}: the policy is not the one decided by"
    if begun.data.get("policy_digest") != policy_digest(decision.policy_version):
        yield f"{name}: policy {decision.policy_version} does not say what it said when it was decided by"
    if begun.data.get("orders") != orders_digest(decision):
        yield f"{name}: its orders are not the ones that it gave"
    if begun.data.get("reason_digest") != reason_digest(decision):
        yield f"{name}: the reason is not the one given"
    if (
        begun.chain != f"case:{decision.case_id}"
        or begun.data.get("case_version") != decision.case_version
    ):
        yield f"{name}: it was made on another case or version"
    if begun.data.get("made_at") != _at(decision.made_at):
        yield f"{name}: the time is not the one in the log"
    if _said(published, "published_at") != _at(decision.published_at):
        yield f"{name}: whether and when it took effect is not what the log says"
    if (undone is None) != (decision.undone_at is None):
        yield f"{name}: whether it was taken back is not what the log says"
    if (
        undone is not None
        and decision.undone_by_id
        and undone.actor_id != str(decision.undone_by_id)
    ):
        yield f"{name}: another person took it back than the log says"


_REVEAL = frozenset({AuditEvent.MEDIA_REVEALED})
_DECISION = frozenset({AuditEvent.CASE_DECIDED})
KINDS = [
    Kind(
        "reveals",
        Reveal,
        _REVEAL,
        _REVEAL | {AuditEvent.REVEAL_USED, AuditEvent.REVEAL_SERVED, AuditEvent.REVEAL_CLOSED},
        lambda case: _of_case(Reveal, case),
        _compare_reveal,
        lambda line: f"Reveal {line.subject_id} of item {line.data.get('item')}: its row is gone",
    ),
    Kind(
        "decisions",
        Decision,
        _DECISION,
        _DECISION
        | {
            AuditEvent.DECISION_PUBLISHED,
            AuditEvent.DECISION_UNDONE,
            AuditEvent.DECISION_OVERTURNED,
            AuditEvent.DECISION_COUNTERPART,
        },
        _decisions,
        _compare_decision,
        lambda line: f"Decision {line.subject_id}: its row is gone",
    ),
]
