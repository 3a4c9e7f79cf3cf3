"""Who was what in a group and since when: a leave or a return destroys nothing of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import AuditEntry
from reports.models import Membership, SubjectChange
from reports.stays import Told, stay_meant
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db

JOINED = "2025-01-05T09:00:00Z"
LEFT = "2025-06-01T00:00:00Z"
BACK = "2025-07-01T00:00:00Z"
GONE = "2025-08-01T00:00:00Z"


def day(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def say(platform: Platform, **member: Any) -> None:
    answer = platform.put("/groups/g/members", {"members": [{"account": "u"} | member]})
    assert answer.status_code == 200, answer.content


def stays() -> list[tuple[str, datetime | None, datetime | None]]:
    rows = Membership.objects.filter(account__external_id="u", group__external_id="g")
    return list(rows.order_by("pk").values_list("role", "joined_at", "left_at"))


def test_a_leave_keeps_who_it_was_and_since_when(platform: Platform) -> None:
    say(platform, role="owner", joined_at=JOINED)
    say(platform, left_at=LEFT)
    assert stays() == [("owner", day(JOINED), day(LEFT))]
    entry = AuditEntry.objects.filter(event="directory.members.upserted").latest("pk")
    (fields,) = entry.data["changed"].values()
    assert fields == {"left_at": [None, "2025-06-01T00:00:00.000000Z"]}


def test_whoever_comes_back_has_another_stay(platform: Platform) -> None:
    say(platform, role="admin", joined_at=JOINED)
    say(platform, left_at=LEFT)
    say(platform, joined_at=BACK)
    assert stays() == [("admin", day(JOINED), day(LEFT)), ("member", day(BACK), None)]
    say(platform, role="owner")
    say(platform, left_at=GONE)
    assert stays() == [("admin", day(JOINED), day(LEFT)), ("owner", day(BACK), day(GONE))]


def test_a_repeat_changes_nothing_and_wakes_nobody(platform: Platform) -> None:
    told = [{"role": "admin", "joined_at": JOINED}, {"left_at": LEFT}]
    for member in told:
        say(platform, **member)
    before, marks = stays(), SubjectChange.objects.count()
    say(platform, **told[1])
    say(platform, **told[0])  # The join that was sent again late: it names the stay that ended.
    assert stays() == before
    assert SubjectChange.objects.count() == marks


def test_the_lines_of_a_batch_mean_the_same(platform: Platform) -> None:
    line = {"type": "membership", "group": "g", "account": "u"}
    lines = [{"role": "owner", "joined_at": JOINED}, {"left_at": LEFT}, {"joined_at": BACK}]
    answer = platform.batch([line | each for each in lines])
    assert answer.json()["accepted"] == 3
    assert stays() == [("owner", day(JOINED), day(LEFT)), ("member", day(BACK), None)]


def test_mentions_in_one_request_count_in_their_order(platform: Platform) -> None:
    members = [
        {"account": "u", "role": "owner", "joined_at": JOINED, "left_at": LEFT},
        {"account": "u", "joined_at": BACK},
        {"account": "other"},
    ]
    answer = platform.put("/groups/g/members", {"members": members})
    assert (answer.json()["group"], answer.json()["members"]) == ("g", 2)
    assert stays() == [("owner", day(JOINED), day(LEFT)), ("member", day(BACK), None)]


def test_a_stay_that_was_over_before_the_present_one_is_another(platform: Platform) -> None:
    say(platform, joined_at=BACK)
    say(platform, left_at=LEFT)
    assert stays() == [("member", day(BACK), None), ("member", None, day(LEFT))]
    say(platform, left_at=LEFT)
    assert len(stays()) == 2, "a repeat is no third stay"
    say(platform, role="admin", joined_at=JOINED)  # What began before that leave completes it.
    assert stays() == [("member", day(BACK), None), ("admin", day(JOINED), day(LEFT))]


def test_a_beginning_before_the_leave_brings_nobody_back(platform: Platform) -> None:
    """A directory that rounds its times, or corrects one, speaks of the stay that ended."""
    say(platform, role="owner", joined_at=JOINED)
    say(platform, left_at=LEFT)
    say(platform, joined_at="2025-01-05T09:00:01Z")
    assert stays() == [("owner", day("2025-01-05T09:00:01Z"), day(LEFT))]
    say(platform, joined_at=BACK)
    say(platform, joined_at=JOINED)
    assert stays() == [("owner", day(JOINED), day(LEFT)), ("member", day(BACK), None)]


def test_nobody_left_before_joining(platform: Platform) -> None:
    member = {"account": "u", "joined_at": BACK, "left_at": JOINED}
    said = problem_of(platform.put("/groups/g/members", {"members": [member]}), 422)["errors"]
    assert said == {"members.0": ["left_at lies before joined_at"]}
    assert not Membership.objects.exists()


TIMES = st.none() | st.integers(1, 9).map(lambda n: datetime(2025, n, 1, tzinfo=UTC))


@given(st.lists(st.tuples(st.sampled_from([None, "admin", "owner"]), TIMES, TIMES), max_size=8))
def test_whatever_is_told_in_whatever_order_one_stay_at_most_goes_on(
    said: list[tuple[str | None, datetime | None, datetime | None]],
) -> None:
    known: list[Membership] = []
    for role, joined, left in said:
        if joined and left and left < joined:
            continue
        stay = stay_meant(known, Told(role, joined, left))
        if stay is None:
            stay = Membership()
            known.append(stay)
        for field, value in (("role", role), ("joined_at", joined), ("left_at", left)):
            if value is not None:
                setattr(stay, field, value)
    assert sum(stay.left_at is None for stay in known) <= 1
    told = {left for _, joined, left in said if left and not (joined and left < joined)}
    if told:
        assert any(stay.left_at for stay in known)
