"""Routing as a function: facts in, placement out."""

from __future__ import annotations

import pytest

from moderation.routing import Facts, FlagFact, NoRule, Rule, due_minutes, needs_case, route


def rule(number: int, conditions: dict[str, object], **changes: object) -> Rule:
    values = {
        "id": number,
        "name": f"Rule {number}",
        "conditions": conditions,
        "category": f"category-{number}",
        "queue_id": number,
        "severity": 3,
        "due_minutes": 600,
        "explanation": f"Because of {number}",
    } | changes
    return Rule(**values)  # type: ignore[arg-type]


def facts(**changes: object) -> Facts:
    values = {
        "subject": "account",
        "source_kind": "user_reports",
        "trust": "standard",
        "has_report": True,
    } | changes
    return Facts(**values)  # type: ignore[arg-type]


EVERYTHING_ELSE = rule(99, {}, severity=2)
MATCH = FlagFact("hash_match", "csam_known", 0.9, "A match")


def test_the_first_rule_that_matches_places_the_case() -> None:
    rules = [
        rule(1, {"flag_kinds": ["term_match"]}),
        rule(2, {"flag_kinds": ["hash_match"], "categories": ["csam_known"]}),
        rule(3, {"reasons": ["csam"]}),
        EVERYTHING_ELSE,
    ]
    placed = route(facts(reason="csam", flags=(MATCH,)), rules)
    assert (placed.category, placed.queue_id) == ("category-2", 2)
    assert [reason.rule_id for reason in placed.reasons] == [2, 3]


def test_later_rules_only_raise_the_severity_and_shorten_the_time() -> None:
    rules = [
        rule(1, {"reasons": ["csam"]}, severity=2, due_minutes=600),
        rule(2, {"flag_kinds": ["hash_match"]}, severity=5, due_minutes=60),
        rule(3, {"subject": "account"}, severity=1, due_minutes=9000),
    ]
    placed = route(facts(reason="csam", flags=(MATCH,)), rules)
    assert placed.category == "category-1"
    assert (placed.severity, placed.due_minutes) == (5, 60)


def test_conditions_about_a_flag_have_to_be_met_by_one_flag() -> None:
    rules = [
        rule(1, {"flag_kinds": ["hash_match"], "categories": ["grooming"]}),
        EVERYTHING_ELSE,
    ]
    other = FlagFact("term_match", "grooming", 0.5, "A term")
    assert route(facts(flags=(MATCH, other)), rules).category == "category-99"


def test_a_minimum_score_is_asked_of_the_flag() -> None:
    rules = [rule(1, {"flag_kinds": ["hash_match"], "min_score": 0.95}), EVERYTHING_ELSE]
    assert route(facts(flags=(MATCH,)), rules).category == "category-99"
    sure = FlagFact("hash_match", "csam_known", 0.95, "A match")
    assert route(facts(flags=(sure,)), rules).category == "category-1"


def test_what_no_particular_rule_takes_goes_to_the_one_for_everything_else() -> None:
    rules = [rule(1, {"reasons": ["spam"]}), EVERYTHING_ELSE]
    placed = route(facts(reason="unheard-of"), rules)
    assert placed.category == "category-99"
    assert "unheard-of" not in placed.category


def test_the_rule_for_everything_else_is_silent_when_another_one_spoke() -> None:
    placed = route(facts(reason="spam"), [rule(1, {"reasons": ["spam"]}), EVERYTHING_ELSE])
    assert [reason.rule_id for reason in placed.reasons] == [1]


def test_without_any_matching_rule_routing_fails_loudly() -> None:
    with pytest.raises(NoRule):
        route(facts(reason="csam"), [rule(1, {"reasons": ["spam"]})])


def test_a_rule_that_cannot_be_read_is_passed_over_and_named() -> None:
    placed = route(facts(), [rule(1, {"weather": ["rain"]}), EVERYTHING_ELSE])
    assert placed.category == "category-99"
    assert any("Rule 1" in reason.text for reason in placed.reasons)


def test_a_trusted_source_halves_the_time_and_raises_the_score() -> None:
    usual = route(facts(reason="x"), [EVERYTHING_ELSE])
    trusted = route(facts(reason="x", trust="trusted"), [EVERYTHING_ELSE])
    assert trusted.due_minutes == usual.due_minutes // 2
    assert trusted.score > usual.score


def test_a_source_with_its_own_clock_is_answered_within_it() -> None:
    assert due_minutes(600, facts(source_due_minutes=45)) == 45
    assert due_minutes(30, facts(source_due_minutes=45)) == 30
    assert due_minutes(1, facts(trust="trusted")) == 1


def test_the_reason_names_what_it_rests_on() -> None:
    by_flag = route(facts(flags=(MATCH,)), [rule(1, {"flag_kinds": ["hash_match"]})])
    assert by_flag.reasons[0].text == "Because of 1: A match."
    by_report = route(facts(reason="csam", source_name="Feed"), [rule(1, {"reasons": ["csam"]})])
    assert by_report.reasons[0].text == "Because of 1: reported by Feed, “csam”."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"has_report": True}, True),
        ({"has_report": False}, False),
        ({"has_report": False, "flags": (MATCH,)}, True),
        ({"has_report": False, "scan_pending": True}, True),
    ],
)
def test_only_a_clean_submission_without_a_reporter_needs_nobody(
    changes: dict[str, object], expected: bool
) -> None:
    assert needs_case(facts(**changes)) is expected


def test_an_unfinished_scan_is_said_among_the_reasons() -> None:
    placed = route(facts(scan_pending=True), [EVERYTHING_ELSE])
    assert any("scan has not finished" in reason.text for reason in placed.reasons)
