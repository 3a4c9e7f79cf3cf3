"""Risk: every signal comes from what was told, and what was told moves it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.audit import SYSTEM
from hashing import actions, jobs, risk_facts
from hashing.link_files import LinkRow
from hashing.models import Flag, FlagKind, RiskScore, Verdict
from reports.actions import (
    submit_report,
    upsert_memberships,
)
from reports.links import link_key
from reports.models import Account, Group, Membership, SubjectChange
from reports.payloads import (
    MembersPayload,
    ReportPayload,
)
from tests.casework import hash_finding, term_finding
from tests.hashing.risk_world import AN_HOUR_AGO, World, said_of, score
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db


def test_a_ban_of_a_member_reaches_the_group(world: World) -> None:
    group = world.group("g", [f"m{n}" for n in range(30)])
    world.settle()
    assert not RiskScore.objects.filter(group=group).exists()
    for number in range(3):
        world.account(f"m{number}", platform_status="banned")
    world.settle()
    assert said_of(group) == {"banned": "3 of 30 members banned"}
    world.account("m0", platform_status="active")
    world.settle()
    assert said_of(group) == {"banned": "2 of 30 members banned"}


def test_every_signal_of_a_group_comes_from_what_was_told(world: World) -> None:
    members = [f"m{n}" for n in range(40)]
    for number in (0, 1):
        world.account(f"m{number}", identifiers=[{"kind": "device", "value": "drawn-device"}])
    for number in (2, 3, 4):
        world.account(
            f"m{number}",
            identifiers=[{"kind": "phone", "value": f"+15550001{number:03d}"}],
            ip_events=[{"kind": "login", "ip": "203.0.113.7", "at": timezone.now().isoformat()}],
        )
    world.account("gone", platform_status="banned", identifiers=[{"kind": "device", "value": "d5"}])
    world.account("m5", identifiers=[{"kind": "device", "value": "d5"}])
    group = world.group("g", members, invite_link="https://chat.example/j/one")
    other = world.group("h", ["x"])
    upsert_memberships(
        world.source,
        "g",
        members=MembersPayload.model_validate(
            {
                "members": [
                    {"account": f"m{n}", "joined_at": AN_HOUR_AGO.isoformat()}
                    for n in range(10, 40)
                ]
            }
        ),
        actor=SYSTEM,
    )
    world.report({"account": "m6"}, "r1")
    for reporter in ("r1", "r2", "r3"):
        world.report({"group": "g"}, reporter)
    world.item({"account": "m7"}, "profile_text", hash_finding())
    world.item({"group": "g"}, "group_name", term_finding((0, 2)))
    world.picture({"group": "g"}, 5, hash_finding())
    world.picture({"group": "h"}, 5)
    actions.add_links(
        [LinkRow(link_key("chat.example/j/one"), "chat.example/j/one", "", None)],
        place="example directory",
        source=world.source,
        actor=SYSTEM,
    )
    world.settle()
    assert said_of(group) == {
        "known_media": "1 item of the group is known material",
        "listings": "1 outside listing has its invite link",
        "reporters": "3 independent reporters",
        "text_score": "a finding of 60% in its name or description",
        "hits": "1 of 40 members with known material",
        "reported": "1 of 40 members reported",
        "linked": "1 of 40 members share a device, address or number block with a ban",
        "churn": "30 joined and 0 left within 7 days",
        "shared_media": "1 other group holds the same media",
        "same_device": "2 of 40 members share a device with another one",
        "same_prefix": "3 of 40 members from one block of telephone numbers",
        "same_ip": "3 of 40 members share an IP address with another one",
    }
    assert said_of(other)["shared_media"] == "1 other group holds the same media"


def test_every_signal_of_an_account_comes_from_what_was_told(world: World) -> None:
    known = {
        "identifiers": [
            {"kind": "device", "value": "drawn-device"},
            {"kind": "phone", "value": "+15550001001"},
        ],
        "ip_events": [{"kind": "login", "ip": "203.0.113.7", "at": timezone.now().isoformat()}],
    }
    account = world.account("a", **known)
    known["identifiers"][1]["value"] = "+15550001002"
    world.account("gone", platform_status="banned", **known)
    group = world.group("g", ["b"])
    Membership.objects.filter(group=group).delete()
    upsert_memberships(
        world.source,
        "g",
        members=MembersPayload.model_validate({"members": [{"account": "a", "role": "owner"}]}),
        actor=SYSTEM,
    )
    world.picture({"group": "g"}, 1, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4"):
        world.report({"group": "g"}, reporter)
        world.report({"account": "a"}, reporter)
    world.item({"account": "a"}, "profile_name", term_finding((0, 2)))
    world.picture({"account": "a"}, 1, hash_finding())
    world.settle()
    assert score(group).is_above
    assert set(said_of(account)) == {
        "known_media",
        "reporters",
        "runs",
        "groups",
        "device",
        "ip",
        "prefix",
        "text_score",
        "shared_media",
    }
    assert said_of(account)["runs"] == "owns or administers 1 group above the threshold"
    assert score(account).score == 100


def test_what_people_found_not_violating_does_not_count(world: World) -> None:
    item = world.item({"group": "g"}, "group_name", term_finding((0, 2)))
    world.settle()
    group = Group.objects.get(external_id="g")
    assert "text_score" in said_of(group)
    actions.record_verdicts(
        [item], decision=uuid.uuid4(), is_violation=False, category="harmful_group"
    )
    world.settle()
    assert said_of(group) == {}
    actions.record_verdicts(
        [item], decision=uuid.uuid4(), is_violation=True, category="harmful_group"
    )
    world.settle()
    assert "text_score" in said_of(group)


def test_a_confirmation_that_was_overturned_bans_nobody(world: World) -> None:
    group = world.group("g", [f"m{n}" for n in range(10)])
    item = world.item({"account": "m1"}, "profile_name")
    account = Account.objects.get(external_id="m1")
    for is_violation in (True, False, True):
        actions.record_verdicts(
            [item], decision=uuid.uuid4(), is_violation=is_violation, category="grooming"
        )
        world.settle()
        assert score(account).is_banned is is_violation
        assert ("confirmed" in said_of(account)) is is_violation
        assert ("banned" in said_of(group)) is is_violation


def test_reports_count_by_the_newest_decision_about_their_items(world: World) -> None:
    for reporter in ("r1", "r2", "r3"):
        said = {
            "subject": {"group": "g"},
            "reason": "csam",
            "reporter": {"account": reporter},
            "items": [{"surface": "reported_message", "text": "an invented text"}],
        }
        submit_report(world.source, payload=ReportPayload.model_validate(said), actor=SYSTEM)
    group = Group.objects.get(external_id="g")
    items = list(group.items.all())
    for is_violation, reporters in ((False, 0), (True, 3)):
        actions.record_verdicts(
            items, decision=uuid.uuid4(), is_violation=is_violation, category="harmful_group"
        )
        SubjectChange.objects.create(group=group)
        world.settle()
        known = RiskScore.objects.filter(group=group).first()
        assert (known.facts["reporters"] if known else 0) == reporters


def test_who_joins_or_leaves_a_risky_group_is_rated(world: World) -> None:
    world.picture({"group": "g"}, 1, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4", "r5"):
        world.report({"group": "g"}, reporter)
    # The platform counts more members than it has told of: the number says nothing of who they are.
    group = world.group("g", ["m0"], member_count=200)
    world.settle()
    assert score(group).is_above

    def tell(**said: Any) -> None:
        members = MembersPayload.model_validate({"members": [{"account": "late", **said}]})
        upsert_memberships(world.source, "g", members=members, actor=SYSTEM)
        world.settle()

    tell()
    late = Account.objects.get(external_id="late")
    assert set(said_of(late)) == {"groups"}
    tell(role="owner")
    assert set(said_of(late)) == {"groups", "runs"}
    tell(left_at=AN_HOUR_AGO.isoformat())
    assert said_of(late) == {}


def test_a_device_that_everybody_has_says_nothing(world: World) -> None:
    zeros = [{"kind": "device", "value": "00000000"}]
    for number in range(60):
        world.account(f"m{number}", identifiers=zeros)
    world.account("gone", platform_status="banned", identifiers=zeros)
    world.settle()
    assert not RiskScore.objects.filter(account__external_id="m0").exists()


def test_reports_of_one_person_are_one_reporter(world: World) -> None:
    for _ in range(4):
        world.report({"group": "g"}, "r1")
    world.settle()
    group = Group.objects.get(external_id="g")
    assert not RiskScore.objects.filter(group=group).exists()
    world.report({"group": "g"}, "r2")
    world.settle()
    assert said_of(group) == {"reporters": "2 independent reporters"}


def test_rating_twice_changes_nothing_and_a_mark_made_meanwhile_stays(world: World) -> None:
    group = world.group("g", ["m"])
    world.account("m", platform_status="banned")
    world.settle()
    before = RiskScore.objects.filter(group=group).values("score", "facts", "history").get()
    SubjectChange.objects.create(group=group)
    world.settle()
    assert RiskScore.objects.filter(group=group).values("score", "facts", "history").get() == before
    assert not SubjectChange.objects.exists()


def test_a_rating_that_fails_loses_no_mark(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.group("g", ["m"])
    marks = SubjectChange.objects.count()

    def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError("the worker dies here")

    monkeypatch.setattr("hashing.risk_facts.group_facts", broken)
    with pytest.raises(RuntimeError), transaction.atomic():
        actions.rate_changed()
    assert SubjectChange.objects.count() == marks > 0


def test_a_batch_takes_a_bounded_number_of_statements(world: World) -> None:
    def statements(groups: int, prefix: str) -> int:
        for number in range(groups):
            world.group(f"{prefix}{number}", [f"{prefix}{number}m{n}" for n in range(4)])
            world.account(f"{prefix}{number}m0", platform_status="banned")
        with CaptureQueriesContext(connection) as seen:
            while actions.rate_changed():
                pass
        return len(seen)

    few, many = statements(2, "a"), statements(20, "b")
    assert many <= few + 4


def test_old_facts_are_looked_at_again(world: World) -> None:
    group = world.group("g", ["m0", "m1", "m2", "m3", "m4"])
    Membership.objects.filter(group=group).update(joined_at=AN_HOUR_AGO)
    SubjectChange.objects.create(group=group)
    world.settle()
    assert said_of(group) != {}
    Membership.objects.filter(group=group).update(joined_at=timezone.now() - timedelta(days=8))
    RiskScore.objects.filter(group=group).update(recheck_at=timezone.now())
    assert jobs.sweep_risk() == 1
    world.settle()
    assert said_of(group) == {}


@pytest.mark.usefixtures("measured_empty")
def test_a_group_that_was_flooded_is_rated_whatever_was_measured_before(world: World) -> None:
    """Every item has a finding and two verdicts, the newer one lifts it: compared each with each it would never end."""

    def copies(row: Any, **changed: Callable[[int], Any]) -> list[Any]:
        same = {
            field.attname: getattr(row, field.attname)
            for field in row._meta.concrete_fields
            if not field.primary_key and field.attname not in changed
        }
        made = [
            type(row)(**same, **{name: of(number) for name, of in changed.items()})
            for number in range(2_000)
        ]
        return list(type(row).objects.bulk_create(made))

    report = world.casework.report(group="g", texts=["markerword-alpha"])
    item = world.casework.scanned(report.items.get(), hash_finding())
    items = copies(item)
    copies(Flag.objects.get(item=item), item_id=lambda number: items[number].pk)
    for said in (True, False):
        verdict = Verdict(
            item=item, decision=uuid.uuid4(), is_violation=said, category="csam_known"
        )
        verdict.save()
        copies(
            verdict, item_id=lambda number: items[number].pk, decided_at=lambda _: timezone.now()
        )
    assert report.group_id is not None
    facts = risk_facts.group_facts([report.group_id], limit=100)
    assert facts[report.group_id].known_media == 0


@pytest.mark.parametrize("kind", ["account", "group"])
def test_a_finding_is_said_to_stand_where_it_stands(world: World, kind: str) -> None:
    """A message is neither a name nor a profile, and what another account sent is not the accused's."""
    subject = world.account("accused") if kind == "account" else world.group("accused", ["m1"])
    media = world.casework.upload(world.source, jpeg(3, (96, 64)), "image/jpeg")
    message: dict[str, Any] = {"surface": "reported_message", "sender": "accused"}
    if kind == "group":
        message["sender"] = "m1"
    said = {
        "subject": {kind: "accused"},
        "reason": "grooming",
        "reporter": {"account": "victim"},
        "items": [
            message | {"text": "an invented text"},
            message | {"media": media},
            message | {"text": "an answer", "sender": "victim", "role": "context"},
        ],
    }
    report = submit_report(world.source, payload=ReportPayload.model_validate(said), actor=SYSTEM)
    text, picture, answer = report.items.order_by("pk")
    world.casework.scanned(answer, term_finding((0, 2)), hash_finding())
    world.settle()
    both = {"text_score", "known_media"}
    assert set(said_of(subject)) == (both if kind == "group" else set())
    world.casework.scanned(text, term_finding((0, 2)))
    opinion = replace(term_finding((0, 2)), kind=FlagKind.CLASSIFIER, score=0.7, evidence={})
    world.casework.scanned(picture, opinion)
    world.settle()
    shown = said_of(subject)
    assert shown["text_score"] == "a finding of 60% in a reported message"
    assert shown["photo_score"] == "a classifier gives a file of a reported message 70%"
    surface = "profile_text" if kind == "account" else "group_description"
    world.item({kind: "accused"}, surface, term_finding((0, 2)))
    world.settle()
    own = "profile" if kind == "account" else "description"
    assert said_of(subject)["text_score"] == f"a finding of 60% in its name or {own}"
