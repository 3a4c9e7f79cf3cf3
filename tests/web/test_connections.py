"""Deadlines, rates and room: what a client may cost that sends or reads too slowly, or lies."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.stack import wait_until
from tests.web.conftest import LARGEST, Serve, Served, read_answer

POST = b"POST /form HTTP/1.1\r\nHost: localhost\r\n"


def answering(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Say how many bytes came and under which header."""
    body = environ["wsgi.input"].read()
    said = f"{len(body)} bytes, {environ.get('HTTP_X_TEST', '')}".encode("latin-1")
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]


def slow(seconds: float) -> Any:
    """Return the same application, which takes its time."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        time.sleep(seconds)
        return answering(environ, start_response)

    return application


def _is_answered(served: Served) -> bool:
    return b"0 bytes" in served.ask(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )


def _ended(client: socket.socket) -> bytes:
    """Return everything that comes until the server ends the connection."""
    got = b""
    try:
        while piece := client.recv(65536):
            got += piece
    except ConnectionError:
        pass
    return got


def _is_closed(client: socket.socket) -> bool:
    """Say whether the server has ended a connection on which it said nothing."""
    readable, _, _ = select.select([client], [], [], 0)
    try:
        return bool(readable) and not client.recv(1)
    except ConnectionError:
        return True


def test_half_a_header_and_half_a_body_end_in_words_and_hold_nobody_up(serve: Serve) -> None:
    served = serve(answering)
    half_headers = [served.connect(b"GET / HTTP/1.1\r\nHost: lo") for _ in range(10)]
    half_bodies = [served.connect(POST + b"Content-Length: 50\r\n\r\nabc") for _ in range(10)]
    half_chunks = [
        served.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab") for _ in range(10)
    ]

    assert _is_answered(served)  # Four threads, thirty who wait.

    for client in half_headers + half_bodies + half_chunks:
        said = _ended(client)
        assert said.startswith(b"HTTP/1.1 408 "), said
        assert b"did not arrive in time" in said
    assert _is_answered(served)


def test_whoever_drips_is_cut_off_and_whoever_is_only_slow_is_not(serve: Serve) -> None:
    served = serve(answering, lowest_rate=500, grace_seconds=1)
    dripping, slow = (served.connect(POST + b"Content-Length: 4000\r\n\r\n") for _ in range(2))
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.05):
            try:
                dripping.send(b"a")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        for _ in range(20):  # Ten times the lowest rate and more, on a machine that is not busy.
            slow.sendall(b"a" * 200)
            time.sleep(0.04)
        assert b"4000 bytes" in read_answer(slow)
        assert _ended(dripping).startswith(b"HTTP/1.1 408 ")
    finally:
        stop.set()
        thread.join()


def test_a_header_beyond_its_size_is_answered_in_words(serve: Serve) -> None:
    served = serve(answering)
    long_line = b"GET / HTTP/1.1\r\nX-A: " + b"a" * 70_000
    many_lines = b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(300))

    for header in (long_line, long_line + b"\r\n\r\n", many_lines + b"\r\n"):
        said = served.ask(header)
        assert said.startswith(b"HTTP/1.1 431 ")
        assert b"remove the cookies" in said


def test_what_cannot_be_read_is_answered_in_words(serve: Serve) -> None:
    served = serve(answering)
    lies = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS on a port without it
        b"GET / HTTP/1.1\r\nX-A: a\x00b\r\n\r\n",
        "GET / HTTP/1.1\r\nX-Für: a\r\n\r\n".encode(),
        POST + b"Content-Length: -5\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nnumber\r\n",
        b"GET / HTTP/1.1\r\nX_Forwarded_For: 192.0.2.1\r\n\r\n",
    ]
    for lie in lies:
        said = served.ask(lie)
        assert said.startswith(b"HTTP/1.1 400 "), (lie, said)
        assert b"Nothing of" in said, (lie, said)
    said = served.ask(b"GET /api/v1/hash HTTP/1.1\r\nX-A: \x01\r\n\r\n")
    assert b"application/problem+json" in said
    assert b'"code": "bad_request"' in said


def test_bytes_above_0x7f_in_a_header_arrive(serve: Serve) -> None:
    said = serve(answering).ask(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Test: Zürich\r\n\r\n".encode()
    )

    assert "0 bytes, Zürich".encode() in said


def test_what_follows_a_whole_request_does_not_take_its_answer_away(serve: Serve) -> None:
    said = serve(answering).ask(POST + b"Content-Length: 5\r\n\r\nabcde-and-more")

    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"5 bytes" in said


def test_bodies_come_whole_in_every_size_and_form(serve: Serve) -> None:
    served = serve(answering)
    for size in (0, 1, 9_999, 10_000, 10_001, 300_000, LARGEST):
        said = served.ask(POST + b"Content-Length: %d\r\n\r\n" % size + b"a" * size)
        assert b"%d bytes, " % size in said, size
    chunks = b"".join(b"%x\r\n%b\r\n" % (n, b"a" * n) for n in (1, 500, 3000)) + b"0\r\n\r\n"
    assert b"3501 bytes" in served.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)


def test_too_much_is_refused_before_it_is_read_and_its_sender_hears_it(serve: Serve) -> None:
    served = serve(answering)
    body = b"a" * 3_000_000
    declared = POST + b"Content-Length: %d\r\n" % (LARGEST + 1)

    for more in (b"", b"Connection: close\r\n"):
        # More than fits between the two: who closes early resets the connection, and the answer is lost.
        said = served.ask(declared + more + b"\r\n" + body)
        assert said.startswith(b"HTTP/1.1 413 "), said
        assert b"this installation takes 4.8 MB at once" in said
    chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    said = served.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    assert said.startswith(b"HTTP/1.1 411 ")
    said = served.ask(declared + b"Expect: 100-continue\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in said


def test_whoever_asks_first_is_told_to_go_on(serve: Serve) -> None:
    client = serve(answering).connect(
        POST + b"Expect: 100-continue\r\nContent-Length: 20000\r\n\r\n"
    )

    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"a" * 20_000)

    assert b"20000 bytes" in read_answer(client)


def test_a_connection_too_many_closes_the_one_that_waits_the_longest(serve: Serve) -> None:
    served = serve(answering, header_seconds=60, idle_seconds=60, grace_seconds=60)
    uploading = served.connect(POST + b"Content-Length: 20000\r\n\r\n" + b"a" * 10_000)
    connections = served.server.server_state.connections
    wait_until(lambda: any(one.dear for one in list(connections)), what="an upload that begins")
    strangers = [served.connect(b"GET / HTTP/1.1\r\n") for _ in range(60)]

    assert _is_answered(served)
    wait_until(lambda: sum(map(_is_closed, strangers)) > 20, what="room")
    uploading.sendall(b"a" * 10_000)  # A request that has begun is dearer than one that has not.
    assert b"20000 bytes" in read_answer(uploading)


def test_bodies_in_memory_have_a_budget_and_the_newest_wins(serve: Serve) -> None:
    served = serve(answering, grace_seconds=60)
    waiting = [
        served.connect(POST + b"Content-Length: 10000\r\n\r\n" + b"a" * 9000) for _ in range(8)
    ]

    said = read_answer(waiting[0])
    assert said.startswith(b"HTTP/1.1 503 "), said
    assert b"retry-after: 5" in said
    wait_until(lambda: served.bridge.held.size <= 40_000, what="room")
    waiting[-1].sendall(b"a" * 1000)
    assert b"10000 bytes" in read_answer(waiting[-1])


def test_large_bodies_take_half_of_the_threads_at_most(serve: Serve) -> None:
    served = serve(answering, grace_seconds=60)
    senders = [served.connect(POST + b"Content-Length: 20000\r\n\r\nabc") for _ in range(6)]

    assert _is_answered(served)
    said = sorted(read_answer(sender)[:12] for sender in senders[2:])
    assert said == [b"HTTP/1.1 503"] * 4  # They waited for their turn, and were told to come later.
    for sender in senders[:2]:
        sender.sendall(b"a" * 19_997)
        assert b"20000 bytes" in read_answer(sender)


class Endless:
    """An application whose answer has no end; it knows how much was taken and whether it was closed."""

    def __init__(self) -> None:
        self.given = 0
        self.closed = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return self if environ["PATH_INFO"] == "/endless" else [b"0 bytes"]

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.given += 100_000
            yield b"a" * 100_000

    def close(self) -> None:
        self.closed.set()


GET_ENDLESS = b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_reader_who_does_not_read_is_cut_off_and_nothing_is_heaped_up_for_them(
    serve: Serve,
) -> None:
    application = Endless()
    served = serve(application, grace_seconds=1)
    client = served.connect(GET_ENDLESS)
    wait_until(lambda: application.given > 100_000, what="an answer that begins")

    assert application.closed.wait(15)
    # What the kernel holds between the two, and a little.
    assert application.given < 20_000_000
    assert _is_answered(served)
    client.close()


def test_a_reader_who_leaves_ends_the_work_for_them(serve: Serve) -> None:
    application = Endless()
    served = serve(application, grace_seconds=60)
    client = served.connect(GET_ENDLESS)
    assert client.recv(1000)
    client.close()

    assert application.closed.wait(15)


def test_head_asks_for_no_body(serve: Serve) -> None:
    application = Endless()
    served = serve(application)

    said = served.ask(b"HEAD /endless HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"\r\n\r\n")
    assert application.closed.wait(5)
    assert application.given == 0


def test_an_upload_that_breaks_off_is_an_error_for_its_reader(serve: Serve) -> None:
    broken = threading.Event()

    def reading(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError:
            broken.set()
            raise
        start_response("200 OK", [])
        return [b"whole"]

    client = serve(reading).connect(POST + b"Content-Length: 20000\r\n\r\nabc")
    client.close()

    assert broken.wait(10)


def test_on_the_way_out_requests_are_finished_and_half_ones_are_not_waited_for(
    serve: Serve,
) -> None:
    begun, go = threading.Event(), threading.Event()

    def working(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        begun.set()
        assert go.wait(20)
        start_response("200 OK", [])
        return [b"done"]

    served = serve(working, grace_seconds=60, header_seconds=60, idle_seconds=60)
    client = served.connect(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    half = served.connect(POST + b"Content-Length: 50\r\n\r\nabc")
    idle = served.connect()
    assert begun.wait(10)
    stopping = threading.Thread(target=served.stop)
    stopping.start()
    assert _ended(idle) == b""
    go.set()

    assert b"done" in _ended(client)
    assert _ended(half).startswith(b"HTTP/1.1 408 ")
    stopping.join(20)
    assert not stopping.is_alive()


def test_a_client_that_has_sent_all_and_says_so_gets_its_answer(serve: Serve) -> None:
    """As ``nc -N`` and some libraries do: the writing side is closed, the reading side waits."""
    served = serve(slow(0.3))
    for request in (
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        POST + b"Content-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2,
    ):
        client = served.connect(request)
        client.shutdown(socket.SHUT_WR)
        assert _ended(client).count(b"200 OK") == max(1, request.count(b"GET"))


def test_half_a_request_and_the_end_of_sending_ends_the_connection(serve: Serve) -> None:
    served = serve(answering)
    for half in (b"GET / HTTP/1.1\r\nHost: lo", POST + b"Content-Length: 50\r\n\r\nabc"):
        client = served.connect(half)
        client.shutdown(socket.SHUT_WR)
        assert b"200 OK" not in _ended(client)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n", b"400"),
        (b"GET http://localhost/ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"200"),
    ],
)
def test_a_request_names_one_host(serve: Serve, header: bytes, status: bytes) -> None:
    said = serve(answering).ask(header)
    assert said.split(b" ")[1] == status
    if status == b"400":
        assert b"exactly one Host header" in said


def test_threads_that_hang_keep_nobody_waiting_for_ever(serve: Serve) -> None:
    goes_on = threading.Event()

    def hanging(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/api/hangs":
            goes_on.wait(30)
        return answering(environ, start_response)

    served = serve(hanging, thread_seconds=0.4, answer_seconds=1.2, health_seconds=0.6)
    hang = b"POST /api/hangs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    late = [served.connect(hang) for _ in range(4)]
    wait_until(lambda: served.bridge.unanswered == 4, what="four threads at work")
    busy = served.connect(hang)
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert b"200 OK" in served.ask(health), "health waits for no thread of the others"
    said = _ended(busy)
    assert b"503 Service Unavailable" in said
    assert b"Nothing of yours was kept" in said, "no thread had taken it"
    for client in late:
        said = _ended(client)
        assert b"503 Service Unavailable" in said
        assert b"application/problem+json" in said
        assert b"retry-after: 5" in said
        assert b"Whether this request was carried out is not known" in said
    assert served.bridge.unanswered == 4, "the threads are still at work, and counted"
    goes_on.set()
    wait_until(lambda: served.bridge.unanswered == 0, what="free threads")
    assert _is_answered(served)


def test_health_that_hangs_itself_is_answered_in_words(serve: Serve) -> None:
    goes_on = threading.Event()

    def hanging(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        goes_on.wait(30)
        return answering(environ, start_response)

    served = serve(hanging, health_seconds=0.4, deep_health_seconds=0.8)
    health = b"GET /healthz%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for query in (b"", b"", b"?deep=1", b""):  # More than it has threads.
        said = served.ask(health % query)
        assert b"503 Service Unavailable" in said
        assert b'"status": "down"' in said
        assert b"the database or a disk hangs" in said
        assert b"retry-after: 5" in said
    goes_on.set()
    wait_until(lambda: b"200 OK" in served.ask(health % b""), what="health")


def test_an_answer_that_has_begun_may_take_its_time(serve: Serve) -> None:
    def long(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "180000")])
        for _ in range(3):
            yield b"x" * 60_000
            time.sleep(0.5)

    said = serve(long, answer_seconds=0.3).ask(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert said.count(b"x") >= 180_000
