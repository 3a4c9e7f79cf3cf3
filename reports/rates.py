"""How many requests per minute a key may make, counted in Valkey.

A sliding window out of two fixed ones: what is left of the previous minute is weighed by how much of it
still lies within the last sixty seconds. The clocks of several web servers may differ a little; that
shifts a window, it never doubles a limit.

**Fails open.** When Valkey is away nothing is counted and nothing refused: the limit protects the
installation from a runaway script, and a report that is refused because a counter is away might never
be sent again.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

import redis

from core.errors import describe
from core.jobs import valkey

log = logging.getLogger(__name__)

WINDOW_SECONDS = 60
_REST_SECONDS = 5.0
_resting_until = 0.0


@dataclass(frozen=True, slots=True)
class Rate:
    """What a key has left. ``reset`` is in seconds."""

    limit: int
    remaining: int
    reset: int
    is_allowed: bool

    def headers(self) -> dict[str, str]:
        """Return the headers of draft-ietf-httpapi-ratelimit-headers-10."""
        return {
            "RateLimit-Policy": f'"key";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"key";r={self.remaining};t={self.reset}',
        }


def weigh(*, limit: int, current: int, previous: int, elapsed: float) -> Rate:
    """Return the rate after ``current`` requests in a window that is ``elapsed`` seconds old."""
    share = max(0.0, 1 - elapsed / WINDOW_SECONDS)
    used = current + previous * share
    remaining = max(0, math.floor(limit - used))
    return Rate(limit, remaining, math.ceil(WINDOW_SECONDS - elapsed), used <= limit)


def spend(name: str, limit: int) -> Rate | None:
    """Count one request of ``name`` and return its rate, or None when nothing can be counted."""
    global _resting_until  # noqa: PLW0603 — one resting time per process, read by every request
    if time.monotonic() < _resting_until:
        return None
    window, elapsed = divmod(time.time(), WINDOW_SECONDS)
    current_name, previous_name = (f"rate:{name}:{int(window) - back}" for back in (0, 1))
    try:
        with valkey().pipeline(transaction=False) as pipe:
            pipe.incr(current_name)
            pipe.expire(current_name, 3 * WINDOW_SECONDS)
            pipe.get(previous_name)
            current, _, previous = pipe.execute()
    except (redis.RedisError, OSError) as away:
        # Rest a little, so that requests do not each wait for a connection that does not come.
        _resting_until = time.monotonic() + _REST_SECONDS
        log.warning("requests are not counted (%s)", describe(away))
        return None
    return weigh(limit=limit, current=int(current), previous=int(previous or 0), elapsed=elapsed)


def is_first(name: str, seconds: int, *, otherwise: bool = True) -> bool:
    """Return whether ``name`` is heard for the first time in ``seconds``.

    ``otherwise`` is the answer when nobody can say, because Valkey is away.
    """
    if time.monotonic() < _resting_until:
        return otherwise
    try:
        return bool(valkey().set(f"first:{name}", 1, nx=True, ex=seconds))
    except (redis.RedisError, OSError):
        return otherwise
