"""The link to PostgreSQL: a web process waits for an answer so long and no longer.

A server that vanished or ended says so to the operating system. One that hangs (stopped, a stuck disk or machine)
says nothing: whoever waits for its answer would wait until it goes on. Workers do: nobody waits for them, and they go on
with it. A thread of a web process has somebody waiting and others behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
from psycopg.errors import _WaitTimeout  # What Connection.wait documents that it raises.

__all__ = ["LimitedConnection", "Silent", "answer_within"]

CHECK_SECONDS = 5.0
"""How long a session of the pool is asked whether it lives, before a request gets it."""

_own = threading.local()


class Silent(psycopg.OperationalError):
    """The database took a question and did not answer in time. Whether it carries it out is not known."""


class LimitedConnection(psycopg.Connection[Any]):
    """A session that is closed when an answer takes longer than ``answer_seconds``; None waits for ever.

    The limit counts for one statement, its locks included, not for a transaction.
    """

    answer_seconds: ClassVar[float | None] = None

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement. An empty one is the pool's question whether the session lives: that is short."""
        if query == "" and self.answer_seconds is not None:
            with answer_within(min(CHECK_SECONDS, getattr(_own, "seconds", None) or CHECK_SECONDS)):
                return super().execute(query, *args, **kwargs)
        return super().execute(query, *args, **kwargs)

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer. Raises Silent, after which the session is closed."""
        limit = getattr(_own, "seconds", None) or self.answer_seconds
        if timeout is not None or limit is None:
            return super().wait(gen, interval=interval, timeout=timeout)
        try:
            return super().wait(gen, interval=interval, timeout=limit)
        except _WaitTimeout:
            self.close()
            raise Silent(f"the database did not answer within {limit:g} s") from None


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """Wait for each answer inside the block no longer than this, in this thread."""
    before = getattr(_own, "seconds", None)
    _own.seconds = seconds
    try:
        yield
    finally:
        _own.seconds = before
