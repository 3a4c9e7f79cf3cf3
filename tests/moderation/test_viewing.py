"""What counts as viewed, and the words for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.viewing import (
    FASTEST,
    Look,
    Seen,
    most_seen,
    painted,
    painted_in_all,
    played,
    seen_in_words,
    union,
)

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
TIMES = st.integers(0, 100_000)


def span(start: float, end: float) -> tuple[datetime, datetime]:
    return START + timedelta(seconds=start), START + timedelta(seconds=end)


def look(person: str = "R-1", painted_ms: int = 0, **more: Any) -> Look:
    more.setdefault("span", span(0, 60))
    return Look(person, more.pop("at", START), painted_ms=painted_ms, **more)


def film(person: str, *ranges: tuple[int, int], **more: Any) -> Look:
    said: dict[str, Any] = {"painted_ms": 10_000, "film_ms": 10_000, **more}
    return look(person, is_film=True, played=ranges, **said)


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        ([], "Not opened"),
        ([look()], "Opened, not viewed"),
        ([look(painted_ms=999)], "Opened, not viewed"),
        ([look(painted_ms=1000)], "Viewed by R-1, 1.0 s"),
        ([look(painted_ms=600), look(painted_ms=600)], "Viewed by R-1, 1.2 s"),
        ([look(painted_ms=600), look("R-2", 600)], "Opened, not viewed"),
        ([look(painted_ms=2500), look("R-2")], "Viewed by R-1, 2.5 s"),
        ([look("R-2", 1200, at=START + timedelta(1)), look(painted_ms=2500)],
         "Viewed by R-1, 2.5 s; by R-2, 1.2 s"),
        ([film("R-1")], "Opened, not viewed"),
        ([film("R-1", (0, 4300))], "Viewed in part by R-1, 43 %"),
        ([film("R-1", (0, 4300)), film("R-1", (3000, 5000))], "Viewed in part by R-1, 50 %"),
        ([film("R-1", (0, 5000)), film("R-1", (4900, 9900))], "Viewed by R-1, 9.9 s"),
        ([film("R-1", (0, 5000)), film("R-2", (5000, 10_000))],
         "Viewed in part by R-1, 50 %; in part by R-2, 50 %"),
        ([film("R-1", (0, 10_000)), film("R-2", (0, 1000))],
         "Viewed by R-1, 10.0 s; in part by R-2, 10 %"),
        # Looks that were open at once share the time that passed; one after the other they add up.
        ([look(painted_ms=600, span=span(0, 0.65)), look(painted_ms=600, span=span(0.1, 0.7))],
         "Opened, not viewed"),
        ([look(painted_ms=600, span=span(0, 0.65)), look(painted_ms=600, span=span(0.7, 1.35))],
         "Viewed by R-1, 1.2 s"),
        ([look(painted_ms=900, span=span(0, 1)), look(painted_ms=900, span=span(0, 1)),
          look(painted_ms=600, span=span(5, 6))], "Viewed by R-1, 1.6 s"),
        ([look(painted_ms=5000, span=None)], "Opened, not viewed"),
        ([film("R-1", (0, 5000), painted_ms=2500, span=span(0, 2.5)),
          film("R-1", (5000, 10_000), painted_ms=2500, span=span(0, 2.5))],
         "Viewed in part by R-1, 50 %"),
        # How long a film is is not for the page to say.
        ([film("R-1", (0, 10_000), film_ms=0)],
         "Viewed in part by R-1, 10.0 s of a film of unknown length"),
        ([film("R-1", (0, 400), film_ms=0)], "Opened, not viewed"),
        # Nobody says more seconds than passed: a film that was played faster says in what time.
        ([film("R-1", (0, 60_000), film_ms=60_000, painted_ms=30_000, span=span(0, 30))],
         "Viewed by R-1, 60.0 s of film, in 30.0 s"),
        ([film("R-1", (0, 9000), film_ms=0, painted_ms=6000)],
         "Viewed in part by R-1, 9.0 s of a film of unknown length, in 6.0 s"),
        # A look that painted nothing lends its time to no other, and plays nothing of a film.
        ([look(span=span(0, 10)), *[look(painted_ms=600, span=span(1, 1.6))] * 2],
         "Opened, not viewed"),
        ([look(painted_ms=100, span=span(0, 10)), *[look(painted_ms=600, span=span(1, 1.6))] * 2],
         "Opened, not viewed"),
        ([film("R-1", (0, 10_000), painted_ms=0), film("R-1", painted_ms=9000)],
         "Opened, not viewed"),
        # How much of an animation was seen nobody measures.
        ([look(painted_ms=999, is_animation=True)], "Opened, not viewed"),
        ([look(painted_ms=2500, is_animation=True)],
         "Viewed in part by R-1, 2.5 s of an animation (how much of it was seen is not measured)"),
    ],
)  # fmt: skip
def test_the_words(looks: list[Look], words: str) -> None:
    assert seen_in_words(looks) == words


def test_the_words_for_the_reader() -> None:
    seen = [look(painted_ms=2500)]
    assert seen_in_words(seen, you="R-1") == "Viewed by you, 2.5 s"
    assert seen_in_words(seen, you="R-2") == "Viewed by R-1, 2.5 s; not by you"
    assert seen_in_words([look()], you="R-1") == "Opened, not viewed"
    assert seen_in_words([], you="R-1") == "Not opened"


def test_an_animation_is_never_known_to_have_been_seen_whole() -> None:
    assert most_seen([look(painted_ms=60_000, is_animation=True)]) == Seen.IN_PART


def test_a_film_seen_by_halves_by_two_was_seen_whole_by_nobody() -> None:
    assert most_seen([film("R-1", (0, 5000)), film("R-2", (5000, 10_000))]) == Seen.IN_PART


@given(st.lists(TIMES), st.integers(-1000, 100_000))
def test_never_painted_for_longer_than_passed_nor_in_shorter_stretches(
    stretches: list[int], passed: int
) -> None:
    counted = painted(stretches, passed_ms=passed)
    assert 0 <= counted <= max(0, passed)
    assert counted <= sum(each for each in stretches if each >= 500)
    assert painted([499] * 100, passed_ms=passed) == 0


def test_no_stretch_counts_that_does_not_find_room_in_the_time_that_passed() -> None:
    assert painted([500, 500, 500], passed_ms=350) == 0
    assert painted([500, 500, 500], passed_ms=1300) == 1000
    assert painted([60_000], passed_ms=700) == 700


@given(st.lists(st.tuples(TIMES, TIMES, TIMES), max_size=6))
def test_looks_of_one_person_never_come_to_more_than_the_time_in_which_one_was_open(
    said: list[tuple[int, int, int]],
) -> None:
    looks = [
        look(painted_ms=ms, span=span(start / 1000, (start + length) / 1000))
        for start, length, ms in said
    ]
    open_at = {
        ms for start, length, _ in said for ms in range(start // 100, (start + length) // 100 + 1)
    }
    assert painted_in_all(looks) <= min(sum(ms for *_, ms in said), 100 * len(open_at))


def _most_that_finds_room(said: list[tuple[int, int, int]]) -> int:
    """Return, from all ways of laying each claim into its own span, the most that is laid: by augmenting paths."""
    holder: dict[int, int] = {}

    def find_room(each: int, tried: set[int]) -> bool:
        start, length, _ = said[each]
        for ms in range(start, start + length):
            if ms not in tried:
                tried.add(ms)
                if ms not in holder or find_room(holder[ms], tried):
                    holder[ms] = each
                    return True
        return False

    return sum(find_room(each, set()) for each, (*_, ms) in enumerate(said) for _ in range(ms))


SHORT = st.integers(0, 12)


@given(st.lists(st.tuples(SHORT, SHORT, SHORT), max_size=5))
def test_each_look_is_laid_within_its_own_span_and_as_much_as_finds_room(
    said: list[tuple[int, int, int]],
) -> None:
    looks = [
        look(painted_ms=ms, span=span(start / 1000, (start + length) / 1000))
        for start, length, ms in said
    ]
    assert painted_in_all(looks) == _most_that_finds_room(said)


@given(st.lists(st.tuples(TIMES, TIMES)), TIMES, TIMES)
def test_never_more_of_a_film_than_there_is_or_than_could_be_played(
    ranges: list[tuple[int, int]], film_ms: int, painted_ms: int
) -> None:
    kept = played(ranges, film_ms=film_ms, painted_ms=painted_ms)
    assert kept == union(kept, film_ms=film_ms)
    total = sum(end - start for start, end in kept)
    assert total <= min(film_ms, FASTEST * painted_ms)
