"""Risk: the sum and the threshold, as pure functions."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hashing import risk
from hashing.models import RiskPolicy
from hashing.risk import AccountFacts, GroupFacts, Standing, Terms

GROUP_WEIGHTS = risk.weights_of({}, "group")
ACCOUNT_WEIGHTS = risk.weights_of({}, "account")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


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
