"""How fast reports become cases and orders reach the platform, also while receivers hang or fail.

    python benchmarks/flow.py [--quick] [--json] [--profile FILE]

A whole installation on this machine: one web process, the launcher's workers and scheduler with their own
commands, a private PostgreSQL with fsync on and a private Valkey. Reports are sent as NDJSON batches, evenly
paced, because single POSTs are slower than what stands behind them. The times are those of the database's clock:
from a report's receipt to the moment it joined its case. Receivers and sender run in this process and take
their share of the machine; the load average stands beside the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.installation import REPOSITORY, installation, run_python
from benchmarks.intake import MAKE_KEY, report
from benchmarks.processes import memory_mb, parent_of, processor_seconds
from config.runtime.up import Launcher, read_wishes

PACE = 25
BATCHES_A_SECOND = 2.5

MAKE_WAITING = """
import uuid
from core.audit import SYSTEM
from reports import actions
from reports.models import Item, Report, Source
from reports.payloads import ReportPayload
source = Source.objects.get(slug="bench")
for number in range({count}):
    actions.submit_report(source, actor=SYSTEM, payload=ReportPayload.model_validate(dict(
        external_id=uuid.uuid4().hex, subject=dict(account=f"waiting-{{number % 500}}"), reason="spam",
        items=[dict(surface="reported_message", text="a short message")])))
from django.db.models.functions import Now
Item.objects.filter(scan_state="waiting").update(
    scan_state="scanned", scanned_at=Now(), route_state="waiting")
"""

MAKE_ENDPOINT = """
from core.audit import SYSTEM
from moderation import actions
made, _ = actions.create_endpoint(name="{name}", url="{url}", verbs=["{verb}"], actor=SYSTEM)
print(made.pk)
"""

MAKE_ORDERS = """
import uuid
from django.db.models.functions import Now
from accounts.models import User
from moderation.enforcement import GIVE_UP_AFTER
from moderation.models import (
    Case, Decision, Delivery, Enforcement, PolicyVersion, WebhookEndpoint)
from reports.models import Account
person, _ = User.objects.get_or_create(email="bench@example.org", defaults=dict(name="Bench"))
endpoint = WebhookEndpoint.objects.get(name="{name}")
case = Case.objects.order_by("?").first()
decision = Decision.objects.create(
    case=case, policy_version=PolicyVersion.objects.first(), outcome="confirm", reason="a benchmark",
    case_version=1, made_by=person, publish_at=Now(), published_at=Now(),
    idempotency_key=uuid.uuid4().hex)
accounts = Account.objects.bulk_create(
    [Account(external_id=f"order-{{uuid.uuid4().hex}}") for _ in range({count})])
orders = Enforcement.objects.bulk_create(
    [Enforcement(decision=decision, verb="warn", account=one, state="pending") for one in accounts])
Delivery.objects.bulk_create([
    Delivery(enforcement=one, endpoint=endpoint, give_up_at=Now() + GIVE_UP_AFTER,
             payload=dict(type="enforcement.warn", data=dict(enforcement_id=str(one.pk))))
    for one in orders], batch_size=2000)
"""


class Receiver:
    """The platform: answers 204 after ``delay`` seconds, or never."""

    def __init__(self, delay: float) -> None:
        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(delay)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()


class Bench:
    """The running installation and a connection that counts."""

    def __init__(self, address: str, env: dict[str, str]) -> None:
        self.address = address
        self.env = env | {
            "HOLDFAST_WEBHOOK_ALLOW_PRIVATE": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(REPOSITORY),
        }
        self.link = psycopg.connect(env["DATABASE_URL"], autocommit=True)
        self.key = run_python(self.env, MAKE_KEY).splitlines()[-1]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str, profile: str = "") -> None:
        """Start the launcher's programs of these names, or all that do not run yet."""
        launcher = Launcher(read_wishes({"HOLDFAST_VAR": self.env["HOLDFAST_VAR"]}), self.env)
        for program in launcher._background(self.env):  # noqa: SLF001 — the real commands
            if program.name in self.processes or (names and program.name not in names):
                continue
            command = list(program.command)
            if profile and program.name in names:
                command[1:1] = ["-m", "cProfile", "-o", profile]
            name = Path(self.env["HOLDFAST_VAR"], "log", f"{program.name}.log")
            with name.open("wb") as log:
                self.processes[program.name] = subprocess.Popen(
                    command, cwd=REPOSITORY, env=dict(program.env), stdout=log, stderr=log
                )

    def await_workers(self) -> None:
        """Wait until every worker that was started takes jobs: what their imports cost is not measured."""
        valkey = redis.Redis.from_url(self.env["REDIS_URL"])
        names = [name for name in self.processes if name != "scheduler"]
        while valkey.scard("rq:workers") < len(names):
            time.sleep(0.2)

    def stop(self, *names: str) -> None:
        """Stop programs, all of them when none is named."""
        gone = [self.processes.pop(name) for name in (names or list(self.processes))]
        for process in gone:
            process.terminate()
        for process in gone:
            process.wait(30)

    def one(self, sql: str, *values: Any) -> Any:
        row = self.link.execute(sql, values).fetchone()
        assert row
        return row[0]

    def now(self) -> Any:
        return self.one("SELECT clock_timestamp()")

    def spent(self) -> dict[str, float]:
        """Return the processor seconds so far of each worker and of PostgreSQL with all its sessions."""
        found = {name: processor_seconds(process.pid) for name, process in self.processes.items()}
        server = parent_of(self.one("SELECT pg_backend_pid()"))
        found["postgresql"] = processor_seconds(server, with_children=True)
        return found

    def memory(self) -> dict[str, int]:
        """Return the resident memory of each worker in MB."""
        return {name: memory_mb(process.pid) for name, process in self.processes.items()}


def _each(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    """Return the processor milliseconds that each program took for one of ``count`` reports."""
    return {
        f"{name} ms": round((after[name] - before[name]) * 1000 / max(count, 1), 1)
        for name in after
        if name in before and after[name] - before[name] >= 0.05
    }


def routing_alone(bench: Bench, *, count: int, profile: str = "") -> dict[str, Any]:
    """Let the case worker place reports that wait, scanned, and nothing else run but the web server."""
    run_python(bench.env, MAKE_WAITING.format(count=count))
    bench.start("case-worker", "scheduler", profile=profile)
    waiting = "SELECT count(*) FROM reports_report WHERE route_state = 'waiting'"
    while bench.one(waiting) > count * 0.9:  # The first ones pay for imports and plans.
        time.sleep(0.02)
    began, left, before = time.perf_counter(), bench.one(waiting), bench.spent()
    while bench.one(waiting):
        time.sleep(0.05)
    taken = time.perf_counter() - began
    return {"reports/s": round(left / taken, 1)} | _each(before, bench.spent(), left)


def flow(bench: Bench, *, seconds: float) -> dict[str, Any]:
    """Send ``PACE`` reports a second, evenly, and see when each was in its case."""
    since, before = bench.now(), bench.spent()
    lines = round(PACE / BATCHES_A_SECOND)
    headers = {
        "Authorization": f"Bearer {bench.key}",
        "Content-Type": "application/x-ndjson",
    }
    sent = 0
    with httpx.Client(base_url=bench.address, headers=headers, timeout=60) as client:
        began = time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds:
            time.sleep(max(0.0, sent / PACE - spent))
            items = [{"surface": "reported_message", "text": "A short message."}]
            body = [json.dumps({"type": "report", **report(items=items)}) for _ in range(lines)]
            client.post("/api/v1/batches", content="\n".join(body)).raise_for_status()
            sent += lines
        taken = time.perf_counter() - began
    joined = (
        "SELECT count(*) FROM moderation_casereport j JOIN reports_report r ON r.id = j.report_id "
        "WHERE r.received_at >= %s"
    )
    end = time.monotonic() + 120
    while bench.one(joined, since) < sent and time.monotonic() < end:
        time.sleep(0.2)
    row = bench.link.execute(
        "SELECT count(*), percentile_cont(ARRAY[0.5, 0.95, 1.0]) WITHIN GROUP (ORDER BY "
        "extract(epoch FROM j.joined_at - r.received_at)) FROM moderation_casereport j "
        "JOIN reports_report r ON r.id = j.report_id WHERE r.received_at >= %s",
        [since],
    ).fetchone()
    assert row
    p50, p95, most = (round(float(value), 2) for value in row[1])
    return {
        "acknowledged/s": round(sent / taken, 1),
        "lost": sent - row[0],
        "p50 s": p50,
        "p95 s": p95,
        "max s": most,
        **_each(before, bench.spent(), sent),
    }


def delivered(bench: Bench, name: str) -> int:
    """Return how many orders the endpoint of this name has taken."""
    return int(
        bench.one(
            "SELECT count(*) FROM moderation_delivery d JOIN moderation_webhookendpoint e "
            "ON e.id = d.endpoint_id WHERE e.name = %s AND d.state = 'delivered'",
            name,
        )
    )


def orders(bench: Bench, name: str, url: str, *, count: int) -> None:
    """Put ``count`` orders for a new endpoint into the outbox."""
    run_python(bench.env, MAKE_ENDPOINT.format(name=name, url=url, verb="warn"))
    run_python(bench.env, MAKE_ORDERS.format(name=name, count=count))


@contextmanager
def beside(work: Any, *values: Any, **more: Any) -> Iterator[dict[str, Any]]:
    """Run something in a thread meanwhile; its answer is in the dictionary afterwards."""
    answer: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: answer.update(work(*values, **more)))
    thread.start()
    yield answer
    thread.join()


def run(bench: Bench, *, quick: bool, profile: str) -> list[dict[str, Any]]:
    """Take all figures, one after the other."""
    rows: list[dict[str, Any]] = []

    def add(what: str, figures: dict[str, Any]) -> None:
        row = {"what": what, **figures, "load": round(os.getloadavg()[0], 1)}
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)

    seconds = 15.0 if quick else 60.0
    add("routing alone", routing_alone(bench, count=300 if quick else 1500, profile=profile))
    if profile:
        bench.stop()
        return rows
    bench.start()
    bench.await_workers()
    flow(bench, seconds=5)  # Imports and first plans are not what is measured.
    add("flow", flow(bench, seconds=seconds))

    quickly = Receiver(0.2)
    orders(bench, "200 ms", quickly.url, count=256)
    began = time.perf_counter()
    while delivered(bench, "200 ms") < 256 and time.perf_counter() - began < 120:
        time.sleep(0.1)
    add("256 orders, answers after 200 ms", {"seconds": round(time.perf_counter() - began, 1)})

    orders(bench, "hangs", Receiver(3600).url, count=300)
    orders(bench, "refuses", "http://127.0.0.1:9/hooks", count=300)
    add("flow while every delivery hangs or fails", flow(bench, seconds=seconds))

    orders(bench, "drain", quickly.url, count=10_000)
    while not delivered(bench, "drain"):  # Rows without a wake-up: the next sweep finds them.
        time.sleep(0.05)
    before, began = delivered(bench, "drain"), time.perf_counter()
    with beside(flow, bench, seconds=seconds) as meanwhile:
        time.sleep(seconds)
        gone = delivered(bench, "drain") - before
        rate = round(gone / (time.perf_counter() - began), 1)
    add("10,000 orders beside the flow", {"orders/s": rate, **meanwhile})
    add("memory of the workers, MB", bench.memory())
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two minutes' version")
    parser.add_argument("--json", action="store_true", help="print a list of rows")
    parser.add_argument("--profile", default="", help="only routing, its profile to this file")
    options = parser.parse_args()
    with installation() as (address, env):
        bench = Bench(address, env)
        try:
            rows = run(bench, quick=options.quick, profile=options.profile)
        finally:
            bench.stop()
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        what = row.pop("what")
        print(f"{what:<44}" + "  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
