"""Whose turn it is to do what only one process may do: a row with a holder and an end, renewed by a sign of life.

A lock of the database's session would be simpler and is wrong behind a pooler that hands sessions to others after each
transaction (pgbouncer, ``pool_mode = transaction``): two processes hold it at once, and it outlives both. A row needs
nothing but transactions.
"""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from django.db import Error, connection

from core.errors import describe

log = logging.getLogger(__name__)

LASTS = 12.0
"""Seconds for which a turn is somebody's without a sign of life."""

RENEWED_EVERY = 3.0
"""Seconds between two signs of life."""

# A time further ahead than any turn lasts was written before the database's clock was put back.
_TAKE = """
INSERT INTO core_turn (name, holder, until) VALUES (%s, %s, clock_timestamp() + %s * interval '1 second')
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE core_turn.holder = excluded.holder OR core_turn.until < clock_timestamp()
OR core_turn.until > clock_timestamp() + %s * interval '2 seconds'
RETURNING name
"""
_GIVE_BACK = "DELETE FROM core_turn WHERE name = %s AND holder = %s"


class Turn:
    """A turn that is taken, kept by a thread, and given back at the end of the block.

    ``holder`` tells processes apart and must be a new one for each: a host, a process number and something random.
    """

    def __init__(self, name: str, holder: str) -> None:
        self._name, self._holder = name, holder
        self._good_until = 0.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> bool:
        """Take the turn, or renew it; return whether it is ours. Raises database errors."""
        asked = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [self._name, self._holder, LASTS, LASTS])
            is_ours = cursor.fetchone() is not None
        # From before the question: however long the answer took, ours ends first, the row's later.
        self._good_until = asked + LASTS if is_ours else 0.0
        return is_ours

    def is_held(self) -> bool:
        """Return whether the turn is still ours, without asking: an answer that never came ends it."""
        return time.monotonic() < self._good_until

    def __enter__(self) -> Turn:
        self._thread = threading.Thread(target=self._renew, name="turn", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(RENEWED_EVERY)
        try:
            with connection.cursor() as cursor:
                cursor.execute(_GIVE_BACK, [self._name, self._holder])
        except Error as failed:
            log.info("a turn was not given back (%s); it ends by itself", describe(failed))
        self._good_until = 0.0

    def _renew(self) -> None:
        while not self._ended.wait(RENEWED_EVERY):
            try:
                if not self.take():
                    return
            except Error as failed:
                log.info("a turn was not renewed (%s)", describe(failed))
            finally:
                connection.close()  # This thread's own; a pool gets it back.
