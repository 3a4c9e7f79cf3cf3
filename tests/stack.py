"""Fixtures for fault tests: whole private installations that a test may kill.

They never touch the stores that the other tests share.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from config.runtime.postgres import OWNER, Postgres
from config.runtime.processes import end_group, kill_group
from config.runtime.services import Services, private_services
from config.runtime.valkey import Valkey

T = TypeVar("T")
REPOSITORY = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def wait_until(claim: Callable[[], T], *, seconds: float = 30, what: str = "the condition") -> T:
    """Return the first true answer of ``claim``; fail the test when none comes in time."""
    end = time.monotonic() + seconds
    while not (answer := claim()):
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come true within {seconds:.0f} s")
        time.sleep(0.05)
    return answer


class PrivateStack:
    """PostgreSQL and Valkey with a data folder of their own, and processes that use them."""

    def __init__(self, var: Path, services: Services) -> None:
        assert services.postgres
        assert services.valkey
        self.var = var
        self.postgres: Postgres = services.postgres
        self.valkey: Valkey = services.valkey
        self._spawned: list[subprocess.Popen[bytes]] = []

    def env(self, **changes: str) -> dict[str, str]:
        """Return the environment of a process of this installation, signed in as the owner."""
        return os.environ | {
            "HOLDFAST_VAR": str(self.var),
            "HOLDFAST_TESTING": "1",
            "DATABASE_URL": self.postgres.url(OWNER),
            "REDIS_URL": self.valkey.url(),
            "PYTHONUNBUFFERED": "1",
            **changes,
        }

    def manage(self, *arguments: str, **changes: str) -> str:
        """Run a management command to its end and return what it printed. Fails on failure."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=self.env(**changes),
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def spawn(self, *arguments: str, **changes: str) -> subprocess.Popen[bytes]:
        """Start ``python …`` beside the test, in a group of its own, ended with the test."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env=self.env(**changes),
            start_new_session=True,
        )
        self._spawned.append(process)
        return process

    def kill_postgres(self) -> None:
        """Kill -9 the postmaster, as a machine running out of memory would."""
        assert self.postgres.process
        self.postgres.process.send_signal(signal.SIGKILL)
        self.postgres.process.wait()

    def kill_valkey(self) -> None:
        """Kill -9 the Valkey server."""
        assert self.valkey.process
        self.valkey.process.send_signal(signal.SIGKILL)
        self.valkey.process.wait()

    def close(self) -> None:
        for process in self._spawned:
            end_group(process, timeout=5)
            kill_group(process.pid)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return an empty folder with a path short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-stack-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def private_stack(short_folder: Path) -> Iterator[PrivateStack]:
    """Start an installation apart from the shared one. Not migrated: ``manage("migrate")`` does it."""
    with ExitStack() as opened:
        services = opened.enter_context(private_services(short_folder, durable=False))
        stack = PrivateStack(short_folder, services)
        opened.callback(stack.close)
        yield stack
