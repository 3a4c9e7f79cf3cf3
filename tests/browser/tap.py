"""A tap on the wire between browser and server: every byte that came to the browser, as it came.

It stands between the two as a plain forwarder of TCP, so nothing that a page, a script, a fetch or the
browser itself receives can pass beside it, and nothing depends on what the browser tells about itself.
"""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import threading
from collections.abc import Callable

BLOCK = 32


class Tap:
    """Listens on a free loopback port and forwards to ``port``; ``received`` is what went downstream."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._connections: list[bytearray] = []
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def received(self) -> list[bytes]:
        """Return what each connection brought to the browser so far."""
        with self._lock:
            return [bytes(kept) for kept in self._connections]

    def close(self) -> None:
        """Close the door and end every connection."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # The door is closed at the end.
            while True:
                browser, _ = self._door.accept()
                self._start(self._forward, browser)

    def _forward(self, browser: socket.socket) -> None:
        kept = bytearray()
        with self._lock:
            self._connections.append(kept)
        with (
            browser,
            socket.create_connection(("127.0.0.1", self._target)) as server,
            contextlib.suppress(OSError),  # Either side may hang up at any time.
        ):
            while not self._stop.is_set():
                for source in select.select([browser, server], [], [], 0.2)[0]:
                    piece = source.recv(65536)
                    if not piece:
                        return
                    if source is server:
                        with self._lock:
                            kept.extend(piece)
                    (browser if source is server else server).sendall(piece)


def traces(original: bytes, streams: list[bytes]) -> int:
    """Count the places where a run of 64 bytes of the picture in a JPEG file shows, plain or as base64.

    Looks for aligned blocks of 32 bytes, of which every run of 64 contains one. Tables in front of the
    picture are left out: every JPEG file of the same encoder has the same.
    """
    picture = original[original.index(b"\xff\xda") :]
    forms = [picture, *(base64.b64encode(picture[shift:]) for shift in range(3))]
    blocks = {
        form[at : at + BLOCK] for form in forms for at in range(0, len(form) - BLOCK + 1, BLOCK)
    }
    return sum(stream[at : at + BLOCK] in blocks for stream in streams for at in range(len(stream)))
