"""Terms are found however they are written, and the span leads back to the writing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashing.folding import LEVELS, Step, Steps, fold, is_invisible, level_of, steps_of
from hashing.terms import Bound, Matcher, explain

ODD = (
    "aßﬁéＡ１ｶﾞが각각\u0301\u0323\u0338\u0345\u200b\u200d\ufe0f\u00ad -_.日本ไทยаеԁ𝐚🅰Ⓑ①🇩il1!|@$05oo"
)
TEXT = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.characters(categories=["Cs", "Mn", "Cn"]),
        st.sampled_from(ODD),
    ),
    max_size=40,
)
patient = settings(deadline=None)
"""The first fold builds its tables."""

STEPS = st.frozensets(st.sampled_from(Step))
EVASIVE = LEVELS["evasive"]


@patient
@given(TEXT)
@example("e\u200d\u0301")
@example("\u1100\u1161\u11a8")
@example("ﷺ")
@example("a\u0301\u0323")
def test_folding_character_by_character_equals_folding_the_whole(text: str) -> None:
    """D146 of The Unicode Standard, decomposed, without invisible characters."""
    visible = "".join(char for char in text if not is_invisible(char))
    whole = visible
    for _ in range(3):
        whole = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", whole).casefold())
    whole = "".join(char for char in whole if not is_invisible(char))
    assert fold(text).text == unicodedata.normalize("NFKD", whole)


@patient
@given(TEXT, STEPS)
@example("1i1l|!", EVASIVE)
@example("\U000e0061\U000f0000\U0010ffff", EVASIVE)
@example("a\u0301\u0323\u0301 m a r k e r", EVASIVE)
def test_folding_twice_is_folding_once(text: str, steps: Steps) -> None:
    once = fold(text, steps).text
    assert fold(once, steps).text == once


@patient
@given(TEXT, STEPS)
def test_every_folded_character_knows_where_it_came_from(text: str, steps: Steps) -> None:
    folded = fold(text, steps)
    assert len(folded.boundaries) == len(folded.text) + 1
    last = 0
    for at in range(len(folded.text)):
        start, end = folded.span(at, at + 1)
        assert 0 <= start < end <= len(text)
        assert start >= last or unicodedata.combining(folded.text[at])
        last = start
    for stretch in folded.stretches:
        assert len(stretch.at) == len(stretch.text)
        assert all(0 <= at < len(folded.text) for at in stretch.at)


@patient
@given(TEXT)
def test_a_character_folds_to_what_its_span_folds_to(text: str) -> None:
    folded = fold(text)
    for at in range(len(folded.text)):
        start, end = folded.span(at, at + 1)
        assert folded.text[at] in fold(text[start:end]).text


@patient
@given(TEXT, st.sampled_from(["markerword", "maller", "ﬁsh", "naïve x", "日本", "маркер"]))
def test_seeing_through_more_finds_no_less(text: str, term: str) -> None:
    text = f"{text} {term} {text}"
    spans = {
        level: {(m.start, m.end) for m in Matcher([(1, term)], steps).find(text)}
        for level, steps in LEVELS.items()
    }
    place = (len(text) - len(term)) // 2, (len(text) + len(term)) // 2
    assert place in spans["exact"] & spans["folded"]
    assert any(start <= place[0] and end >= place[1] for start, end in spans["evasive"])


@patient
@given(
    TEXT,
    TEXT,
    st.sampled_from(["markerword-alpha", "Straße", "ﬁsh", "naïve x", "ＷＩＤＥ", "日本"]),
)
def test_a_term_between_spaces_is_found_with_its_span(before: str, after: str, term: str) -> None:
    text = f"{before} {term} {after}"
    matches = Matcher([(1, term)]).find(text)
    spans = [(match.start, match.end) for match in matches]
    assert (len(before) + 1, len(before) + 1 + len(term)) in spans
    for start, end in spans:
        assert fold(text[start:end]).text == fold(term).text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("say MARKERWORD-ALPHA now", "MARKERWORD-ALPHA"),
        ("ｍａｒｋｅｒｗｏｒｄ－ａｌｐｈａ", "ｍａｒｋｅｒｗｏｒｄ－ａｌｐｈａ"),
        ("mar\u00adker\u200bword-alpha!", "mar\u00adker\u200bword-alpha"),
        ("x,markerword-alpha,x", "markerword-alpha"),
        ("before\u200bmarkerword-alpha\u200bafter", "markerword-alpha"),
        ("(markerword-alpha)", "markerword-alpha"),
    ],
)
def test_other_writings_of_a_term_are_found(text: str, written: str) -> None:
    (match,) = Matcher([("key", "Markerword-Alpha")]).find(text)
    assert text[match.start : match.end] == written


@pytest.mark.parametrize(
    ("text", "written", "steps"),
    [
        ("a MARKER", "MARKER", ["case"]),
        ("a märkér!", "märkér", ["marks"]),
        (
            "a m\u0336a\u0336r\u0336k\u0336e\u0336r\u0336",
            "m\u0336a\u0336r\u0336k\u0336e\u0336r\u0336",
            ["marks"],
        ),
        ("a mаrkеr", "mаrkеr", ["lookalikes"]),
        ("a 𝐦𝓪𝕣𝗄𝖊𝚛", "𝐦𝓪𝕣𝗄𝖊𝚛", ["case"]),
        ("a ⓜⓐⓡⓚⓔⓡ", "ⓜⓐⓡⓚⓔⓡ", ["case"]),
        ("a 🅼🅰🆁🅺🅴🆁", "🅼🅰🆁🅺🅴🆁", ["lookalikes"]),
        ("a ᴍᴀʀᴋᴇʀ", "ᴍᴀʀᴋᴇʀ", ["lookalikes"]),
        ("a m4rk3r!!", "m4rk3r", ["signs"]),
        ("a m@rker", "m@rker", ["signs"]),
        ("a markerrrr", "markerrrr", ["repeats"]),
        ("a mmaarrker", "mmaarrker", ["repeats"]),
        ("say m a r k e r", "m a r k e r", ["spaced"]),
        ("say m.a.r.k.e.r", "m.a.r.k.e.r", ["spaced"]),
        ("say m🙂a🙂r👍🏽k🙂e🙂r", "m🙂a🙂r👍🏽k🙂e🙂r", ["spaced"]),
        ("say M - 4 - r - k - e - r", "M - 4 - r - k - e - r", ["case", "signs", "spaced"]),
    ],
)
def test_disguises_are_seen_through_and_named(text: str, written: str, steps: list[str]) -> None:
    found = Matcher([("key", "marker")], EVASIVE).find(text)
    (match,) = found
    assert text[match.start : match.end] == written
    assert [str(step) for step in explain("marker", written, EVASIVE)] == steps
    needed = steps_of(steps)
    assert Matcher([("key", "marker")], needed).find(text) == found
    for step in needed:
        assert Matcher([("key", "marker")], needed - {step}).find(text) == []


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("mall", "mail"),  # 1 is i or l, which are not each other.
        ("sos", "505"),  # Figures alone are a number.
        ("marker", "m a r k"),
        ("usa", "u s a"),  # Too few letters: initials.
        ("marker", "the mark erased"),
        ("part", "apartment"),
    ],
)
def test_what_only_resembles_is_not_found(term: str, text: str) -> None:
    assert Matcher([(1, term)], EVASIVE).find(text) == []


@pytest.mark.parametrize("text", ["ma11", "ma|l", "m4!l", "MA1l"])
def test_a_one_is_an_i_or_an_l(text: str) -> None:
    assert Matcher([(1, "mall"), (2, "mail")], EVASIVE).find(text)


def test_exact_tells_capitals_apart_but_not_equivalent_writings() -> None:
    matcher = Matcher([(1, "Café")], LEVELS["exact"])
    assert len(matcher.find("Café Cafe\u0301 café CAFÉ")) == 2


@pytest.mark.parametrize(
    "text",
    ["markerword-alphas", "xmarkerword-alpha", "markerword_alpha", "markerword-alpha\u0301", ""],
)
def test_parts_of_words_are_not_found(text: str) -> None:
    assert Matcher([("key", "markerword-alpha")]).find(text) == []


def test_bounds_say_where_in_a_word_a_term_may_stand() -> None:
    text = "mark marker remark remarkable marke\u0301"
    found = {
        bound: [
            text[m.start :].split(maxsplit=1)[0] for m in Matcher([(1, "mark", bound)]).find(text)
        ]
        for bound in Bound
    }
    assert len(found[Bound.WORD]) == 1
    assert len(found[Bound.PREFIX]) == 3
    assert len(found[Bound.SUFFIX]) == 2
    assert len(found[Bound.PART]) == 5
    assert Matcher([(1, "e", Bound.PART)]).find("e\u0301") == []  # A letter is not cut in two.


def test_scripts_without_spaces_match_anywhere() -> None:
    assert [match[1:] for match in Matcher([(1, "日本")]).find("これは日本語です")] == [(3, 5)]
    assert Matcher([(1, "か")]).find("がか")[0][1:] == (1, 2)


def test_every_occurrence_and_overlap_is_reported() -> None:
    matcher = Matcher([(1, "marker"), (2, "marker word"), (3, "MARKER")])
    found = matcher.find("marker word, marker")
    assert [(m.key, m.start, m.end) for m in found] == [
        (1, 0, 6),
        (3, 0, 6),
        (2, 0, 11),
        (1, 13, 19),
        (3, 13, 19),
    ]


def test_no_terms_find_nothing() -> None:
    assert Matcher([]).find("markerword-alpha") == []
    assert Matcher([(1, "\u200b")]).find("markerword-alpha \u200b") == []


def test_levels_have_names_and_unknown_steps_are_refused() -> None:
    assert level_of(steps_of(["case", "gaps"])) == "folded"
    assert level_of(steps_of(["case", "marks"])) == "custom"
    with pytest.raises(ValueError, match="nowhere"):
        steps_of(["nowhere"])


@pytest.mark.parametrize("hostile", ["\u0301\u0323", "i1", "1", "a ", "👍🏽\u200d", "ﷺ"])
def test_long_hostile_texts_come_to_an_end(hostile: str) -> None:
    """A quadratic step would take minutes: the suite's time limit would end it."""
    text = hostile * 50_000
    folded = fold(text, EVASIVE)
    assert len(folded.boundaries) == len(folded.text) + 1
    assert Matcher([(1, "marker")], EVASIVE).find(text) == []
