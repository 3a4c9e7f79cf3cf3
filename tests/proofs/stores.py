"""What senders are promised while a store hangs: stopped by a signal, as a stuck disk or machine stops it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import psutil

from tests.proofs import proof
from tests.proofs.installation import Installation

ALLOWED = 4.0
"""Seconds that a busy machine may add to an answer."""


@contextmanager
def hanging(place: Installation, name: str) -> Iterator[None]:
    """Stop every process of a store, and let it go on."""
    roots = [each for each in place.programs() if name in " ".join(each.cmdline()[:1])]
    assert roots, f"no {name} runs"
    stopped: list[psutil.Process] = []
    try:
        for each in roots:
            stopped += [each, *each.children(recursive=True)]
        for each in stopped:
            each.send_signal(signal.SIGSTOP)
        yield
    finally:
        for each in stopped:
            each.send_signal(signal.SIGCONT)


def timed(call: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    began = time.monotonic()
    answer = call()
    return time.monotonic() - began, answer


def health(place: Installation) -> httpx.Response:
    return httpx.get(f"{place.address}healthz", timeout=60)


@proof(
    "A Valkey that hangs costs a process one short wait; reports are taken all the while", last=True
)
def hung_valkey(place: Installation) -> str:
    # What a report costs on this machine at this moment, and both processes warm.
    usual = max(timed(place.report)[0] for _ in range(10))
    with hanging(place, "valkey-server"):
        took = []
        for _ in range(10):
            seconds, answer = timed(place.report)
            assert answer.status_code == 201, answer.text
            took.append(seconds)
        shown = ", ".join(f"{seconds:.1f}" for seconds in took)
        assert max(took) < usual + 2 + ALLOWED, f"reports took {shown} s, {usual:.1f} s before"
        said = health(place)
        assert said.status_code == 200
        assert (said.json()["status"], said.json()["valkey"]) == ("degraded", "silent"), said.text
    began = time.monotonic()
    place.wait("Valkey on /healthz", lambda: health(place).json()["valkey"] == "ok", seconds=15)
    back = time.monotonic() - began
    return f"reports {shown} s (before: {usual:.1f} s at most); well {back:.1f} s after"


@proof("A PostgreSQL that hangs is said on /healthz within 5 s, and requests get a 503", last=True)
def hung_postgres(place: Installation) -> str:
    with hanging(place, "postgres"):
        slow, said = timed(lambda: health(place))
        assert said.status_code == 503
        assert said.json()["status"] == "down"
        assert slow < 5 + ALLOWED, f"/healthz took {slow:.1f} s"
        refused, answer = timed(place.report)
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    began = time.monotonic()
    place.wait("health", place.healthy, seconds=30)
    assert place.report().status_code == 201
    back = time.monotonic() - began
    return f"/healthz {slow:.1f} s, a report 503 after {refused:.1f} s; well {back:.1f} s after"
