"""A Valkey that takes connections and never answers: people get in, reports are taken, nobody hangs."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as configured
from django.core.cache import caches
from django.test import Client

from core import jobs, rates
from core.audit import SYSTEM
from reports import actions
from reports.models import Report, Scope, SourceKind
from tests.cast import PASSWORD, code_for
from tests.reports.conftest import Platform

ANSWER = 0.4


@pytest.fixture
def silent_valkey(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point everything at a socket that listens and never says a word; wait less than usual."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        url = f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        usual: dict[str, Any] = configured.CACHES["default"]["OPTIONS"]  # type: ignore[assignment]
        options = usual | {"socket_timeout": ANSWER}
        cache = configured.CACHES["default"] | {"LOCATION": url, "OPTIONS": options}
        settings.CACHES = {"default": cache}
        settings.REDIS_URL = url
        monkeypatch.setattr(jobs, "ANSWER_SECONDS", ANSWER)
        monkeypatch.setattr(jobs, "_resting_until", 0.0)
        monkeypatch.setattr(rates, "_resting_until", 0.0)
        yield


def test_the_cache_is_waited_for_as_shortly_as_the_queues() -> None:
    options: dict[str, Any] = configured.CACHES["default"]["OPTIONS"]  # type: ignore[assignment]
    assert options["socket_connect_timeout"] == jobs.CONNECT_SECONDS == 2
    assert options["socket_timeout"] == jobs.ANSWER_SECONDS == 5
    pool = caches["default"]._cache.get_client().connection_pool  # type: ignore[attr-defined]
    assert pool.connection_kwargs["socket_timeout"] == 5


@pytest.mark.django_db
def test_people_sign_in_after_one_wait_a_step(silent_valkey: None, reviewer: Any) -> None:
    client = Client()
    began = time.monotonic()
    answer = client.post("/sign-in/", {"email": reviewer.email, "password": PASSWORD})
    assert answer.status_code == 302
    assert client.post("/sign-in/code/", {"code": code_for(reviewer)}).status_code == 302
    assert client.get("/account/").status_code == 200
    assert ANSWER < time.monotonic() - began < 2 * ANSWER + 2


@pytest.mark.django_db(transaction=True)
def test_reports_are_taken_after_one_wait_for_the_count_and_one_for_the_wake_ups(
    silent_valkey: None,
) -> None:
    source = actions.create_source(
        slug="m", name="M", kind=SourceKind.PLATFORM, is_own_platform=True, actor=SYSTEM
    )
    key = actions.issue_key(source, scopes=list(Scope.values), actor=SYSTEM)[1]
    items = [{"surface": "reported_message", "text": f"markerword-{n}"} for n in range(8)]
    report = {"subject": {"account": "u-1"}, "reason": "spam", "items": items}
    began = time.monotonic()
    assert Platform(key).post("/reports", report).status_code == 201
    took = time.monotonic() - began
    assert Report.objects.count() == 1
    assert ANSWER < took < 2 * ANSWER + 2
    began = time.monotonic()
    assert Platform(key).post("/reports", report).status_code == 201
    assert time.monotonic() - began < ANSWER + 1, "the second report does not wait again"
