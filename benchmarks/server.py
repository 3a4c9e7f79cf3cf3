"""Which web server: the same pages, reports and claims through each, alone and beside two hundred strangers.

    python benchmarks/server.py [--quick] [--json]

Each serves the same installation, with two processes and a private PostgreSQL with fsync on, one after the
other in one run: Holdfast's own (uvicorn with the limits and the threads of ``config/web``), granian and gunicorn
(threads of their own that speak WSGI) and waitress (one process, told to hold bodies in memory). The senders are
threads of this process on the same machine and take their share of it.

*strangers* are 200 connections with half a request each: of the header, of a form, of an upload. What is shown is
how long ``/healthz`` then takes, over at most 20 s.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.installation import prepared, run_python, served
from benchmarks.intake import MAKE_KEY, photo_report, text_report
from config.sample.pictures import draw, encode

AT = ("--host", "{host}", "--port", "{port}")
WSGI = "config.wsgi:application"
SERVERS: dict[str, tuple[str, ...]] = {
    "holdfast (uvicorn)": ("-m", "config.runtime.web", *AT),
    "granian wsgi": (
        *("-m", "granian", "--interface", "wsgi", "--no-ws", *AT),
        *("--workers", "2", "--blocking-threads", "12", WSGI),
    ),
    "gunicorn gthread": (
        *("-m", "gunicorn", "--bind", "{host}:{port}", "--worker-class", "gthread"),
        *("--workers", "2", "--threads", "12", WSGI),
    ),
    "waitress": (
        *("-m", "waitress", "--listen", "{host}:{port}", "--threads", "24"),
        *("--inbuf-overflow", "300000000", "--outbuf-overflow", "300000000", WSGI),
    ),
}
CLIENTS = 8
TOKEN = "a" * 32
# A reviewer for each client, with sessions such as the sign-in pages open, and cases that wait.
MAKE_PEOPLE = """
import json
from importlib import import_module
from benchmarks.claims import fill, people
from accounts import signing_in
from django.conf import settings
from django.http import HttpRequest
from moderation.models import Case, Queue

def session(person):
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()
    signing_in.begin(request, person, second_factor=True)
    request.session.save()
    return request.session.session_key

queue = Queue.objects.order_by("pk").first()
fill(queue, 0, 20000)
print(json.dumps({
    "sessions": [session(person) for person in people(CLIENTS)],
    "case": f"/cases/{Case.objects.order_by('pk').first().pk}/",
    "queue": f"/queues/{queue.slug}/",
}))
"""


def wait_ms(ask: Callable[[], Any]) -> float:
    """Return how long an answer took, in milliseconds."""
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


def crowd(
    address: str,
    headers: list[dict[str, str]],
    ask: Callable[[httpx.Client], Any],
    *,
    seconds: float,
) -> dict[str, float]:
    """Let some clients ask for some seconds; return requests a second and waiting times."""
    waits: list[float] = []
    deadline = time.perf_counter() + seconds

    def work(number: int) -> None:
        own = headers[number % len(headers)]
        with httpx.Client(base_url=address, headers=own, timeout=60) as client:
            ask(client)  # The connection and first plans are not what is measured.
            while time.perf_counter() < deadline:
                waits.append(wait_ms(lambda: ask(client)))

    with ThreadPoolExecutor(CLIENTS) as pool:
        for one in [pool.submit(work, number) for number in range(CLIENTS)]:
            one.result()  # A client that was refused ends the measurement.
    ordered = sorted(waits)
    return {
        "per_second": round(len(waits) / seconds, 1),
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
    }


def page(path: str) -> Callable[[httpx.Client], Any]:
    """Return an asker of a page that has to be there."""
    return lambda client: client.get(path).raise_for_status()


def claim(queue: str) -> Callable[[httpx.Client], Any]:
    """Return an asker that takes the next case of a queue and gives it back: two requests."""

    def ask(client: httpx.Client) -> None:
        taken = client.post(f"{queue}claim-next/")
        if not taken.headers.get("Location", "").startswith("/cases/"):
            raise SystemExit(f"claimed nothing: {taken.status_code}")
        given = client.post(f"{taken.headers['Location']}release/", data={"reason": "A benchmark."})
        if given.status_code >= 400:
            raise SystemExit(f"gave nothing back: {given.status_code}")

    return ask


@contextmanager
def strangers(address: str, count: int = 200) -> Iterator[None]:
    """Hold connections with half a request each."""
    parts = urlsplit(address)
    form = b"POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrf=" + b"a" * 32 + b"\r\n"
    ways = [
        b"GET /sign-in/ HTTP/1.1\r\nHost: loc",
        form + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000\r\n\r\na",
        form + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000000\r\n\r\n-",
    ]
    links = []
    try:
        for number in range(count):
            link = socket.create_connection((parts.hostname, parts.port), timeout=10)
            link.sendall(ways[number % len(ways)])
            links.append(link)
        yield
    finally:
        for link in links:
            link.close()


def beside_strangers(address: str, *, seconds: float) -> dict[str, float | None]:
    """Return how long /healthz takes beside two hundred strangers; None is longer than ``seconds``."""
    with strangers(address):
        time.sleep(1)
        waits: list[float | None] = []
        for _ in range(5):
            try:
                waits.append(wait_ms(lambda: httpx.get(f"{address}/healthz", timeout=seconds)))
            except httpx.TransportError:
                waits.append(None)
                break
        measured = [wait for wait in waits if wait is not None]
        none = None in waits
        return {
            "p50_ms": None if none else round(statistics.median(measured), 1),
            "p99_ms": None if none else round(max(measured), 1),
        }


def memory_mb(pid: int) -> int:
    """Return the proportional memory of a process and its children, in megabytes."""
    import psutil

    parent = psutil.Process(pid)
    together = [parent, *parent.children(recursive=True)]
    return round(sum(one.memory_full_info().pss for one in together) / 1e6)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two minutes' version")
    parser.add_argument("--json", action="store_true", help="print a list of rows")
    options = parser.parse_args()
    seconds = 3.0 if options.quick else 15.0
    photo = encode(draw(1, (1024, 768)))
    rows: list[dict[str, Any]] = []
    with prepared() as env:
        key = run_python(env, MAKE_KEY).splitlines()[-1]
        made = json.loads(
            run_python(env, MAKE_PEOPLE.replace("CLIENTS", str(CLIENTS))).splitlines()[-1]
        )
        source = [{"Authorization": f"Bearer {key}"}]
        people = [
            {"Cookie": f"session={one}; csrf={TOKEN}", "X-CSRFToken": TOKEN}
            for one in made["sessions"]
        ]
        for name, command in SERVERS.items():
            kinds: list[tuple[str, list[dict[str, str]], Callable[[httpx.Client], Any]]] = [
                ("case page", people, page(made["case"])),
                ("claim, give back", people, claim(made["queue"])),
                ("report, one message", source, text_report),
                (f"report, photo {len(photo) // 1024} KB", source, photo_report(photo)),
                ("sign-in page", [{}], page("/sign-in/")),
            ]
            with served(env, command) as (address, process):
                for what, headers, ask in kinds:
                    found = crowd(address, headers, ask, seconds=seconds)
                    rows.append({"server": name, "what": what, **found})
                rows.append({"server": name, "what": "memory", "mb": memory_mb(process.pid)})
                beside = beside_strangers(address, seconds=20)
                rows.append({"server": name, "what": "strangers: /healthz", **beside})
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'server':<20}{'what':<26}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for row in rows:
        if "mb" in row:
            print(f"{row['server']:<20}{row['what']:<26}{row['mb']:>7} MB")
            continue
        shown = [row.get("per_second", ""), row["p50_ms"], row["p99_ms"]]
        words = ["> 20 s" if one is None else one for one in shown]
        print(f"{row['server']:<20}{row['what']:<26}{words[0]:>10}{words[1]:>9}{words[2]:>9}")


if __name__ == "__main__":
    main()
