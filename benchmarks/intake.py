"""How much one source hands in a second, how long it waits, and what each thing costs.

    python benchmarks/intake.py [--quick] [--json] [--only WORD]

Real HTTP on the loopback interface against two web processes, a private PostgreSQL with fsync on, a private
Valkey, and the launcher's workers, who scan and route what arrives as fast as they can and may fall behind. The
senders are threads of this process on the same machine and take their share of it. *evenly* is half of the rate
that intake promises, one request after the other at even distances. ``cpu_ms`` is the processor time that the web
processes and PostgreSQL took for one thing, ``costs`` the same for each program; workers and senders stand beside it
and are not in the sum.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.installation import REPOSITORY, installation, run_python
from benchmarks.processes import parent_of, processor_seconds
from config.runtime.up import Launcher, read_wishes
from config.sample.pictures import draw, encode

MAKE_KEY = """
from core.audit import SYSTEM
from reports import actions
from reports.models import Scope, SourceKind
source = actions.create_source(slug="bench", name="Bench", kind=SourceKind.PLATFORM, is_own_platform=True, actor=SYSTEM)
print(actions.issue_key(source, scopes=Scope.values, rate_per_minute=60000, actor=SYSTEM)[1])
"""

LINES = 1000
"""Lines of one batch, as the guide for integrators advises."""

BARS = {"report": 100.0, "photo": 45.0}
"""Single reports a second that intake promises, without and with a photo."""

EVENLY = 0.5


def report(**more: object) -> dict[str, object]:
    """Return a report about one of 500 accounts."""
    number = uuid.uuid4().int
    return {
        "external_id": uuid.uuid4().hex,
        "subject": {"account": f"u-{number % 500}"},
        "reason": "spam",
        "description": "A benchmark report with a few words.",
        **more,
    }


def text_report(client: httpx.Client) -> int:
    """Send one report with one message."""
    client.post("/api/v1/reports", json=_text_report()).raise_for_status()
    return 1


def photo_report(photo: bytes) -> Callable[[httpx.Client], int]:
    """Return a sender of one report with one photo; every photo has bytes of its own."""

    def send(client: httpx.Client) -> int:
        kind, body = _photo_report(photo)
        headers = {"Content-Type": kind}
        client.post("/api/v1/reports", content=body, headers=headers).raise_for_status()
        return 1

    return send


def _text_report() -> dict[str, object]:
    return report(items=[{"surface": "reported_message", "text": "markerword-alpha " * 10}])


def _photo_report(photo: bytes) -> tuple[str, bytes]:
    written = json.dumps(report(items=[{"surface": "profile_photo", "file": "photo"}])).encode()
    parts = (
        b'--edge\r\nContent-Disposition: form-data; name="report"\r\n\r\n' + written,
        b'--edge\r\nContent-Disposition: form-data; name="photo"; filename="photo.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + photo + uuid.uuid4().bytes,
        b"--edge--\r\n",
    )
    return "multipart/form-data; boundary=edge", b"\r\n".join(parts)


class Sender:
    """One connection that is kept, as a platform's server has it; costs little, since it shares the machine."""

    def __init__(self, address: str, key: str) -> None:
        self.link = http.client.HTTPConnection(urlsplit(address).netloc, timeout=300)
        self.headers = {"Authorization": f"Bearer {key}"}

    def post(self, path: str, kind: str, body: bytes) -> None:
        """Send and read the answer. Raises AssertionError unless everything was taken."""
        self.link.request("POST", path, body, self.headers | {"Content-Type": kind})
        answer = self.link.getresponse()
        said = answer.read()
        assert answer.status in {200, 201}, said[:500]


Make = Callable[[], tuple[str, str, bytes, int]]
"""Returns path, media type, body and how many things the body holds."""


def single() -> tuple[str, str, bytes, int]:
    """Return one report with one message."""
    return "/api/v1/reports", "application/json", json.dumps(_text_report()).encode(), 1


def with_photo(photo: bytes) -> Make:
    """Return a maker of reports with one photo each."""
    return lambda: ("/api/v1/reports", *_photo_report(photo), 1)


def batches(line: Callable[[int], dict[str, object]], lines: int = LINES) -> Make:
    """Return a maker of batches, whose lines are numbered on."""
    numbers = itertools.count()

    def make() -> tuple[str, str, bytes, int]:
        body = [json.dumps(line(next(numbers))) for _ in range(lines)]
        return "/api/v1/batches", "application/x-ndjson", "\n".join(body).encode(), lines

    return make


def again(make: Make) -> Make:
    """Return a maker that gives the first body again and again."""
    first = make()
    return lambda: first


def account_line(number: int) -> dict[str, object]:
    """Return an account as a platform describes it: names, two identifiers, one use of an address."""
    return {
        "type": "account",
        "external_id": f"account-{number}",
        "username": f"user{number}",
        "display_name": f"User {number}",
        "country": "NL",
        "joined_at": "2025-01-05T09:00:00Z",
        "platform_status": "active",
        "identifiers": [
            {"kind": "phone", "value": f"+3160{number:07d}", "verified": True},
            {"kind": "email", "value": f"user{number}@mail.example"},
        ],
        "ip_events": [
            {
                "kind": "login",
                "ip": f"203.0.{number // 256 % 256}.{number % 256}",
                "port": 50123,
                "at": "2026-11-22T10:31:00Z",
            }
        ],
    }


def group_line(number: int) -> dict[str, object]:
    """Return a group with name, link and size."""
    return {
        "type": "group",
        "external_id": f"group-{number}",
        "name": f"Group {number}",
        "description": "A group of a benchmark.",
        "invite_link": f"https://chat.example/join/{number}",
        "member_count": 25,
    }


def membership_line(number: int) -> dict[str, object]:
    """Return a member of one of 2,000 groups: every 25 lines another group."""
    return {
        "type": "membership",
        "group": f"group-{number // 25 % 2000}",
        "account": f"account-{number % 10_000}-{number // 50_000}",
        "role": "member",
        "joined_at": "2025-02-01T10:00:00Z",
    }


def report_line(_: int) -> dict[str, object]:
    """Return a report with a message."""
    items = [{"surface": "reported_message", "text": "A short message."}]
    return {"type": "report", **report(items=items)}


class Costs:
    """The processor time of the programs since this was made."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.before = bench.spent()

    def each(self, count: int) -> dict[str, float]:
        """Return the milliseconds that each program took for one of ``count`` things."""
        after = self.bench.spent()
        return {
            name: round((after[name] - self.before[name]) * 1000 / max(count, 1), 3)
            for name in after
        }


class Bench:
    """The running installation, its workers, and whoever sends."""

    def __init__(self, address: str, env: dict[str, str]) -> None:
        self.address = address
        self.env = env
        self.link = psycopg.connect(env["DATABASE_URL"], autocommit=True)
        backend = self.link.execute("SELECT pg_backend_pid()").fetchone()
        assert backend
        self.database = parent_of(backend[0])
        self.key = run_python(env, MAKE_KEY).splitlines()[-1]
        self.web = int(env["BENCH_WEB_PID"])
        self.workers: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run scheduler and workers with the launcher's own commands for as long as the block lasts."""
        env = self.env | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(REPOSITORY),
        }
        launcher = Launcher(read_wishes({"HOLDFAST_VAR": env["HOLDFAST_VAR"]}), env)
        try:
            for program in launcher._background(env):  # noqa: SLF001 — the real commands
                name = Path(env["HOLDFAST_VAR"], "log", f"{program.name}.log")
                with name.open("wb") as log:
                    self.workers.append(
                        subprocess.Popen(
                            list(program.command),
                            cwd=REPOSITORY,
                            env=dict(program.env),
                            stdout=log,
                            stderr=log,
                        )
                    )
            time.sleep(15)  # Their imports take a processor each for some seconds.
            yield
        finally:
            for process in self.workers:
                process.terminate()
            for process in self.workers:
                process.wait(30)
            self.workers.clear()

    def spent(self) -> dict[str, float]:
        """Return the processor seconds of each program so far."""
        own = os.times()
        return {
            "web": processor_seconds(self.web, with_children=True),
            "postgresql": processor_seconds(self.database, with_children=True),
            "workers": sum(processor_seconds(p.pid, with_children=True) for p in self.workers),
            "sender": own.user + own.system,
        }

    def measure(
        self, what: str, make: Make, *, senders: int, seconds: float, evenly: float = 0.0
    ) -> dict[str, Any]:
        """Let ``senders`` threads send for ``seconds``, as fast as they can or ``evenly`` a second altogether."""
        waits: list[float] = []
        taken = [0] * senders
        ready = threading.Barrier(senders + 1)
        gone = threading.Event()
        began = [0.0]
        turns = itertools.count()
        faults: list[BaseException] = []

        def work(number: int) -> None:
            try:
                sender = Sender(self.address, self.key)
                path, kind, body, _ = make()
                sender.post(path, kind, body)  # Connection, imports and first plans do not count.
                ready.wait()
                gone.wait()
                while True:
                    path, kind, body, count = make()
                    if evenly:
                        due = began[0] + next(turns) / evenly
                        time.sleep(max(0.0, due - time.perf_counter()))
                    sent = time.perf_counter()
                    if sent - began[0] >= seconds:
                        return
                    sender.post(path, kind, body)
                    waits.append((time.perf_counter() - sent) * 1000)
                    taken[number] += count
            except BaseException as fault:
                faults.append(fault)
                ready.abort()
                raise

        threads = [threading.Thread(target=work, args=(number,)) for number in range(senders)]
        for thread in threads:
            thread.start()
        ready.wait()
        costs = Costs(self)
        began[0] = time.perf_counter()
        gone.set()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        return _row(
            what, senders, sum(taken), time.perf_counter() - began[0], waits, costs.each(sum(taken))
        )

    def back_fill(self, *, accounts: int, groups: int, memberships: int) -> dict[str, Any]:
        """Let one sender bring a whole directory in batches of ``LINES``, and name how long that takes."""
        kinds = (
            (account_line, accounts),
            (group_line, groups),
            (
                lambda number: (
                    membership_line(number) | {"account": f"account-{number % accounts}"}
                ),
                memberships,
            ),
        )
        sender, waits = Sender(self.address, self.key), []
        costs, began = Costs(self), time.perf_counter()
        for line, count in kinds:
            make = batches(line)
            for _ in range(count // LINES):
                path, kind, body, _ = make()
                sent = time.perf_counter()
                sender.post(path, kind, body)
                waits.append((time.perf_counter() - sent) * 1000)
        seconds = time.perf_counter() - began
        count = accounts + groups + memberships
        what = f"back-fill: {accounts:,} accounts, {groups:,} groups, {memberships:,} memberships"
        row = _row(what, 1, count, seconds, waits, costs.each(count))
        return row | {"seconds": round(seconds, 1), "requests": len(waits)}


def _row(
    what: str,
    senders: int,
    count: int,
    seconds: float,
    waits: list[float],
    costs: dict[str, float],
) -> dict[str, Any]:
    ordered = sorted(waits)
    return {
        "what": what,
        "senders": senders,
        "per_second": round(count / seconds, 1),
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        "cpu_ms": round(costs["web"] + costs["postgresql"], 3),
        "costs": costs,
        "load": round(os.getloadavg()[0], 1),
    }


def run(bench: Bench, *, quick: bool, only: str) -> Iterator[dict[str, Any]]:
    """Yield all figures, one after the other."""
    seconds = 6.0 if quick else 20.0
    photo = encode(draw(1, (1024, 768)))
    photos = f"report, one photo of {len(photo) // 1024} KB"
    kinds: list[tuple[str, Make, tuple[int, ...], float]] = [
        ("report, one message", single, (1, 8), BARS["report"]),
        (photos, with_photo(photo), (1, 8), BARS["photo"]),
        ("account lines", batches(account_line), (1, 2), 0),
        ("account lines, unchanged", again(batches(account_line)), (1, 2), 0),
        ("group lines", batches(group_line), (1,), 0),
        ("membership lines", batches(membership_line), (1, 2), 0),
        ("report lines", batches(report_line), (1, 2), 0),
    ]
    for what, make, crowds, bar in kinds:
        for senders in crowds:
            if only in what:
                yield bench.measure(what, make, senders=senders, seconds=seconds)
        if bar and only in what:
            rate = bar * EVENLY
            yield bench.measure(
                f"{what}, evenly {rate:g}/s", make, senders=8, seconds=2 * seconds, evenly=rate
            )
    if only in "back-fill":
        size = 5 if quick else 1
        yield bench.back_fill(
            accounts=10_000 // size, groups=2_000 // (2 if quick else 1), memberships=50_000 // size
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two minutes' version")
    parser.add_argument("--json", action="store_true", help="print a list of rows")
    parser.add_argument("--only", default="", help="only rows whose name holds this")
    options = parser.parse_args()
    rows = []
    with installation(processes=2) as (address, env):
        bench = Bench(address, env)
        with bench.working():
            for row in run(bench, quick=options.quick, only=options.only):
                rows.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(
        f"{'what':<58}{'senders':>8}{'each s':>9}{'p50 ms':>9}{'p99 ms':>9}{'cpu ms':>8}"
        f"{'web':>8}{'postgres':>9}"
    )
    for row in rows:
        print(
            f"{row['what']:<58}{row['senders']:>8}{row['per_second']:>9}{row['p50_ms']:>9}"
            f"{row['p99_ms']:>9}{row['cpu_ms']:>8}{row['costs']['web']:>8}"
            f"{row['costs']['postgresql']:>9}"
        )
    print("Waiting times are those of one HTTP request; a batch is one request.")


if __name__ == "__main__":
    main()
