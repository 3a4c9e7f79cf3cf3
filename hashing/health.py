"""What detectors do and how long they take: counted in memory, written down every few seconds.

A scan is not slowed by its own statistics: a run costs two additions, and a process writes one statement
for all its detectors at most every ``EVERY`` seconds, which adds to the rows of the current five
minutes whatever other workers add.
"""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import DatabaseError

from core.errors import describe
from hashing import actions

__all__ = ["EVERY", "flush", "forget", "note"]

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two writes of one process."""

PERIOD_SECONDS = 300

BUCKETS = 64
"""Bucket n holds times of more than 2^((n-9)/2) and at most 2^((n-8)/2) milliseconds: 0.06 ms to 52 hours;
the last one also takes whatever is longer."""


@dataclass
class _Count:
    runs: int = 0
    found: int = 0
    run_ms: float = 0.0
    run_times: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    queue_times: list[int] = field(default_factory=lambda: [0] * BUCKETS)


Key = tuple[str, str, datetime, str]

_lock = threading.Lock()
_counts: dict[Key, _Count] = {}
_written = 0.0


def bucket_of(ms: float) -> int:
    """Return the bucket of a time in milliseconds: half powers of two, 0 to ``BUCKETS`` - 1."""
    if ms <= 0:
        return 0
    return min(max(math.ceil(math.log2(ms) * 2) + 8, 0), BUCKETS - 1)


def bucket_top(bucket: int) -> float:
    """Return the longest time of a bucket, in milliseconds."""
    return float(2 ** ((bucket - 8) / 2))


def percentile(histogram: Sequence[int], share: float) -> float | None:
    """Return the time in ms that ``share`` (0–1) of the runs do not exceed; None without runs.

    It is the upper edge of a bucket, so at most 42 % more than the true one, and never less.
    """
    total = sum(histogram)
    if not total:
        return None
    wanted, seen = share * total, 0
    for bucket, count in enumerate(histogram):
        seen += count
        if seen >= wanted:
            return bucket_top(bucket)
    return bucket_top(len(histogram) - 1)


def note(
    detector: str,
    version: str,
    *,
    ms: float,
    result: str = "ok",
    found: bool = False,
    queue_ms: float | None = None,
) -> None:
    """Count one run of a detector. ``result`` is ``ok`` or the code of the failure."""
    now = int(time.time())
    began = datetime.fromtimestamp(now - now % PERIOD_SECONDS, UTC)
    with _lock:
        count = _counts.setdefault((detector, version, began, result), _Count())
        count.runs += 1
        count.found += found
        count.run_ms += ms
        count.run_times[bucket_of(ms)] += 1
        if queue_ms is not None:
            count.queue_times[bucket_of(queue_ms)] += 1


def flush(*, at_once: bool = False) -> None:
    """Write what was counted, unless that was done a moment ago. Never raises: a figure is not a scan."""
    global _written  # noqa: PLW0603 — one clock per process
    now = time.monotonic()
    with _lock:
        if not _counts or (not at_once and now - _written < EVERY):
            return
        taken = dict(_counts)
        _counts.clear()
        _written = now
    try:
        actions.add_to_periods(taken)
    except DatabaseError as failed:
        log.warning("figures of detectors are lost: %s", describe(failed))


def _flush_at_exit() -> None:
    try:
        flush(at_once=True)
    except Exception as failed:  # noqa: BLE001 — the process ends, and the database may have ended before
        log.info("figures of detectors not written at the end: %s", type(failed).__name__)


atexit.register(_flush_at_exit)


def forget() -> None:
    """Drop what was counted and not written. For tests."""
    with _lock:
        _counts.clear()
