"""Bodies on their way in: small ones held in memory, large ones handed to the thread that reads them."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from config.web.limits import Limits
from config.web.refusals import BUSY, LENGTH_REQUIRED, RequestRefused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Gone(ConnectionError):
    """The client has left, or has been closed for being too slow. Django makes UnreadablePostError of it."""


class HeldBodies:
    """Reads bodies into memory, all of them together within a budget.

    Whoever needs more than is left takes it from the request that has been incomplete for the longest
    time: a body of an honest sender is complete within milliseconds.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.size = 0
        self._reading: dict[asyncio.Task[Any], bool] = {}  # Oldest first; True: has to go.

    async def read(self, receive: Receive) -> bytes:
        """Return a whole body. Raises Gone, or RequestRefused for one that is too long or has to make room."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("bodies are read in tasks")
        self._reading[task] = False
        body = bytearray()
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                piece = message.get("body", b"")
                body += piece
                self.size += len(piece)
                if len(body) > self.limits.held_body:
                    raise RequestRefused(LENGTH_REQUIRED)
                if not message.get("more_body"):
                    return bytes(body)
                if self.size > self.limits.held_bodies:
                    self._make_room(task)
        except asyncio.CancelledError:
            if not self._reading[task]:
                raise
            task.uncancel()
            raise RequestRefused(BUSY) from None
        finally:
            self.size -= len(body)
            del self._reading[task]

    def _make_room(self, newest: asyncio.Task[Any]) -> None:
        oldest = next(task for task, goes in self._reading.items() if not goes)
        if oldest is newest:
            raise RequestRefused(BUSY)
        self._reading[oldest] = True
        oldest.cancel()


class ArrivingBody(io.RawIOBase):
    """A body that a thread reads while it arrives; the network waits for the thread, and it for the network."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._receive = receive
        self._loop = loop
        self._left = memoryview(b"")
        self.begun = False
        self.complete = False

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what is there; 0 is the end. Raises Gone."""
        while not self._left and not self.complete:
            self._left = memoryview(self._next())
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def _next(self) -> bytes:
        self.begun = True
        waiting = self._receive()
        try:
            message = asyncio.run_coroutine_threadsafe(_await(waiting), self._loop).result()
        except (CancelledError, RuntimeError):  # The process is being stopped.
            raise Gone("the server stops") from None
        if message["type"] == "http.disconnect":
            raise Gone("the connection ended inside the body")
        self.complete = not message.get("more_body")
        return bytes(message.get("body", b""))


async def _await(waiting: Awaitable[MutableMapping[str, Any]]) -> MutableMapping[str, Any]:
    return await waiting


async def drain(receive: Receive, limits: Limits) -> None:
    """Throw away the rest of a body whose request has been answered, within a time and a size.

    A connection that is closed on a sender who still sends takes the answer away from it.
    """
    left, end = limits.linger_bytes, time.monotonic() + limits.linger_seconds
    with suppress(TimeoutError):
        while left > 0:
            message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
            left -= len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return
