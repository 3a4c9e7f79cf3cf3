"""A lease is short and renewed while its worker lives: what a dead one held is taken up soon."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from core import leases
from hashing import actions
from hashing.models import IndexBuild, IndexState
from tests.faults.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEWED_EVERY", 0.05)


def left(build: IndexBuild) -> float:
    """Seconds until the lease ends, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    build.refresh_from_db(fields=["due_at"])
    return float((build.due_at - now).total_seconds())


def taken() -> IndexBuild:
    asked = actions.request_index("invented")
    assert asked is not None
    build = actions.begin_index_build(asked)
    assert build is not None
    return build


def nearly_over(build: IndexBuild) -> None:
    IndexBuild.objects.filter(pk=build.pk).update(due_at=Now() + timedelta(seconds=1))


def test_what_a_dead_worker_held_is_due_after_a_few_signs_of_life() -> None:
    assert 0 < left(taken()) <= leases.LEASE.total_seconds()


def test_a_lease_goes_on_while_its_worker_lives_and_ends_with_it() -> None:
    build = taken()
    nearly_over(build)
    with actions.keep_index_build(build):
        wait_until(lambda: left(build) > 10)
    nearly_over(build)
    time.sleep(0.2)
    assert left(build) <= 1


def test_what_somebody_else_took_up_or_what_ended_is_left_alone() -> None:
    build = taken()
    with actions.keep_index_build(build):
        wait_until(lambda: left(build) > 10)
        IndexBuild.objects.filter(pk=build.pk).update(attempts=build.attempts + 1)
        nearly_over(build)
        time.sleep(0.3)
        assert left(build) <= 1
        IndexBuild.objects.filter(pk=build.pk).update(
            attempts=build.attempts, state=IndexState.REPLACED
        )
        time.sleep(0.3)
        assert left(build) <= 1


def test_no_wait_is_shortened_and_no_lock_waited_for() -> None:
    build = taken()
    IndexBuild.objects.filter(pk=build.pk).update(due_at=Now() + timedelta(hours=1))
    with actions.keep_index_build(build):
        time.sleep(0.3)
        assert left(build) > 3000
        with transaction.atomic():
            IndexBuild.objects.select_for_update().get(pk=build.pk)
            nearly_over(build)
            time.sleep(0.3)
        wait_until(lambda: left(build) > 10)


def test_an_error_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    build, asked = taken(), []

    def fails(*_: object) -> None:
        asked.append(1)
        raise RuntimeError("an invented failure")

    monkeypatch.setattr(leases, "_renew", fails)
    with actions.keep_index_build(build):
        wait_until(lambda: len(asked) > 1)
    assert actions.waiting_index_builds().count() == 0
