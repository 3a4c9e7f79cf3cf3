"""Many things at once: lines are split into requests, what was not taken is sent again, numbers go on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast_client.transport import Transport

LINES = 1_000
BYTES = 16 * 1024 * 1024
"""What one request carries at most. An installation takes more; small ones are answered sooner."""

NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class LineResult:
    """What became of one line. ``line`` counts from 1 over everything that was given."""

    line: int
    status: str
    document: Mapping[str, Any]

    @property
    def is_accepted(self) -> bool:
        """Whether it was taken."""
        return self.status == "accepted"

    @property
    def code(self) -> str:
        """Why it was rejected."""
        return str(self.document.get("code") or "")

    @property
    def errors(self) -> dict[str, list[str]]:
        """Which of its fields make no sense."""
        return dict(self.document.get("errors") or {})


@dataclass(slots=True)
class BatchResult:
    """What became of all lines: how many were taken, and each that was not."""

    accepted: int = 0
    rejected: list[LineResult] = field(default_factory=list)


def send(
    transport: Transport,
    lines: Iterable[Mapping[str, Any]],
    *,
    key: str = "",
    lines_per_request: int = LINES,
) -> Iterator[LineResult]:
    """Send lines and yield what became of each, in order.

    ``key`` names the whole: given again with the same lines (after a crash, for example), what was taken is not
    taken twice. Without one a fresh one is made. Raises Problem and NotReached like every request; what was yielded
    before stands.
    """
    named = key or str(uuid.uuid4())
    sent = 0
    for part in _parts(lines, lines_per_request):
        left = part
        while left:
            answer = transport.ask(
                "POST",
                "/batches",
                content=b"\n".join(left),
                content_type=NDJSON,
                # By the place of its first line: what is left of a part is another request, and so is named.
                idempotency_key=f"{named}.{sent + 1}",
            )
            stopped_at = answer.get("stopped_at")
            taken = len(left) if stopped_at is None else stopped_at - 1
            for found in answer["results"]:
                yield LineResult(sent + found["line"], found["status"], found)
            if not taken:
                raise ValueError("the installation took no line of a batch")
            left, sent = left[taken:], sent + taken


def _parts(lines: Iterable[Mapping[str, Any]], most: int) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for line in lines:
        written = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()
        if part and (len(part) >= most or size + len(written) >= BYTES):
            yield part
            part, size = [], 0
        part.append(written)
        size += len(written) + 1
    if part:
        yield part
