"""Risk of groups and accounts: the sum, the threshold, what moves it, links, and the pages."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import User
from core import vault
from core.audit import SYSTEM
from hashing import actions, jobs, risk, risk_access
from hashing.link_files import LinkProblem, LinkRow, read_links
from hashing.models import CaseState, LinkImport, ListedLink, RiskPolicy, RiskScore
from hashing.risk import AccountFacts, GroupFacts, Standing, Terms
from moderation import actions as casework_actions
from moderation import jobs as casework_jobs
from moderation.models import Case, CaseStatus, Outcome, RoutingReason
from reports.actions import (
    submit_report,
    submit_scan,
    upsert_account,
    upsert_group,
    upsert_memberships,
)
from reports.links import LONGEST_KEY, NotALink, link_key
from reports.models import Account, Group, Membership, Source, SubjectChange
from reports.payloads import (
    AccountPayload,
    GroupPayload,
    MembersPayload,
    ReportPayload,
    ScanPayload,
)
from tests.casework import Casework, grant_all, hash_finding, term_finding
from tests.cast import signed_in
from tests.pictures import jpeg

GROUP_WEIGHTS = risk.weights_of({}, "group")
ACCOUNT_WEIGHTS = risk.weights_of({}, "account")
AN_HOUR_AGO = timezone.now() - timedelta(hours=1)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


# ── The sum ───────────────────────────────────────────────────────────────────────────────────
def _facts(shape: type[Any]) -> st.SearchStrategy[Any]:
    values = {
        each.name: st.floats(0, 1) if each.name.endswith("score") else st.integers(0, 10_000)
        for each in fields(shape)
    }
    return st.builds(shape, **values)


@given(facts=_facts(GroupFacts) | _facts(AccountFacts))
@settings(max_examples=300, deadline=None)
def test_a_score_is_the_sum_of_what_is_said_and_stays_within_0_and_100(facts: Any) -> None:
    weights = GROUP_WEIGHTS if isinstance(facts, GroupFacts) else ACCOUNT_WEIGHTS
    said = risk.assess(facts, weights)
    assert risk.total_of(said) == min(100, sum(each.points for each in said))
    assert 0 <= risk.total_of(said) <= 100
    assert all(0 < each.points <= weights[each.key].points and each.text for each in said)
    assert [each.points for each in said] == sorted((each.points for each in said), reverse=True)


@given(facts=_facts(GroupFacts) | _facts(AccountFacts), data=st.data())
@settings(max_examples=300, deadline=None)
def test_more_of_anything_never_lowers_a_score(facts: Any, data: st.DataObject) -> None:
    weights = GROUP_WEIGHTS if isinstance(facts, GroupFacts) else ACCOUNT_WEIGHTS
    # More members with the same number of banned ones are a smaller share, and the limit is no fact about the group.
    counted = [each.name for each in fields(facts) if each.name not in {"members", "limit"}]
    name = data.draw(st.sampled_from(counted))
    before = getattr(facts, name)
    more = 1.0 if name.endswith("score") else before + data.draw(st.integers(1, 500))
    if isinstance(
        facts, GroupFacts
    ):  # Nobody is counted twice: more of some do not make the group larger.
        facts = replace(facts, members=max(facts.members, 20_000))
    assert risk.total_of(risk.assess(replace(facts, **{name: more}), weights)) >= risk.total_of(
        risk.assess(facts, weights)
    )


def test_a_contribution_says_how_many_of_how_many() -> None:
    said = risk.assess(GroupFacts(members=210, banned=9), GROUP_WEIGHTS)
    assert [(each.points, each.text) for each in said] == [
        (12, "9 of 210 members banned"),
        (3, "210 of at most 256 members"),
    ]


def test_one_banned_member_of_three_is_no_third() -> None:
    few = risk.total_of(risk.assess(GroupFacts(members=3, banned=1), GROUP_WEIGHTS))
    many = risk.total_of(risk.assess(GroupFacts(members=90, banned=30), GROUP_WEIGHTS))
    assert few < many


def test_nothing_known_is_0() -> None:
    assert risk.assess(GroupFacts(members=30), GROUP_WEIGHTS) == []
    assert risk.assess(AccountFacts(), ACCOUNT_WEIGHTS) == []


def test_one_reporter_may_be_a_quarrel() -> None:
    assert risk.assess(AccountFacts(reporters=1), ACCOUNT_WEIGHTS) == []
    assert risk.assess(AccountFacts(reporters=2), ACCOUNT_WEIGHTS) != []


def test_the_delivered_weights_are_those_of_the_code(db: None) -> None:
    stored = RiskPolicy.objects.get(version=1)
    assert risk.weights_of(stored.weights, "group") == GROUP_WEIGHTS
    assert risk.weights_of(stored.weights, "account") == ACCOUNT_WEIGHTS


# ── The threshold ─────────────────────────────────────────────────────────────────────────────
TERMS = Terms(open_at=50, drop=10, raise_by=10)


def step(before: Standing, score: int, *, gone: bool = False, now: datetime = NOW) -> risk.Step:
    return risk.next_step(before, score, terms=TERMS, now=now, gone=gone)


def test_crossing_asks_once_and_a_wavering_score_does_not_ask_again() -> None:
    crossed = step(Standing(), 52)
    assert crossed.ask
    wavering = crossed.standing
    for score in (49, 51, 45, 55, 50):
        found = step(wavering, score)
        assert not found.ask, score
        wavering = found.standing
    assert wavering.is_above
    fallen = step(wavering, 40)
    assert not fallen.standing.is_above
    assert step(fallen.standing, 50).ask


def test_a_score_that_rises_by_ten_asks_again() -> None:
    crossed = step(Standing(), 52).standing
    assert not step(crossed, 61).ask
    assert step(crossed, 62).ask


def test_after_no_violation_nobody_is_asked_until_it_rises_or_the_time_is_over() -> None:
    quiet = Standing(True, 52, NOW + timedelta(days=30))
    fallen = step(quiet, 20).standing
    again = step(fallen, 55)
    assert not again.ask
    assert "no violation" in again.reason
    assert step(fallen, 62).ask
    assert step(fallen, 55, now=NOW + timedelta(days=31)).ask


def test_what_the_platform_closed_already_needs_nobody() -> None:
    found = step(Standing(), 90, gone=True)
    assert not found.ask
    assert "already" in found.reason


@given(scores=st.lists(st.integers(0, 100), max_size=40))
def test_the_same_score_twice_never_asks_twice(scores: list[int]) -> None:
    standing = Standing()
    for score in scores:
        standing = step(standing, score).standing
        assert not step(standing, score).ask


# ── Links ─────────────────────────────────────────────────────────────────────────────────────
SAME = [
    "https://chat.example/join/AbC",
    "http://www.Chat.Example/join/AbC/",
    "chat.example/join/AbC",
    "https://chat.example:443/join/AbC?utm_source=somewhere#top",
    " https://chat.example/join/%41bC ",
]


def test_the_many_ways_to_write_a_link_have_one_key() -> None:
    assert {link_key(each) for each in SAME} == {"chat.example/join/AbC"}
    assert link_key("https://chat.example/join/abc") != link_key(SAME[0])
    assert link_key("chat.example/join?code=AbC&utm_x=1") == "chat.example/join?code=AbC"
    assert link_key("app://join/AbC") == "app://join/AbC"


@given(text=st.text(max_size=1200))
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_key_or_no_link(text: str) -> None:
    try:
        key = link_key(text)
    except NotALink as no:
        assert str(no).endswith(".")  # noqa: PT017 — any text may be no link; then it is said so
        return
    assert 0 < len(key) <= LONGEST_KEY


@given(data=st.binary(max_size=600))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_rows_problems_or_refused_with_a_sentence(data: bytes) -> None:
    try:
        found = list(read_links(io.BytesIO(data)))
    except ValueError as no:
        assert str(no).endswith(".")  # noqa: PT017
        return
    assert all(isinstance(each, LinkRow | LinkProblem) for each in found)


def test_files_of_links() -> None:
    forms = {
        "lines": "# drawn\nchat.example/join/a\n\nchat.example/join/b\n",
        "csv": "seen_at,link,place\n2026-11-22,chat.example/join/a,x\n,chat.example/join/b,\n",
        "tabs": "chat.example/join/a\tx\t2026-11-22\nchat.example/join/b\n",
        "json": '{"url": "chat.example/join/a", "place": "x"}\n{"link": "chat.example/join/b"}\n',
        "bom": "\ufefflink\nchat.example/join/a\nchat.example/join/b\n",
    }
    for form, text in forms.items():
        rows = list(read_links(io.BytesIO(text.encode())))
        assert [row.key[-1] for row in rows if isinstance(row, LinkRow)] == ["a", "b"], form
        assert len(rows) == 2, form


def test_bad_rows_are_named() -> None:
    text = (
        'chat.example/join/a\nnowhere\n{"link": 3}\n{bad\nchat.example/b,x,someday\n' + "x" * 9000
    )
    said = [each for each in read_links(io.BytesIO(text.encode())) if isinstance(each, LinkProblem)]
    assert [each.number for each in said] == [2, 3, 4, 5, 6]
    with pytest.raises(ValueError, match="UTF-8"):
        list(read_links(io.BytesIO(b"chat.example/join/a\n\xff\n")))


# ── Facts as they arrive ──────────────────────────────────────────────────────────────────────
class World:
    """A small platform, told of by the real actions."""

    def __init__(self, casework: Casework) -> None:
        self.casework = casework
        self.source: Source = casework.source()

    def account(self, name: str, **said: Any) -> Account:
        payload = AccountPayload.model_validate(said)
        return upsert_account(self.source, name, payload=payload, actor=SYSTEM)

    def group(self, name: str, members: list[str], **said: Any) -> Group:
        upsert_group(
            self.source,
            name,
            payload=GroupPayload.model_validate({"name": name} | said),
            actor=SYSTEM,
        )
        payload = MembersPayload.model_validate(
            {"members": [{"account": each} for each in members]}
        )
        upsert_memberships(self.source, name, members=payload, actor=SYSTEM)
        return Group.objects.get(external_id=name)

    def report(self, subject: dict[str, str], reporter: str) -> None:
        said = {"subject": subject, "reason": "csam", "reporter": {"account": reporter}}
        submit_report(self.source, payload=ReportPayload.model_validate(said), actor=SYSTEM)

    def item(self, subject: dict[str, str], surface: str, *findings: Any, **said: Any) -> Any:
        said.setdefault("text", "an invented text")
        payload = ScanPayload.model_validate({"subject": subject, "surface": surface} | said)
        item = submit_scan(self.source, payload=payload, actor=SYSTEM)
        return self.casework.scanned(item, *findings)

    def picture(self, subject: dict[str, str], number: int, *findings: Any) -> Any:
        surface = "group_photo" if "group" in subject else "profile_photo"
        media = self.casework.upload(self.source, jpeg(number, (96, 64)), "image/jpeg")
        payload = ScanPayload.model_validate(
            {"subject": subject, "surface": surface, "media": media}
        )
        return self.casework.scanned(
            submit_scan(self.source, payload=payload, actor=SYSTEM), *findings
        )

    def settle(self) -> int:
        """Rate until nothing is marked; return how many rounds that took."""
        rounds = 0
        while actions.rate_changed():
            rounds += 1
            assert rounds < 50, "ratings mark each other for ever"
        return rounds


@pytest.fixture
def world(casework: Casework) -> World:
    return World(casework)


def score(subject: Account | Group) -> RiskScore:
    kind = "account" if isinstance(subject, Account) else "group"
    return RiskScore.objects.get(**{kind: subject})


def said_of(subject: Account | Group) -> dict[str, str]:
    return {each["key"]: each["text"] for each in score(subject).contributions}


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
    known["identifiers"][1]["value"] = "+15550001002"  # type: ignore[index]
    world.account("gone", platform_status="Banned", **known)
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


# ── Cases ─────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def risky(world: World) -> Group:
    """Return a group that has just crossed the threshold."""
    world.picture({"group": "g"}, 1, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4", "r5"):
        world.report({"group": "g"}, reporter)
    group = world.group("g", [f"m{n}" for n in range(20)])
    world.settle()
    assert score(group).score == 60
    return group


def test_crossing_the_threshold_opens_one_case_with_its_reasons(risky: Group) -> None:
    assert score(risky).case_state == CaseState.WAITING
    assert casework_jobs.sweep_risk_cases() == 1
    casework_jobs.route_risk_case(str(score(risky).pk))
    casework_jobs.route_risk_case(str(score(risky).pk))
    case = Case.objects.get(group=risky, category="harmful_group")
    reason = RoutingReason.objects.get(case=case)
    assert "60 of 100" in reason.text
    assert "+40: 1 item of the group is known material" in reason.text
    assert score(risky).case_state == CaseState.PLACED
    assert casework_jobs.sweep_risk_cases() == 0
    assert case.case_items.count() == 1


def test_a_risky_account_goes_where_imagery_is_looked_at(world: World) -> None:
    for number in range(2):
        world.picture({"account": "a"}, number, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4"):
        world.report({"account": "a"}, reporter)
    world.settle()
    account = Account.objects.get(external_id="a")
    case = casework_actions.route_risk_case(score(account))
    assert case is not None
    assert (case.account, case.category) == (account, "csam_suspected")
    assert case.queue.slug == "suspected-imagery"


def test_a_score_that_rises_while_its_case_is_placed_asks_again(risky: Group) -> None:
    taken = actions.take_risk_case(score(risky))
    assert taken is not None
    assert actions.take_risk_case(score(risky)) is None, "somebody has it"
    RiskScore.objects.filter(pk=taken.pk).update(case_due_at=timezone.now())  # It asks again.
    actions.record_risk_case(taken)
    assert score(risky).case_state == CaseState.WAITING


def test_a_decision_while_its_case_is_placed_does_not_place_it_twice(risky: Group) -> None:
    RiskScore.objects.update(asked_score=50)  # It was asked about lower, and rose a little since.
    taken = actions.take_risk_case(score(risky))
    assert taken is not None
    actions.quiet_risk(risky)
    actions.record_risk_case(taken)
    assert score(risky).case_state == CaseState.PLACED


def test_a_rising_score_makes_the_open_case_more_urgent(world: World, risky: Group) -> None:
    casework_actions.route_risk_case(score(risky))
    case = Case.objects.get(group=risky, category="harmful_group")
    for number in range(3):
        world.account(f"m{number}", platform_status="banned")
    world.settle()
    casework_actions.route_risk_case(score(risky))
    raised = Case.objects.get(group=risky, category="harmful_group")
    assert raised.pk == case.pk
    assert raised.score > case.score
    assert raised.reasons.count() == 2


def test_a_decision_of_no_violation_keeps_it_quiet(
    world: World, risky: Group, reviewer: User
) -> None:
    grant_all(reviewer)
    casework_actions.route_risk_case(score(risky))
    case = Case.objects.get(group=risky, category="harmful_group")
    world.casework.published(case, by=reviewer, outcome=Outcome.NOT_VIOLATING)
    quiet = score(risky)
    assert quiet.quiet_until is not None
    assert quiet.quiet_until > timezone.now() + timedelta(days=29)
    world.settle()
    fallen = score(risky)  # What was dismissed does not count any more.
    assert fallen.score == 20
    world.picture({"group": "g"}, 2, hash_finding())
    world.settle()
    assert score(risky).score == 60
    assert casework_actions.route_risk_case(score(risky)) is None
    assert "no violation" in score(risky).reason
    assert not Case.objects.filter(group=risky, category="harmful_group").exclude(
        status=CaseStatus.DECIDED
    )


def test_a_group_that_is_closed_already_opens_no_case(world: World) -> None:
    world.picture({"group": "g"}, 1, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4", "r5"):
        world.report({"group": "g"}, reporter)
    group = world.group("g", ["m"], platform_status="closed")
    world.settle()
    assert score(group).case_state == CaseState.NONE
    assert "closed it already" in score(group).reason


def test_a_case_that_cannot_be_placed_is_shown_and_tried_again(
    risky: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError("no")

    with monkeypatch.context() as patched:
        patched.setattr("moderation.actions.risk.place_subject", broken)
        assert casework_actions.route_risk_case(score(risky)) is None
    assert score(risky).case_state == CaseState.FAILED
    assert "RuntimeError" in score(risky).case_error
    RiskScore.objects.update(case_due_at=timezone.now())
    assert casework_jobs.sweep_risk_cases() == 1
    assert casework_actions.route_risk_case(score(risky)) is not None


# ── Pages ─────────────────────────────────────────────────────────────────────────────────────
def form_of(policy: RiskPolicy, **changes: Any) -> dict[str, Any]:
    from hashing.risk_forms import RiskPolicyForm

    form = RiskPolicyForm.of(policy)
    said = {name: "" if value is None else value for name, value in form.initial.items()}
    if said["opens_cases"]:
        said["opens_cases"] = "on"
    return said | {"note": "tried"} | changes


def test_the_page_shows_the_riskiest_first_and_why(
    client: Client, lead: User, world: World, risky: Group
) -> None:
    signed_in(client, lead)
    page = client.get(reverse("hashing:risk")).content.decode()
    assert "+40: 1 item of the group is known material" in page
    detail = client.get(reverse("hashing:risk_detail", args=[score(risky).pk])).content.decode()
    assert "60 of 100" in detail
    assert "5 independent reporters" in detail
    assert "Banned members" in detail  # What does not add is said too.
    assert "g" in client.get(reverse("hashing:risk") + "?q=g&kind=group&above=yes").content.decode()
    assert "Nothing matches" in client.get(reverse("hashing:risk") + "?q=nobody").content.decode()


def test_the_case_shows_why_its_group_is_rated_so(client: Client, lead: User, risky: Group) -> None:
    grant_all(lead)
    case = casework_actions.route_risk_case(score(risky))
    assert case is not None
    signed_in(client, lead)
    page = client.get(reverse("moderation:case", args=[case.pk])).content.decode()
    assert "Risk 60 of 100" in page
    assert "1 item of the group is known material" in page


def test_a_dry_run_says_what_would_change_and_writes_nothing(
    client: Client, policy_admin: User, risky: Group
) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get(), group_open_at=70) | {"try": "1"}
    page = client.post(reverse("hashing:risk_policy"), said).content.decode()
    assert "Fewer would be above the threshold: 0 instead of 1" in page
    assert "Would fall below it" in page
    assert RiskPolicy.objects.count() == 1
    assert not SubjectChange.objects.exists()


def test_new_weights_are_a_version_and_rate_everything_again(
    client: Client, policy_admin: User, world: World, risky: Group
) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get(), group_known_media_points=5)
    assert client.post(reverse("hashing:risk_policy"), said).status_code == 302
    assert RiskPolicy.objects.get(version=2).created_by == policy_admin
    world.settle()
    assert score(risky).score == 25
    assert score(risky).policy == RiskPolicy.objects.get(version=2)
    earlier = client.get(reverse("hashing:risk_policy") + "?version=1").content.decode()
    assert "Values of an earlier version" in earlier


def test_two_people_change_the_weights_and_the_second_is_told(
    client: Client, policy_admin: User, risky: Group
) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get())
    assert client.post(reverse("hashing:risk_policy"), said).status_code == 302
    answer = client.post(reverse("hashing:risk_policy"), said)
    assert answer.status_code == 422
    assert "Somebody made version 2" in answer.content.decode()
    assert RiskPolicy.objects.count() == 2


def test_bad_weights_are_refused_at_their_row(client: Client, policy_admin: User, db: None) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get(), group_banned_full=0, drop=50)
    answer = client.post(reverse("hashing:risk_policy"), said)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "“in full at”" in page
    assert "smaller than both thresholds" in page


def test_scores_open_no_cases_when_that_is_turned_off(
    client: Client, policy_admin: User, world: World
) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get(), opens_cases="")
    assert client.post(reverse("hashing:risk_policy"), said).status_code == 302
    world.picture({"group": "g"}, 1, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4", "r5"):
        world.report({"group": "g"}, reporter)
    world.settle()
    row = RiskScore.objects.get(group__external_id="g")
    assert row.is_above
    assert row.case_state == CaseState.NONE
    assert "turned that off" in row.reason


# ── Importing links ───────────────────────────────────────────────────────────────────────────
def imported(text: str, **more: Any) -> LinkImport:
    blob = vault.store_bytes(text.encode(), name="links.csv")
    made = actions.ask_link_import(blob, place="example directory", actor=SYSTEM, **more)
    jobs.read_links(str(made.pk))
    made.refresh_from_db()
    return made


def test_an_import_joins_groups_known_before_and_after(world: World) -> None:
    before = world.group("before", ["m"], invite_link="https://chat.example/j/one")
    world.settle()
    made = imported("link\nchat.example/j/one\nchat.example/j/two/\nchat.example/j/one\n")
    assert (made.state, made.rows, made.added, made.known, made.groups) == ("done", 3, 2, 0, 1)
    world.settle()
    assert "listings" in said_of(before)
    after = world.group("after", ["m"], invite_link="http://www.chat.example/j/two")
    world.settle()
    assert "listings" in said_of(after)


def test_a_link_that_came_as_an_item_or_was_changed_still_leads_to_its_group(world: World) -> None:
    group = world.group("g", ["m"], invite_link="https://chat.example/j/old")
    world.group("g", ["m"], invite_link="https://chat.example/j/new")
    world.item({"group": "g"}, "invite_link", text="https://chat.example/j/third")
    made = imported("chat.example/j/old\nchat.example/j/third\n")
    assert made.groups == 1
    world.settle()
    assert score(group).facts["listings"] == 1


def test_undo_and_redo_and_what_another_import_knew(world: World) -> None:
    group = world.group("g", ["m"], invite_link="https://chat.example/j/one")
    first = imported("chat.example/j/one\n")
    second = imported("chat.example/j/one\nchat.example/j/two\n")
    assert (second.added, second.known) == (1, 1)
    assert actions.undo_link_import(first, actor=SYSTEM) == 1
    world.settle()
    assert not RiskScore.objects.filter(group=group, score__gt=0).exists()
    assert actions.redo_link_import(first, actor=SYSTEM) == 1
    world.settle()
    assert "listings" in said_of(group)


def test_one_bad_row_and_nothing_is_kept_unless_asked_for(db: None) -> None:
    text = "chat.example/j/one\nnowhere\n"
    refused = imported(text)
    assert (refused.state, refused.refused) == ("refused", 1)
    assert refused.problems[0]["row"] == 2
    assert not ListedLink.objects.exists()
    kept = imported(text, skip_bad_rows=True)
    assert (kept.state, kept.added, kept.refused) == ("done", 1, 1)


def test_a_file_that_is_none_fails_with_a_sentence(db: None) -> None:
    made = imported("\x00\x01\x02")
    assert made.state == "failed"
    assert "no text file" in made.problem
    assert imported("# only a remark\n").problem == "The file holds no links."


def test_an_import_that_was_cut_off_is_read_again_and_once(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = vault.store_bytes(b"chat.example/j/one\nchat.example/j/two\n", name="links.csv")
    made = actions.ask_link_import(blob, place="x", actor=SYSTEM)

    def dies(*args: Any, **more: Any) -> Any:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("hashing.actions.links._settle", dies)
        with pytest.raises(Exception, match="RuntimeError"):
            jobs.read_links(str(made.pk))
    assert not ListedLink.objects.exists()
    assert jobs.sweep_links() == 0  # Its lease has not run out.
    LinkImport.objects.update(due_at=timezone.now())
    assert jobs.sweep_links() == 1
    jobs.read_links(str(made.pk))
    jobs.read_links(str(made.pk))
    assert ListedLink.objects.count() == 2


def test_a_hundred_thousand_links_are_one_import(world: World) -> None:
    world.group("g", ["m"], invite_link="https://chat.example/j/77777")
    made = imported("".join(f"https://chat.example/j/{n}\n" for n in range(100_000)))
    assert (made.state, made.added, made.groups) == ("done", 100_000, 1)


def test_the_pages_of_links(client: Client, policy_admin: User, world: World) -> None:
    world.group("drawn-group", ["m"], invite_link="https://chat.example/j/one")
    signed_in(client, policy_admin)
    assert "No links were imported yet" in client.get(reverse("hashing:links")).content.decode()
    file = SimpleUploadedFile("links.csv", b"chat.example/j/one\n", content_type="text/csv")
    sent = client.post(reverse("hashing:link_new"), {"place": "example directory", "file": file})
    assert sent.status_code == 302
    made = LinkImport.objects.get()
    jobs.read_links(str(made.pk))
    page = client.get(sent["Location"]).content.decode()
    assert "drawn-group" in page
    found = client.get(reverse("hashing:links") + "?link=chat.example/j/one").content.decode()
    assert "example directory" in found
    assert "drawn-group" in found
    client.post(reverse("hashing:link_switch", args=[made.pk, "undo"]))
    again = client.get(reverse("hashing:links") + "?link=chat.example/j/one").content.decode()
    assert "Not listed anywhere" in again


def test_what_is_wrong_with_a_file_of_links_is_said_at_the_field(
    client: Client, policy_admin: User, db: None
) -> None:
    signed_in(client, policy_admin)
    empty = SimpleUploadedFile("links.csv", b"", content_type="text/csv")
    answer = client.post(reverse("hashing:link_new"), {"place": "x", "file": empty})
    assert answer.status_code == 422
    assert "empty" in answer.content.decode()


def test_dry_runs_and_lists_are_for_those_who_may_see_them(
    reviewer: User, lead: User, risky: Group
) -> None:
    assert not risk_access.scores_for(reviewer).exists()
    assert risk_access.scores_for(lead).exists()
    run: Callable[..., Any] = risk_access.dry_run
    assert run(reviewer, "group", weights=GROUP_WEIGHTS, open_at=50, now_open_at=50).rated == 0
