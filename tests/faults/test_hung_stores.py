"""Stores that hang: stopped as a stuck disk or machine stops them. They take questions and answer none.

The web server is the one that the launcher starts, with its own settings and the pool of real installations.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import psutil
import pytest

from config.runtime.services import private_services
from config.runtime.up import Launcher, read_wishes
from config.web.limits import USUAL
from core import postgres_link
from tests.faults.test_lost_stores import ISSUE_A_KEY
from tests.stack import REPOSITORY, PrivateStack, free_port, wait_until

pytestmark = pytest.mark.runtime

BUSY_MACHINE = 10.0
"""Seconds that a machine with other work may add to any answer."""


class Web:
    """The web server on stores of its own, and a platform that sends it reports."""

    def __init__(self, stack: PrivateStack) -> None:
        self.stack = stack
        self.base = f"http://127.0.0.1:{free_port()}"
        settings = stack.env(
            HOLDFAST_TESTING="0",
            SECRET_KEY="invented-" * 8,
            DJANGO_SETTINGS_MODULE="config.settings",
            HOLDFAST_WEB_PROCESSES="1",
            HOLDFAST_WEB_THREADS="4",
        )
        made = subprocess.run(
            [sys.executable, "-c", ISSUE_A_KEY],
            cwd=REPOSITORY,
            env=settings,
            check=True,
            capture_output=True,
            text=True,
        )
        self.key = made.stdout.split()[-1]
        wishes = read_wishes({"HOLDFAST_VAR": str(stack.var), "PORT": self.base.rsplit(":", 1)[1]})
        program = Launcher(wishes, settings)._web(settings)
        stack.spawn(*program.command[1:], **program.env)
        wait_until(self.healthy, seconds=60, what="the web server")

    def health(self) -> httpx.Response:
        return httpx.get(f"{self.base}/healthz", timeout=60)

    def healthy(self) -> bool:
        try:
            return self.health().json()["status"] in {"ok", "degraded"}
        except httpx.TransportError:
            return False

    def report(self, name: str) -> httpx.Response:
        body = {
            "external_id": name,
            "subject": {"account": f"invented-{name}"},
            "reason": "other",
            "items": [{"surface": "reported_message", "text": "markerword-alpha"}],
        }
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": f"key-{name}"}
        return httpx.post(f"{self.base}/api/v1/reports", json=body, headers=headers, timeout=120)


@pytest.fixture
def web(short_folder: Any) -> Iterator[Web]:
    with ExitStack() as opened:
        services = opened.enter_context(private_services(short_folder, durable=False))
        stack = PrivateStack(short_folder, services)
        opened.callback(stack.close)
        (stack.var / "static").mkdir()
        stack.manage("init_keys")
        stack.manage("migrate", "-v0")
        yield Web(stack)


def timed(call: Any, *arguments: Any) -> tuple[float, httpx.Response]:
    began = time.monotonic()
    answer = call(*arguments)
    return time.monotonic() - began, answer


def test_a_postgres_that_hangs_is_said_in_time_and_work_goes_on_with_it(web: Web) -> None:
    assert web.report("before").status_code == 201
    postmaster = psutil.Process(web.stack.postgres.process.pid)
    frozen = [postmaster, *postmaster.children(recursive=True)]
    with ThreadPoolExecutor(10) as pool:
        try:
            for each in frozen:
                each.send_signal(signal.SIGSTOP)
            # Twice as many as it has threads.
            sent = [pool.submit(timed, web.report, f"hung-{number}") for number in range(8)]
            for _ in range(2):
                took, answer = timed(web.health)
                assert answer.status_code == 503
                assert answer.json()["status"] == "down"
                assert "Retry-After" in answer.headers
                assert took < USUAL.health_seconds + BUSY_MACHINE
            longest = (
                USUAL.thread_seconds + USUAL.database_seconds + 2 * postgres_link.CHECK_SECONDS
            )
            for one in sent:
                took, answer = one.result()
                assert answer.status_code == 503
                assert answer.headers["content-type"] == "application/problem+json"
                assert "Retry-After" in answer.headers
                assert took < longest + BUSY_MACHINE
        finally:
            for each in frozen:
                each.send_signal(signal.SIGCONT)
        wait_until(web.healthy, seconds=15, what="health after it goes on")
    for number in range(8):
        assert web.report(f"hung-{number}").status_code == 201
        again = web.report(f"hung-{number}")
        assert again.headers["Idempotent-Replayed"] == "true"
