"""Real worker processes on the database, the Valkey and the folder of the test, to be killed by it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from django.contrib.auth.management import create_permissions
from django.core.files.storage import storages
from django.db import connection

from core.models import Blob
from tests.faults.waiting import wait_until
from tests.stack import REPOSITORY

FORKING = "AppWorker"


class Processes:
    """Starts programs of the installation under test and ends those that are left."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def worker(self, *queues: str, kind: str = FORKING, **settings: str) -> subprocess.Popen[bytes]:
        """Start a worker as the launcher does."""
        return self._manage(
            *("rqworker", *queues, "--worker-class", f"config.runtime.worker.{kind}"),
            *("--serializer", "rq.serializers.JSONSerializer"),
            **settings,
        )

    def scheduler(self) -> subprocess.Popen[bytes]:
        """Start a scheduler that sweeps every second."""
        return self._manage("scheduler", HOLDFAST_SWEEP_SECONDS="1")

    def _manage(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        database = urlsplit(os.environ["DATABASE_URL"])
        of_this_test = database._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=os.environ | {"DATABASE_URL": of_this_test} | settings,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill -9 a program and everything that it started, as the kernel does when memory runs out."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in [
                *psutil.Process(process.pid).children(recursive=True),
                psutil.Process(process.pid),
            ]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for process in self.started:
            self.kill(process)


@pytest.fixture
def processes(transactional_db: None) -> Iterator[Processes]:
    """Return what starts and kills programs; the tables are emptied only after all of them ended."""
    from django.apps import apps

    # Emptying the tables between tests may have removed guardian's permissions.
    create_permissions(apps.get_app_config("moderation"), verbosity=0)
    found = Processes()
    yield found
    found.close()


@contextlib.contextmanager
def never_ends(blob: Blob) -> Iterator[Callable[[], None]]:
    """Put a pipe in the place of an original: whoever opens it waits, as on a disk that hangs.

    Yields a function that returns once somebody waits there. Afterwards the original is back.
    """
    path = Path(storages["vault"].path(blob.storage_name))
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    os.mkfifo(path, 0o600)
    ends: list[int] = []

    def somebody_waits() -> bool:
        try:
            ends.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as failed:
            if failed.errno == errno.ENXIO:  # Nobody reads at the other end yet.
                return False
            raise
        return True

    def wait() -> None:
        wait_until(somebody_waits, what="somebody who opens the original")

    try:
        yield wait
    finally:
        path.unlink()
        aside.rename(path)
        for end in ends:
            os.close(end)
