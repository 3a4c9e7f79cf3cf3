"""One request to one checked address with one deadline over all of it.

The time limits of an HTTP library count each read anew: a receiver that drips a byte a second, or sends
``100 Continue`` for ever, is never timed out. Here the clock is one: connecting, TLS, sending, waiting and reading
share the seconds that the request was given. The connection goes to the address that was checked, while the
certificate and the ``Host`` line are those of the name.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import httpcore
import httpx

__all__ = ["TimedTransport"]


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """Return the certificates that are trusted, read once: reading them takes longer than a request."""
    return httpx.create_ssl_context(trust_env=False)


class TimedTransport(httpx.BaseTransport):
    """Sends one request to ``address`` and lets it take ``seconds`` altogether, from now on.

    Raises httpx's own exceptions. Not to be shared: whoever sends again makes another.
    """

    def __init__(self, *, address: str, seconds: float, connect_seconds: float) -> None:
        clock = _Clock(time.monotonic() + seconds, connect_seconds)
        self._pool = httpcore.ConnectionPool(
            ssl_context=_trusted(), max_connections=1, network_backend=_Pinned(address, clock)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send and return what came back, as ``httpx`` does."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _as_httpx():
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


class _Clock:
    """What is left of the seconds of a request."""

    def __init__(self, end: float, connect_seconds: float) -> None:
        self._end, self.connect_seconds = end, connect_seconds

    def left(self, over: type[Exception]) -> float:
        """Return the seconds that are left. Raises ``over`` when there are none."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise over("the time for this request is over")
        return seconds


class _Pinned(httpcore.NetworkBackend):
    """Connects to the one address, whatever name is asked for."""

    def __init__(self, address: str, clock: _Clock) -> None:
        self._address, self._clock = address, clock
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = min(self._clock.connect_seconds, self._clock.left(httpcore.ConnectTimeout))
        stream = self._sockets.connect_tcp(
            self._address, port, seconds, local_address, socket_options
        )
        return _Timed(stream, self._clock)


class _Timed(httpcore.NetworkStream):
    """A connection whose every wait is as long as the whole request still may take."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self._stream, self._clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Not the stream's own loop, which gives each of its many sends the whole time again.
        link, rest = self._stream.get_extra_info("socket"), memoryview(buffer)
        while rest:
            link.settimeout(self._clock.left(httpcore.WriteTimeout))
            try:
                sent = link.send(rest)
            except TimeoutError as late:
                raise httpcore.WriteTimeout(str(late)) from late
            except OSError as broken:
                raise httpcore.WriteError(str(broken)) from broken
            rest = rest[sent:]

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        seconds = min(self._clock.connect_seconds, self._clock.left(httpcore.ConnectTimeout))
        secure = self._stream.start_tls(ssl_context, server_hostname, seconds)
        return _Timed(secure, self._clock)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Any) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._parts

    def close(self) -> None:
        self._parts.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise httpx's exceptions for httpcore's: they bear the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as failed:
        kind: type[httpx.TransportError] = getattr(httpx, type(failed).__name__)
        raise kind(str(failed)) from failed
