"""The audit log: one line per event, chained, appended only.

``h₀`` is 64 zeros and ``hᵢ = SHA256(hᵢ₋₁ "\\n" lineᵢ)`` over the hex text, so that a chain can be checked
with ``sha256sum`` in a shell loop. The database itself gives each line its number, time and hash, compares it
with its columns and refuses to change or remove one (migrations 0002 and 0005): nobody who may only append can date
a line back. ``verify_audit`` finds what somebody with more rights did.

A time is the later of the database's clock and the chain's last entry; a clock that lay behind is marked in the
line (``behind_ms``).

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
from contextvars import ContextVar
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
    "Line",
    "chain_lines",
    "heads",
    "history",
    "link",
    "record",
    "record_apart",
    "record_each",
    "record_group",
    "record_lines",
    "told_of",
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


def plain(value: Any) -> Any:
    """Return ``value`` as plain JSON. Raises TypeError for what has no business in the log."""
    kind = type(value)
    if kind is str and value.isascii() and len(value) <= _LONGEST_TEXT and "\x00" not in value:
        return value  # Most of what there is, by the hundred thousand: the rules below would say the same.
    if kind is UUID:
        return str(value)
    if kind is dict and all(type(key) is str and key.isidentifier() for key in value):
        return {key: plain(member) for key, member in value.items()}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
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
        return plain(int(value)) if value.is_integer() else value
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return timestamp(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return plain(value.total_seconds())
    if isinstance(value, models.Model):
        return str(value.pk)
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(member) for key, member in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(member) for member in value), key=str)
    if isinstance(value, list | tuple | models.QuerySet):
        return [plain(member) for member in value]
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
    or names of people. Costs one round trip.
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
    calls never wait for each other in a circle. Costs one round trip, however many lines there are.
    """
    drafts = [
        _Draft.of(event, actor, subject, None, chain, dict(data)) for subject, chain, data in about
    ]
    if len({draft.chain for draft in drafts}) != len(drafts):
        raise ValueError("each chain takes one line of a call")
    drafts.sort(key=lambda draft: draft.chain)
    return _append_each(connections[DEFAULT_DB_ALIAS], drafts) if drafts else []


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of several that are appended together (``record_lines``): as the arguments of ``record``."""

    event: AuditEvent
    subject: models.Model
    chain: str
    data: Mapping[str, Any]


def record_lines(lines: Iterable[Line], *, actor: Actor | Person | None) -> list[AuditEntry]:
    """Append lines of different events in one round trip, in the caller's transaction; as ``record`` does.

    A chain may be named several times: its lines follow each other in the order given. The chains are locked in
    the order of their names, those of cases first.
    """
    drafts = [
        _Draft.of(line.event, actor, line.subject, None, line.chain, dict(line.data))
        for line in lines
    ]
    drafts.sort(key=lambda draft: draft.chain)  # Stable, and "case:" comes before every other name.
    return _append_each(connections[DEFAULT_DB_ALIAS], drafts) if drafts else []


def record_group(
    event: AuditEvent | str,
    *,
    actor: Actor | Person | None,
    about: Sequence[tuple[models.Model, Mapping[str, Any]]],
    chain: str,
    **data: Any,
) -> AuditEntry:
    """Append one line about several rows of one model, each with data of its own; as ``record`` does.

    ``data.about`` names the rows in order, ``data.rows`` holds what is said of each; ``told_of`` reads it back. Cost:
    one round trip and one link of the chain, whatever the number of rows.
    """
    draft = _Draft.of(
        event,
        actor,
        None,
        None,
        chain,
        data | {"about": [row.pk for row, _ in about], "rows": [said for _, said in about]},
    )
    draft.subject_type = about[0][0]._meta.label_lower  # noqa: SLF001 — Django's own name
    return _append(connections[DEFAULT_DB_ALIAS], draft)


def told_of(entry: AuditEntry) -> dict[str, dict[str, Any]]:
    """Return what a line says of each row that it is about, by the row's key: one row, or those of a group."""
    about = entry.data.get("about")
    if entry.subject_id or not isinstance(about, list):
        return {entry.subject_id: entry.data}
    common = {name: value for name, value in entry.data.items() if name not in {"about", "rows"}}
    return {
        key: common | said for key, said in zip(about, entry.data.get("rows", []), strict=False)
    }


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
        # Administrators let somebody in anew as this person a short while ago: say so in every line.
        if mark := getattr(actor, "after_reset", ""):
            data = {**data, "after_reset": mark}
        return cls(
            event=AuditEvent(event),
            actor=actor_of(actor),
            chain=chain or GENERAL,
            subject_type=subject._meta.label_lower if subject is not None else "",  # noqa: SLF001
            subject_id=str(subject.pk) if subject is not None else "",
            data=plain(data),
        )


_COLUMNS = (
    "chain",
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
)
"""What a caller says. Number, time and hashes are the database's own to write (migration 0005)."""

_GAP = "\x1e"
"""Where the database puts them into the line. JSON text never holds this character itself."""


def _append(connection: BaseDatabaseWrapper, draft: _Draft) -> AuditEntry:
    return _append_each(connection, [draft])[0]


def _append_each(connection: BaseDatabaseWrapper, drafts: Sequence[_Draft]) -> list[AuditEntry]:
    """Append to several chains and lock them in this order.

    The trigger sees the heads that it wrote for earlier rows of the same statement, so lines of one chain follow
    each other.
    """
    at = _given.get()
    entries = [_entry(draft) for draft in drafts]
    row = f"({', '.join(['%s'] * (len(_COLUMNS) + 2))})"
    with _transaction(connection), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO core_auditentry ({', '.join(_COLUMNS)}, line, at) "  # noqa: S608 — constants
            f"VALUES {', '.join([row] * len(entries))} "
            "RETURNING id, seq, at, as_given, behind_ms, line, prev_hash, hash",
            [value for entry in entries for value in (*_values(entry), _template(entry), at)],
        )
        for entry, written in zip(entries, cursor.fetchall(), strict=True):
            entry.pk, entry.seq, entry.at, entry.as_given, entry.behind_ms = written[:5]
            entry.line, entry.prev_hash, entry.hash = written[5:]
            entry.at = entry.at.astimezone(UTC)
            entry._state.adding = False  # noqa: SLF001 — what Model.from_db does
            entry._state.db = connection.alias  # noqa: SLF001
    return entries


def _entry(draft: _Draft) -> AuditEntry:
    where = context.current()
    return AuditEntry(
        chain=draft.chain,
        event=draft.event.value,
        actor_kind=draft.actor.kind,
        actor_id=plain(draft.actor.id)[:64],
        actor_label=plain(draft.actor.label)[:120],
        subject_type=draft.subject_type,
        subject_id=draft.subject_id,
        data=draft.data,
        ip=where.ip,
        request_id=where.request_id,
        user_agent=plain(where.user_agent)[:200],
    )


def _values(entry: AuditEntry) -> list[Any]:
    values = [getattr(entry, column) for column in _COLUMNS]
    values[_COLUMNS.index("data")] = canonical(entry.data)
    return values


def _template(entry: AuditEntry) -> str:
    """Return the line of an entry with gaps where its time and its number go.

    The members before the time, between, and after the number, in the order of ``canonical``.
    """
    said = _said(entry)
    before = canonical({"actor": said["actor"]})
    between = canonical({key: said[key] for key in _BETWEEN})
    after = canonical({"subject": said["subject"]})
    return f"{before[:-1]},{_GAP},{between[1:-1]},{_GAP},{after[1:]}"


_BETWEEN = ("chain", "client", "data", "event", "ip", "request")


def _said(entry: AuditEntry) -> dict[str, Any]:
    return {
        "actor": {"kind": entry.actor_kind, "id": entry.actor_id, "label": entry.actor_label},
        "chain": entry.chain,
        "client": entry.user_agent,
        "data": entry.data,
        "event": str(entry.event),
        "ip": entry.ip,
        "request": entry.request_id,
        "subject": {"type": entry.subject_type, "id": entry.subject_id},
    }


def document_of(entry: AuditEntry) -> dict[str, Any]:
    """Return what the line of an entry says, from its columns."""
    said = _said(entry) | {"at": timestamp(entry.at), "seq": entry.seq}
    if entry.as_given:
        said["as_given"] = True
    if entry.behind_ms is not None:
        said["behind_ms"] = entry.behind_ms
    return said


_given: ContextVar[datetime | None] = ContextVar("holdfast_audit_given", default=None)


@contextmanager
def history(at: datetime) -> Iterator[None]:
    """Write the lines of this block with the time ``at``, for generated data.

    Only the owner of the tables may, in a database whose log is empty or holds such lines alone; each is
    marked ``as_given``. Otherwise the database refuses the line.
    """
    token = _given.set(at)
    try:
        yield
    finally:
        _given.reset(token)


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
