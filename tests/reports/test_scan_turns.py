"""Whatever one source sends at once, the others' items are looked at in turn."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.functions import Now

from hashing import actions
from hashing.jobs import scans as jobs
from reports.models import Item
from tests import clips
from tests.reports.conftest import Platform

pytestmark = pytest.mark.django_db
FILM = clips.clip(7, seconds=1)


def scan(number: int) -> dict[str, Any]:
    return {
        "type": "scan",
        "subject": {"account": f"user-{number}"},
        "surface": "profile_name",
        "text": f"markerword-alpha {number}",
    }


def report(number: int) -> dict[str, Any]:
    item = {"surface": "reported_message", "text": f"markerword-beta {number}"}
    return {"type": "report", "subject": {"account": "u"}, "reason": "spam", "items": [item]}


@pytest.fixture
def flood(platform: Platform) -> Platform:
    """Return a source that sent a heap some minutes ago, of which nothing is scanned yet."""
    answer = platform.batch([scan(number) for number in range(40)]).json()
    assert answer["accepted"] == 40
    Item.objects.update(scan_due_at=Now() - timedelta(minutes=5))
    return platform


def test_another_sources_report_is_taken_up_with_the_next_batch(
    flood: Platform, other_platform: Platform
) -> None:
    assert other_platform.batch([report(1)]).json()["accepted"] == 1
    taken = actions.begin_scans(limit=10)
    assert len(taken) == 10
    assert [item.text for item in taken if item.report_id] == ["markerword-beta 1"]


def test_a_report_does_not_wait_for_its_own_sources_back_fill(flood: Platform) -> None:
    flood.batch([report(number) for number in range(3)])
    texts = {item.text for item in actions.begin_scans(limit=10)}
    assert {f"markerword-beta {number}" for number in range(3)} <= texts
    assert len(texts) == 10


def test_turns_leave_nothing_behind_and_take_nothing_twice(
    flood: Platform, other_platform: Platform
) -> None:
    other_platform.batch([report(number) for number in range(7)])
    seen: list[Any] = []
    while batch := actions.begin_scans(limit=10):
        seen += [item.pk for item in batch]
    assert len(seen) == len(set(seen)) == 47


def test_whoever_finds_the_turn_taken_works_on_what_waits(
    flood: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashing.actions import scans

    first = {item.pk for item in actions.begin_scans(limit=10)}
    monkeypatch.setattr(scans, "_in_turns", lambda limit, videos: sorted(first))
    second = {item.pk for item in actions.begin_scans(limit=10)}
    assert len(second) == 10
    assert not first & second


def send_film(platform: Platform, number: int) -> None:
    """Report a group with a film of its own bytes as its photo."""
    document = {
        "subject": {"group": f"g-{number}"},
        "reason": "spam",
        "items": [{"surface": "group_photo", "file": "film"}],
    }
    film = SimpleUploadedFile("f.mp4", FILM + number.to_bytes(4, "big"), "video/mp4")
    answer = platform.form("/reports", {"report": json.dumps(document), "film": film})
    assert answer.status_code == 201, answer.content


@pytest.fixture
def films(platform: Platform, other_platform: Platform) -> Item:
    """Return the one video of a source behind which another source's heap has waited for longer."""
    for number in range(12):
        send_film(platform, number)
    Item.objects.update(scan_due_at=Now() - timedelta(minutes=5))
    send_film(other_platform, 12)
    assert Item.objects.filter(kind="video").count() == 13
    return Item.objects.latest("scan_due_at")


def test_a_heap_of_films_does_not_stand_before_another_sources_film(films: Item) -> None:
    """Which source has the turn is drawn; that one of two loses thirty draws happens once in a billion."""
    for _ in range(30):
        (taken,) = actions.begin_scans(limit=1, videos=True)
        if taken.pk == films.pk:
            return
        actions.put_back([taken])
    pytest.fail("the other source's film was never taken")


def test_each_film_is_taken_once_and_no_text_with_them(films: Item, platform: Platform) -> None:
    platform.batch([report(1)])
    taken = [item.pk for _ in range(13) for item in actions.begin_scans(limit=1, videos=True)]
    assert len(set(taken)) == 13
    assert actions.begin_scans(limit=1, videos=True) == []
    (text,) = actions.begin_scans(limit=10)
    assert text.kind == "text"


def test_the_sweep_wakes_for_texts_beside_a_heap_of_films_and_the_other_way_round(
    films: Item, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.batch([report(1)])
    woken: list[str] = []
    monkeypatch.setattr(jobs, "enqueue", lambda name, *ids: woken.append(name))
    monkeypatch.setattr(jobs, "ENOUGH_AT_ONCE", 3)
    assert jobs.sweep_items() == 4
    assert sorted(set(woken)) == ["scan_video", "scan_waiting"]
    Item.objects.filter(kind="video").update(scan_due_at=Now() - timedelta(seconds=1))
    Item.objects.filter(kind="text").update(scan_due_at=Now() - timedelta(minutes=9))
    platform.batch([report(number) for number in range(9)])
    woken.clear()
    jobs.sweep_items()
    assert "scan_video" in woken
