"""summary.pdf: readable, tagged, repeatable, without an image, and safe with any text."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import typst
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from referrals import glyphs, package
from referrals.summary import summary_pdf
from tests.referrals.sealing import BAGGED_AT, NOTE, exhibit, spec

PROBE = b"""
#set document(title: "probe", date: datetime(year: 2026, month: 1, day: 1))
#set text(lang: "en", font: ("Libertinus Serif", "New Computer Modern", "DejaVu Sans Mono"))
#for c in json(bytes(sys.inputs.text)) [#c #"x" #"\\u{20}"]
"""


def text_of(pdf: bytes) -> str:
    """What a reader copies out of the document."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def can_show(characters: list[str]) -> bool:
    try:
        typst.compile(
            PROBE,
            format="pdf",
            pdf_standards=["ua-1"],
            ignore_system_fonts=True,
            timestamp=0,
            sys_inputs={"text": json.dumps(characters)},
        )
    except typst.TypstError as error:
        if "could not be displayed" not in str(error):
            raise
        return False
    return True


def test_the_summary_is_repeatable_tagged_dated_and_has_no_image() -> None:
    pdf = summary_pdf(spec())
    assert pdf == summary_pdf(spec())
    assert b"pdfuaid:part>1<" in pdf.replace(b" ", b"")
    document = PdfReader(io.BytesIO(pdf))
    root: Any = document.trailer["/Root"]
    assert bool(root["/MarkInfo"]["/Marked"])
    assert root["/Lang"] == "en"
    assert "/StructTreeRoot" in root
    assert "/OpenAction" not in root
    assert document.metadata is not None
    assert document.metadata.title == (
        "ESC-2026-000123-r1: case summary for Example State Police, Unit 4"
    )
    assert str(document.metadata["/CreationDate"]).startswith("D:20260302")
    assert [len(page.images) for page in document.pages] == [0] * len(document.pages)


def test_another_case_gives_another_summary() -> None:
    other = spec(case=replace(spec().case, narrative="Something else happened."))
    assert summary_pdf(other) != summary_pdf(spec())


def test_the_covered_characters_are_the_ones_the_fonts_have() -> None:
    covered = [chr(code) for first, last in glyphs.ranges() for code in range(first, last + 1)]
    assert len(covered) > 5000
    assert can_show(covered)
    for missing in ("中", "😀", "\u202e", "\x07", "\U0010ffff", "ไ"):
        assert missing not in covered
        assert not can_show([missing]) or missing == "\u202e"


def test_what_the_fonts_cannot_show_is_spelt_out() -> None:
    assert glyphs.printable("name 中文!", limit=50) == "name [U+4E2D U+6587]!"
    assert glyphs.printable("a\u202eb\x00c", limit=50) == "a[U+202E]b[U+0000]c"
    assert glyphs.printable("  a\n\tb\u2028c ", limit=50) == "a b c"
    assert glyphs.printable("x" * 60, limit=50).endswith(" [and 10 more characters]")
    assert glyphs.printable("x" * 50, limit=50).replace("\u200b", "") == "x" * 50
    assert glyphs.printable("é", limit=5, ascii_only=True) == "[U+00E9]"


@given(st.text(max_size=200), st.integers(1, 100))
def test_printable_text_is_short_and_shows_only_covered_characters(text: str, limit: int) -> None:
    printed = glyphs.printable(text, limit=limit)
    codes = {code for first, last in glyphs.ranges() for code in range(first, last + 1)}
    assert {ord(character) for character in printed} <= codes | {0x200B}
    assert len(printed) <= limit * 12 + 35


def test_markup_in_the_data_is_shown_and_never_obeyed() -> None:
    markup = '#panic("obeyed") *bold* $x^2$ @ref <label> #image("x.png") = Heading'
    text = text_of(summary_pdf(spec(case=replace(spec().case, narrative=markup))))
    assert (
        " ".join(text.split()).count('#panic("obeyed") *bold* $x^2$ @ref <label> #image("x.png")')
        == 1
    )


def test_the_summary_says_what_an_officer_needs() -> None:
    event = package.NetworkEvent(BAGGED_AT, "2001:db8::1", 443, "login")
    account = package.Account("acc-1", "suspect", display_name="Мария", network=(event,) * 15)
    text = " ".join(text_of(summary_pdf(spec(accounts=(account,)))).split())
    for said in (
        "ESC-2026-000123-r1",
        "Harbour Messenger · Escalation package",
        "Example State Police, Unit 4",
        "18 U.S.C. 2258A(a)",
        "2026-03-02 14:05:09 UTC",
        "Violation confirmed",
        "Viewed by R-17, 11.5 s",
        "Not opened",
        "Мария",
        "2001:db8::1 port 443",
        "3 earlier events are in data/metadata/accounts.json",
        "markerword-alpha",
        "Contains no images",
    ):
        assert said in text


@pytest.mark.parametrize("size", [0, 700])
def test_no_exhibit_and_very_many_exhibits_both_fit(size: int) -> None:
    many = tuple(exhibit(number, NOTE) for number in range(1, size + 1))
    text = text_of(summary_pdf(spec(exhibits=many, conversations=())))
    if size:
        assert "200 more exhibits are in data/metadata/exhibits.json" in text
    else:
        assert "EX-0001" not in text


def test_no_word_of_a_long_exhibit_is_lost_at_the_end_of_a_page() -> None:
    words = " ".join(f"word{number}" for number in range(500))
    long = exhibit(1, NOTE, relevance=words, annotations=tuple(f"note{n} " * 30 for n in range(50)))
    text = text_of(summary_pdf(spec(exhibits=(long,), conversations=())))
    assert "word499" in text
    assert "note49" in text


def test_long_words_break_inside_the_page() -> None:
    url = "https://cdn.example/" + "x" * 500
    text = text_of(
        summary_pdf(spec(exhibits=(exhibit(1, NOTE, source_url=url),), conversations=()))
    )
    assert text.count("x") >= 500
    assert max(len(line) for line in text.splitlines()) < 200


def test_the_timeline_is_kept_in_order() -> None:
    entries = tuple(
        package.TimelineEntry(BAGGED_AT + timedelta(minutes=number), f"event-{number:02d}")
        for number in range(20)
    )
    text = text_of(summary_pdf(spec(case=replace(spec().case, timeline=entries))))
    positions = [text.index(f"event-{number:02d}") for number in range(20)]
    assert positions == sorted(positions)


def test_what_the_document_says_of_types_names_and_times_is_in_words() -> None:
    facts = {
        "kind": "account",
        "username": "alex",
        "joined_at": "2026-01-02T03:04:05+00:00",
    }
    files = (
        exhibit(1, NOTE, media_type="application/octet-stream", recognised_as="PNG picture"),
        exhibit(2, NOTE, media_type="image/png", recognised_as="JPEG picture"),
        exhibit(3, NOTE, media_type="application/octet-stream"),
    )
    report = package.Report("R-9", "Members", "Users", "csam", BAGGED_AT, about_then=facts)
    made = spec(
        exhibits=files,
        conversations=(),
        reports=(report,),
        case=replace(spec().case, subject_when_opened=facts),
    )
    text = " ".join(text_of(summary_pdf(made)).split())
    assert text.count("Kind: account, User name: alex, Joined: 2026-01-02 03:04:05 UTC") == 2
    assert "+00:00" not in text
    assert "PNG picture (the sender said no type)" in text
    assert "JPEG picture (sent as image/png)" in text
    assert "application/octet-stream, " in text
