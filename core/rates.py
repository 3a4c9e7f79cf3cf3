"""How often something may happen, counted in Valkey by the library ``limits``.

Every rate is its sliding window counter: what is left of the window before is weighed by how much of it still
lies within the last seconds, so a limit is never doubled at the turn of a window. The clock is Valkey's.

**Without Valkey.** What protects the installation from a runaway script fails open (``spend``, ``is_first``): a
report that is refused because a counter is away might never be sent again. What protects people from guesses
does not (``take``, ``is_spent``): each process then counts for itself.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import redis
from django.conf import settings
from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter

from core.errors import describe
from core.valkey_link import Resting, valkey

T = TypeVar("T")
log = logging.getLogger(__name__)

WINDOW_SECONDS = 60


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


class _Away(Exception):
    """Valkey does not answer, or did not a moment ago."""


@functools.lru_cache(maxsize=4)
def _storage(url: str) -> RedisStorage:
    return RedisStorage(url, connection_pool=valkey().connection_pool, key_prefix="rate")


@functools.lru_cache(maxsize=1)
def _own_count() -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(MemoryStorage())


def _sliding() -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(_storage(settings.REDIS_URL))


def _ask(question: Callable[[], T]) -> T:
    """Return the answer to a question to Valkey. Raises _Away."""
    try:
        return question()
    except Resting:
        raise _Away from None
    except (redis.RedisError, OSError) as away:
        log.warning("requests are not counted together (%s)", describe(away))
        raise _Away from None


def _count(question: Callable[[SlidingWindowCounterRateLimiter], T]) -> T:
    """Ask Valkey's count, or this process's own while Valkey is away."""
    try:
        return _ask(lambda: question(_sliding()))
    except _Away:
        return question(_own_count())


# ── Machines ──────────────────────────────────────────────────────────────────────────────────
def spend(name: str, limit: int, *, cost: int = 1) -> Rate | None:
    """Count ``cost`` requests of ``name``, of ``limit`` a minute; None when nothing can be counted."""
    item = RateLimitItemPerMinute(limit, namespace="key")

    def count() -> Rate:
        counter = _sliding()
        hits = [counter.hit(item, name) for _ in range(cost)]
        key, storage = item.key_for(name), _storage(settings.REDIS_URL)
        before, fading, now, left = storage.get_sliding_window(key, WINDOW_SECONDS)
        # As the library's get_window_stats, which would ask once more.
        used = math.floor(before * fading / WINDOW_SECONDS + now)
        reset = math.ceil(left % WINDOW_SECONDS) or WINDOW_SECONDS
        return Rate(limit, max(0, limit - used), reset, all(hits))

    try:
        return _ask(count)
    except _Away:
        return None


def is_first(name: str, seconds: int, *, otherwise: bool = True) -> bool:
    """Return whether ``name`` is heard for the first time in ``seconds``.

    ``otherwise`` is the answer when nobody can say, because Valkey is away.
    """
    item = RateLimitItemPerSecond(1, seconds, namespace="first")
    try:
        return _ask(lambda: FixedWindowRateLimiter(_storage(settings.REDIS_URL)).hit(item, name))
    except _Away:
        return otherwise


# ── Guesses ───────────────────────────────────────────────────────────────────────────────────
def take(budget: Sequence[RateLimitItem], *names: str) -> int:
    """Use up one of each limit of ``budget``; return 0, or how many seconds to wait and nothing is used.

    Several limits together make waits that grow: five a minute, ten in a quarter of an hour, …
    """
    if wait := is_spent(budget, *names):
        return wait

    def count(counter: SlidingWindowCounterRateLimiter) -> int:
        taken = [counter.hit(item, *names) for item in budget]
        return 0 if all(taken) else 1  # Somebody else took the last one at this moment.

    return _count(count)


def is_spent(budget: Sequence[RateLimitItem], *names: str) -> int:
    """Return how many seconds to wait until ``budget`` allows one more, 0 when it does now."""

    def look(counter: SlidingWindowCounterRateLimiter) -> int:
        now = time.time()
        waits = [
            max(1, math.ceil(counter.get_window_stats(item, *names).reset_time - now))
            for item in budget
            if not counter.test(item, *names)
        ]
        return max(waits, default=0)

    return _count(look)


def forget(budget: Sequence[RateLimitItem], *names: str) -> None:
    """Count ``budget`` anew for these names."""

    def clear(counter: SlidingWindowCounterRateLimiter) -> None:
        for item in budget:
            counter.clear(item, *names)

    _count(clear)
