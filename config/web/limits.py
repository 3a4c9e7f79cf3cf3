"""What a stranger may cost: times, rates and sizes of the web server. Each per process.

They are not settings. A limit that has to be raised to make somebody's work possible is a mistake here, and
one that has to be lowered to survive is one as well.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds, bytes, and bytes a second."""

    header_seconds: float = 10
    """From the first byte of a connection, or of its next request, to the end of the header."""
    header_bytes: int = 64 * 1024
    headers: int = 200
    idle_seconds: int = 30
    """How long a connection stays open between two requests."""
    grace_seconds: float = 10
    """How long a body or an answer may stand still before the lowest rate counts."""
    lowest_rate: int = 16 * 1024
    """Bytes a second, on the average, that a sender must send and a reader must take. Time in which it is
    Holdfast that does not read is not counted."""
    body_seconds: float = 3600
    """No body may take longer than this, however steadily it arrives."""
    held_body: int = 128 * 1024
    """Bodies up to this size are read into memory before a thread is taken for them."""
    held_bodies: int = 64 * 1024 * 1024
    """All bodies in memory together. Above it the oldest unfinished one has to go."""
    held_answer: int = 1024 * 1024
    """So much of an answer leaves its thread without waiting for the reader."""
    connections: int = 1000
    """Above it the connection that has been waiting for its client the longest is closed."""
    queue: int = 300
    """Complete requests that may wait for a thread."""
    arriving_seconds: float = 20
    """How long a large upload waits for its turn before it is asked to come later."""
    thread_seconds: float = 20
    """How long a complete request waits for a thread before it is asked to come later."""
    answer_seconds: float = 60
    """How long a thread may take until its answer begins. Time in which a large body arrives is not counted."""
    database_seconds: float = 20
    """How long a thread waits for the database's answer to one statement."""
    health_seconds: float = 4.5
    deep_health_seconds: float = 10
    """How long ``/healthz`` may take, and ``/healthz?deep=1``, whatever hangs."""
    linger_seconds: float = 20
    """How long the rest of a refused body is read and thrown away, so that its sender hears the answer."""
    linger_bytes: int = 512 * 1024 * 1024
    tick_seconds: float = 1.0
    """How often a connection is compared with these limits."""


USUAL = Limits()


def too_slow(elapsed: float, moved: int, limits: Limits) -> bool:
    """Return whether ``moved`` bytes in ``elapsed`` seconds are fewer than they have to be."""
    return elapsed > limits.grace_seconds + moved / limits.lowest_rate
