"""A web server in this process, with a small WSGI application and limits short enough to be waited for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest
from uvicorn import Config, Server

from config.web.bridge import Bridge
from config.web.connections import WatchedProtocol
from config.web.limits import Limits
from core.errors import in_words
from tests.stack import wait_until

SHORT = Limits(
    header_seconds=0.6,
    idle_seconds=1,
    grace_seconds=0.6,
    lowest_rate=100_000,
    held_body=10_000,
    held_bodies=40_000,
    held_answer=50_000,
    connections=40,
    queue=5,
    arriving_seconds=1,
    linger_seconds=2,
    tick_seconds=0.1,
)
LARGEST = 5_000_000


class Served:
    """A running server, its port, and what its application was given."""

    def __init__(self, application: Any, limits: Limits) -> None:
        self.port = 0
        self.bridge = Bridge(
            application, threads=4, largest=LARGEST, in_words=in_words, limits=limits
        )
        protocol = type("Protocol", (WatchedProtocol,), {"limits": limits})
        self._link = socket.socket()
        self._link.bind(("127.0.0.1", 0))
        self.port = self._link.getsockname()[1]
        config = Config(
            self.bridge,
            http=protocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=limits.idle_seconds,
            timeout_graceful_shutdown=3,
        )
        self.server = Server(config)
        self._thread = threading.Thread(target=self.server.run, args=([self._link],))
        self._clients: list[socket.socket] = []

    def start(self) -> None:
        """Serve; returns when the first connection can be made."""
        self._thread.start()
        wait_until(lambda: self.server.started, what="the server")

    def stop(self) -> None:
        """End as a process does on SIGTERM."""
        self.server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    def close(self) -> None:
        """End the clients, then the server."""
        for client in self._clients:
            client.close()
        self.stop()

    def connect(self, data: bytes = b"") -> socket.socket:
        """Return a connection on which ``data`` was sent."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        self._clients.append(client)
        if data:
            client.sendall(data)
        return client

    def ask(self, data: bytes) -> bytes:
        """Send a request and return what comes until the server closes or the answer is complete."""
        return read_answer(self.connect(data))


def read_answer(client: socket.socket) -> bytes:
    """Return the next answer on a connection, or what came of it before the connection ended."""
    got = b""
    with suppress(ConnectionError):
        while piece := client.recv(65536):
            got += piece
            head, end, body = got.partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
            if end and length and len(body) >= length[0]:
                break
    return got


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves a WSGI application, with changed limits if given."""
    with ExitStack() as opened:

        def serve_it(application: Any, **changes: Any) -> Served:
            served = Served(application, replace(SHORT, **changes))
            served.start()
            opened.callback(served.close)
            return served

        yield serve_it
