"""The one process that looks for waiting rows."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error, close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from core.errors import describe
from core.jobs import beat, run_sweeps
from core.models import Heartbeat

log = logging.getLogger(__name__)
LOCK = "holdfast.scheduler"


class Command(BaseCommand):
    """Run the sweeps every ``HOLDFAST_SWEEP_SECONDS``.

    Start it on as many machines as you like: a session lock in PostgreSQL lets one work while the others
    stand by, and one of them takes over when it dies. Survives restarts of PostgreSQL and Valkey.
    Stops within a sweep on SIGTERM or Ctrl-C.
    """

    help = "Find rows that wait for work and wake the workers for them."

    def handle(self, *args: Any, **options: Any) -> None:
        self._stop = threading.Event()
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, self._leave)
        waiting_said = False
        while not self._stop.is_set():
            lock = SessionLock(LOCK)
            try:
                if not lock.acquire():
                    if not waiting_said:
                        self.stdout.write("Another scheduler is at work; standing by.")
                        waiting_said = True
                    self._stop.wait(2)
                    continue
                waiting_said = False
                self.stdout.write("Scheduler at work.")
                self._work(lock)
            except Exception as failed:  # noqa: BLE001 — a restart of the database ends here
                log.warning("scheduler: %s; trying again", describe(failed))
                close_old_connections()
                self._stop.wait(1)
            finally:
                lock.release()
        self.stdout.write("Scheduler stopped.")

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _work(self, lock: SessionLock) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            lock.check()
            outcome = run_sweeps(is_over=self._stop.is_set)
            if self._stop.is_set():
                return  # The database may end with us: its sign of life would wait for it.
            failing = [path for path, came_to in outcome.items() if not _is_count(came_to)]
            beat(
                "scheduler",
                Heartbeat.Kind.SCHEDULER,
                host=socket.gethostname(),
                pid=os.getpid(),
                ms=round((time.monotonic() - began) * 1000),
                failing=failing,
            )
            close_old_connections()
            spent = time.monotonic() - began
            self._stop.wait(max(0.1, settings.HOLDFAST_SWEEP_SECONDS - spent))


def _is_count(text: str) -> bool:
    return text == "None" or text.isdigit()


class SessionLock:
    """A PostgreSQL advisory lock that lasts as long as a connection of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._connection: BaseDatabaseWrapper | None = None

    def acquire(self) -> bool:
        """Try to take the lock; return whether it is ours."""
        own = connections["default"].copy()
        # Not from the pool: the session is the lock, and the pool hands sessions to others.
        own.settings_dict["OPTIONS"] = {
            key: value for key, value in own.settings_dict["OPTIONS"].items() if key != "pool"
        }
        self._connection = own
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [self._name])
            return bool(cursor.fetchone()[0])

    def check(self) -> None:
        """Raise a database error when the connection, and the lock with it, is gone."""
        if self._connection is None:
            raise Error("the lock was never taken")
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def release(self) -> None:
        """Close the connection, which gives the lock back."""
        if self._connection is not None:
            try:
                self._connection.close()
            except Error as failed:
                log.debug("scheduler: %s", describe(failed))
            self._connection = None
