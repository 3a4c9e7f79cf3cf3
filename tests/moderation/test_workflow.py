"""The rules of a decision, as values."""

from __future__ import annotations

from itertools import combinations

import pytest

from moderation.workflow import (
    IMPLIED,
    Verdict,
    consequence,
    impossible_choices,
    problems_of,
    usual_measures,
    verbs_for,
)

FITTING = ["ban_account", "remove_media", "no_action"]
REASON = "A reason of sufficient length."


def problems(
    outcome: str, *verbs: str, reason: str = REASON, requires_referral: bool = False
) -> dict[str, list[str]]:
    verdict = Verdict(outcome=outcome, enforcements=verbs, reason=reason)
    return problems_of(verdict, fitting=FITTING, requires_referral=requires_referral)


def test_a_complete_verdict_has_no_problem() -> None:
    assert problems("confirm_refer", "ban_account", "remove_media") == {}
    assert problems("not_violating", "no_action") == {}


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("outcome", ("guilty", "ban_account")),
        ("enforcements", ("confirm",)),
        ("enforcements", ("confirm", "close_group")),
        ("enforcements", ("confirm", "no_action", "ban_account")),
        ("enforcements", ("not_violating", "ban_account")),
    ],
)
def test_each_contradiction_is_named_at_its_field(field: str, said: tuple[str, ...]) -> None:
    assert list(problems(said[0], *said[1:])) == [field]


def test_a_reason_of_one_word_is_not_a_reason() -> None:
    assert "reason" in problems("confirm", "ban_account", reason="  bad  ")


def test_a_policy_that_asks_for_a_referral_gets_one() -> None:
    assert "outcome" in problems("confirm", "ban_account", requires_referral=True)
    assert problems("not_violating", "no_action", requires_referral=True) == {}


def test_the_verbs_fit_the_subject_and_what_there_is() -> None:
    allowed = ["ban_account", "remove_media", "close_group", "revoke_invite_link"]
    assert verbs_for("account", allowed, has_media=True) == [
        "ban_account",
        "remove_media",
        "no_action",
    ]
    assert verbs_for("group", allowed, has_media=False) == [
        "close_group",
        "revoke_invite_link",
        "no_action",
    ]


def test_the_consequence_says_what_will_happen() -> None:
    said = consequence("confirm_refer", ["Ban account"], undo_seconds=60)
    assert "ban account" in said
    assert "legal staff" in said
    assert "60 seconds" in said
    assert "told nothing" in consequence("not_violating", [], undo_seconds=60)
    assert "closed" not in consequence("confirm_refer", [], undo_seconds=60)
    assert "told nothing" in consequence("confirm_refer", [], undo_seconds=60)
    assert "without any measure" in consequence("confirm", [], undo_seconds=60)


@pytest.mark.parametrize("requires_referral", [True, False])
def test_the_page_greys_out_exactly_what_would_be_refused(requires_referral: bool) -> None:
    rules = impossible_choices(FITTING, requires_referral=requires_referral)
    for outcome in ("confirm_refer", "confirm", "not_violating"):
        for size in range(1, len(FITTING) + 1):
            for verbs in combinations(FITTING, size):
                chosen = {("outcome", outcome), *(("enforcements", verb) for verb in verbs)}
                is_greyed = any(
                    rule.choice in chosen and (rule.when is None or rule.when in chosen)
                    for rule in rules
                )
                refused = problems(outcome, *verbs, requires_referral=requires_referral)
                assert is_greyed == bool(refused), (outcome, verbs)


def test_what_is_implied_and_what_is_usual_can_be_recorded() -> None:
    for (_, outcome), (_, verb) in IMPLIED.items():
        assert problems(outcome, verb) == {}
    assert usual_measures(["close_group", "ban_account", "no_action"], FITTING) == ["ban_account"]
