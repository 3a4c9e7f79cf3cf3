"""Batches: newline-delimited JSON, one submission a line, read as it arrives.

Memory holds one line and one short result per line, whatever the size of the body. Each line is a
transaction of its own: a bad one is reported by its number and the good ones are kept.

With an Idempotency-Key every line is remembered under the key and its number until the whole batch is
answered, so that a batch which broke off in the middle is simply sent again: lines that were taken are
not taken twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from core.errors import Invalid, Refused
from core.turns import Turn
from reports.access import actor_for
from reports.actions import (
    Answer,
    StillRunning,
    answer_once,
    is_remembered,
    recall,
    remember,
    submit_report,
    submit_scan,
    upsert_account,
    upsert_group,
    upsert_memberships,
)
from reports.door import Malformed, check, digest, parse_json, steadily
from reports.models import ApiKey, Scope, Source
from reports.payloads import (
    LINES,
    AccountLine,
    GroupLine,
    MembershipLine,
    ReportLine,
    ScanLine,
    Shape,
)

MAX_LINE_BYTES = 1024 * 1024
MAX_LINES = 10_000
MAX_SECONDS = 120.0
"""How long a batch may hold its web thread before no further line is taken."""

LINES_PER_REQUEST = 100
"""Lines that count as one request towards the rate limit of the key."""

MAX_BLANK_LINES = 10_000
"""Blank lines of one batch: they are free to write and cost time to pass over."""

READ_BYTES = 64 * 1024
ENDPOINT = "POST /batches"
_LINE_ENDPOINT = "POST /batches line"

SCOPES: dict[str, Scope] = {
    "report": Scope.REPORTS_WRITE,
    "account": Scope.DIRECTORY_WRITE,
    "group": Scope.DIRECTORY_WRITE,
    "membership": Scope.DIRECTORY_WRITE,
    "scan": Scope.SCANS_WRITE,
}


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the stream. ``content`` is None when it was longer than the limit."""

    number: int
    content: bytes | None


class TooSlow(Refused):
    """A batch did not arrive in ``MAX_SECONDS``: no line of it, or not all of one answered before."""

    def __init__(self) -> None:
        super().__init__(
            f"The batch did not arrive within {MAX_SECONDS:.0f} seconds. Send the same batch again.",
            code="too_slow",
            status=408,
        )


class TooManyBlankLines(Invalid):
    """A batch is mostly empty lines; nothing after them is read."""

    def __init__(self) -> None:
        super().__init__(
            {"": [f"The batch has more than {MAX_BLANK_LINES:,} blank lines. Leave them out."]}
        )


def read_lines(stream: Readable, on_bytes: Callable[[bytes], None]) -> Iterator[Line]:
    """Yield the lines of a stream, blank ones left out but counted, in bounded memory.

    Raises TooManyBlankLines. Of a line longer than ``MAX_LINE_BYTES`` only the number is kept. ``on_bytes`` sees every byte.

    Reads by size and splits by itself: a server's ``readline`` need not keep line ends, and one that
    drops them cannot tell an empty line from the end.
    """
    number, blank, is_too_long = 1, 0, False
    pending = bytearray()
    while piece := stream.read(READ_BYTES):
        on_bytes(piece)
        *ended, rest = piece.split(b"\n")
        for part in ended:
            pending += part
            if is_too_long or len(pending) > MAX_LINE_BYTES:
                yield Line(number, None)
            elif content := bytes(pending).strip():
                yield Line(number, content)
            elif (blank := blank + 1) > MAX_BLANK_LINES:
                raise TooManyBlankLines
            pending.clear()
            number, is_too_long = number + 1, False
        pending += rest
        if len(pending) > MAX_LINE_BYTES:
            pending.clear()
            is_too_long = True
    if is_too_long:
        yield Line(number, None)
    elif content := bytes(pending).strip():
        yield Line(number, content)


def take_batch(
    key: ApiKey,
    stream: Readable,
    *,
    idempotency_key: str = "",
    on_more: Callable[[], None] = lambda: None,
) -> Answer:
    """Take a batch and return what became of each line: 200 if all were taken, else 207.

    Whoever calls bounds the size of ``stream``; after ``MAX_SECONDS`` no further line is taken or read.
    ``on_more`` is called before each ``LINES_PER_REQUEST`` lines but the first ones. Raises KeyReused and
    StillRunning like other requests, Invalid for a batch without lines, TooSlow when no line of it
    arrives, or not the whole of one that was answered before.
    """
    source = key.source
    deadline = time.monotonic() + MAX_SECONDS
    if not idempotency_key:
        return _take(key, stream, "", deadline, on_more)
    with _alone(source, idempotency_key):
        if is_remembered(source, endpoint=ENDPOINT, key=idempotency_key):
            seen = hashlib.sha256()
            for _ in read_lines(stream, _until(deadline, seen)):
                pass
            answer = recall(
                source, endpoint=ENDPOINT, key=idempotency_key, body_hash=seen.hexdigest()
            )
            if answer is None:
                raise StillRunning
            return answer
        return _take(key, stream, idempotency_key, deadline, on_more)


def _until(deadline: float, seen: Any) -> Callable[[bytes], None]:
    def note(piece: bytes) -> None:
        seen.update(piece)
        _keep_time(deadline)

    return note


def _keep_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TooSlow


def _take(
    key: ApiKey,
    stream: Readable,
    idempotency_key: str,
    deadline: float,
    on_more: Callable[[], None],
) -> Answer:
    seen = hashlib.sha256()
    results: list[dict[str, Any]] = []
    stopped_at: int | None = None
    is_late = False
    try:
        for line in read_lines(stream, _until(deadline, seen)):
            if results:
                _keep_time(deadline)
            if stopped_at is not None:
                continue  # Read to the end, so that the sender hears the answer instead of a reset.
            if len(results) == MAX_LINES:
                stopped_at = line.number
                continue
            if results and len(results) % LINES_PER_REQUEST == 0:
                on_more()
            results.append({"line": line.number} | _take_line(key, line, idempotency_key))
    except (TooSlow, TooManyBlankLines):
        if not results:
            raise
        is_late = True
        stopped_at = stopped_at or results[-1]["line"] + 1
    if not results:
        raise Invalid({"": ["The batch has no lines."]})
    accepted = sum(result["status"] == "accepted" for result in results)
    body = {
        "accepted": accepted,
        "rejected": len(results) - accepted,
        "stopped_at": stopped_at,
        "results": results,
    }
    status = 200 if accepted == len(results) and stopped_at is None else 207
    # One that ran out of time was not read to its end: the records of its lines stay, and the same batch
    # sent again passes quickly over what was taken.
    if idempotency_key and not is_late:
        remember(
            key.source,
            endpoint=ENDPOINT,
            key=idempotency_key,
            body_hash=seen.hexdigest(),
            status=status,
            body=body,
            instead_of=(_LINE_ENDPOINT, _line_key(idempotency_key, "")),
        )
    return Answer(status, body)


def _take_line(key: ApiKey, line: Line, idempotency_key: str) -> dict[str, Any]:
    if line.content is None:
        return _rejected("too_long", {"": [f"The line is longer than {MAX_LINE_BYTES} bytes."]})
    kind: str | None = None
    try:
        document = parse_json(line.content)
        named = document.get("type") if isinstance(document, dict) else None
        if not isinstance(named, str) or named not in LINES:
            return _rejected("unknown_type", {"type": [f"Must be one of {', '.join(LINES)}."]})
        kind = named
        if SCOPES[kind] not in key.scopes:
            return _rejected("scope", {"type": [f"This key lacks the scope {SCOPES[kind]}."]}, kind)
        shape = check(LINES[kind], document)
        if not idempotency_key:
            return steadily(lambda: _submit(key, shape))
        return steadily(
            lambda: (
                answer_once(
                    key.source,
                    endpoint=_LINE_ENDPOINT,
                    key=_line_key(idempotency_key, line.number),
                    body_hash=digest(document),
                    work=lambda: (200, _submit(key, shape)),
                ).body
            )
        )
    except Malformed as malformed:
        return _rejected("malformed", {"": [malformed.message]})
    except Invalid as invalid:
        return _rejected("invalid", invalid.errors, kind)
    except Refused as refused:
        return _rejected(refused.code, {"": [refused.message]}, kind) | refused.members


def _submit(key: ApiKey, shape: Shape) -> dict[str, Any]:
    source, actor = key.source, actor_for(key)
    accepted: dict[str, Any] = {"status": "accepted"}
    if isinstance(shape, ReportLine):
        report = submit_report(source, payload=shape, actor=actor)
        return accepted | {"type": "report", "id": str(report.pk), "number": str(report)}
    if isinstance(shape, ScanLine):
        item = submit_scan(source, payload=shape, actor=actor)
        return accepted | {"type": "scan", "id": str(item.pk)}
    if isinstance(shape, AccountLine):
        account = upsert_account(source, shape.external_id, payload=shape, actor=actor)
        return accepted | {"type": "account", "id": str(account.pk)}
    if isinstance(shape, GroupLine):
        group = upsert_group(source, shape.external_id, payload=shape, actor=actor)
        return accepted | {"type": "group", "id": str(group.pk)}
    if isinstance(shape, MembershipLine):
        upsert_memberships(source, shape.group, members=[shape], actor=actor)
        return accepted | {"type": "membership", "id": None}
    raise TypeError(f"no action takes {type(shape).__name__}")


def _rejected(code: str, errors: dict[str, list[str]], kind: str | None = None) -> dict[str, Any]:
    return {"status": "rejected", "type": kind, "code": code, "errors": errors}


def _line_key(idempotency_key: str, number: int | str) -> str:
    # Hashed, since the key alone may fill the column.
    return f"{hashlib.sha256(idempotency_key.encode()).hexdigest()}:{number}"


@contextmanager
def _alone(source: Source, idempotency_key: str) -> Iterator[None]:
    """Hold the batch for this request. Raises StillRunning when another one holds it.

    A killed process holds it for a few seconds more (``core.turns``).
    """
    key = hashlib.sha256(idempotency_key.encode()).hexdigest()[:24]
    turn = Turn(f"batch {source.pk} {key}", uuid4().hex)
    if not turn.take():
        raise StillRunning
    with turn:
        yield
