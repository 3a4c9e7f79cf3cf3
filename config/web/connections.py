"""One connection of a client: deadlines for header, body and answer, and room for the next client.

uvicorn parses and answers HTTP, but waits for ever: for a header, for a body, and for a reader who does not
read. This adds what it lacks. Everything here happens in the event loop and costs no thread.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from config.web.limits import USUAL, Limits, too_slow
from config.web.refusals import (
    BODY_TOO_SLOW,
    HEADER_TOO_LARGE,
    HEADER_TOO_SLOW,
    UNREADABLE,
    Refusal,
)


class CountingTransport:
    """A transport that knows how many bytes were given to it. Everything else is the transport's own."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.given = 0

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them until the reader takes some."""
        self.given += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HeaderTooLarge(Exception):
    """Raised inside the parser, which stops at it."""


class WatchedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with limits. One instance a connection."""

    limits: Limits = USUAL

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""
        self._tick: asyncio.TimerHandle | None = None
        # When waiting for the client began; None while it is not the client that is waited for.
        self.header_since: float | None = None
        self.body_since: float | None = None
        self.reader_since: float | None = None
        self.waits_since = time.monotonic()
        self._header_bytes = 0  # As received, while a header is waited for.
        self._lines_bytes = 0  # As parsed.
        self._too_large = False
        self._body_bytes = 0
        self._taken_before = 0

    # ── A connection begins and ends ──────────────────────────────────────────────────────────
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection; if there are too many, close the one that has idled the longest."""
        self._make_room()
        super().connection_made(CountingTransport(transport))  # type: ignore[arg-type]
        self._begin_header()
        self._tick = self.loop.call_later(self.limits.tick_seconds, self._compare)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        super().connection_lost(exc)

    def _make_room(self) -> None:
        if len(self.connections) < self.limits.connections:
            return
        idle = [
            other
            for other in self.connections
            if isinstance(other, WatchedProtocol) and other.waits_for_client
        ]
        if idle:
            leaves = min(idle, key=lambda other: (other.dear, other.waits_since))
            leaves.transport.abort()
            self.connections.discard(leaves)  # Its end is told later; the next one needs room now.

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing goes on here but waiting for the client to send or to read."""
        waits = (self.body_since, self.reader_since)
        return not self.dear or any(since is not None for since in waits)

    @property
    def dear(self) -> bool:
        """Whether a request has been begun here: less would be lost where none has."""
        return self.cycle is not None and not self.cycle.response_complete

    # ── What arrives ──────────────────────────────────────────────────────────────────────────
    def _begin_header(self) -> None:
        self.header_since = self.waits_since = time.monotonic()
        self._header_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse what came. A header that is too large or cannot be read is answered in words."""
        self._unset_keepalive_if_required()
        if not self.dear and self.body_since is None and not self._header_bytes:
            self._begin_header()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.refuse(HEADER_TOO_LARGE if self._too_large else UNREADABLE)
        except httptools.HttpParserUpgrade:
            pass  # Nobody is led to another protocol: the request is answered as it is.
        else:
            if self.header_since is not None:
                self._header_bytes += len(data)
                if self._header_bytes > self.limits.header_bytes:
                    self.refuse(HEADER_TOO_LARGE)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Hear that the client sends nothing more. Who sent a whole request may still wait for its answer.

        Returns whether the connection stays open for that; it is closed behind the answer (RFC 9112 section 9.6).
        """
        if not self.dear or self.body_since is not None:
            return False
        self.cycle.keep_alive = False
        return True

    def refuse(self, refusal: Refusal) -> None:
        """Answer instead of Django, and close. A whole request that came before gets its own answer first."""
        if self.transport.is_closing():
            return
        if self.dear and self.body_since is None:
            # What follows a whole request cannot be read. Its sender hears of the request, then no more.
            self.pipeline.clear()
            self.cycle.keep_alive = False
            self.flow.pause_reading()
        elif self.dear and self.cycle.response_started:
            self.transport.abort()  # Words in the middle of an answer would be taken for a part of it.
        else:
            self.transport.write(refusal.raw(self.url))
            self.transport.close()
        self.header_since = self.body_since = None

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._lines_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header line."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._lines_bytes += size
        limits = self.limits
        if self._lines_bytes > limits.header_bytes or len(self.headers) >= limits.headers:
            self._too_large = True
            raise HeaderTooLarge

    def on_headers_complete(self) -> None:
        """The header is there: from now on the body is waited for, if there is one."""
        self.header_since = None
        self.body_since = self.waits_since = time.monotonic()
        self._header_bytes = self._body_bytes = 0
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        self.body_since = None
        super().on_message_complete()

    def shutdown(self) -> None:
        """The process is being stopped: whole requests are answered, idle connections closed."""
        # What still arrives may do so, but it has to arrive.
        self.limits = replace(self.limits, grace_seconds=min(2, self.limits.grace_seconds))
        super().shutdown()

    def _unsupported_upgrade_warning(self) -> None:
        pass  # A line in the log for everybody who asks would be a way to fill a disk.

    # ── The watch ─────────────────────────────────────────────────────────────────────────────
    def _compare(self) -> None:
        """Compare the connection with the limits, once a tick."""
        limits, now = self.limits, time.monotonic()
        self._tick = self.loop.call_later(limits.tick_seconds, self._compare)
        if self.header_since is not None:
            if not self._header_bytes:
                # Browsers open connections in advance. There is nothing to answer.
                if now - self.header_since > limits.idle_seconds:
                    self.transport.close()
                    return
            elif now - self.header_since > limits.header_seconds:
                self.refuse(HEADER_TOO_SLOW)
                return
        if self.body_since is not None:
            if self.flow.read_paused:
                # It is Holdfast that does not read.
                self.body_since += limits.tick_seconds
            elapsed = now - self.body_since
            if elapsed > limits.body_seconds or too_slow(elapsed, self._body_bytes, limits):
                self.refuse(BODY_TOO_SLOW)
                return
        self._compare_reader(now)

    def _compare_reader(self, now: float) -> None:
        left = self.transport.get_write_buffer_size()
        taken = self.transport.given - left  # type: ignore[attr-defined]
        if not left:
            self.reader_since = None
        elif self.reader_since is None:
            self.reader_since, self._taken_before = now, taken
        elif too_slow(now - self.reader_since, taken - self._taken_before, self.limits):
            self.transport.abort()
