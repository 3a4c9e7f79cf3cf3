"""How busy the installation is, and what happens when it can take no more."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.functions import Now
from pytest_django import Settings

from core import disk, stages
from core.models import Blob
from reports import admission
from reports.models import Account, Item, Report, Source
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db
MakeReport = Callable[..., dict[str, Any]]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(admission, "KEPT_SECONDS", -1.0)
    monkeypatch.setattr(stages, "KEPT_SECONDS", -1.0)
    yield
    admission._seen.clear()


def adding(platform: Platform, a_report: MakeReport) -> list[Any]:
    """Send one of everything that waits for work."""
    return [
        platform.post("/reports", a_report()),
        platform.post("/scans", {"subject": {"group": "g"}, "surface": "group_name", "text": "x"}),
        platform.form("/media", {"file": SimpleUploadedFile("a", b"abc")}),
        platform.put("/accounts/user-1", {}),
        platform.put("/groups/g", {}),
        platform.put("/groups/g/members", {"members": [{"account": "user-1"}]}),
        platform.batch([{"type": "account", "external_id": "user-2"}]),
    ]


def test_an_idle_installation_accepts_and_says_what_waits(
    platform: Platform, a_report: MakeReport
) -> None:
    said = platform.get("/status").json()
    assert (said["accepting"], said["reasons"]) == ("yes", [])
    assert [each["stage"] for each in said["stages"]] == list(admission.SHOWN)
    platform.post("/reports", a_report())
    Item.objects.update(received_at=Now() - timedelta(seconds=30))
    scanning = platform.get("/status").json()["stages"][0]
    assert (scanning["waiting"], scanning["is_more"], scanning["is_late"]) == (1, False, False)
    assert 29 <= scanning["oldest_seconds"] <= 50


def test_late_work_asks_to_slow_down_and_takes_everything(
    platform: Platform, a_report: MakeReport
) -> None:
    platform.post("/reports", a_report())
    Item.objects.update(received_at=Now() - timedelta(hours=1))
    said = platform.get("/status").json()
    assert said["accepting"] == "slow"
    assert said["reasons"] == ["Work is behind: scanning."]
    assert {answer.status_code for answer in adding(platform, a_report)} == {200, 201}


def test_a_disk_with_little_room_asks_to_slow_down_and_a_full_one_takes_nothing(
    platform: Platform, a_report: MakeReport, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    left = settings.HOLDFAST_DISK_RESERVE_BYTES * 2
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(10**12, 0, left))
    assert platform.get("/status").json()["accepting"] == "slow"
    assert platform.post("/reports", a_report()).status_code == 201
    left = settings.HOLDFAST_DISK_RESERVE_BYTES - 1
    assert platform.get("/status").json()["accepting"] == "no"
    for answer in adding(platform, a_report):
        assert problem_of(answer, 503)["code"] == "disk_full"
        assert int(answer["Retry-After"]) > 0
    assert Report.objects.count() == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [("HOLDFAST_INTAKE_MOST_WAITING", 2), ("HOLDFAST_INTAKE_LONGEST_WAIT", 60)],
)
def test_too_much_or_too_long_waiting_takes_nothing_and_says_when_to_come_again(
    platform: Platform, a_report: MakeReport, settings: Settings, setting: str, value: int
) -> None:
    assert [platform.post("/reports", a_report()).status_code for _ in range(3)] == [201] * 3
    Item.objects.update(received_at=Now() - timedelta(seconds=90))
    setattr(settings, setting, value)
    before = Report.objects.count(), Account.objects.count(), Blob.objects.count()
    for answer in adding(platform, a_report):
        assert problem_of(answer, 503)["code"] == "slow_down"
        assert answer["Retry-After"] == "30"
    assert (Report.objects.count(), Account.objects.count(), Blob.objects.count()) == before
    said = platform.get("/status").json()
    assert said["accepting"] == "no"
    assert said["reasons"]
    assert platform.get("/reports").status_code == 200
    assert platform.get("/key").status_code == 200
    Item.objects.update(scan_state="scanned", route_state="clear")
    assert {answer.status_code for answer in adding(platform, a_report)} == {200, 201}


def test_a_source_that_floods_is_stopped_and_others_are_taken(
    platform: Platform, other_platform: Platform, a_report: MakeReport, settings: Settings
) -> None:
    settings.HOLDFAST_INTAKE_SOURCE_WAITING = 2
    flood = [platform.post("/reports", a_report()) for _ in range(4)]
    assert [answer.status_code for answer in flood] == [201, 201, 201, 429]
    assert problem_of(flood[3], 429)["code"] == "source_slow_down"
    assert flood[3]["Retry-After"] == "30"
    assert platform.batch([{"type": "account", "external_id": "u"}]).status_code == 429
    assert other_platform.post("/reports", a_report()).status_code == 201
    assert platform.get("/status").json()["accepting"] == "yes"


def test_a_batch_that_was_begun_is_taken_to_its_end(
    platform: Platform, a_report: MakeReport, settings: Settings
) -> None:
    settings.HOLDFAST_INTAKE_SOURCE_WAITING = 2
    lines = [a_report() | {"type": "report"} for _ in range(10)]
    answer = platform.batch(lines)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 10)
    assert platform.batch(lines).status_code == 429


def test_what_was_seen_is_kept_for_seconds(
    platform: Platform, a_report: MakeReport, monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr(admission, "KEPT_SECONDS", 60.0)
    platform.put("/accounts/user-1", {})
    source = Source.objects.get()
    with django_assert_num_queries(0):
        admission.check(source)
