"""Rules are read as they are written, say by line what is wrong, and fire on what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from hashing.folding import LEVELS
from hashing.languages import FEWEST_LETTERS, codes, language_of
from hashing.patterns import Patterns, check_pattern
from hashing.rule_files import csv_of, lines_of_csv, parse_terms
from hashing.rule_lines import RuleKind, parse_rule
from hashing.rulebook import Entry, Hit, Reading, Rulebook
from hashing.sealing import legacy_rule
from hashing.term_versions import difference, rules_before


def book(*lines: str, level: str = "folded") -> Rulebook[int, str]:
    return Rulebook(
        Entry(number, "list", parse_rule(line), LEVELS[level]) for number, line in enumerate(lines)
    )


def fired(reading: Reading[int, str], text: str) -> dict[int, list[str]]:
    return {hit.id: [text[a:b] for a, b in hit.spans] for hit in reading.hits}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("marker word", RuleKind.TERM),
        ("*marker*", RuleKind.TERM),
        ("marker*\twith a note", RuleKind.TERM),
        ("\\*marker*", RuleKind.TERM),
        ("\\/not a pattern/", RuleKind.TERM),
        ('"quoted"', RuleKind.TERM),
        ("/usr/bin", RuleKind.TERM),
        (r"/mark(er|ing) \d+/ {score=0.9 lang=de,en}", RuleKind.PATTERN),
        ('"alpha" near 5 "beta"', RuleKind.COMBINATION),
        ('"alpha*" and /b c/ without "say \\"hi\\""', RuleKind.COMBINATION),
        ("allow: marker word of honour", RuleKind.ALLOW),
        ("marker {level=exact}", RuleKind.TERM),
    ],
)
def test_a_rule_reads_back_as_it_was_written(line: str, kind: RuleKind) -> None:
    rule = parse_rule(line)
    assert rule.kind == kind
    assert rule.line == line
    assert parse_rule(rule.line) == rule


@given(st.text(max_size=60))
def test_any_line_is_a_rule_or_a_sentence(line: str) -> None:
    try:
        rule = parse_rule(line)
    except ValueError:
        return
    assert parse_rule(rule.line) == rule


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60))
def test_a_term_from_before_rules_had_a_syntax_stays_the_same_term(text: str) -> None:
    text = " ".join(text.split())
    old = legacy_rule(text, "note")
    try:
        again = parse_rule(old.line)
    except ValueError:
        return  # Never was a term: no letter, or too long.
    assert again == old


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/(?=a)b/", "looking ahead"),
        ("/(?<=a)b/", "looking behind"),
        (r"/(a)\1/", "back reference"),
        ("/(a/", "never closed"),
        ("/a)/", "never opened"),
        ("/[a/", "never closed"),
        ("/*a/", "nothing before it"),
        ("/a*/", "matches an empty text"),
        ("/[^x]{1,900}/", "too large"),
        ("/a{1001}/", "larger than 1,000"),
        (f"/{'a' * 501}/", "longer than 500"),
        ('"a" near "b"', "not a combination yet"),
        ('"a" near 101 "b"', "0 to 100 words"),
        ('"a" and "b" or "c"', "cannot be read"),
        ('"a"' + ' and "b"' * 5, "at most 5 parts"),
        ("a {score=2}", "above 0 and at most 1"),
        ("a {lang=english}", "ISO 639"),
        ("a {level=hard}", "exact, folded or evasive"),
        ("a {colour=red}", "no option"),
        ("allow: a {score=0.5}", "no score"),
        ("allow:", "nothing to look for"),
    ],
)
def test_what_is_wrong_is_said(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        parse_rule(line)
    with pytest.raises(Invalid) as invalid:
        parse_terms(f"good\n{line}\ngood too")
    assert "ine 2" in invalid.value.errors["terms"][0]


def test_rules_of_every_kind_fire() -> None:
    rules = book(
        "markerword",
        "*art*",
        r"/num\d+/",
        '"alpha" near 2 "beta"',
        '"alpha" and "gamma"',
        '"alpha" without "delta"',
    )
    text = "Markerword: apartment NUM12"
    assert fired(rules.read(text), text) == {0: ["Markerword"], 1: ["art"], 2: ["NUM12"]}
    for text, wanted in {
        "alpha one two beta": {3, 5},
        "beta, alpha!": {3, 5},
        "alpha one two three beta": {5},
        "gamma or alpha": {4, 5},
        "alpha delta": set(),
        "beta gamma": set(),
    }.items():
        assert set(fired(rules.read(text), text)) == wanted, text


def test_a_match_inside_an_allowed_phrase_is_counted_not_flagged() -> None:
    rules = book("markerword", "allow: green markerword", "allow: /markerword \\d+/")
    text = "markerword and green markerword"
    (hit,) = rules.read(text).hits
    assert [text[a:b] for a, b in hit.spans] == ["markerword"]
    assert hit.spans == ((0, 10),)
    assert hit.suppressed == ((21, 31),)
    (only,) = rules.read("GREEN markerword, markerword 12").hits
    assert (only.spans, len(only.suppressed)) == ((), 2)
    assert rules.read("green").hits == []


def test_allowed_phrases_count_in_combinations_and_only_in_their_list() -> None:
    entries = [
        Entry(0, "one", parse_rule('"alpha" and "beta"'), LEVELS["folded"]),
        Entry(1, "one", parse_rule("allow: alpha male"), LEVELS["folded"]),
        Entry(2, "two", parse_rule("alpha"), LEVELS["folded"]),
    ]
    text = "alpha male and beta"
    hits: list[Hit[int, str]] = Rulebook(entries).read(text).hits
    assert [(hit.id, bool(hit.spans)) for hit in hits] == [(0, False), (2, True)]


def test_rules_for_a_language_look_at_texts_of_unknown_language_too() -> None:
    rules = book("wort {lang=de}")
    german = "Das ist ein ganz gewöhnlicher deutscher Satz mit einem wort darin."
    english = "This is quite an ordinary English sentence that has wort in it."
    assert rules.read(german).hits
    assert rules.read(german).language == language_of(german)
    assert not rules.read(english).hits
    assert rules.read("wort").hits


def test_languages_are_told_apart_or_unknown() -> None:
    assert language_of("This is quite an ordinary English sentence.").code == "en"
    assert language_of("Съешь ещё этих мягких французских булок").code == "ru"
    assert language_of("x" * (FEWEST_LETTERS - 1)).code == "unknown"
    assert language_of("\ud800" * 50).code == "unknown"
    assert {"en", "de", "ru"} <= set(codes())


def test_a_rule_has_its_own_strictness() -> None:
    rules = book("Marker {level=exact}", "marker {level=evasive}", "marker")
    assert set(fired(rules.read("m4rker"), "m4rker")) == {1}
    assert set(fired(rules.read("Marker"), "Marker")) == {0, 1, 2}
    assert set(fired(rules.read("marker"), "marker")) == {1, 2}
    (hit,) = rules.read("m4rker").hits
    assert [str(step) for step in hit.steps] == ["signs"]


def test_patterns_see_through_what_is_no_sign() -> None:
    text = "say mаrk\u200bér 12"
    rules = book(r"/marker \d+/", level="evasive")
    assert fired(rules.read(text), text) == {0: ["mаrk\u200bér 12"]}
    assert book(r"/marker \d+/").read(text).hits == []


def test_many_patterns_are_looked_for_together() -> None:
    some = Patterns([(number, rf"mark{number}\w*") for number in range(500)])
    text = "MARK77x and mark499"
    assert {key for key, _, _ in some.find(text)} == {7, 77, 4, 49, 499}


def test_no_pattern_is_slow() -> None:
    """Patterns that take other engines for ever: the suite's time limit would end it."""
    for pattern in (r"(a+)+$", r"(a|a)*b", r"(a|aa)+c", r"(.*)*x"):
        check_pattern(pattern + "y")
        assert Patterns([(1, pattern + "y")]).find("a" * 100_000) == []


def test_a_file_of_rules_goes_out_and_comes_back() -> None:
    rules = parse_terms(
        'marker\tnote\n"a" near 2 "b" {score=0.9}\n/x,y"z/ {lang=de,en level=exact}\nallow: a; b'
    )
    again = parse_terms(lines_of_csv(csv_of(rules.values())))
    assert list(again.values()) == list(rules.values())


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Term;Note\nmarker;why\n", ["", "marker\twhy"]),
        ("note,rule,score\n,a,0.5\n,,\n,b,\n", ["", "a {score=0.5}", "", "b"]),
        ('rule,languages\n"a\nb","de en"\nc,\n', ["", "", "a b {lang=de,en}", "c"]),
        ("rule\tlevel\na\texact\n", ["", "a {level=exact}"]),
    ],
)
def test_csv_is_read_by_its_heading_and_keeps_line_numbers(text: str, lines: list[str]) -> None:
    assert lines_of_csv(text) == lines


@pytest.mark.parametrize("text", ["", "marker\n", "score,note\n1,2\n", 'rule\n"' + "x" * 140_000])
def test_what_is_no_csv_of_rules_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        lines_of_csv(text)


def test_earlier_versions_are_worked_out_from_the_changes() -> None:
    from hashing.sealing import Lines

    now = ["a", "c\tnew"]
    changes = [Lines(["a"], ["b"], [("c\told", "c\tnew")]), Lines(["b", "c\told"])]
    assert {rule.line for rule in rules_before(now, changes[:1])} == {"b", "c\told"}
    assert rules_before(now, changes) == []
    changed = difference(rules_before(now, changes[:1]), map(parse_rule, now))
    assert [rule.line for rule in changed.added] == ["a"]
    assert [rule.line for rule in changed.removed] == ["b"]
    assert [(x.line, y.line) for x, y in changed.rewritten] == [("c\told", "c\tnew")]
