"""Answers on their way out: small ones at once, large ones piece by piece at the pace of their reader."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from config.web.bodies import ArrivingBody, Gone, Receive, drain
from config.web.limits import Limits
from config.web.refusals import Refusal

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Head:
    """Status and headers of an answer."""

    status: int
    headers: list[tuple[bytes, bytes]]


class Exchange:
    """One request and its answer, seen from the event loop."""

    def __init__(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, limits: Limits
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.limits = limits
        self.arriving: ArrivingBody | None = None
        self.is_read = False
        self.gone = False
        self.begun = False
        self.given_up = False
        """Whether somebody else answered, because the thread took too long."""
        self._send = send
        self._watch: asyncio.Task[None] | None = None

    @property
    def path(self) -> bytes:
        """The path as it came."""
        return bytes(self.scope.get("raw_path") or b"")

    def _body_is_read(self) -> bool:
        return self.is_read or (self.arriving is not None and self.arriving.complete)

    def _awaits_leave_to_send(self) -> bool:
        """Whether the client asked before sending its body, and was not told to go on."""
        expects = (b"expect", b"100-continue") in [(n, v.lower()) for n, v in self.scope["headers"]]
        return expects and not self._body_is_read() and not (self.arriving and self.arriving.begun)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer without Django."""
        headers, body = refusal.answer(self.path)
        await self.begin(Head(refusal.status, headers))
        await self.finish(b"" if self.scope["method"] == "HEAD" else body)

    async def begin(self, head: Head) -> None:
        """Send status and headers."""
        self.begun = True
        headers = list(head.headers)
        if self._awaits_leave_to_send():
            # It may or may not send the body now: what comes next cannot be told from a new request.
            headers.append((b"connection", b"close"))
            self.is_read = True
        message = {"type": "http.response.start", "status": head.status, "headers": headers}
        await self._send(message)

    async def begin_in_time(self, head: Head) -> None:
        """Send status and headers for a thread. Raises Gone when it comes too late."""
        if self.given_up:
            raise Gone("the request was answered without this thread")
        await self.begin(head)

    async def put(self, piece: bytes) -> None:
        """Send a piece once the reader has taken those before. Raises Gone."""
        if self._watch is None and self._body_is_read():
            self._watch = asyncio.create_task(self._notice_the_end())
        if self.gone:
            raise Gone("the reader left")
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        if self.gone:
            raise Gone("the reader left")

    async def finish(self, piece: bytes) -> None:
        """Send the last piece, hear out a sender who still sends, and end the answer."""
        if not self._body_is_read():
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            await drain(self.receive, self.limits)
            piece = b""
        await self._send({"type": "http.response.body", "body": piece, "more_body": False})

    async def _notice_the_end(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.gone = True


class Outlet:
    """How a thread sends an answer that is too large to be held."""

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop
        self.is_open = False

    def put(self, head: Head, piece: bytes) -> None:
        """Send a piece, the head first, and wait until there is room for the next. Raises Gone."""
        if not self.is_open:
            self.is_open = True
            self._wait(self._exchange.begin_in_time(head))
        self._wait(self._exchange.put(piece))

    def _wait(self, sending: Any) -> None:
        try:
            asyncio.run_coroutine_threadsafe(sending, self._loop).result()
        except (CancelledError, RuntimeError):
            sending.close()
            raise Gone("the server stops") from None
