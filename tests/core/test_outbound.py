"""One deadline over a whole request, over real loopback sockets, and plain words for what went wrong."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from core import outbound

SECONDS = 1.0
PATIENCE = 8.0
"""Far more than SECONDS, for a busy machine, and far less than these receivers would take."""

Play = Callable[[socket.socket], None]


def silent(link: socket.socket) -> None:
    """Take everything and say nothing, until the other side goes."""
    while link.recv(65536):
        pass


def continues(link: socket.socket) -> None:
    """Say again and again that the request may go on."""
    while True:
        link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)


def drips_a_header(link: socket.socket) -> None:
    """Send one header, a byte at a time."""
    link.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        link.sendall(b"x")
        time.sleep(0.1)


def drips_a_body(link: socket.socket) -> None:
    """Send an answer's body, a byte at a time."""
    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        link.sendall(b"x")
        time.sleep(0.1)


def reads_slowly(link: socket.socket) -> None:
    """Take the request a kilobyte at a time."""
    while link.recv(1024):
        time.sleep(0.1)


def take_the_request(link: socket.socket) -> None:
    """Read a whole request, or a ClientHello (RFC 8446, section 5.1: 22 is a handshake).

    A connection closed before that is reset, and what was answered may be lost with it.
    """
    taken = b""
    while not taken.startswith(b"\x16") and not taken.endswith(b"\r\n\r\n{}"):
        piece = link.recv(65536)
        assert piece
        taken += piece


def breaks_off(link: socket.socket) -> None:
    """Read the request, then end the connection without a word."""
    take_the_request(link)


def no_http(link: socket.socket) -> None:
    """Answer in another language."""
    take_the_request(link)
    link.sendall(b"220 mail.example ready\r\n")


class Host:
    """Listens on loopback and plays one part to everybody who comes."""

    def __init__(self, play: Play) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port = self._socket.getsockname()[1]
        self._play = play
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                link, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def _talk(self, link: socket.socket) -> None:
        with link, suppress(OSError):
            self._play(link)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # Wakes the thread that accepts.
        self._socket.close()


@pytest.fixture
def host() -> Iterator[Callable[[Play], Host]]:
    """Return what starts a host; all of them end with the test."""
    started: list[Host] = []

    def start(play: Play) -> Host:
        started.append(Host(play))
        return started[-1]

    yield start
    for one in started:
        one.close()


def words_after(url: str, body: bytes = b"{}") -> str:
    """Return what is said of a request that fails."""
    with (
        pytest.raises((httpx.HTTPError, OSError)) as failed,
        outbound.posting(
            url, body, {}, connect_seconds=SECONDS, seconds=SECONDS, allow_private=True
        ) as answer,
    ):
        answer.read()
    return outbound.words_for(failed.value)


@pytest.mark.parametrize("play", [silent, continues, drips_a_header, drips_a_body])
def test_a_receiver_that_drips_or_hangs_gets_its_seconds_and_no_more(
    play: Play, host: Callable[[Play], Host]
) -> None:
    began = time.monotonic()
    assert words_after(f"http://127.0.0.1:{host(play).port}/") == "No answer in time."
    assert time.monotonic() - began < PATIENCE


def test_a_receiver_that_reads_slowly_gets_its_seconds_and_no_more(
    host: Callable[[Play], Host],
) -> None:
    began = time.monotonic()
    url = f"http://127.0.0.1:{host(reads_slowly).port}/"
    assert words_after(url, b"x" * 10_000_000) == "No answer in time."
    assert time.monotonic() - began < PATIENCE


def test_a_handshake_that_never_ends_is_ended(host: Callable[[Play], Host]) -> None:
    began = time.monotonic()
    assert words_after(f"https://127.0.0.1:{host(silent).port}/") == "No connection in time."
    assert time.monotonic() - began < PATIENCE


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    may_answer = threading.Event()

    def hangs(*_: Any, **__: Any) -> list[Any]:
        may_answer.wait(60)
        return []

    monkeypatch.setattr(outbound.socket, "getaddrinfo", hangs)
    began = time.monotonic()
    words = words_after("http://slow.example/")
    may_answer.set()
    assert words == "The host name was not resolved in time."
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(
    ("play", "words"),
    [
        (breaks_off, "No answer: what came back is not a whole HTTP answer."),
        (no_http, "No answer: what came back is not a whole HTTP answer."),
    ],
)
def test_a_broken_answer_is_told_in_plain_words(
    play: Play, words: str, host: Callable[[Play], Host]
) -> None:
    assert words_after(f"http://127.0.0.1:{host(play).port}/") == words


def test_nobody_there_and_no_tls_there_are_told_apart(host: Callable[[Play], Host]) -> None:
    closed = host(silent)
    closed.close()
    assert "nobody listens" in words_after(f"http://127.0.0.1:{closed.port}/")
    assert "TLS" in words_after(f"https://127.0.0.1:{host(no_http).port}/")


@pytest.mark.parametrize(
    "failed",
    [
        httpx.ReadError("x"),
        httpx.WriteError("x"),
        httpx.PoolTimeout("x"),
        httpx.LocalProtocolError("x"),
        httpx.UnsupportedProtocol("x"),
        httpx.InvalidURL("x"),
        httpx.ConnectError("x"),
        ssl.SSLCertVerificationError("x"),
        OSError("x"),
    ],
)
def test_no_failure_is_told_by_the_name_of_a_library(failed: Exception) -> None:
    words = outbound.words_for(failed)
    assert type(failed).__name__ not in words
    assert words.endswith(".")
