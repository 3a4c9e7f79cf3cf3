"""Every event is said in words, and areas do not stand side by side in the singular and the plural."""

from __future__ import annotations

import pytest

from core.audit_events import GROUPS, AuditEvent
from core.audit_words import SAID, facts_of, subject_in_words, words_of
from core.models import AuditEntry


def test_every_event_has_words_of_its_own() -> None:
    assert set(SAID) == set(AuditEvent)
    assert len(set(SAID.values())) == len(SAID)
    for event, said in SAID.items():
        assert said[0].isupper(), event
        assert not said.endswith("."), event
        assert event.value not in said
        assert "_" not in said


def test_areas_are_singular() -> None:
    areas = {event.value.partition(".")[0] for event in AuditEvent}
    assert {area for area in areas if area.endswith("s") or area == "people"} == set()


def test_a_line_about_several_rows_says_how_many() -> None:
    for event in GROUPS:
        entry = AuditEntry(event=event.value, data={"about": ["1", "2", "3"], "rows": [{}, {}, {}]})
        assert words_of(entry) == f"{SAID[event]} (3)"
    assert words_of(AuditEntry(event="of.another.time", data={})) == "of.another.time"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("moderation.overturn", "overturning"),
        ("moderation.enforcement", "order"),
        ("reports.item", "item"),
        ("reports.apikey", "key"),
        ("gone.model", "gone.model"),
        ("", ""),
    ],
)
def test_what_a_line_is_about_is_a_word(model: str, words: str) -> None:
    assert subject_in_words(AuditEntry(subject_type=model)) == words


def test_data_is_terms_and_values() -> None:
    data = {
        "filters": {},
        "is_reopened": True,
        "state": ["delivered"],
        "none": None,
        "deep": {"a": [1]},
        "n": 3,
    }
    assert facts_of(data) == [
        ("Deep", '{"a": [1]}'),
        ("Filters", "none"),
        ("Is reopened", "yes"),
        ("N", "3"),
        ("None", ""),
        ("State", "delivered"),
    ]
