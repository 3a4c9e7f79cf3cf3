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
from pathlib import Path

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from config.web.connections import WatchedProtocol
from config.web.limits import USUAL

APPLICATION = "config.asgi:application"
LONGEST_STOP = 15
HUNG_AFTER = 60
DESCRIPTORS = 4096


def serving(processes: int) -> Config:
    """Return how each process serves. Nothing is logged here: Django's log has what there is to say."""
    return Config(
        APPLICATION,
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
        backlog=1024,
        timeout_keep_alive=USUAL.idle_seconds,
        timeout_graceful_shutdown=LONGEST_STOP,
        timeout_worker_healthcheck=HUNG_AFTER,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    link = socket.socket(family)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    link.bind((host, port))
    link.set_inheritable(True)
    return link


def main() -> int:
    """Serve until a signal says otherwise. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))
    given = parser.parse_args()
    processes = int(os.environ.get("HOLDFAST_WEB_PROCESSES") or 2)
    os.umask(0o077)
    os.chdir(Path(__file__).resolve().parent.parent.parent)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        link = listen(given.host, given.port)
    except OSError as error:
        print(f"Cannot listen at {given.host}:{given.port}: {error.strerror}", file=sys.stderr)
        return 1
    supervisor = Multiprocess(serving(processes), sockets=[link])
    supervisor.run()
    failed = any(process.exitcode not in {0, -signal.SIGTERM} for process in supervisor.processes)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
