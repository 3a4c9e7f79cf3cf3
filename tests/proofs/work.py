"""Work goes on: lost sessions, a receiver that hangs, processes that are killed while reports arrive."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from functools import partial

import httpx
import psutil

from tests.proofs import proof
from tests.proofs.installation import Installation

SOON = 15.0

ORDERS = """
from django.db.models.functions import Now
from core.audit import SYSTEM
from moderation import actions
from moderation.enforcement import GIVE_UP_AFTER
from moderation.models import Delivery, Enforcement
endpoint, _ = actions.create_endpoint(name="{name}", url="{url}", verbs=["warn"], actor=SYSTEM)
for order in Enforcement.objects.exclude(decision__published_at=None)[:20]:
    Delivery.objects.create(enforcement=order, endpoint=endpoint, payload={{}}, give_up_at=Now() + GIVE_UP_AFTER)
print(Delivery.objects.filter(endpoint=endpoint).count())
"""


def _send(place: Installation) -> str:
    """Send one report until it is acknowledged, as a platform does; return its id."""
    tag = uuid.uuid4().hex[:12]
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            body = {
                "external_id": tag,
                "subject": {"account": f"proof-{tag}"},
                "reason": "other",
                "items": [{"surface": "profile_text", "text": f"an invented sentence {tag}"}],
            }
            answer = place.api("POST", "reports", json=body, headers={"Idempotency-Key": tag})
            if answer.status_code == 201:
                return str(answer.json()["id"])
            assert answer.status_code in {502, 503}, answer.text
        time.sleep(0.2)
    raise AssertionError("a report was not acknowledged within a minute")


def _cases_of(place: Installation, report: str) -> int:
    return int(
        place.rows("SELECT count(*) FROM moderation_casereport WHERE report_id = %s", report)[0][0]
    )


def _until_in_a_case(place: Installation, *, seconds: float) -> float:
    began = time.monotonic()
    report = _send(place)
    place.wait("a case of the report", lambda: _cases_of(place, report), seconds=seconds)
    return time.monotonic() - began


@contextlib.contextmanager
def _never_answers() -> Iterator[str]:
    """Listen, take connections and say nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as host:
        yield f"http://127.0.0.1:{host.getsockname()[1]}/hooks"


@proof("a receiver that hangs delays nobody's report", quick=True)
def a_hanging_receiver(place: Installation) -> str:
    name = f"proof {uuid.uuid4().hex[:6]}"
    with _never_answers() as url:
        made = place.manage(
            *("shell", "-c", ORDERS.format(name=name, url=url)), HOLDFAST_WEBHOOK_ALLOW_PRIVATE="1"
        )
        assert made.returncode == 0, made.stderr
        orders = int(made.stdout.split()[-1])
        assert orders, "the sample data holds no order"
        place.wait(
            "an attempt that hangs",
            lambda: place.rows(
                "SELECT 1 FROM moderation_delivery d JOIN moderation_webhookendpoint e "
                "ON e.id = d.endpoint_id WHERE e.name = %s AND d.attempts_made > 0",
                name,
            ),
            seconds=30,
        )
        took = _until_in_a_case(place, seconds=SOON)
    place.rows(
        "UPDATE moderation_webhookendpoint SET is_active = false WHERE name = %s RETURNING 1", name
    )
    return f"{orders} orders hang; a report was in its case after {took:.1f} s"


@proof("after all database sessions ended a report is in a case within 15 s", last=True)
def all_sessions_ended(place: Installation) -> str:
    _until_in_a_case(place, seconds=60)
    ended = place.rows(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        owner=True,
    )[0][0]
    assert ended, "there was no session to end"
    took = _until_in_a_case(place, seconds=SOON)
    return f"{ended} sessions ended; a report was in its case after {took:.1f} s"


@proof("whatever process is killed, no acknowledged report is lost or comes twice", last=True)
def each_process_killed(place: Installation) -> str:
    stop, sent = threading.Event(), []

    def platform() -> None:
        while not stop.is_set():
            sent.append(_send(place))

    senders = [threading.Thread(target=platform) for _ in range(2)]
    for one in senders:
        one.start()
    killed = 0
    try:
        for victim in psutil.Process(place.process.pid).children():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
                killed += 1
            time.sleep(1)
        place.wait("a web server", place.healthy, seconds=60)
    finally:
        stop.set()
        for one in senders:
            one.join()
    for report in sent:
        place.wait("a case", partial(_cases_of, place, report), seconds=90)
        assert _cases_of(place, report) == 1, "a report is in two cases"
    assert len(set(sent)) == len(sent)
    return f"{killed} processes killed while {len(sent)} reports arrived: each is in one case"
