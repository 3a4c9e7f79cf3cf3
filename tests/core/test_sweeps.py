"""What grows old is deleted once a day, and what is still needed stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone
from redis.exceptions import TimeoutError as Unanswered

from core import sweeps
from core.jobs import beat, run_sweeps
from core.models import Heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def a_new_day() -> Iterator[None]:
    Heartbeat.objects.filter(pk="schedule old-rows").delete()
    yield
    Heartbeat.objects.filter(pk="schedule old-rows").delete()


def make_session(key: str, days: int) -> None:
    Session.objects.create(
        session_key=key, session_data="", expire_date=timezone.now() + timedelta(days=days)
    )


def test_sessions_that_expired_are_deleted_and_others_stay() -> None:
    make_session("over", -1)
    make_session("open", 1)
    sweeps.sweep_old_rows()
    assert [session.session_key for session in Session.objects.all()] == ["open"]


def test_processes_not_seen_for_a_week_are_forgotten_and_sweeps_never() -> None:
    for name, kind in (("gone", "worker"), ("here", "worker"), ("a.sweep", "sweep")):
        beat(name, kind)
    Heartbeat.objects.exclude(name="here").update(at=Now() - timedelta(days=8))
    assert sweeps.sweep_old_rows() == 1
    left = Heartbeat.objects.exclude(kind=Heartbeat.Kind.SCHEDULE)
    assert set(left.values_list("name", flat=True)) == {"here", "a.sweep"}


def test_old_rows_are_looked_for_once_a_day() -> None:
    sweeps.sweep_old_rows()
    make_session("over", -1)
    sweeps.sweep_old_rows()
    assert Session.objects.count() == 1
    Heartbeat.objects.filter(pk="schedule old-rows").delete()  # As when the day is over.
    sweeps.sweep_old_rows()
    assert Session.objects.count() == 0


def test_without_valkey_old_rows_go_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object, **kwargs: object) -> bool:
        raise Unanswered

    store: Any = cache
    monkeypatch.setattr(type(store._connections[store._alias]), "add", away)
    make_session("over", -1)
    sweeps.sweep_old_rows()
    assert not Session.objects.exists()


def test_one_that_fails_while_the_scheduler_stops_waits_for_the_database_only_once(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError("the database has ended")

    asked: list[bool] = []

    def is_over() -> bool:
        asked.append(True)
        return len(asked) > 1

    settings.HOLDFAST_SWEEPS = ["core.sweeps.sweep_old_rows", "core.sweeps.sweep_staged_blobs"]
    monkeypatch.setattr(sweeps, "sweep_old_rows", away)
    outcome = run_sweeps(is_over=is_over)
    assert list(outcome) == ["core.sweeps.sweep_old_rows"]
    assert not Heartbeat.objects.filter(kind=Heartbeat.Kind.SWEEP).exists()


def test_the_scheduler_runs_them() -> None:
    assert "core.sweeps.sweep_old_rows" in settings.HOLDFAST_SWEEPS
    assert "accounts.sweeps.sweep_sign_ins" in settings.HOLDFAST_SWEEPS
