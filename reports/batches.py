"""Batches: newline-delimited JSON, one submission a line, read as it arrives and taken in chunks.

Memory holds the lines of one chunk and one short result per line, whatever the size of the body. A bad line is
reported by its number and the good ones are kept (``reports.chunks``).

With an Idempotency-Key the answers to the lines are remembered under the key, in the transaction that takes them,
until the whole batch is answered: a batch which broke off in the middle is simply sent again, and lines that were taken
are not taken twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import uuid4

from core.errors import Invalid, Refused
from core.turns import Turn
from reports.actions import (
    Answer,
    StillRunning,
    is_remembered,
    lines_remembered,
    recall,
    remember_batch,
)
from reports.chunks import MAX_LINE_BYTES, Line, Memory, take_chunk
from reports.models import ApiKey, Source

__all__ = [
    "LINES_PER_REQUEST",
    "MAX_LINES",
    "MAX_LINE_BYTES",
    "MAX_SECONDS",
    "TooSlow",
    "read_lines",
    "take_batch",
]

MAX_LINES = 10_000
MAX_SECONDS = 120.0
"""How long a batch may hold its web thread before no further line is taken."""

CHUNK_LINES = 500
CHUNK_BYTES = 4 * 1024 * 1024
CHUNK_SECONDS = 2.0
"""A chunk is taken when it has so many lines or bytes, or when its first line has waited so long."""

LINES_PER_REQUEST = 100
"""Lines that count as one request towards the rate limit of the key."""

MAX_BLANK_LINES = 10_000
"""Blank lines of one batch: they are free to write and cost time to pass over."""

READ_BYTES = 64 * 1024
ENDPOINT = "POST /batches"


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


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
    taking = _Taking(key, idempotency_key, on_more)
    stopped_at: int | None = None
    is_late = False
    try:
        for line in read_lines(stream, _until(deadline, seen)):
            if taking.count:
                _keep_time(deadline)
            if stopped_at is not None:
                continue  # Read to the end, so that the sender hears the answer instead of a reset.
            if taking.count == MAX_LINES:
                stopped_at = line.number
                continue
            taking.add(line)
    except (TooSlow, TooManyBlankLines):
        if not taking.count:
            raise
        is_late = True
    taking.flush()
    results = taking.results
    if not results:
        raise Invalid({"": ["The batch has no lines."]})
    if is_late:
        stopped_at = stopped_at or results[-1]["line"] + 1
    accepted = sum(result["status"] == "accepted" for result in results)
    body = {
        "accepted": accepted,
        "rejected": len(results) - accepted,
        "unchanged": sum(result.get("unchanged", False) for result in results),
        "stale": sum(result.get("stale", False) for result in results),
        "stopped_at": stopped_at,
        "results": results,
    }
    status = 200 if accepted == len(results) and stopped_at is None else 207
    # One that ran out of time was not read to its end: the records of its lines stay, and the same batch
    # sent again passes quickly over what was taken.
    if idempotency_key and not is_late:
        remember_batch(
            key.source,
            endpoint=ENDPOINT,
            key=idempotency_key,
            body_hash=seen.hexdigest(),
            status=status,
            body=body,
            lines=taking.memory.name,
        )
    return Answer(status, body)


class _Taking:
    """Lines that were read and wait for their chunk, and what became of those before."""

    def __init__(self, key: ApiKey, idempotency_key: str, on_more: Callable[[], None]) -> None:
        self.key = key
        self.on_more = on_more
        self.results: list[dict[str, Any]] = []
        self.count = 0
        self.memory = Memory()
        if idempotency_key:
            # Hashed, since the key alone may fill the column.
            self.memory.name = hashlib.sha256(idempotency_key.encode()).hexdigest()
            self.memory.answers = lines_remembered(key.source, name=self.memory.name)
        self._waiting: list[Line] = []
        self._bytes = 0
        self._since = 0.0

    def add(self, line: Line) -> None:
        """Let a line wait for its chunk, and take the chunk when it is full."""
        if self.count and self.count % LINES_PER_REQUEST == 0:
            self.on_more()
        if not self._waiting:
            self._since = time.monotonic()
        self.count += 1
        self._waiting.append(line)
        self._bytes += len(line.content or b"")
        is_old = time.monotonic() - self._since > CHUNK_SECONDS
        if len(self._waiting) >= CHUNK_LINES or self._bytes >= CHUNK_BYTES or is_old:
            self.flush()

    def flush(self) -> None:
        """Take the lines that wait."""
        if self._waiting:
            lines, self._waiting, self._bytes = self._waiting, [], 0
            self.results += take_chunk(self.key, lines, self.memory)


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
