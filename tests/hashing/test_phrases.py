"""Terms of several words: whatever parts the words, the phrase is found, in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashing.folding import LEVELS, Step, level_of
from hashing.rule_lines import parse_rule
from hashing.rulebook import Entry, Rulebook
from hashing.terms import Bound, Matcher, explain

SPACES = ["  ", "\n", "\r\n", "\t", "\u00a0", "\u3000 ", " \n\n "]
SIGNS = [", ", "-", "_", "/", " \u200b ", " — ", ". ", " 🙂 ", "! ", "...", " | ", "\u200b "]


def found(term: str, text: str, level: str) -> list[str]:
    return [text[m.start : m.end] for m in Matcher([(1, term)], LEVELS[level]).find(text)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("gap", SPACES)
def test_any_white_space_parts_the_words_of_a_phrase(level: str, gap: str) -> None:
    text = f"so quarl{gap}vexon it is"
    assert found("quarl vexon", text, level) == [f"quarl{gap}vexon"]
    assert found("quarl  \t vexon", text, level) == [f"quarl{gap}vexon"]


@pytest.mark.parametrize("level", ["folded", "evasive"])
@pytest.mark.parametrize("gap", SIGNS)
def test_signs_part_them_at_every_level_but_exact(level: str, gap: str) -> None:
    text = f"so QUARL{gap}vexon! it is"
    assert found("quarl vexon", text, level) == [f"QUARL{gap}vexon"]
    assert found("quarl vexon", text.lower(), "exact") == []


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "text",
    [
        "quarlvexon",
        "quarl x vexon",
        "aquarl vexon",
        "quarl vexons",
        "vexon quarl",
        "quarl",
        "quarl-",
        "",
    ],
)
def test_other_words_are_not_the_phrase(level: str, text: str) -> None:
    assert found("quarl vexon", text, level) == []


def test_the_bounds_of_a_phrase_count() -> None:
    for bound, text in [
        (Bound.PREFIX, "quarl,\nvexons"),
        (Bound.SUFFIX, "aquarl,\nvexon"),
        (Bound.PART, "aquarl,\nvexons"),
    ]:
        (match,) = Matcher([(1, "quarl vexon", bound)]).find(text)
        assert text[match.start : match.end] == "quarl,\nvexon"


def test_disguises_inside_the_words_and_signs_between_them_are_seen_together() -> None:
    text = "so qu@@rl -- v3x0n, it is"
    assert found("quarl vexon", text, "evasive") == ["qu@@rl -- v3x0n"]
    assert found("café bar", "CAFE\u0301;\nbar", "folded") == ["CAFE\u0301;\nbar"]
    assert found("café bar", "cafe bar", "folded") == []
    assert found("rock & roll", "Rock 'n roll, rock/roll", "folded") == ["rock/roll"]
    assert found("deal $$$", "deal $$$", "folded") == ["deal $$$"]


def test_what_had_to_be_disregarded_is_said() -> None:
    assert explain("quarl vexon", "quarl  \n vexon", LEVELS["evasive"]) == ()
    assert explain("quarl vexon", "quarl, vexon", LEVELS["evasive"]) == (Step.GAPS,)
    assert level_of(frozenset({Step.CASE, Step.GAPS})) == "folded"


def test_a_rulebook_finds_phrases_combinations_and_allowed_phrases_alike() -> None:
    rules = ["quarl vexon", '"alpha beta" and "gamma"', "allow: quarl vexon of honour"]
    book = Rulebook([Entry(n, "l", parse_rule(r), LEVELS["folded"]) for n, r in enumerate(rules)])
    text = "alpha\nbeta, quarl-vexon gamma; quarl\nvexon, of honour"
    first, second = book.read(text).hits
    assert [text[a:b] for a, b in first.spans] == ["quarl-vexon"]
    assert [text[a:b] for a, b in first.suppressed] == ["quarl\nvexon"]
    assert (0, 10) in second.spans


@given(
    gap=st.text(st.characters(exclude_categories=["L", "N", "M", "Cs"]), min_size=1, max_size=5),
    before=st.sampled_from(["", " ", "word ", "\n"]),
)
def test_no_run_of_signs_hides_a_phrase(gap: str, before: str) -> None:
    text = f"{before}quarl {gap} vexon end"
    assert found("quarl vexon", text, "folded") == [f"quarl {gap} vexon"]


@pytest.mark.parametrize("level", ["folded", "evasive"])
@pytest.mark.parametrize(
    "written",
    [
        *(f"markerword{hyphen}gamma" for hyphen in "-\u2010\u2011\u2012\u2013\u2212\uff0d\ufe63"),
        *(
            f"markerword-{line_break}gamma"
            for line_break in ("\n", "\r\n", " \n  ", "\u2028", "\n> ")
        ),
        "markerword\u2011\ngamma",
    ],
)
def test_a_hyphen_is_a_hyphen_however_it_is_written_or_broken_behind(
    level: str, written: str
) -> None:
    matcher = Matcher([(1, "markerword-gamma")], LEVELS[level])
    text = f"so {written}, yes"
    assert [text[found.start : found.end] for found in matcher.find(text)] == [written]
    assert Matcher([(1, "markerword-gamma")], LEVELS["exact"]).find(text) == (
        [(1, 3, 19)] if written == "markerword-gamma" else []
    )
    # A rule may be written with any of them too.
    listed = Matcher([(1, " ".join(written.split()).replace(" ", ""))], LEVELS[level])
    assert listed.find("markerword-gamma") or ">" in written


def test_a_hyphen_that_ends_a_thought_is_not_taken_for_one_inside_a_word() -> None:
    matcher = Matcher([(1, "markerword-gamma"), (2, "-gamma")])
    for text in (
        "markerword- gamma",
        "markerword -\ngamma",
        "markerword\n- gamma",
        "markerword\n-gamma x",
    ):
        assert 1 not in [found.key for found in matcher.find(text)]


@pytest.mark.parametrize("sign", ["\u200b", "\u2060", "\ufeff"])
def test_an_invisible_character_parts_words_or_stands_inside_one(sign: str) -> None:
    for level in ("folded", "evasive"):
        matcher = Matcher([(1, "marker phrase gamma")], LEVELS[level])
        for written in (
            f"marker{sign}phrase{sign}gamma",
            f"marker{sign}phrase gamma",
            f"mar{sign}ker{sign}phrase, ga{sign}mma",
            f"marker{sign} {sign}phrase{sign}\ngamma",
        ):
            text = f"so {written}{sign}, yes"
            assert [text[each.start : each.end].rstrip(sign) for each in matcher.find(text)] == [
                written
            ]
        for other in (
            f"markerphrase{sign}gamma",
            f"mar ker{sign}phrase gamma",
            f"xmarker{sign}phrase gamma",
            f"marker{sign}phrase gammax",
        ):
            assert matcher.find(other) == []
    exact = Matcher([(1, "marker phrase gamma")], LEVELS["exact"])
    assert exact.find(f"marker{sign}phrase gamma") == []
    assert exact.find(f"mar{sign}ker phrase gamma") == []
