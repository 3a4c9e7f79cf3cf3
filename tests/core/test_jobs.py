"""Wake-ups: queued after the commit, once, by id; lost without harm."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from core import audit, context, jobs
from core.models import Heartbeat
from core.valkey_link import valkey

pytestmark = pytest.mark.django_db

RAN: list[Any] = []
WAITING: list[int] = []


@jobs.job
def remember(*ids: Any) -> None:
    """Note what came and who acts."""
    RAN.append((ids, context.current().job, audit.actor_of(None)))


@jobs.job
def gone(key: int) -> None:
    raise ObjectDoesNotExist


@jobs.job
def fails(key: int) -> None:
    raise ValueError("content of evidence")


def sweep_waiting() -> int:
    """Wake a worker for each waiting number, as the apps' sweeps do for rows."""
    for number in WAITING:
        jobs.enqueue("remember", number)
    return len(WAITING)


def sweep_broken() -> int:
    raise RuntimeError("content of evidence")


@pytest.fixture(autouse=True)
def registered(settings: Any) -> None:
    RAN.clear()
    WAITING.clear()
    here = "tests.core.test_jobs"
    settings.HOLDFAST_JOBS = {
        name: {"path": f"{here}.{name}", "queue": "default", "timeout": 30}
        for name in ("remember", "gone", "fails")
    }
    settings.HOLDFAST_SWEEPS = [f"{here}.sweep_broken", f"{here}.sweep_waiting"]


def fetch(key: str) -> Job:
    return Job.fetch(key, connection=valkey(), serializer=JSONSerializer)


def waiting() -> list[str]:
    return jobs.queue("default").get_job_ids()


@pytest.fixture
def commit(django_capture_on_commit_callbacks: Any) -> Any:
    """Run what waits for the commit, as a real transaction would."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


class TestEnqueue:
    def test_nothing_is_queued_before_the_commit(self, commit: Any) -> None:
        with commit():
            jobs.enqueue("remember", 1)
            assert waiting() == []
        assert waiting() == ["remember-1"]

    def test_nothing_is_queued_after_a_rollback(self, commit: Any) -> None:
        with commit(), transaction.atomic():
            jobs.enqueue("remember", 1)
            transaction.set_rollback(True)
        assert waiting() == []

    def test_valkey_holds_ids_and_nothing_else(self, commit: Any) -> None:
        with commit():
            jobs.enqueue("remember", 7, "0b7c")
        job = fetch("remember-7-0b7c")
        assert job.args == [7, "0b7c"]
        assert job.description == "remember"
        assert job.failure_ttl == 3600
        assert job.result_ttl == 0
        assert job.timeout == 30

    def test_the_same_wake_up_waits_once(self, commit: Any) -> None:
        for _ in range(3):
            with commit():
                jobs.enqueue("remember", 1)
        assert waiting() == ["remember-1"]

    def test_a_wake_up_during_the_run_is_not_lost_and_waits_once(self, commit: Any) -> None:
        with commit():
            jobs.enqueue("remember", 1)
        running = jobs.queue("default").pop_job_id()
        job = fetch(str(running))
        job.set_status(JobStatus.STARTED)
        job.started_at = datetime.now(UTC)
        job.save()
        for _ in range(3):
            with commit():
                jobs.enqueue("remember", 1)
        assert waiting() == ["remember-1-again"]

    def test_a_job_whose_worker_died_does_not_hold_back_the_next(self, commit: Any) -> None:
        with commit():
            jobs.enqueue("remember", 1)
        jobs.queue("default").pop_job_id()
        job = fetch("remember-1")
        job.set_status(JobStatus.STARTED)
        job.started_at = datetime.now(UTC) - timedelta(hours=1)
        job.save()
        with commit():
            jobs.enqueue("remember", 1)
        assert waiting() == ["remember-1"]

    def test_a_worker_that_died_while_taking_a_job_does_not_hold_it_back(self, commit: Any) -> None:
        with commit():
            jobs.enqueue("remember", 1)
        jobs.queue("default").pop_job_id()
        job = fetch("remember-1")
        job.enqueued_at = datetime.now(UTC) - timedelta(minutes=10)
        job.save()
        with commit():
            jobs.enqueue("remember", 1)
        assert waiting() == ["remember-1"]

    def test_a_failed_job_may_be_queued_again(self, commit: Any) -> None:
        with commit():
            jobs.enqueue("fails", 1)
        jobs.queue("default").pop_job_id()
        fetch("fails-1").set_status(JobStatus.FAILED)
        with commit():
            jobs.enqueue("fails", 1)
        assert waiting() == ["fails-1"]

    def test_with_valkey_down_the_action_still_succeeds(
        self, settings: Any, commit: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        with caplog.at_level(logging.INFO), commit():
            jobs.enqueue("remember", 1)
        assert "the sweep will find its row" in caplog.text

    def test_an_unknown_job_is_an_error_at_once(self) -> None:
        with pytest.raises(LookupError, match="unknown"):
            jobs.enqueue("unknown", 1)

    def test_ids_become_names_that_rq_allows(self) -> None:
        assert jobs.job_id("scan_item", ["a/b:c", 5]) == "scan_item-a_b_c-5"

    def test_a_real_worker_reads_what_was_queued(self, commit: Any) -> None:
        from rq import SimpleWorker

        with commit():
            jobs.enqueue("remember", 7, "x")
        worker = SimpleWorker(
            [jobs.queue("default")], connection=valkey(), serializer=JSONSerializer
        )
        worker.work(burst=True, logging_level="ERROR")
        assert [ids for ids, *_ in RAN] == [(7, "x")]
        assert waiting() == []


class TestRunning:
    def test_a_job_acts_as_the_system_by_name(self) -> None:
        jobs.run_now("remember", 1)
        ((ids, job, actor),) = RAN
        assert ids == (1,)
        assert job == "remember"
        assert (actor.kind, actor.id) == ("system", "remember")
        assert context.current().job == ""

    def test_a_row_that_is_gone_is_a_job_that_is_done(self) -> None:
        jobs.run_now("gone", 1)

    def test_a_failure_leaves_no_content_behind(self, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(jobs.JobFailed) as caught:
            jobs.run_now("fails", 1)
        assert "evidence" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        assert "evidence" not in caplog.text
        assert "ValueError" in caplog.text


class TestSweeps:
    def test_a_broken_sweep_does_not_stop_the_next(self, commit: Any) -> None:
        WAITING.append(5)
        with commit():
            outcome = jobs.run_sweeps()
        assert outcome["tests.core.test_jobs.sweep_waiting"] == "1"
        assert outcome["tests.core.test_jobs.sweep_broken"].startswith("RuntimeError at ")
        assert waiting() == ["remember-5"]
        broken = Heartbeat.objects.get(pk="tests.core.test_jobs.sweep_broken")
        assert "evidence" not in str(broken.detail)
        assert broken.detail["failing_since"]

    def test_the_time_a_failure_began_is_kept(self) -> None:
        jobs.run_sweeps()
        first = Heartbeat.objects.get(pk="tests.core.test_jobs.sweep_broken").detail
        Heartbeat.objects.filter(pk="tests.core.test_jobs.sweep_broken").update(
            detail=first | {"failing_since": "2026-01-01T00:00:00+00:00"}
        )
        jobs.run_sweeps()
        again = Heartbeat.objects.get(pk="tests.core.test_jobs.sweep_broken").detail
        assert again["failing_since"] == "2026-01-01T00:00:00+00:00"

    def test_after_a_wipe_the_sweep_queues_again(self, commit: Any) -> None:
        WAITING.extend([1, 2, 3])
        with commit():
            jobs.run_sweeps()
        assert len(waiting()) == 3
        valkey().flushdb()
        assert waiting() == []
        with commit():
            jobs.run_sweeps()
        assert sorted(waiting()) == ["remember-1", "remember-2", "remember-3"]
