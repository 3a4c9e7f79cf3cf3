"""Terms are found however they are written, and the span leads back to the writing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hashing.folding import _is_invisible, fold
from hashing.terms import Matcher

TEXT = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("aßﬁéＡ１ｶﾞが각ᄀ\u0301\u0345\u200b\u200d\ufe0f\u00ad -_.日本ไทย"),
    ),
    max_size=30,
)


@given(TEXT)
@example("e\u200d\u0301")
@example("\u1100\u1161\u11a8")
@example("ﷺ")
def test_folding_piece_by_piece_equals_folding_the_whole(text: str) -> None:
    visible = "".join(char for char in text if not _is_invisible(char))
    whole = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    assert fold(text).text == whole


@given(TEXT)
def test_every_folded_character_knows_where_it_came_from(text: str) -> None:
    folded = fold(text)
    assert len(folded.starts) == len(folded.ends) == len(folded.text)
    assert all(
        0 <= start < end <= len(text) for start, end in zip(folded.starts, folded.ends, strict=True)
    )
    assert list(folded.starts) == sorted(folded.starts)
    assert list(folded.ends) == sorted(folded.ends)
    for at in range(len(folded.text)):
        start, end = folded.span(at, at + 1)
        assert folded.text[at] in fold(text[start:end]).text


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
    "text",
    ["markerword-alphas", "xmarkerword-alpha", "markerword_alpha", "markerword-alpha\u0301", ""],
)
def test_parts_of_words_are_not_found(text: str) -> None:
    assert Matcher([("key", "markerword-alpha")]).find(text) == []


def test_scripts_without_spaces_match_anywhere() -> None:
    assert [match[1:] for match in Matcher([(1, "日本")]).find("これは日本語です")] == [(3, 5)]


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
