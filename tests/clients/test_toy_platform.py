"""docs/examples/toy-platform: connected to a live server, and told what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from accounts.models import User
from holdfast_client import File, Holdfast
from moderation.models import OrderResult
from moderation.vocabulary import verbs
from moderation.webhooks import new_secret, sign
from reports.models import Account, Group, Item, Membership, Report
from tests.casework import Casework
from toy_platform import Message, Receiver, ToyPlatform, a_small_world


@pytest.fixture
def toy() -> ToyPlatform:
    return a_small_world()


@pytest.fixture
def connected(toy: ToyPlatform, way: dict[str, str]) -> Iterator[ToyPlatform]:
    with Holdfast(way["HOLDFAST"], way["HOLDFAST_KEY"]) as holdfast:
        toy.holdfast = holdfast
        yield toy


def order(verb: str, **target: dict[str, str]) -> dict[str, Any]:
    return {"enforcement_id": str(uuid4()), "verb": verb, "target": target}


ACCOUNT = {"external_id": "user-alex"}
GROUP = {"external_id": "group-7"}
ITEM = {"external_id": "msg-2"}


def test_it_describes_its_people_and_groups_again_and_again(connected: ToyPlatform) -> None:
    assert connected.back_fill() == connected.back_fill() == 7
    assert Account.objects.get(external_id="user-kim").username == "kim"
    assert Group.objects.get().name == "Holiday pictures"
    assert Membership.objects.filter(role="owner").get().account.external_id == "user-alex"


def test_it_reports_a_message_once_with_what_was_said_around_it(connected: ToyPlatform) -> None:
    at = datetime(2026, 11, 22, 10, 41, tzinfo=UTC)
    picture = File("photo.png", b"\x89PNG\r\n\x1a\n no picture")
    connected.messages["msg-4"] = Message("msg-4", "group-7", "user-alex", at, "look", picture)
    connected.messages["msg-1"].is_removed = True
    numbers = [connected.report("msg-2", reporter="user-sam", reason="grooming") for _ in range(2)]
    report = Report.objects.get()
    assert numbers == [str(report)] * 2
    assert (report.account.external_id, report.in_group.external_id) == ("user-alex", "group-7")
    items = Item.objects.filter(report=report).exclude(external_id="").order_by("position")
    assert list(items.values_list("external_id", "role").distinct()) == [
        ("msg-1", "context"),
        ("msg-2", "reported"),
        ("msg-3", "context"),
        ("msg-4", "context"),
    ]
    assert items.filter(external_id="msg-1").get().not_sent == "deleted"
    assert items.filter(external_id="msg-4", kind="image").exists()


def test_it_knows_every_verb(toy: ToyPlatform) -> None:
    target = {"account": ACCOUNT, "group": GROUP, "item": ITEM}
    for verb in verbs():
        state, _ = toy.carry_out(order(verb.code, **target))
        assert state in {"done", "refused"}, verb.code


def test_of_two_orders_about_one_thing_the_later_one_counts(toy: ToyPlatform) -> None:
    ban, unban = order("ban_account", account=ACCOUNT), order("unban_account", account=ACCOUNT)
    toy.carry_out(unban | {"sequence": 8})
    toy.carry_out(ban | {"sequence": 7})
    assert not toy.users["user-alex"].is_banned
    toy.carry_out(ban | {"sequence": 9})
    assert toy.users["user-alex"].is_banned


@pytest.mark.parametrize(
    ("verb", "counterpart", "target", "look"),
    [
        (
            "ban_account",
            "unban_account",
            {"account": ACCOUNT},
            lambda t: t.users["user-alex"].is_banned,
        ),
        ("remove_media", "restore_media", {"item": ITEM}, lambda t: t.messages["msg-2"].is_removed),
        ("close_group", "reopen_group", {"group": GROUP}, lambda t: t.groups["group-7"].is_closed),
    ],
)
def test_what_is_done_can_be_taken_back(
    toy: ToyPlatform, verb: str, counterpart: str, target: Any, look: Any
) -> None:
    assert toy.carry_out(order(verb, **target))[0] == "done"
    assert look(toy)
    assert toy.carry_out(order(counterpart, **target))[0] == "done"
    assert not look(toy)


def test_it_says_what_it_cannot_do(toy: ToyPlatform) -> None:
    gone = order("ban_account", account={"external_id": "nobody"})
    assert toy.carry_out(gone)[0] == "impossible"
    assert toy.carry_out(order("send_flowers", account=ACCOUNT))[0] == "impossible"


def test_orders_arrive_are_believed_and_carried_out_once(toy: ToyPlatform) -> None:
    toy.secret = new_secret()

    def send(kind: str, data: Any, identity: str, secret: str) -> int:
        body = json.dumps({"type": kind, "timestamp": "2026-11-22T10:42:00Z", "data": data})
        headers = sign(identity, datetime.now(UTC), body, [secret])
        return httpx.post(receiver.url, content=body, headers=headers).status_code

    warn = order("warn", account=ACCOUNT)
    with Receiver(toy) as receiver:
        assert send("test", {}, "id-1", toy.secret) == 204
        assert send("something.new", {"a": 1}, "id-2", toy.secret) == 204
        assert send("enforcement.warn", warn, "id-3", new_secret()) == 401
        assert [send("enforcement.warn", warn, "id-3", toy.secret) for _ in range(2)] == [204, 204]
        # The same order in a message of another id, as after a replay: done, and not done more.
        assert send("enforcement.warn", warn, "id-4", toy.secret) == 204
        assert len(toy.wait_for(2, matching="user-alex", seconds=10)) == 2
    assert toy.work() == 2
    assert (toy.users["user-alex"].warnings, toy.refused) == (1, 1)
    assert toy.results[warn["enforcement_id"]] == ("done", "")


def test_it_catches_up_with_orders_and_says_what_became_of_them(
    connected: ToyPlatform, casework: Casework, robin: User
) -> None:
    connected.back_fill()
    known = casework.published(casework.case("user-alex"), by=robin).enforcements.get()
    gone = casework.published(casework.case("user-of-yesterday"), by=robin).enforcements.get()
    last = connected.catch_up()
    assert connected.users["user-alex"].is_banned
    known.refresh_from_db()
    gone.refresh_from_db()
    assert (known.state, gone.state) == ("done", "impossible")
    assert last == gone.sequence
    # From there, nothing is left; from the beginning, nothing is done twice.
    assert connected.catch_up(last) == last
    assert connected.catch_up() == last
    assert OrderResult.objects.count() == 2
