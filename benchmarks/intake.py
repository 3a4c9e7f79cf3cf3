"""How many reports a second one web process takes in, and how long a sender waits.

    python benchmarks/intake.py [--quick] [--json]

Real HTTP on the loopback interface against one web process with 8 threads, a private PostgreSQL with
fsync on and a private Valkey; no workers run, so that only intake is measured. The senders are threads of
this process on the same machine and take their share of it.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.installation import installation, run_python
from config.sample.pictures import draw, encode

MAKE_KEY = """
from core.audit import SYSTEM
from reports import actions
from reports.models import Scope, SourceKind
source = actions.create_source(slug="bench", name="Bench", kind=SourceKind.PLATFORM, is_own_platform=True, actor=SYSTEM)
print(actions.issue_key(source, scopes=Scope.values, rate_per_minute=60000, actor=SYSTEM)[1])
"""


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
    body = report(items=[{"surface": "reported_message", "text": "markerword-alpha " * 10}])
    client.post("/api/v1/reports", json=body).raise_for_status()
    return 1


def photo_report(photo: bytes) -> Callable[[httpx.Client], int]:
    """Return a sender of one report with one photo; every photo has bytes of its own."""

    def send(client: httpx.Client) -> int:
        unique = photo + uuid.uuid4().bytes
        items = [{"surface": "profile_photo", "file": "photo"}]
        client.post(
            "/api/v1/reports",
            data={"report": json.dumps(report(items=items))},
            files={"photo": ("photo.jpg", io.BytesIO(unique), "image/jpeg")},
        ).raise_for_status()
        return 1

    return send


def batch(lines: int) -> Callable[[httpx.Client], int]:
    """Return a sender of ``lines`` reports in one NDJSON body."""

    def send(client: httpx.Client) -> int:
        items = [{"surface": "reported_message", "text": "A short message."}]
        body = "\n".join(
            json.dumps({"type": "report", **report(items=items)}) for _ in range(lines)
        )
        client.post(
            "/api/v1/batches", content=body, headers={"Content-Type": "application/x-ndjson"}
        ).raise_for_status()
        return lines

    return send


def measure(
    address: str, key: str, send: Callable[[httpx.Client], int], *, senders: int, seconds: float
) -> dict[str, float]:
    """Let ``senders`` threads send for ``seconds``; return rate and waiting times in milliseconds."""
    waits: list[float] = []
    taken = [0] * senders
    lock = threading.Lock()
    start = threading.Barrier(senders + 1)
    deadline = [0.0]

    def work(number: int) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
            send(client)  # connection, imports and first plans are not what is measured
            start.wait()
            own = []
            while time.perf_counter() < deadline[0]:
                began = time.perf_counter()
                taken[number] += send(client)
                own.append((time.perf_counter() - began) * 1000)
            with lock:
                waits.extend(own)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(senders)]
    for thread in threads:
        thread.start()
    # Set before the barrier opens, so that no sender reads a deadline that has passed.
    deadline[0] = time.perf_counter() + seconds + 3600
    start.wait()
    began = time.perf_counter()
    deadline[0] = began + seconds
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    ordered = sorted(waits)
    return {
        "per_second": round(sum(taken) / elapsed, 1),
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a minute's version")
    parser.add_argument("--json", action="store_true", help="print a list of rows")
    options = parser.parse_args()
    seconds = 5.0 if options.quick else 20.0
    photo = encode(draw(1, (1024, 768)))
    kinds = [
        ("report, one message", text_report, (1, 8)),
        (f"report, one photo of {len(photo) // 1024} KB", photo_report(photo), (1, 8)),
        ("NDJSON batch of 200 reports", batch(200), (1, 2)),
    ]
    rows = []
    with installation() as (address, env):
        key = run_python(env, MAKE_KEY).splitlines()[-1]
        for name, send, crowds in kinds:
            for senders in crowds:
                found = measure(address, key, send, senders=senders, seconds=seconds)
                rows.append({"what": name, "senders": senders, **found})
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'what':<34}{'senders':>8}{'reports/s':>11}{'p50 ms':>9}{'p99 ms':>9}")
    for row in rows:
        print(
            f"{row['what']:<34}{row['senders']:>8}{row['per_second']:>11}{row['p50_ms']:>9}"
            f"{row['p99_ms']:>9}"
        )
    print("Waiting times are those of one HTTP request; a batch is one request.")


if __name__ == "__main__":
    main()
