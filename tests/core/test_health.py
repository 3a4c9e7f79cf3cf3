"""Health means progress: what waits too long is named with its process, however alive that is."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core import doctor, jobs, stages
from core.models import Heartbeat
from reports.models import Item, Report
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "KEPT_SECONDS", -1.0)


@pytest.fixture
def waiting(casework: Any) -> Report:
    """Return a report that was scanned four minutes ago and is in no case yet."""
    report: Report = casework.report("invented-1", texts=["an invented sentence"])
    past = Now() - timedelta(minutes=4)
    with (
        connection.cursor() as cursor
    ):  # The time of receipt never changes; a test cannot wait for it.
        cursor.execute("SET LOCAL session_replication_role = replica")
    Report.objects.filter(pk=report.pk).update(received_at=past)
    Item.objects.filter(report=report).update(
        received_at=past, scan_state="scanned", scanned_at=past, route_state="waiting"
    )
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = origin")
    return report


def healthz(**asked: str) -> Any:
    return Client().get("/healthz", asked)


@pytest.mark.django_db
def test_a_balancer_may_ask_for_the_header_alone() -> None:
    assert (Client().head("/healthz").status_code, healthz().status_code) == (200, 200)


def diagnosis() -> tuple[int, list[dict[str, str]]]:
    out = io.StringIO()
    try:
        call_command("doctor", "--json", stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), [json.loads(line) for line in out.getvalue().splitlines()]
    return 0, [json.loads(line) for line in out.getvalue().splitlines()]


@jobs.job
def breaks() -> None:
    raise ValueError("content of evidence")


@jobs.job
def works() -> None:
    pass


# ── Stages ────────────────────────────────────────────────────────────────────────────────────
def test_what_waits_too_long_is_named_with_its_process_everywhere(
    waiting: Report, client: Client, lead: User
) -> None:
    Heartbeat.objects.create(
        name="job route_waiting",
        kind="job",
        detail={
            "ok_at": "2026-01-01T00:00:00+00:00",
            "failures": 16,
            "error": "OperationalError at jobs/routing.py:31",
        },
    )
    sentence = "Routing has waited 4 min (limit 30 s). The process “case-worker” does it; "
    deep = healthz(deep="1")
    assert deep.status_code == 503
    (routing,) = [found for found in deep.json()["stages"] if found["stage"] == "routing"]
    assert routing["late"]
    assert routing["waiting"] == 1
    assert routing["oldest_seconds"] >= 240
    assert routing["process"] == "case-worker"
    assert healthz().status_code == 200  # A balancer must not take the web server away for it.
    page = signed_in(client, lead).get(reverse("accounts:jobs")).content.decode()
    assert sentence in page
    assert "Its job route_waiting failed 16 times since: the database could not be reached" in page
    code, found = diagnosis()
    assert code == 1
    (work,) = [each for each in found if each["topic"] == "work" and each["state"] == "fault"]
    assert work["says"].startswith(sentence)
    assert "its last success was 00:00:00 UTC" in work["says"]


def test_a_limit_of_ones_own_counts(waiting: Report, settings: Any) -> None:
    settings.HOLDFAST_STAGE_LIMITS = {"routing": 3600, "item_routing": 3600}
    assert not any(stage["late"] for stage in healthz(deep="1").json()["stages"])


def test_every_stage_can_be_measured_and_has_a_process() -> None:
    found = stages.measure()
    assert len({each.stage.key for each in found}) == len(found)
    for each in found:
        assert each.processes, each.stage.key
        assert (each.waiting, each.waited) == (0, None)
        for name in each.stage.jobs:
            jobs.registered(name)


NO_ROW_WAITS_FOR = {
    "describe_plugin": "asked for again at every look until the plug-in is known; the page of detectors says which is not",
    "score_recent": "figures of the day; a version that cannot score says why on its page, and drift is a stage",
}


def test_whatever_a_job_does_is_a_stage_or_said_to_be_none(settings: Any) -> None:
    """A job whose rows nobody measures may stand still for ever while every page of health is green."""
    measured = {name for stage in stages.stages() for name in stage.jobs}
    assert set(settings.HOLDFAST_JOBS) - measured == set(NO_ROW_WAITS_FOR)


def test_marks_that_nobody_rates_a_check_that_nobody_begins_and_an_anchor_without_a_file_are_late(
    client: Client, lead: User, casework: Any
) -> None:
    from core.models import AuditAnchor
    from reports.models import SubjectChange

    past = Now() - timedelta(hours=8)
    account = casework.report("invented-1", texts=["an invented sentence"]).account
    SubjectChange.objects.all().delete()
    SubjectChange.objects.create(account=account, at=past)
    Heartbeat.objects.create(
        name="verify_audit", kind="check", at=past, detail={"state": "waiting"}
    )
    AuditAnchor.objects.create(number=1, made_at=past, reason="asked", through_id=0, heads=b"")
    late = {
        each["stage"]: each["process"]
        for each in healthz(deep="1").json()["stages"]
        if each["late"] and each["oldest_seconds"] >= 8 * 3600
    }
    assert late == {
        "ratings": "video-worker or long-worker",
        "audit_check": "long-worker",
        "anchor_files": "package-worker",
    }


# ── Jobs ──────────────────────────────────────────────────────────────────────────────────────
def test_what_became_of_a_job_is_noted_without_its_content() -> None:
    works()
    for _ in range(3):
        with pytest.raises(jobs.JobFailed):
            breaks()
    known = stages.records()
    assert known["works"].last_success is not None
    assert (known["breaks"].failures, known["breaks"].last_success) == (3, None)
    assert known["breaks"].error.startswith("ValueError at core/test_health.py")
    assert "evidence" not in json.dumps(list(Heartbeat.objects.values_list("detail", flat=True)))


def test_a_success_ends_the_count_of_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(jobs.JobFailed):
        breaks()
    jobs._note_outcome("breaks")
    assert stages.records()["breaks"].failures == 0


# ── Schedules ─────────────────────────────────────────────────────────────────────────────────
def test_a_schedule_is_kept_by_the_database_also_without_valkey(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert jobs.is_time_for("hash-lists", 60)
    assert not jobs.is_time_for("hash-lists", 60)
    rows = Heartbeat.objects.filter(pk="schedule hash-lists")
    rows.update(at=F("at") - timedelta(seconds=61))
    assert jobs.is_time_for("hash-lists", 60)
    assert not jobs.is_time_for("hash-lists", 60)


def test_a_schedule_does_not_wait_for_a_clock_that_was_put_back() -> None:
    assert jobs.is_time_for("daily", 60)
    Heartbeat.objects.filter(pk="schedule daily").update(at=Now() + timedelta(hours=1))
    assert jobs.is_time_for("daily", 60)
    assert not jobs.is_time_for("daily", 60)


# ── Doctor ────────────────────────────────────────────────────────────────────────────────────
def test_the_doctor_looks_at_everything_and_says_one_line_each() -> None:
    code, found = diagnosis()
    assert {each["topic"] for each in found} == set(doctor._LOOKS)
    faults = [each for each in found if each["state"] == "fault"]
    # No scheduler runs here, and the tests connect as the owner, which the doctor minds.
    assert {each["topic"] for each in faults} == {"scheduler", "database"}
    numbers = {
        number for each in faults for number in ("core.E011", "core.E012") if number in each["says"]
    }
    assert numbers == {"core.E011", "core.E012"}
    assert code == 1
    assert all(each["says"].endswith((".", ")")) for each in found)


def test_a_clock_that_was_put_back_is_said(client: Client, lead: User) -> None:
    Heartbeat.objects.create(name="scheduler", kind="scheduler")
    # Some seconds more: they pass while the pages are asked for, and what is left is cut to whole minutes.
    Heartbeat.objects.update(at=Now() + timedelta(hours=1, seconds=50))
    says = "The clock of the database was put back by about 1 h"
    assert says in signed_in(client, lead).get(reverse("accounts:jobs")).content.decode()
    assert healthz(deep="1").json()["clock"] == "put back"
    _, found = diagnosis()
    assert any(each["says"].startswith(says) for each in found if each["topic"] == "clock")


def test_a_key_ring_that_opens_nothing_is_a_fault(settings: Any, tmp_path: Any) -> None:
    from core import crypto, vault

    vault.store_bytes(b"sealed by the first ring")
    settings.HOLDFAST_KEYRING = tmp_path / "other.json"
    crypto.init_key_ring()
    _, found = diagnosis()
    says = [each["says"] for each in found if each["topic"] == "keys" and each["state"] == "fault"]
    assert len(says) == 1
    assert "does not open the originals" in says[0]
