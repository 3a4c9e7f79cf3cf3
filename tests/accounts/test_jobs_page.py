"""The operations page: figures without content, also while Valkey is away."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from accounts.models import User
from core import jobs
from core.models import Heartbeat
from core.valkey_link import valkey
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


@jobs.job
def breaks(key: int) -> None:
    """Fail with a message that must not be shown."""
    raise ValueError("content of evidence")


def breaks_alone(key: int) -> None:
    """Fail outside of our decorator."""
    raise KeyError("content of evidence")


@pytest.fixture
def desk(client: Client, lead: User) -> Client:
    return signed_in(client, lead)


def test_a_reviewer_may_not_see_it(client: Client, reviewer: User) -> None:
    assert signed_in(client, reviewer).get(reverse("accounts:jobs")).status_code == 403


def test_an_idle_installation_says_what_is_missing(desk: Client) -> None:
    page = desk.get(reverse("accounts:jobs")).content.decode()
    assert "The scheduler is not running" in page
    assert "No worker is running" in page
    assert "Nothing failed in the last hour" in page


def test_it_shows_what_waits_and_what_failed(
    desk: Client, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    here = "tests.accounts.test_jobs_page"
    settings.HOLDFAST_JOBS = {
        name: {"path": f"{here}.{name}", "queue": "scan", "timeout": 9}
        for name in ("breaks", "breaks_alone")
    }
    settings.HOLDFAST_SWEEPS = [f"{here}.no_such_sweep"]
    with django_capture_on_commit_callbacks(execute=True):
        jobs.enqueue("breaks", 1)
        jobs.enqueue("breaks_alone", 1)
    SimpleWorker([jobs.queue("scan")], connection=valkey(), serializer=JSONSerializer).work(
        burst=True, logging_level="CRITICAL"
    )
    with django_capture_on_commit_callbacks(execute=True):
        jobs.enqueue("breaks", 2)
    jobs.run_sweeps()
    jobs.beat("scheduler", "scheduler")
    answer = desk.get(reverse("accounts:jobs"))
    overview = answer.context["overview"]
    scan = next(queue for queue in overview.queues if queue.name == "scan")
    assert (scan.waiting, scan.failed) == (1, 2)
    assert scan.oldest is not None
    assert {failure.job for failure in overview.failures} == {"breaks", "breaks_alone"}
    errors = sorted(failure.error for failure in overview.failures)
    assert errors[0] == "KeyError"
    assert errors[1].startswith("ValueError at accounts/test_jobs_page.py:")
    assert overview.failing_sweeps == 1
    page = answer.content.decode()
    assert "content of evidence" not in page
    assert "The scheduler is not running" not in page


def test_it_opens_while_valkey_is_away(desk: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = desk.get(reverse("accounts:jobs"))
    assert answer.status_code == 200
    assert "Valkey cannot be reached" in answer.content.decode()


def test_htmx_gets_the_figures_only(desk: Client) -> None:
    answer = desk.get(reverse("accounts:jobs"), headers={"HX-Request": "true"})
    assert answer.content.decode().lstrip().startswith("<div")
    assert "<html" not in answer.content.decode()


def test_workers_routines_and_the_sandbox_are_said_in_words(desk: Client, settings: Any) -> None:
    workers = [
        SimpleWorker(
            [jobs.queue(name) for name in settings.HOLDFAST_PROCESSES["scan-worker"]],
            connection=valkey(),
            serializer=JSONSerializer,
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.register_birth()
    try:
        jobs.beat("moderation.jobs.sweep_claims", Heartbeat.Kind.SWEEP, found=0, ms=1)
        jobs.beat("sandbox on invented-host", Heartbeat.Kind.WORKER, sandbox=[])
        jobs.beat("sandbox on bare-host", Heartbeat.Kind.WORKER, sandbox=["Landlock is missing."])
        answer = desk.get(reverse("accounts:jobs"))
    finally:
        for worker in workers:
            worker.register_death()
    page = " ".join(answer.content.decode().split())
    host = workers[0].hostname
    assert f"Scan worker 1 on {host}" in page
    assert f"Scan worker 2 on {host}" in page
    assert all(worker.started_at for worker in answer.context["overview"].workers)
    assert ">Ends claims whose time is over</th>" in page
    states = {
        (state.worker, state.host): state.missing for state in answer.context["overview"].sandboxes
    }
    assert states == {
        ("Scan worker", "invented-host"): [],
        ("Video worker", "invented-host"): [],
        ("Scan worker", "bare-host"): ["Landlock is missing."],
        ("Video worker", "bare-host"): ["Landlock is missing."],
    }
    assert "In force" in page
    assert "Not complete" in page
    assert answer.context["overview"].unconfined == [
        ("sandbox on bare-host", "Landlock is missing.")
    ]
