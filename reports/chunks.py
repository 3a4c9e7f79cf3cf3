"""Lines of a batch, hundreds at a time: checked one by one, written together.

What a line says is checked before anything is written, so that a bad one hinders no other. The good ones are one
transaction: their rows, one line of the audit log for each kind, and what is answered to each of them, so that a batch
that is sent again after a break takes none of them twice. Should the database refuse the whole, each line is taken by
itself instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from core.errors import Invalid, Refused, is_contention
from reports import practice
from reports.access import actor_for, last_told
from reports.actions import (
    Description,
    KeyReused,
    Known,
    Refusal,
    check_own_platform,
    remember_lines,
    submit_reports,
    submit_scans,
    upsert_accounts,
    upsert_groups,
    upsert_members,
)
from reports.door import Malformed, check, digest, parse_json, steadily
from reports.facts import clock_ahead
from reports.models import Account, ApiKey, Group, Scope
from reports.payloads import LINES

MAX_LINE_BYTES = 1024 * 1024

SCOPES: dict[str, Scope] = {
    "report": Scope.REPORTS_WRITE,
    "account": Scope.DIRECTORY_WRITE,
    "group": Scope.DIRECTORY_WRITE,
    "membership": Scope.DIRECTORY_WRITE,
    "scan": Scope.SCANS_WRITE,
}
DIRECTORY = frozenset({"account", "group", "membership"})
_DESCRIBED: dict[str, type[Account | Group]] = {"account": Account, "group": Group}

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the stream. ``content`` is None when it was longer than the limit."""

    number: int
    content: bytes | None


@dataclass(slots=True)
class _Read:
    """A line whose JSON was read. ``meaning`` is the digest of what it says."""

    number: int
    kind: str
    document: dict[str, Any]
    meaning: str
    shape: Any = None


@dataclass(slots=True)
class Memory:
    """What lines of a batch were answered before, by their number: digest of the line, and the answer.

    ``name`` is empty for a batch without an Idempotency-Key, which remembers nothing.
    """

    name: str = ""
    answers: dict[int, tuple[str, Result]] = field(default_factory=dict)


def take_chunk(key: ApiKey, lines: Sequence[Line], memory: Memory) -> list[Result]:
    """Take some lines of a batch; return what became of each, in their order.

    Raises what the database raises when it cannot be reached: lines of this chunk are then not taken.
    """
    results: dict[int, Result] = {}
    waiting: list[_Read] = []
    for line in lines:
        try:
            read = _read(key, line)
            if (known := memory.answers.get(line.number)) is not None:
                if known[0] != read.meaning:
                    raise KeyReused
                results[line.number] = known[1]
                continue
            waiting.append(read)
        except _Rejected as rejected:
            results[line.number] = rejected.result
        except Refused as refused:
            results[line.number] = _refused(refused, None)
    results |= _take(key, waiting, memory)
    return [{"line": line.number} | results[line.number] for line in lines]


def _take(key: ApiKey, waiting: list[_Read], memory: Memory) -> dict[int, Result]:
    results: dict[int, Result] = {}
    unchanged = _unchanged(waiting)
    checked = []
    for read in waiting:
        if read.number in unchanged:
            continue
        try:
            read.shape = check(LINES[read.kind], read.document)
            checked.append(read)
        except Invalid as invalid:
            results[read.number] = _refused(invalid, read.kind)
    known = {
        number: _accepted(kind, pk, is_unchanged=True) for number, (kind, pk) in unchanged.items()
    }
    meanings = {read.number: read.meaning for read in waiting}
    try:
        return results | steadily(lambda: _together(key, checked, known, meanings, memory))
    except (Invalid, Refused):
        pass  # One line's own fault, which only writing it showed: each says for itself.
    except DatabaseError as failed:
        if not _is_about_rows(failed):
            raise
    for read in checked:
        try:
            results |= steadily(lambda read=read: _together(key, [read], {}, meanings, memory))  # type: ignore[misc]
        except (Invalid, Refused) as refusal:
            results[read.number] = _refused(refusal, read.kind)
        except DatabaseError as failed:
            if not _is_about_rows(failed):
                raise
            results[read.number] = _rejected("busy", {"": [_NOT_TAKEN]}, read.kind)
    if known:
        results |= _together(key, [], known, meanings, memory)
    return results


_NOT_TAKEN = "The database did not take the line. Nothing of it was kept; send it again."


def _is_about_rows(failed: DatabaseError) -> bool:
    """Return whether another line may succeed where this one did not: not so when the database itself is away."""
    if isinstance(failed, OperationalError):
        return is_contention(failed)
    return not isinstance(failed, InterfaceError)


@transaction.atomic
def _together(
    key: ApiKey,
    reads: Sequence[_Read],
    known: dict[int, Result],
    meanings: dict[int, str],
    memory: Memory,
) -> dict[int, Result]:
    """Write lines, each kind at once and those of one kind in their order, and what is answered to them."""
    results = dict(known)
    for kind, write in _WRITERS.items():
        own = [read for read in reads if read.kind == kind]
        if own:
            for read, result in zip(own, write(key, own), strict=True):
                results[read.number] = result
    taken = {number: said for number, said in results.items() if said["status"] == "accepted"}
    if memory.name and taken:
        remember_lines(
            key.source,
            name=memory.name,
            lines=[[number, meanings[number], said] for number, said in sorted(taken.items())],
        )
    return results


def _write_accounts(key: ApiKey, reads: Sequence[_Read]) -> Iterable[Result]:
    told = [
        Description(r.shape.external_id, r.shape, r.meaning if r.shape.as_of is None else "")
        for r in reads
    ]
    return _described("account", upsert_accounts(key.source, told, actor=actor_for(key)))


def _write_groups(key: ApiKey, reads: Sequence[_Read]) -> Iterable[Result]:
    told = [
        Description(r.shape.external_id, r.shape, r.meaning if r.shape.as_of is None else "")
        for r in reads
    ]
    return _described("group", upsert_groups(key.source, told, actor=actor_for(key)))


def _described(kind: str, known: Iterable[Known[Any]]) -> Iterable[Result]:
    return [
        _accepted(kind, each.row.pk, is_unchanged=each.is_unchanged and not each.stale)
        | _marks(is_stale=bool(each.stale), ahead=each.clock_ahead)
        for each in known
    ]


def _marks(*, is_stale: bool = False, ahead: Sequence[str] = ()) -> Result:
    marks: Result = {"stale": True} if is_stale else {}
    return marks | {"clock_ahead": list(ahead)} if ahead else marks


def _write_members(key: ApiKey, reads: Sequence[_Read]) -> Iterable[Result]:
    told = [(read.shape.group, read.shape) for read in reads]
    return [
        _accepted("membership", None, is_unchanged=not (one.is_changed or one.is_stale))
        | _marks(is_stale=one.is_stale, ahead=one.clock_ahead)
        for one in upsert_members(key.source, told, actor=actor_for(key))
    ]


def _write_reports(key: ApiKey, reads: Sequence[_Read]) -> Iterable[Result]:
    made = submit_reports(key.source, [read.shape for read in reads], actor=actor_for(key))
    return [
        _refused(report, "report")
        if isinstance(report, Refusal)
        else _accepted("report", report.pk)
        | {"number": str(report)}
        | _marks(ahead=clock_ahead(read.shape, report.received_at))
        for report, read in zip(made, reads, strict=True)
    ]


def _write_scans(key: ApiKey, reads: Sequence[_Read]) -> Iterable[Result]:
    made = submit_scans(key.source, [read.shape for read in reads], actor=actor_for(key))
    return [
        _refused(item, "scan") if isinstance(item, Refusal) else _accepted("scan", item.pk)
        for item in made
    ]


_WRITERS: dict[str, Callable[[ApiKey, Sequence[_Read]], Iterable[Result]]] = {
    "account": _write_accounts,
    "group": _write_groups,
    "membership": _write_members,
    "report": _write_reports,
    "scan": _write_scans,
}
"""In the order in which everybody locks: accounts, groups, their members, and the source's chain last."""


def _unchanged(reads: Iterable[_Read]) -> dict[int, tuple[str, Any]]:
    """Return the lines that say of an account or a group what was said of it last: kind and key by number.

    They are not even checked: they were when they were told. Only the first line about a thing in a chunk can be one;
    the later ones may follow a change.
    """
    found: dict[int, tuple[str, Any]] = {}
    for kind, model in _DESCRIBED.items():
        first: dict[str, _Read] = {}
        for read in reads:
            name = read.document.get("external_id")
            if read.kind == kind and isinstance(name, str) and _can_be_asked(name):
                first.setdefault(practice.own(name), read)
        for name, said, pk in last_told(model, list(first)):
            if said == first[name].meaning:
                found[first[name].number] = kind, pk
    return found


def _can_be_asked(name: str) -> bool:
    return "\x00" not in name and name.isprintable()


# ── One line ──────────────────────────────────────────────────────────────────────────────────
class _Rejected(Exception):
    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


def _read(key: ApiKey, line: Line) -> _Read:
    if line.content is None:
        sentence = f"The line is longer than {MAX_LINE_BYTES} bytes."
        raise _Rejected(_rejected("too_long", {"": [sentence]}))
    try:
        document = parse_json(line.content)
    except Malformed as malformed:
        raise _Rejected(_rejected("malformed", {"": [malformed.message]})) from None
    kind = document.get("type") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in LINES:
        errors = {"type": [f"Must be one of {', '.join(LINES)}."]}
        raise _Rejected(_rejected("unknown_type", errors))
    if SCOPES[kind] not in key.scopes:
        errors = {"type": [f"This key lacks the scope {SCOPES[kind]}."]}
        raise _Rejected(_rejected("scope", errors, kind))
    if kind in DIRECTORY:
        try:
            check_own_platform(key.source)
        except Refused as refused:
            raise _Rejected(_refused(refused, kind)) from None
    return _Read(line.number, kind, document, digest(document)[:32])


def _accepted(kind: str, pk: Any, *, is_unchanged: bool = False) -> Result:
    said: Result = {"status": "accepted", "type": kind, "id": None if pk is None else str(pk)}
    return said | {"unchanged": True} if is_unchanged else said


def _refused(refusal: Refusal, kind: str | None) -> Result:
    if isinstance(refusal, Invalid):
        return _rejected("invalid", refusal.errors, kind)
    return _rejected(refusal.code, {"": [refusal.message]}, kind) | refusal.members


def _rejected(code: str, errors: dict[str, list[str]], kind: str | None = None) -> Result:
    return {"status": "rejected", "type": kind, "code": code, "errors": errors}
