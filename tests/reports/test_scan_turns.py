"""Whatever one source sends at once, the others' items are looked at in turn."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from hashing import actions
from reports.models import Item
from tests.reports.conftest import Platform

pytestmark = pytest.mark.django_db


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
    monkeypatch.setattr(scans, "_in_turns", lambda limit: sorted(first))
    second = {item.pk for item in actions.begin_scans(limit=10)}
    assert len(second) == 10
    assert not first & second
