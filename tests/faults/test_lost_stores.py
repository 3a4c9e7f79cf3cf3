"""Valkey loses everything, PostgreSQL dies under load: nothing is lost and nothing happens twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import psycopg
import pytest
import redis

from config.runtime.postgres import OWNER
from core.jobs import run_sweeps
from moderation.models import Case
from reports.models import Item, Report, RouteState, ScanState
from tests.casework import Casework
from tests.faults.conftest import Processes
from tests.faults.waiting import wait_until
from tests.pictures import jpeg
from tests.stack import REPOSITORY, PrivateStack, free_port

pytestmark = pytest.mark.runtime


def wipe_valkey() -> None:
    """Empty the Valkey of this test: its own database of the server that the tests share."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as link:
        link.flushdb()
        assert link.dbsize() == 0


def test_valkey_wiped_twice_with_thirty_items_waiting(
    processes: Processes, casework: Casework
) -> None:
    for number in range(10):
        pictures = [jpeg(number + 1, (96, 64))] if number < 3 else []
        texts = ["an invented sentence", "another one", "a third"][len(pictures) :]
        casework.report(f"invented-{number}", pictures=pictures, texts=texts)
    assert Item.objects.filter(scan_state=ScanState.WAITING).count() == 30
    wipe_valkey()

    processes.worker("scan", "intake", "default")
    run_sweeps()
    wait_until(
        lambda: Item.objects.filter(scan_state=ScanState.SCANNED).count() >= 8,
        what="the first scans after the wipe",
    )
    for number in range(10, 15):
        casework.report(f"invented-{number}", texts=["an invented sentence", "another one"])
    wipe_valkey()  # This time under a worker at its work.

    def done() -> bool:
        run_sweeps()
        return not Report.objects.exclude(route_state=RouteState.ROUTED).exists()

    wait_until(done, what="a case for every report")
    assert Item.objects.filter(scan_state=ScanState.SCANNED).count() == 40
    assert set(Item.objects.values_list("scan_attempts", flat=True)) == {1}
    assert Case.objects.count() == 15
    joined = Counter(Case.objects.values_list("case_reports__report", flat=True))
    assert len(joined) == 15
    assert set(joined.values()) == {1}


ISSUE_A_KEY = """
import django; django.setup()
from core import audit
from reports.actions import create_source, issue_key
source = create_source(slug="load", name="Load", kind="platform", actor=audit.SYSTEM)
print(issue_key(source, scopes=["reports:write"], rate_per_minute=60000, actor=audit.SYSTEM)[1])
"""


class Sender:
    """A platform that repeats each report under its key until it is acknowledged."""

    def __init__(self, base: str, key: str) -> None:
        self.base, self.key = base, key
        self.acknowledged: dict[str, str] = {}
        self.answers: Counter[str] = Counter()
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def run(self, name: int) -> None:
        with httpx.Client(base_url=self.base, timeout=30) as http:
            http.headers["Authorization"] = f"Bearer {self.key}"
            number = 0
            while not self.stop.is_set():
                self._send(http, f"{name}-{number}")
                number += 1

    def has_sent(self, count: int) -> bool:
        """Say whether so many reports were acknowledged."""
        return len(self.acknowledged) >= count

    def was_answered(self, count: int) -> bool:
        """Say whether so many answers came, of any kind."""
        return self.answers.total() >= count

    def _send(self, http: httpx.Client, external_id: str) -> None:
        body = {
            "external_id": external_id,
            "subject": {"account": f"invented-{external_id}"},
            "reason": "other",
            "items": [{"surface": "reported_message", "text": "an invented sentence"}],
        }
        end = time.monotonic() + 60
        while time.monotonic() < end:
            answer = http.post(
                "/api/v1/reports", json=body, headers={"Idempotency-Key": f"key-{external_id}"}
            )
            with self._lock:
                self.answers[f"{answer.status_code} {answer.headers['content-type']}"] += 1
            if answer.status_code == 201:
                with self._lock:
                    self.acknowledged[external_id] = answer.json()["id"]
                return
            if "Retry-After" not in answer.headers:
                pytest.fail(f"an answer without a time to ask again: {answer.text}")
            time.sleep(0.1)  # Sooner than it asks for: more load on the database that comes back.
        pytest.fail(f"{external_id} was never taken")


def test_postgres_killed_and_restarted_under_load(private_stack: PrivateStack) -> None:
    stack = private_stack
    stack.manage("init_keys")
    stack.manage("migrate", "--no-input")
    django = {"DJANGO_SETTINGS_MODULE": "config.settings"}
    made = subprocess.run(
        [sys.executable, "-c", ISSUE_A_KEY],
        cwd=REPOSITORY,
        env=stack.env(**django),
        check=True,
        capture_output=True,
        text=True,
    )
    (stack.var / "static").mkdir(exist_ok=True)
    port = free_port()
    stack.spawn(
        *("-m", "config.runtime.web", "--host", "127.0.0.1", "--port", str(port)),
        **django,
    )
    base = f"http://127.0.0.1:{port}"
    sender = Sender(base, made.stdout.split()[-1])

    def healthy() -> bool:
        try:
            return httpx.get(f"{base}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(healthy, what="the web server")
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(sender.run, name) for name in range(4)]
        try:
            for _ in range(2):
                before = len(sender.acknowledged)
                wait_until(partial(sender.has_sent, before + 20), what="load")
                stack.kill_postgres()
                failures = sender.answers.total()
                wait_until(partial(sender.was_answered, failures + 1), what="a refused report")
                stack.postgres.start()
            before = len(sender.acknowledged)
            wait_until(lambda: len(sender.acknowledged) >= before + 20, what="work after all that")
        finally:
            sender.stop.set()
        for one in running:
            one.result()

    assert set(sender.answers) == {
        "201 application/json",
        "503 application/problem+json",
    }
    with psycopg.connect(stack.postgres.url(OWNER)) as link:
        rows = link.execute("SELECT external_id, id::text FROM reports_report").fetchall()
        items = link.execute("SELECT count(*) FROM reports_item").fetchone()
    assert len(rows) == len(dict(rows))
    assert dict(rows) == sender.acknowledged
    assert items == (len(rows),)
