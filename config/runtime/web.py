"""``python -m config.runtime.web``: the web server of one machine, several processes on one address.

uvicorn's supervisor starts them, starts a dead or hung one again, and has each finish its requests at the end
(SIGTERM). A SIGHUP replaces them one by one. What a connection may cost stands in ``config.web.limits``.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import socket
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from config.web.connections import WatchedProtocol
from config.web.limits import USUAL

if TYPE_CHECKING:
    from config.web.bridge import Bridge

APPLICATION = "config.runtime.web:application"
LONGEST_STOP = 15
HUNG_AFTER = 60
DESCRIPTORS = 4096
BACKLOG = 1024


def application() -> Bridge:
    """Return what each process serves. One that cannot load it ends the whole server, not only itself."""
    try:
        # Apart from the event loop: whether the database fits is asked on the way, and Django asks it
        # nothing inside of one.
        with ThreadPoolExecutor(1) as apart:
            return apart.submit(_load).result()
    except SystemExit as refused:
        print(refused.code, file=sys.stderr)
        raise SystemExit(STARTUP_FAILURE) from None
    except Exception:  # noqa: BLE001 — whatever it is, the next process would fail at it as well
        traceback.print_exc()
        raise SystemExit(STARTUP_FAILURE) from None


def _load() -> Bridge:
    from django.db import connections

    from config.asgi import application as loaded
    from core.postgres_link import LimitedConnection

    LimitedConnection.answer_seconds = USUAL.database_seconds
    connections.close_all()  # What was asked on the way; this thread asks nothing more.
    return loaded


class Processes(Multiprocess):
    """uvicorn's supervisor, which notices a dead process at once also when it has just asked it for a sign."""

    def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._silent_since: dict[int | None, float] = {}

    def keep_subprocess_alive(self) -> None:
        """Replace what died or hangs. One that could not even start ends the server."""
        for number, process in enumerate(self.processes):
            if process.is_alive(timeout=1):
                self._silent_since.pop(process.pid, None)
                continue
            now = time.monotonic()
            hangs = process.process.is_alive()
            if hangs and now - self._silent_since.setdefault(process.pid, now) < HUNG_AFTER:
                continue
            process.kill()
            process.join()
            how = "hung and was ended" if hangs else f"ended with status {process.exitcode}"
            print(f"Process {process.pid} of the web server {how}.", file=sys.stderr)
            if process.exitcode == STARTUP_FAILURE:
                self.should_exit.set()
                return
            self.processes[number] = Process(self.config, self.sockets)
            self.processes[number].start()


def serving(processes: int) -> Config:
    """Return how each process serves. Nothing is logged here: Django's log has what there is to say."""
    return Config(
        APPLICATION,
        factory=True,
        http=WatchedProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        workers=processes,
        log_config=None,
        access_log=False,
        # Django itself decides whom to believe about addresses.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=USUAL.idle_seconds,
        timeout_graceful_shutdown=LONGEST_STOP,
        timeout_worker_healthcheck=HUNG_AFTER,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError, also when somebody else has bound it and listens first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    link = socket.socket(family)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        link.bind((host, port))
        # At once: two that have only bound an address do not notice each other (SO_REUSEADDR).
        link.listen(BACKLOG)
    except OSError:
        link.close()
        raise
    link.set_inheritable(True)
    return link


def main() -> int:
    """Serve until a signal says otherwise. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))
    parser.add_argument("--fd", type=int, help="a listening socket that was inherited, instead")
    given = parser.parse_args()
    processes = int(os.environ.get("HOLDFAST_WEB_PROCESSES") or 2)
    os.umask(0o077)
    os.chdir(Path(__file__).resolve().parent.parent.parent)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        if given.fd is None:
            link = listen(given.host, given.port)
        else:
            link = socket.socket(fileno=given.fd)
    except OSError as error:
        print(f"Cannot listen at {given.host}:{given.port}: {error.strerror}", file=sys.stderr)
        return 1
    supervisor = Processes(serving(processes), sockets=[link])
    supervisor.run()
    failed = any(process.exitcode not in {0, -signal.SIGTERM} for process in supervisor.processes)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
