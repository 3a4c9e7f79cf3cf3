"""A Valkey that takes connections and never answers: people get in, reports are taken, nobody hangs."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.core.cache import caches
from django.test import Client
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from config.runtime.valkey import Valkey
from core import disk, jobs, operations, rates, valkey_link
from core.audit import SYSTEM
from core.valkey_link import ANSWER_SECONDS, CONNECT_SECONDS, Patience, valkey
from reports import actions
from reports.models import Report, Scope, SourceKind
from tests.cast import PASSWORD, code_for
from tests.reports.conftest import Platform
from tests.stack import wait_until


class Stopped:
    """A Valkey of this test's own, and how often somebody began to wait for it."""

    def __init__(self, server: Valkey) -> None:
        self.server = server
        self.rests: list[str] = []

    def stop(self) -> None:
        assert self.server.process
        self.server.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.server.process
        self.server.process.send_signal(signal.SIGCONT)


@pytest.fixture
def silent_valkey(
    settings: Any, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stopped]:
    """Point everything at a server that was asked before and then stopped, as a stuck machine is."""
    (short_folder / "log").mkdir()
    server = Valkey(short_folder / "valkey", short_folder / "log").start()
    found = Stopped(server)
    begin = valkey_link._begin_rest

    def note(url: str, *, was_silent: bool) -> None:
        found.rests.append(url)
        begin(url, was_silent=was_silent)

    monkeypatch.setattr(valkey_link, "_begin_rest", note)
    try:
        url = server.url()
        usual: dict[str, Any] = configured.CACHES["default"]["OPTIONS"]  # type: ignore[assignment]
        options = usual | {"retry": Patience(url)}
        settings.CACHES = {
            "default": configured.CACHES["default"] | {"LOCATION": url, "OPTIONS": options}
        }
        settings.REDIS_URL = url
        assert valkey().ping()
        found.stop()
        yield found
    finally:
        found.go_on()
        server.stop()


def test_all_connections_share_one_limit_and_one_rest() -> None:
    cache = caches["default"]._cache.get_client().connection_pool  # type: ignore[attr-defined]
    for pool in (cache, valkey().connection_pool):
        link: Any = pool.make_connection()
        assert link.socket_connect_timeout == CONNECT_SECONDS <= 2
        assert link.socket_timeout == ANSWER_SECONDS <= 2
        assert link.retry == Patience(configured.REDIS_URL)


@pytest.mark.django_db
def test_a_look_at_the_workers_does_not_lengthen_the_limit() -> None:
    SimpleWorker([jobs.queue("scan")], connection=valkey(), serializer=JSONSerializer)
    operations.overview()
    link: Any = valkey().connection_pool.make_connection()
    assert link.socket_timeout == ANSWER_SECONDS


def test_one_question_is_waited_for_and_no_second_one(silent_valkey: Stopped) -> None:
    began = time.monotonic()
    assert rates.spend("silent", 10) is None
    assert time.monotonic() - began >= ANSWER_SECONDS
    began = time.monotonic()
    jobs._wake(jobs.registered("send_due"), [])
    assert rates.spend("silent", 10) is None
    assert disk.met() == []
    with pytest.raises(valkey_link.Resting):
        valkey().ping()
    assert time.monotonic() - began < ANSWER_SECONDS, "somebody waited again"
    assert silent_valkey.rests == [configured.REDIS_URL]


def test_work_wakes_by_itself_when_it_goes_on(silent_valkey: Stopped) -> None:
    assert rates.spend("silent", 10) is None
    silent_valkey.go_on()
    wait_until(lambda: rates.spend("silent", 10), seconds=15, what="an answer")
    jobs._wake(jobs.registered("send_due"), [])
    assert jobs.queue("deliver").count == 1


def test_a_rest_in_which_nobody_asks_ends(
    silent_valkey: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_link, "FORGET_SECONDS", 0.0)
    assert rates.spend("silent", 10) is None
    wait_until(lambda: configured.REDIS_URL not in valkey_link._rests, what="the end of the rest")


@pytest.mark.django_db
def test_health_names_it_and_asks_once(silent_valkey: Stopped) -> None:
    answer = Client().get("/healthz")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["valkey"]) == ("degraded", "silent")
    assert Client().get("/healthz").json()["valkey"] == "silent"
    assert len(silent_valkey.rests) == 1, "it was asked twice"


@pytest.mark.django_db
def test_people_sign_in_after_one_wait(silent_valkey: Stopped, reviewer: Any) -> None:
    client = Client()
    answer = client.post("/sign-in/", {"email": reviewer.email, "password": PASSWORD})
    assert answer.status_code == 302
    assert client.post("/sign-in/code/", {"code": code_for(reviewer)}).status_code == 302
    assert client.get("/account/").status_code == 200
    assert len(silent_valkey.rests) == 1


@pytest.mark.django_db(transaction=True)
def test_reports_are_taken_after_one_wait_and_the_next_at_once(silent_valkey: Stopped) -> None:
    source = actions.create_source(
        slug="m", name="M", kind=SourceKind.PLATFORM, is_own_platform=True, actor=SYSTEM
    )
    key = actions.issue_key(source, scopes=list(Scope.values), actor=SYSTEM)[1]
    items = [{"surface": "reported_message", "text": f"markerword-{n}"} for n in range(8)]
    report = {"subject": {"account": "u-1"}, "reason": "spam", "items": items}
    began = time.monotonic()
    assert Platform(key).post("/reports", report).status_code == 201
    assert time.monotonic() - began >= ANSWER_SECONDS
    assert Platform(key).post("/reports", report).status_code == 201
    assert Report.objects.count() == 2
    assert len(silent_valkey.rests) == 1, "one wait for the count and all wake-ups of both"
