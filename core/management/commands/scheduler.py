"""The one process that looks for waiting rows."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from core.errors import describe
from core.jobs import beat, run_sweeps
from core.models import Heartbeat
from core.turns import Turn

log = logging.getLogger(__name__)
NAME = "scheduler"
STANDBY_SECONDS = 2.0


class Command(BaseCommand):
    """Run the sweeps every ``HOLDFAST_SWEEP_SECONDS``.

    Start it on as many machines as you like: a row in PostgreSQL says whose turn it is, the others stand by, and
    one of them takes over within seconds of its death. Works behind poolers; survives restarts of PostgreSQL and
    Valkey. Stops within a sweep on SIGTERM or Ctrl-C.
    """

    help = "Find rows that wait for work and wake the workers for them."

    def handle(self, *args: Any, **options: Any) -> None:
        self._stop = threading.Event()
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, self._leave)
        holder = f"{socket.gethostname()[:120]} {os.getpid()} {secrets.token_hex(8)}"
        waiting_said = False
        while not self._stop.is_set():
            turn = Turn(NAME, holder)
            try:
                if not turn.take():
                    if not waiting_said:
                        self._say("Another scheduler is at work; standing by.")
                        waiting_said = True
                    close_old_connections()
                    self._stop.wait(STANDBY_SECONDS)
                    continue
                waiting_said = False
                self._say("Scheduler at work.")
                with turn:
                    self._work(turn)
            except Exception as failed:  # noqa: BLE001 — a restart of the database ends here
                log.warning("scheduler: %s; trying again", describe(failed))
                close_old_connections()
                self._stop.wait(1)
        self._say("Scheduler stopped.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # Into a pipe or a journal too, where nobody waits for a full buffer.

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _work(self, turn: Turn) -> None:
        while not self._stop.is_set() and turn.is_held():
            began = time.monotonic()
            outcome = run_sweeps(is_over=lambda: self._stop.is_set() or not turn.is_held())
            if self._stop.is_set() or not turn.is_held():
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
