"""Each fact of the directory has its teller and its time; the newest wins, and what was before stays to be read."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from core.audit import SYSTEM
from core.audit_rows import differences
from core.errors import Invalid
from reports import actions
from reports.directory_access import earlier_names
from reports.facts import clock_ahead, is_stale, newest, told_at
from reports.models import Account, Group, Item, Membership, Scope, Source
from reports.payloads import AccountPayload
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def test_of_two_tellings_the_newest_wins_in_whatever_order_they_arrive(platform: Platform) -> None:
    new, old = {"username": "new", "as_of": LATE}, {"username": "old", "as_of": EARLY}
    assert platform.put("/accounts/u-1", new).json()["stale"] is False
    answer = platform.put("/accounts/u-1", old).json()
    assert answer["stale"] is True
    assert Account.objects.get().username == "new"
    assert platform.put("/groups/g-1", {"name": "new", "as_of": LATE}).status_code == 200
    assert platform.put("/groups/g-1", {"name": "old", "as_of": EARLY}).json()["stale"] is True
    assert Group.objects.get().name == "new"
    assert list(differences()) == []


def test_an_older_telling_of_other_fields_is_not_lost(platform: Platform) -> None:
    platform.put("/accounts/u-1", {"username": "new", "as_of": LATE})
    phone = {"kind": "phone", "value": "+31600000001"}
    told = {"username": "old", "country": "NL", "identifiers": [phone], "as_of": EARLY}
    assert platform.put("/accounts/u-1", told).json()["stale"] is True
    account = Account.objects.get()
    assert (account.username, account.country) == ("new", "NL")
    assert account.identifiers.get().value == "+31600000001"


def test_what_was_told_again_is_newer_than_what_came_in_between(platform: Platform) -> None:
    platform.put("/accounts/u-1", {"username": "a", "as_of": EARLY})
    again = platform.put("/accounts/u-1", {"username": "a", "as_of": "2026-01-03T00:00:00Z"})
    assert again.json()["unchanged"] is True
    assert platform.put("/accounts/u-1", {"username": "b", "as_of": LATE}).json()["stale"] is True
    assert Account.objects.get().username == "a"
    assert list(differences()) == []


def test_without_a_time_it_is_told_of_now(platform: Platform) -> None:
    platform.put("/accounts/u-1", {"username": "a", "as_of": timezone.now().isoformat()})
    assert platform.put("/accounts/u-1", {"username": "b"}).json()["stale"] is False
    assert platform.put("/accounts/u-1", {"username": "c", "as_of": LATE}).json()["stale"] is True
    assert Account.objects.get().username == "b"


def test_a_clock_that_is_ahead_locks_nobody_out(platform: Platform) -> None:
    ahead = (timezone.now() + timedelta(days=2)).isoformat()
    answer = platform.put(
        "/accounts/u-1", {"username": "wrong clock", "as_of": ahead, "joined_at": ahead}
    )
    assert sorted(answer.json()["clock_ahead"]) == ["as_of", "joined_at"]
    right = (timezone.now() + timedelta(seconds=1)).isoformat()
    assert (
        platform.put("/accounts/u-1", {"username": "right", "as_of": right}).json()["stale"]
        is False
    )
    assert Account.objects.get().username == "right"
    members = {"members": [{"account": "u-1", "joined_at": ahead}]}
    assert platform.put("/groups/g-1/members", members).json()["clock_ahead"] == [
        "members.0.joined_at"
    ]


def test_members_too(platform: Platform) -> None:
    def tell(**more: Any) -> dict[str, Any]:
        member = {"account": "u-1"} | more
        answer: dict[str, Any] = platform.put("/groups/g-1/members", {"members": [member]}).json()
        return answer

    assert tell(role="owner", as_of=LATE)["stale"] == 0
    assert tell(role="member", as_of=EARLY)["stale"] == 1
    assert Membership.objects.get().role == "owner"
    # An old word that somebody was there does not bring back who has left since.
    assert tell(left_at="2026-01-05T00:00:00Z", as_of="2026-01-05T00:00:00Z")["stale"] == 0
    assert tell(as_of="2026-01-04T00:00:00Z")["stale"] == 1
    assert Membership.objects.get().left_at is not None


def test_lines_of_a_batch_say_what_was_stale_and_whose_clock_was_ahead(platform: Platform) -> None:
    line = {"type": "account", "external_id": "u-1", "username": "a", "as_of": LATE}
    ahead = (timezone.now() + timedelta(days=2)).isoformat()
    answer = platform.batch(
        [
            line,
            line | {"username": "b", "as_of": EARLY},
            {"type": "membership", "group": "g", "account": "u-1", "as_of": LATE},
            {"type": "membership", "group": "g", "account": "u-1", "role": "owner", "as_of": EARLY},
            {
                "type": "report",
                "subject": {"account": "u-1"},
                "reason": "spam",
                "occurred_at": ahead,
            },
        ]
    ).json()
    assert (answer["accepted"], answer["stale"]) == (5, 2)
    assert [r.get("stale", False) for r in answer["results"]] == [False, True, False, True, False]
    assert answer["results"][4]["clock_ahead"] == ["occurred_at"]
    assert Account.objects.get().username == "a"
    assert platform.batch([line]).json()["unchanged"] == 1


@pytest.mark.django_db(transaction=True)
def test_writers_that_cross_leave_the_newest(platform: Platform, source: Source) -> None:
    """Eight threads tell of one account and one member at once, each another moment."""
    start = threading.Barrier(8)

    def tell(number: int) -> None:
        start.wait()
        try:
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number * 7 % 8)
            payload = AccountPayload.model_validate({"username": f"n{at.minute}", "as_of": at})
            actions.upsert_account(source, "u-1", payload=payload, actor=SYSTEM)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Account.objects.get().username == "n7"
    assert list(differences()) == []


def test_any_order_of_tellings_ends_alike(source: Source) -> None:
    told = [
        {"username": name, "as_of": f"2026-01-0{day}T00:00:00Z"}
        for day, name in ((1, "a"), (2, "b"), (3, "c"))
    ]
    for number, order in enumerate(permutations(told)):
        for one in order:
            payload = AccountPayload.model_validate(one)
            actions.upsert_account(source, f"u-{number}", payload=payload, actor=SYSTEM)
    assert set(Account.objects.values_list("username", flat=True)) == {"c"}


# ── Who told it, and what was before ──────────────────────────────────────────────────────────
def test_what_is_kept_can_be_read_back(platform: Platform, source: Source) -> None:
    phone = {"kind": "phone", "value": "+31600000001", "verified": True}
    use = {"kind": "login", "ip": "203.0.113.7", "at": "2026-01-01T00:00:00Z"}
    first = {
        "username": "one",
        "platform_status": "active",
        "identifiers": [phone],
        "ip_events": [use],
    }
    platform.put("/accounts/a%2Fb", first | {"as_of": EARLY})
    platform.put("/accounts/a%2Fb", {"username": "two", "as_of": LATE})
    kept = platform.get("/accounts/a%2Fb").json()
    assert kept["external_id"] == "a/b"
    assert kept["fields"]["username"]["value"] == "two"
    assert kept["fields"]["username"]["source"] == source.slug
    assert kept["fields"]["username"]["at"].startswith("2026-01-02T00:00:00")
    assert kept["fields"]["platform_status"]["at"].startswith("2026-01-01T00:00:00")
    (earlier,) = kept["earlier"]
    assert (earlier["field"], earlier["value"]) == ("username", "one")
    assert earlier["from"].startswith("2026-01-01T00:00:00")
    assert earlier["until"].startswith("2026-01-02T00:00:00")
    (identifier,) = kept["identifiers"]
    assert (identifier["value"], identifier["source"]) == ("+31600000001", source.slug)
    assert kept["ip_events"] == 1
    assert problem_of(platform.get("/accounts/nobody"), 404)


def test_members_are_read_page_by_page(platform: Platform) -> None:
    members = [{"account": f"u-{number}", "role": "owner"} for number in range(5)]
    platform.put("/groups/g-1/members", {"members": members})
    platform.put("/groups/g-1", {"name": "Pictures"})
    seen: list[str] = []
    cursor = ""
    while True:
        page = platform.get(f"/groups/g-1/members?limit=2{cursor}").json()
        seen += [member["account"] for member in page["members"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [f"u-{number}" for number in range(5)]
    assert platform.get("/groups/g-1").json()["fields"]["name"]["value"] == "Pictures"
    assert problem_of(platform.get("/groups/other/members"), 404)


def test_only_the_platform_reads_its_directory(platform: Platform, source: Source) -> None:
    platform.put("/accounts/u-1", {"username": "one"})
    reader = Platform(actions.issue_key(source, scopes=[Scope.DIRECTORY_READ], actor=SYSTEM)[1])
    assert reader.get("/accounts/u-1").status_code == 200
    assert problem_of(reader.put("/accounts/u-1", {}), 403)
    other = Platform(actions.issue_key(source, scopes=[Scope.STATUS_READ], actor=SYSTEM)[1])
    assert problem_of(other.get("/accounts/u-1"), 403)
    hotline = actions.create_source(slug="hotline", name="H", kind="trusted_flagger", actor=SYSTEM)
    with pytest.raises(Invalid, match="not marked as the platform's own"):
        actions.issue_key(hotline, scopes=[Scope.DIRECTORY_READ], actor=SYSTEM)
    Source.objects.filter(pk=source.pk).update(is_own_platform=False)
    assert problem_of(reader.get("/accounts/u-1"), 403)["code"] == "not_own_platform"
    assert problem_of(reader.get("/groups/g-1/members"), 403)


def test_whose_word_a_fact_is_cannot_be_changed_unnoticed(
    platform: Platform, other_platform: Platform
) -> None:
    platform.put("/accounts/u-1", {"username": "one"})
    platform.put("/groups/g-1", {"name": "one"})
    other = Source.objects.get(slug="hotline")
    account = Account.objects.get()
    account.facts["username"][0] = str(other.pk)
    Account.objects.update(facts=account.facts)
    Group.objects.update(facts={})
    said = [difference.what for difference in differences()]
    assert said == [
        "Account u-1: who told its username, or when, is not what the log says",
        "Group g-1: who told its name, or when, is not what the log says",
    ]


def test_earlier_names_of_batches_and_requests_stand_in_one_row(platform: Platform) -> None:
    line = {"type": "account", "external_id": "u-1", "scan": False}
    platform.batch([line | {"display_name": "One"}, line | {"external_id": "u-2"}])
    platform.put("/accounts/u-1", {"display_name": "Two"})
    platform.batch(
        [line | {"display_name": "Three"}, line | {"external_id": "u-2", "username": "x"}]
    )
    found = earlier_names(Account.objects.get(external_id="u-1"))
    assert [one.value for one in found] == ["One", "Two"]
    assert found[0].until == found[1].since


# ── Words ─────────────────────────────────────────────────────────────────────────────────────
def test_a_status_is_one_of_the_words_that_count(platform: Platform) -> None:
    for path in ("/accounts/u-1", "/groups/g-1"):
        errors = problem_of(platform.put(path, {"platform_status": "on_hold"}), 422)["errors"]
        assert errors["platform_status"] == [
            "Must be one of active, suspended, banned, disabled, removed, closed, deleted, unknown."
        ]
        assert platform.put(path, {"platform_status": "banned"}).status_code == 200
    assert Account.objects.get().platform_status == "banned"


def test_every_word_of_those_that_are_gone_can_be_sent() -> None:
    from hashing.risk_facts import GONE
    from reports.choices import PlatformStatus
    from reports.vocabulary import PLATFORM_STATUSES

    assert set(GONE) == set(PlatformStatus.values) - {"active", "unknown"}
    assert list(PLATFORM_STATUSES) == PlatformStatus.values


# ── Names are looked at ───────────────────────────────────────────────────────────────────────
def test_names_and_texts_that_changed_are_scanned_and_no_others(platform: Platform) -> None:
    told = {
        "username": "markerword-alpha",
        "display_name": "Alex",
        "profile_text": "markerword-beta",
        "country": "NL",
    }
    platform.put("/accounts/u-1", told)
    items = Item.objects.order_by("pk")
    assert {(i.surface, i.text) for i in items} == {
        ("profile_name", "Alex\nmarkerword-alpha"),
        ("profile_text", "markerword-beta"),
    }
    assert {i.scan_state for i in items} == {"waiting"}
    platform.put("/accounts/u-1", told)
    platform.put("/accounts/u-1", {"country": "DE"})
    assert Item.objects.count() == 2
    platform.put("/accounts/u-1", {"display_name": "Sam", "scan": False})
    assert Item.objects.count() == 2
    lines = [
        {"type": "group", "external_id": f"g-{n}", "name": f"Group {n}", "description": "words"}
        for n in range(3)
    ]
    platform.batch(lines)
    platform.batch(lines)
    assert Item.objects.filter(surface="group_name").count() == 3
    assert Item.objects.filter(surface="group_description").count() == 3
    assert list(differences()) == []


# ── Pure ──────────────────────────────────────────────────────────────────────────────────────
def test_a_time_counts_unless_its_clock_was_ahead() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert told_at(None, now) == now
    assert told_at(now - timedelta(days=1), now) == now - timedelta(days=1)
    assert told_at(now + timedelta(minutes=4), now) == now + timedelta(minutes=4)
    assert told_at(now + timedelta(minutes=6), now) == now
    fact = ["s", "2026-01-01T00:00:00+00:00", "2026-01-03T00:00:00+00:00"]
    assert newest(fact) == datetime(2026, 1, 3, tzinfo=UTC)
    assert newest(None) is None
    assert is_stale(fact, now, now)
    assert not is_stale(fact, None, now)
    assert not is_stale(None, now, now)


def test_times_are_found_wherever_they_stand() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    payload = AccountPayload.model_validate(
        {
            "joined_at": "2026-01-02T00:00:00Z",
            "identifiers": [
                {"kind": "phone", "value": "1", "last_seen_at": "2026-01-03T00:00:00Z"}
            ],
            "ip_events": [{"kind": "login", "ip": "203.0.113.1", "at": "2026-01-02T00:00:01Z"}],
        }
    )
    assert clock_ahead(payload, now) == ["identifiers.0.last_seen_at", "ip_events.0.at"]
