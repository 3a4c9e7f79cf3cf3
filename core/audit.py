"""The audit log: one line per event, chained, appended only.

``h₀`` is 64 zeros and ``hᵢ = SHA256(hᵢ₋₁ "\\n" lineᵢ)`` over the hex text, so that a chain can be checked
with ``sha256sum`` in a shell loop. The database checks every line again before it takes it and refuses
to change or remove one (migration 0002); ``verify_audit`` finds what somebody with more rights did.

Locking: ``record`` holds the chain until the transaction ends. Record last, and the case's chain before
any other, so that two actions never wait for each other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from core import context
from core.audit_events import AuditEvent
from core.models import AuditEntry, AuditHead

__all__ = [
    "SYSTEM",
    "Actor",
    "AuditEvent",
    "chain_lines",
    "heads",
    "link",
    "record",
    "record_apart",
    "record_each",
]

GENERAL = "general"
APART = "refusals"
GENESIS = "0" * 64
_LONGEST_TEXT = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as the log names them: ``kind`` is person, service, system or officer."""

    kind: str
    id: str
    label: str


class Person(Protocol):
    """Anything with a primary key and a pseudonym; core does not know the user model."""

    pk: Any
    pseudonym: str


SYSTEM = Actor("system", "", "Holdfast")
NOBODY = Actor("person", "", "not signed in")


def actor_of(actor: Actor | Person | None) -> Actor:
    """Return the log's view of an actor. None is the job in hand, or somebody not signed in."""
    if isinstance(actor, Actor):
        return actor
    if actor is None or actor.pk is None:
        job = context.current().job
        return Actor("system", job, "Holdfast") if job else NOBODY
    return Actor("person", str(actor.pk), actor.pseudonym)


def link(prev_hash: str, line: str) -> str:
    """Return the hash of a line that follows ``prev_hash``."""
    return hashlib.sha256(f"{prev_hash}\n{line}".encode()).hexdigest()


def canonical(document: Mapping[str, Any]) -> str:
    """Return the one JSON text of a document: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def timestamp(at: datetime) -> str:
    """Return a time as the log writes it: UTC, microseconds, Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(value: Any) -> Any:
    """Return ``value`` as plain JSON. Raises TypeError for what has no business in the log."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):
        # PostgreSQL's JSON has no NUL and no lone surrogates; a sender's file name may have both.
        text = str(value).replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    if isinstance(value, int):
        # JSON numbers beyond 2^53 do not survive every reader; ids that large are text.
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        # PostgreSQL writes 1e16 and -0.0 in its own way; whole numbers are whole numbers here.
        return _plain(int(value)) if value.is_integer() else value
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return timestamp(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _plain(value.total_seconds())
    if isinstance(value, models.Model):
        return str(value.pk)
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(member) for key, member in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_plain(member) for member in value), key=str)
    if isinstance(value, list | tuple | models.QuerySet):
        return [_plain(member) for member in value]
    raise TypeError(f"{type(value).__name__} cannot be written to the audit log")


def record(
    event: AuditEvent | str,
    *,
    actor: Actor | Person | None,
    subject: models.Model | None = None,
    case: models.Model | None = None,
    chain: str | None = None,
    **data: Any,
) -> AuditEntry:
    """Append one line, in the caller's transaction. Cannot be undone.

    The chain is ``case:<id>`` if ``case`` is given, else ``chain``, else ``general``; it is locked until
    the transaction ends. ``data`` holds ids and plain values: never report text, media, credentials
    or names of people. Costs two round trips.
    """
    return _append(
        connections[DEFAULT_DB_ALIAS], _Draft.of(event, actor, subject, case, chain, data)
    )


def record_each(
    event: AuditEvent | str,
    *,
    actor: Actor | Person | None,
    about: Iterable[tuple[models.Model, str, Mapping[str, Any]]],
) -> list[AuditEntry]:
    """Append one line for each of ``about``: its subject, its chain and its data; as ``record`` does.

    No chain may be named twice: ValueError. The chains are locked in the order of their names, so that two
    calls never wait for each other in a circle. Costs two round trips, however many lines there are.
    """
    drafts = [
        _Draft.of(event, actor, subject, None, chain, dict(data)) for subject, chain, data in about
    ]
    if len({draft.chain for draft in drafts}) != len(drafts):
        raise ValueError("each chain takes one line of a call")
    drafts.sort(key=lambda draft: draft.chain)
    return _append_each(connections[DEFAULT_DB_ALIAS], drafts) if drafts else []


def record_apart(
    event: AuditEvent | str,
    *,
    actor: Actor | Person | None,
    subject: models.Model | None = None,
    case: models.Model | None = None,
    chain: str | None = None,
    **data: Any,
) -> AuditEntry:
    """Append one line that stays even if the caller's transaction is rolled back.

    For refusals and failed sign-ins. Inside a transaction the line goes to the chain ``refusals`` over
    a connection of its own: the caller may already hold the case's chain, and would wait for itself.
    """
    draft = _Draft.of(event, actor, subject, case, chain, data)
    # Blocks that a test case opened around the test do not count, as in Django's own durable check.
    usual = connections[DEFAULT_DB_ALIAS]
    nested = [block for block in usual.atomic_blocks if not getattr(block, "_from_testcase", False)]
    if not nested:
        return _append(usual, draft)
    if draft.chain not in {GENERAL, APART}:
        draft.data.setdefault("chain", draft.chain)
    draft.chain = APART
    own = usual.copy()
    try:
        return _append(own, draft)
    finally:
        own.close()


@dataclasses.dataclass(slots=True)
class _Draft:
    event: AuditEvent
    actor: Actor
    chain: str
    subject_type: str
    subject_id: str
    data: dict[str, Any]

    @classmethod
    def of(
        cls,
        event: AuditEvent | str,
        actor: Actor | Person | None,
        subject: models.Model | None,
        case: models.Model | None,
        chain: str | None,
        data: dict[str, Any],
    ) -> _Draft:
        if case is not None:
            chain = f"case:{case.pk}"
        return cls(
            event=AuditEvent(event),
            actor=actor_of(actor),
            chain=chain or GENERAL,
            subject_type=subject._meta.label_lower if subject is not None else "",  # noqa: SLF001
            subject_id=str(subject.pk) if subject is not None else "",
            data=_plain(data),
        )


_COLUMNS = (
    "chain",
    "seq",
    "at",
    "event",
    "actor_kind",
    "actor_id",
    "actor_label",
    "subject_type",
    "subject_id",
    "data",
    "ip",
    "request_id",
    "user_agent",
    "line",
    "prev_hash",
    "hash",
)


def _append(connection: BaseDatabaseWrapper, draft: _Draft) -> AuditEntry:
    return _append_each(connection, [draft])[0]


def _append_each(connection: BaseDatabaseWrapper, drafts: Sequence[_Draft]) -> list[AuditEntry]:
    """Append to several chains, each named once, and lock them in this order."""
    with _transaction(connection), connection.cursor() as cursor:
        # Takes each chain's lock and then reads its end, in one round trip (migration 0002).
        cursor.execute(
            "SELECT begun.seq, begun.hash, begun.at FROM unnest(%s::text[]) WITH ORDINALITY "
            "AS named(chain, place), LATERAL holdfast_audit_begin(named.chain) AS begun "
            "ORDER BY named.place",
            [[draft.chain for draft in drafts]],
        )
        entries = [
            _entry(draft, *end) for draft, end in zip(drafts, cursor.fetchall(), strict=True)
        ]
        row = f"({', '.join(['%s'] * len(_COLUMNS))})"
        cursor.execute(
            f"INSERT INTO core_auditentry ({', '.join(_COLUMNS)}) "  # noqa: S608 — constants
            f"VALUES {', '.join([row] * len(entries))} RETURNING id",
            [value for entry in entries for value in _values(entry)],
        )
        for entry, (pk,) in zip(entries, cursor.fetchall(), strict=True):
            entry.pk = pk
    for entry in entries:
        entry._state.adding = False  # noqa: SLF001 — what Model.from_db does
        entry._state.db = connection.alias  # noqa: SLF001
    return entries


def _entry(draft: _Draft, seq: int, prev_hash: str, at: datetime) -> AuditEntry:
    where = context.current()
    entry = AuditEntry(
        chain=draft.chain,
        seq=seq + 1,
        at=at.astimezone(UTC),
        event=draft.event.value,
        actor_kind=draft.actor.kind,
        actor_id=_plain(draft.actor.id)[:64],
        actor_label=_plain(draft.actor.label)[:120],
        subject_type=draft.subject_type,
        subject_id=draft.subject_id,
        data=draft.data,
        ip=where.ip,
        request_id=where.request_id,
        user_agent=_plain(where.user_agent)[:200],
        prev_hash=prev_hash,
    )
    entry.line = canonical(document_of(entry))
    entry.hash = link(prev_hash, entry.line)
    return entry


def _values(entry: AuditEntry) -> list[Any]:
    values = [getattr(entry, column) for column in _COLUMNS]
    values[_COLUMNS.index("data")] = canonical(entry.data)
    return values


def document_of(entry: AuditEntry) -> dict[str, Any]:
    """Return what the line of an entry says, from its columns."""
    return {
        "chain": entry.chain,
        "seq": entry.seq,
        "at": timestamp(entry.at),
        "event": str(entry.event),
        "actor": {"kind": entry.actor_kind, "id": entry.actor_id, "label": entry.actor_label},
        "subject": {"type": entry.subject_type, "id": entry.subject_id},
        "data": entry.data,
        "ip": entry.ip,
        "request": entry.request_id,
        "client": entry.user_agent,
    }


@contextmanager
def _transaction(target: BaseDatabaseWrapper) -> Iterator[None]:
    """Open a transaction on a connection, also on one that is not registered under its alias."""
    if target.in_atomic_block:
        # No savepoint: a line that cannot be written must take the whole action down with it.
        yield
        return
    if target is connections[target.alias]:
        with transaction.atomic(using=target.alias):
            yield
        return
    target.set_autocommit(False)
    try:
        yield
    except BaseException:
        target.rollback()
        raise
    target.commit()


def chain_lines(chain: str) -> Iterator[tuple[int, str, str]]:
    """Yield ``(seq, line, hash)`` of a chain in order, for an export. Constant memory."""
    rows = AuditEntry.objects.filter(chain=chain).order_by("seq")
    yield from rows.values_list("seq", "line", "hash").iterator(chunk_size=1000)


def heads(prefix: str = "") -> list[tuple[str, int, str]]:
    """Return ``(chain, seq, hash)`` of the chains whose names begin with ``prefix``, by name.

    Each item has a chain of its own: without a prefix there may be millions.
    """
    found = AuditHead.objects.filter(chain__startswith=prefix).order_by("chain")
    return list(found.values_list("chain", "seq", "hash"))
