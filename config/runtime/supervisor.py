"""Keeps the processes of one installation running, and ends them together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from config.runtime.processes import (
    ServiceError,
    birth,
    die_with_parent,
    end_group,
    kill_group,
    same_process,
)

FIRST_WAIT = 0.5
LONGEST_WAIT = (
    8.0  # Whatever ended it (a store that is away), it is back soon after that has ended.
)
HEALTHY_AFTER = 60.0  # Seconds of life after which an earlier crash is forgiven.
LOG_LIMIT = 20 * 1024 * 1024
ECHOED_LINES = 12
ECHOED_LETTERS = 240


@dataclass(frozen=True)
class Program:
    """One process to keep running. ``grace`` is how many seconds it may take to stop, ``sockets`` what it inherits."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    grace: float = 20
    sockets: tuple[int, ...] = ()


class Store(Protocol):
    """A private server that its owner starts and stops; here it is only restarted."""

    def died(self) -> bool: ...

    def start(self) -> object: ...


@dataclass
class _Life:
    """What is known about one program: its process, and when it may be born again."""

    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    wait: float = FIRST_WAIT
    next_start: float = 0.0
    log_mark: int = 0


@dataclass
class Supervisor:
    """Starts programs, restarts the dead with growing waits, writes their output to ``logs``.

    Not thread-safe: ``die_with_parent`` is bound to the thread that started a child.
    """

    folder: Path
    logs: Path
    say: Callable[[str], None]
    programs: dict[str, Program] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)
    _lives: dict[str, _Life] = field(default_factory=dict)
    _store_waits: dict[str, tuple[float, float]] = field(default_factory=dict)

    def start(self, program: Program) -> None:
        """Start a program and keep it running from now on."""
        self.programs[program.name] = program
        self._lives[program.name] = _Life()
        self._spawn(program.name)

    def alive(self, name: str) -> bool:
        """Say whether the program's process runs at this moment."""
        process = self._lives[name].process
        return process is not None and process.poll() is None

    def tend(self) -> None:
        """Restart what has died since the last call. Never waits."""
        now = time.monotonic()
        for name, store in self.stores.items():
            if store.died():
                self._revive(name, store, now)
        for name, life in self._lives.items():
            if life.process is not None and life.process.poll() is not None:
                self._bury(name, life, life.process, now)
            elif life.process is None and now >= life.next_start:
                self._spawn(name)

    def stop(self) -> None:
        """End every program, in the order of starting, and wait for them."""
        running = {name: life.process for name, life in self._lives.items() if life.process}
        for process in running.values():
            if process.poll() is None:
                process.terminate()
        asked = time.monotonic()  # All at once, so the time of all runs at once.
        for name, process in running.items():
            grace = self.programs[name].grace
            try:
                process.wait(max(0.0, asked + grace - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.say(f"{name} is still busy after {grace:.0f} s; it is ended now")
            # A worker takes the second request as "leave the job"; its row is found again later.
            end_group(process, timeout=3)
            self._lives[name].process = None
        self._note()

    def kill(self, name: str) -> None:
        """End one program and its group at once. Cannot be undone."""
        process = self._lives[name].process
        if process is not None:
            kill_group(process.pid)
            process.wait()

    def reap_leftovers(self) -> None:
        """End what a killed launcher left running. Processes of others are never touched.

        Needed where the kernel does not end children with their parent (macOS).
        """
        for line in self._ledger.read_text().splitlines() if self._ledger.exists() else []:
            pid, _, born = line.partition(" ")
            if same_process(int(pid), born):
                kill_group(int(pid))
        self._ledger.unlink(missing_ok=True)

    # ── One program ───────────────────────────────────────────────────────────────────────────
    @property
    def _ledger(self) -> Path:
        return self.folder / "processes"

    def _note(self) -> None:
        running = [life.process.pid for life in self._lives.values() if life.process]
        self._ledger.write_text("".join(f"{pid} {birth(pid)}\n" for pid in running))

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _spawn(self, name: str) -> None:
        program, life = self.programs[name], self._lives[name]
        log = self._log(name)
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as out:
            life.log_mark = out.seek(0, os.SEEK_END)
            life.process = subprocess.Popen(
                program.command,
                env=dict(program.env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
                pass_fds=program.sockets,
            )
        life.since = time.monotonic()
        self._note()

    def _bury(self, name: str, life: _Life, process: subprocess.Popen[bytes], now: float) -> None:
        kill_group(process.pid)  # For example the server behind a killed master process.
        if now - life.since > HEALTHY_AFTER:
            life.wait = FIRST_WAIT
        life.process, life.next_start = None, now + life.wait
        code = process.returncode
        how = f"was killed (signal {-code})" if code < 0 else f"stopped (status {code})"
        self.say(f"{name} {how}; it starts again in {life.wait:.1f} s. {self._log(name)} ends:")
        for line in self.last_words(name):
            self.say(f"    {line}")
        life.wait = min(life.wait * 2, LONGEST_WAIT)

    def last_words(self, name: str) -> list[str]:
        """Return the last lines that the program's present process wrote."""
        with self._log(name).open("rb") as log:
            log.seek(self._lives[name].log_mark)
            lines = log.read().decode(errors="replace").splitlines()[-ECHOED_LINES:]
        return [
            line if len(line) <= ECHOED_LETTERS else f"{line[: ECHOED_LETTERS - 1]}…"
            for line in lines
        ]

    def _revive(self, name: str, store: Store, now: float) -> None:
        wait, next_start = self._store_waits.get(name, (FIRST_WAIT, 0.0))
        if now < next_start:
            return
        self.say(f"{name} stopped; starting it again")
        try:
            store.start()
            self._store_waits.pop(name, None)
        except ServiceError as error:
            self.say(str(error))
            self._store_waits[name] = (min(wait * 2, LONGEST_WAIT), now + wait)


def python(*arguments: str) -> list[str]:
    """Return the command that runs this interpreter."""
    return [sys.executable, *arguments]
