"""Between the event loop and Django's WSGI handler: a thread is taken for work, not for waiting.

A small body is read to its end before a thread is taken for its request; nobody is slowed down by whoever
sends half of one. A large one is handed on piece by piece to the thread that reads it, which the WSGI
environment says (``holdfast.body_arrives``), so that Django asks who sends it before it reads. No body is
written to a disk here, and none is read ahead. Answers leave their thread at once up to a size, larger ones
at the pace of their reader, which has a lowest rate.

Django's own ASGI handler is not used: it writes every larger body into a temporary file.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from config.web.answers import Exchange, Head, Outlet, Send
from config.web.bodies import ArrivingBody, Gone, HeldBodies, Receive
from config.web.limits import USUAL, Limits
from config.web.refusals import (
    BUSY,
    LATE,
    NO_HEALTH,
    NO_HOST,
    STOPPING,
    Refusal,
    RequestRefused,
    ambiguous_header,
    too_large,
)

Scope = MutableMapping[str, Any]
Environ = dict[str, Any]
Answered = tuple[Head | None, bytes]
"""What is left to send of an answer: its head, unless that was sent, and its last piece."""

HEALTH = b"/healthz"


class Application(Protocol):
    """A WSGI application (PEP 3333)."""

    def __call__(self, meta: Environ, start_response: Any, /) -> Iterable[bytes]: ...


def environ_of(scope: Scope) -> Environ:
    """Return a request as PEP 3333 wants it: header bytes as they came, read as Latin-1. Raises RequestRefused.

    Bytes of 0x80 and more arrive: Django reads cookies and paths from them as UTF-8, and whoever wants ASCII
    only (``Idempotency-Key``) sees that it is not.
    """
    hosts = sum(name == b"host" for name, _ in scope["headers"])
    if hosts > 1 or (not hosts and scope["http_version"] == "1.1"):
        raise RequestRefused(NO_HOST)
    client, server = scope.get("client") or ("", 0), scope.get("server") or ("", 0)
    raw_path = scope.get("raw_path") or scope["path"].encode()
    meta: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(raw_path.partition(b"?")[0]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" in name:
            # X_Forwarded_For would become the same name as X-Forwarded-For, which only a proxy may set.
            raise RequestRefused(ambiguous_header(name))
        key = name.upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        if key in meta:
            value = f"{meta[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        meta[key] = value
    return meta


class Bridge:
    """An ASGI application that runs a WSGI one in a bounded number of threads.

    ``largest`` is how many bytes a request may have, and ``in_words`` says such a number to people. At most
    half of the threads take large bodies, however many are sent.
    """

    def __init__(
        self,
        application: Application,
        *,
        threads: int,
        largest: int,
        in_words: Callable[[int], str],
        limits: Limits = USUAL,
    ) -> None:
        self.application = application
        self.limits = limits
        self.largest = largest
        self.in_words = in_words
        self.threads = threads
        self.held = HeldBodies(limits)
        self.unanswered = 0
        self.stopping = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")
        # Whoever asks whether all is well is answered also while every other thread waits for something.
        self._health = ThreadPoolExecutor(2, thread_name_prefix="health")
        self._arriving = asyncio.Semaphore(max(1, threads // 2))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in start and end of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(Exchange(scope, receive, send, self.limits))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                self.stopping = True
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._health.shutdown(wait=False, cancel_futures=True)
            await send({"type": f"{kind}.complete"})
            if self.stopping:
                return

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._take(exchange, environ_of(exchange.scope))
        except RequestRefused as refused:
            await exchange.refuse(refused.refusal)
        except Gone:
            return  # Nobody is there to be answered.

    async def _take(self, exchange: Exchange, meta: Environ) -> None:
        """Read the body, or have it read, and let Django answer. Raises RequestRefused and Gone."""
        chunked = "HTTP_TRANSFER_ENCODING" in meta
        length = int(meta.get("CONTENT_LENGTH") or 0)
        if length > self.largest:
            raise RequestRefused(too_large(self.in_words(length), self.in_words(self.largest)))
        if chunked or length <= self.limits.held_body:
            body = await self.held.read(exchange.receive) if chunked or length else b""
            exchange.is_read = True
            meta["CONTENT_LENGTH"] = str(len(body)) if body else meta.get("CONTENT_LENGTH", "")
            meta["wsgi.input"] = io.BytesIO(body)
            await self._work(exchange, meta)
            return
        try:
            await asyncio.wait_for(self._arriving.acquire(), self.limits.arriving_seconds)
        except TimeoutError:
            raise RequestRefused(BUSY) from None
        try:
            exchange.arriving = ArrivingBody(exchange.receive, asyncio.get_running_loop())
            meta["wsgi.input"] = io.BufferedReader(exchange.arriving, 64 * 1024)
            meta["holdfast.body_arrives"] = True
            finish = await self._run(exchange, meta)
        finally:
            self._arriving.release()
        await finish

    async def _work(self, exchange: Exchange, meta: Environ) -> None:
        await (await self._run(exchange, meta))

    async def _run(self, exchange: Exchange, meta: Environ) -> Coroutine[Any, Any, None]:
        """Run Django in a thread. Returns what is left to do when the thread is free again."""
        if self.stopping:
            raise RequestRefused(STOPPING)
        loop = asyncio.get_running_loop()
        if exchange.path == HEALTH:
            work = self._health.submit(self._in_thread, exchange, meta, loop)
            is_deep = "deep" in meta["QUERY_STRING"]
            limit = self.limits.deep_health_seconds if is_deep else self.limits.health_seconds
            head, rest = await self._in_time(exchange, work, (limit, NO_HEALTH), (limit, NO_HEALTH))
        else:
            if self.unanswered >= self.threads + self.limits.queue:
                raise RequestRefused(BUSY)
            self.unanswered += 1
            work = self._pool.submit(self._in_thread, exchange, meta, loop)
            work.add_done_callback(lambda _: self._is_free(loop))
            head, rest = await self._in_time(
                exchange,
                work,
                (self.limits.thread_seconds, BUSY),
                (self.limits.answer_seconds, LATE),
            )

        async def finish() -> None:
            if head is not None:
                await exchange.begin(head)
            await exchange.finish(rest)

        return finish()

    def _is_free(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count a thread that ended its request, whether or not somebody still waited for it."""

        def count() -> None:
            self.unanswered -= 1

        with suppress(RuntimeError):  # The process has ended.
            loop.call_soon_threadsafe(count)

    async def _in_time(
        self,
        exchange: Exchange,
        work: Future[Answered],
        before: tuple[float, Refusal],
        within: tuple[float, Refusal],
    ) -> Answered:
        """Wait for a thread to take a request, then for the beginning of its answer, so long and no longer.

        Nothing in the thread is needed for that: it may hang. Raises RequestRefused.
        """
        future = asyncio.wrap_future(work)
        future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        (seconds, refusal), is_taken, since = before, False, time.monotonic()
        while True:
            left = since + seconds - time.monotonic()
            # A thread that becomes free takes a request without a word: a look now and then notices.
            await asyncio.wait({future}, timeout=min(max(left, 0), self.limits.tick_seconds))
            if future.done():
                return future.result()
            now = time.monotonic()
            if not is_taken and work.running():
                (seconds, refusal), is_taken, since = within, True, now
            arriving = exchange.arriving
            if exchange.begun or (is_taken and arriving is not None and not arriving.complete):
                since = now
            if now - since >= seconds and (is_taken or work.cancel()):
                exchange.given_up = True
                raise RequestRefused(refusal)

    def _in_thread(
        self, exchange: Exchange, meta: Environ, loop: asyncio.AbstractEventLoop
    ) -> Answered:
        """Run Django. Returns what is left to send, without the head if that was sent already."""
        head = Head(500, [])

        def start_response(status: str, headers: list[tuple[str, str]], exc: Any = None) -> None:
            nonlocal head
            pairs = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers]
            head = Head(int(status[:3]), pairs)

        outlet = Outlet(exchange, loop)
        result = self.application(meta, start_response)
        try:
            parts: list[bytes] = []
            size = 0
            for part in () if meta["REQUEST_METHOD"] == "HEAD" else result:
                parts.append(part)
                size += len(part)
                if size >= self.limits.held_answer:
                    outlet.put(head, b"".join(parts))
                    parts.clear()
            return (None if outlet.is_open else head), b"".join(parts)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
