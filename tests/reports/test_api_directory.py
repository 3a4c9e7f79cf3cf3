"""Accounts, groups and members: everything a referral will need, added and never lost."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from reports.models import Account, AccountIdentifier, Group, IpEvent, Membership
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db

ACCOUNT: dict[str, Any] = {
    "username": "alex",
    "display_name": "Alex A.",
    "profile_text": "hello",
    "profile_url": "https://messenger.example/alex",
    "country": "NL",
    "language": "nl",
    "joined_at": "2024-03-01T08:00:00Z",
    "platform_status": "active",
    "identifiers": [
        {"kind": "phone", "value": "+31 6 00000000", "verified": True},
        {"kind": "email", "value": "alex@mail.example", "first_seen_at": "2025-01-02T00:00:00Z"},
        {"kind": "device", "value": "d-1", "detail": {"model": "Phone 5", "jailbroken": False}},
    ],
    "ip_events": [
        {"kind": "login", "ip": "203.0.113.7", "port": 50123, "at": "2026-11-22T10:31:00Z"},
        {"kind": "registration", "ip": "2001:db8::1", "at": "2024-03-01T08:00:00Z"},
    ],
}


def test_an_account_is_created_with_all_it_has(platform: Platform) -> None:
    answer = platform.put("/accounts/user-1", ACCOUNT)
    assert answer.status_code == 200, answer.content
    account = Account.objects.get(external_id="user-1")
    assert (answer.json()["id"], answer.json()["external_id"]) == (str(account.pk), "user-1")
    assert answer.json()["updated_at"]
    assert (account.username, account.country) == ("alex", "NL")
    assert account.identifiers.get(kind="device").detail == {
        "model": "Phone 5",
        "jailbroken": False,
    }
    assert account.ip_events.get(kind="login").port == 50123


def test_completing_an_account_removes_nothing(platform: Platform) -> None:
    platform.put("/accounts/user-1", ACCOUNT)
    later = {
        "display_name": "Alexander",
        "identifiers": [
            {"kind": "email", "value": "new@mail.example"},
            {
                "kind": "email",
                "value": "alex@mail.example",
                "verified": False,
                "first_seen_at": "2026-01-01T00:00:00Z",
                "last_seen_at": "2026-02-01T00:00:00Z",
            },
        ],
        "ip_events": ACCOUNT["ip_events"],
    }
    assert platform.put("/accounts/user-1", later).status_code == 200
    account = Account.objects.get()
    assert (account.username, account.display_name) == ("alex", "Alexander")
    assert AccountIdentifier.objects.count() == 4
    email = account.identifiers.get(value="alex@mail.example")
    assert email.verified is False
    assert email.first_seen_at is not None
    assert email.first_seen_at.year == 2025
    assert email.last_seen_at is not None
    assert IpEvent.objects.count() == 2


def test_an_identifier_named_twice_in_one_call_is_one(platform: Platform) -> None:
    twice = {"kind": "phone", "value": "1"}
    assert platform.put("/accounts/u", {"identifiers": [twice, twice]}).status_code == 200
    assert AccountIdentifier.objects.count() == 1


def test_groups_and_members(platform: Platform) -> None:
    answer = platform.put(
        "/groups/g-1",
        {"name": "Pictures", "invite_link": "https://chat.example/+x", "member_count": 3},
    )
    assert answer.status_code == 200
    members = [
        {"account": "user-1", "role": "owner", "joined_at": "2025-01-01T00:00:00Z"},
        {"account": "user-2"},
    ]
    answer = platform.put("/groups/g-1/members", {"members": members})
    assert answer.json() == {"group": "g-1", "members": 2, "stale": 0, "clock_ahead": []}
    left = [{"account": "user-2", "left_at": "2026-01-01T00:00:00Z"}]
    assert platform.put("/groups/g-1/members", {"members": left}).status_code == 200
    assert Group.objects.get().name == "Pictures"
    assert Membership.objects.get(account__external_id="user-1").role == "owner"
    assert Membership.objects.get(account__external_id="user-2").left_at is not None


@pytest.mark.parametrize(
    ("path", "document", "field"),
    [
        ("/accounts/u", {"country": "nl"}, "country"),
        ("/accounts/u", {"profile_url": "javascript:alert(1)"}, "profile_url"),
        ("/accounts/u", {"identifiers": [{"kind": "shoe", "value": "1"}]}, "identifiers.0.kind"),
        ("/accounts/u", {"ip_events": [{"kind": "x", "ip": "1.2.3.4"}]}, "ip_events.0.at"),
        ("/accounts/u%00", {}, "external_id"),
        ("/accounts/" + "u" * 201, {}, "external_id"),
        ("/groups/g", {"member_count": -1}, "member_count"),
        ("/groups/g", {"member_count": "3"}, "member_count"),
        ("/groups/g/members", {"members": []}, "members"),
        ("/groups/g/members", {"members": [{"account": "u", "role": "king"}]}, "members.0.role"),
    ],
)
def test_nonsense_is_named_by_field(
    platform: Platform, path: str, document: dict[str, Any], field: str
) -> None:
    assert field in problem_of(platform.put(path, document), 422)["errors"]
    assert not Account.objects.exists()
    assert not Group.objects.exists()


@pytest.mark.parametrize(
    "name", ["a/b", "a b", "é€", "a%2Fb", "a?b#c", "a/members/b", "+1 202:5;=&"]
)
def test_whatever_id_a_platform_has_can_be_written_by_its_address(
    platform: Platform, name: str
) -> None:
    at = quote(name, safe="")
    assert platform.put(f"/accounts/{at}", {"username": "u"}).json()["external_id"] == name
    assert platform.put(f"/groups/{at}", {"name": "g"}).json()["external_id"] == name
    member = {"members": [{"account": name}]}
    answer = platform.put(f"/groups/{at}/members", member).json()
    assert (answer["group"], answer["members"]) == (name, 1)
    assert Group.objects.get().external_id == Account.objects.get().external_id == name


def test_every_answer_can_be_named(platform: Platform) -> None:
    for answer in (platform.put("/accounts/u", {}), platform.put("/accounts/u", {"x": 1})):
        assert len(answer["X-Request-Id"]) >= 8
