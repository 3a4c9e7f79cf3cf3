"""The link to Valkey: an answer is waited for once, and who got none is not asked again before it answers.

Valkey holds wake-ups and counts, nothing that is missed when it is away. A server that takes connections and
says nothing (stopped, a stuck disk or machine) would otherwise cost every request each of its questions. So all
connections of a process to one address share one rest: after the first question without an answer nobody asks,
a thread goes on listening, and its first answer ends the rest.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

T = TypeVar("T")
log = logging.getLogger(__name__)

CONNECT_SECONDS = 1.5
ANSWER_SECONDS = 1.5
"""How long a connection to Valkey and an answer from it are waited for."""

LISTEN_SECONDS = 5.0
"""How long whoever listens during a rest waits on one connection before trying a new one."""

PAUSE_SECONDS = 0.5
"""Between two attempts of the listener, when nobody takes its connection."""

FORGET_SECONDS = 60.0
"""A rest in which nobody asked for so long ends: the next one who asks finds out."""


class Resting(redis.RedisError):
    """Valkey is not asked: it did not answer a moment ago. ``was_silent`` if it took the question and said nothing."""

    def __init__(self, *, was_silent: bool) -> None:
        super().__init__("Valkey did not answer a moment ago and is not asked again before it does")
        self.was_silent = was_silent


class _Rest:
    def __init__(self, *, was_silent: bool) -> None:
        self.was_silent = was_silent
        self.asked = time.monotonic()


_rests: dict[str, _Rest] = {}
_lock = threading.Lock()


class Patience(Retry):
    """How long redis-py is patient with one address: one quick retry of a lost connection, then a rest for all.

    No retry when no answer comes: that has taken ``ANSWER_SECONDS`` already.
    """

    __hash__ = Retry.__hash__

    def __init__(self, url: str) -> None:
        super().__init__(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        self.url = url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patience) and self.url == other.url

    def call_with_retry(
        self, do: Callable[[], T], fail: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> T:
        """Ask, unless a rest holds. Raises Resting then, and redis-py's errors."""
        if (rest := _rests.get(self.url)) is not None:
            rest.asked = time.monotonic()
            raise Resting(was_silent=rest.was_silent)
        try:
            return super().call_with_retry(do, fail, *args, **kwargs)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as failed:
            _begin_rest(self.url, was_silent=isinstance(failed, redis.TimeoutError | TimeoutError))
            raise


def _begin_rest(url: str, *, was_silent: bool) -> None:
    with _lock:
        if url in _rests:
            return
        _rests[url] = rest = _Rest(was_silent=was_silent)
    log.warning("Valkey %s; not asked until it does", "is silent" if was_silent else "is away")
    threading.Thread(
        target=_listen, args=(url, rest), name="listens-for-valkey", daemon=True
    ).start()


def _listen(url: str, rest: _Rest) -> None:
    """Wait for an answer on a connection of one's own, then end the rest."""
    while time.monotonic() - rest.asked < FORGET_SECONDS:
        try:
            with redis.Redis.from_url(
                url,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=LISTEN_SECONDS,
                retry=Retry(NoBackoff(), 0),
            ) as link:
                link.ping()
        except (redis.RedisError, OSError):
            time.sleep(PAUSE_SECONDS)
        else:
            log.warning("Valkey answers again")
            break
    with _lock:
        if _rests.get(url) is rest:
            del _rests[url]


def _forget_rests() -> None:
    """Begin anew in a child: it has no listener, and a lock may have been held by a thread it does not have."""
    global _lock  # noqa: PLW0603 — one per process
    _lock = threading.Lock()
    _rests.clear()


os.register_at_fork(after_in_child=_forget_rests)


class _Pool(redis.ConnectionPool):
    """Keeps its limit: whoever only lists RQ's workers has RQ set seven minutes for the whole pool."""

    def make_connection(self) -> Any:
        self.connection_kwargs["socket_timeout"] = ANSWER_SECONDS
        return super().make_connection()


@functools.lru_cache(maxsize=4)
def _connect(url: str) -> redis.Redis:
    pool = _Pool.from_url(url, socket_connect_timeout=CONNECT_SECONDS, retry=Patience(url))
    return redis.Redis(connection_pool=pool)


def valkey() -> redis.Redis:
    """Return the connection for wake-ups and counts; short timeouts, no waiting."""
    return _connect(settings.REDIS_URL)
