"""What "viewed" means, and the words for it: painted on a screen for long enough, never bytes that were sent.

A still was viewed by whoever had it painted for one second in all, with the cover off, half of it in the window of a
visible page, in stretches of half a second or more; grey counts. A film was viewed by whoever played all of it in
that way, or in part, with the share of it that was played; played faster than it was made, the words say in what time. How
much was seen of an animated picture (GIF, WebP, APNG) nobody measures: it counts as seen in part at most, and the words
say so. Sound is heard, by whoever played it unmuted with the page in sight; how long it is nobody but the page measures, so
it counts as heard in part at most. Each person counts for themselves. The page measures (``static/js/painted.js``); no time goes beyond that between
the opening and the closing of a look, looks of one person that were open at once share that time, each within its own,
and a film is as long as the scan measured it, not as a page says.

Every page, the package and its summary take their words from ``seen_in_words``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import heappop, heappush

SHORTEST_STRETCH_MS = 500
STILL_MS = 1000
WHOLE_GAP_MS = 250
"""What may be missing of a film that was played whole: a browser does not count its last frames to the millisecond."""
FASTEST = 2
"""How many times faster than it was made a film may be played and still count as watched."""
MOST_STRETCHES = 500
_MICROSECOND = timedelta(microseconds=1)


class Seen(StrEnum):
    """How much of an original was seen."""

    NOT_OPENED = "not_opened"
    OPENED = "opened"
    IN_PART = "in_part"
    VIEWED = "viewed"


@dataclass(frozen=True, slots=True)
class Look:
    """One look of one person at one original. Times in milliseconds.

    ``span`` is from when the bytes left until the look was closed, by the server's clock: outside it nothing counts, and
    without it nothing does. ``film_ms`` is 0 while nobody but the page measured a film: then it was seen in part at most.
    ``is_animation`` is a picture that moves, or of which nobody knows that it does not. ``is_sound`` is told as a film
    that is heard.
    """

    person: str
    opened_at: datetime
    span: tuple[datetime, datetime] | None = None
    painted_ms: int = 0
    is_film: bool = False
    played: tuple[tuple[int, int], ...] = ()
    film_ms: int = 0
    is_animation: bool = False
    is_sound: bool = False


@dataclass(frozen=True, slots=True)
class Viewing:
    """What all looks of one person come to: ``seconds`` painted or played, ``share`` (0 to 1) of the film.

    ``passed`` are the seconds that it was painted: fewer than those of a film that was played faster than it was made.
    ``share`` is nothing where the length of a film is not known, and of an animation.
    """

    person: str
    seen: Seen
    seconds: float
    passed: float
    share: float | None
    is_animation: bool = False
    is_sound: bool = False


def painted(stretches: Iterable[int], *, passed_ms: int) -> int:
    """Return how long an original was painted: stretches that are long enough and find room in the time that passed."""
    counted = 0
    for each in stretches:
        fits = min(each, passed_ms - counted)
        if fits >= SHORTEST_STRETCH_MS:
            counted += fits
    return counted


def painted_in_all(looks: Iterable[Look]) -> int:
    """Return how long one person's looks at one original were painted, in ms: the most that can be true.

    Each look's time is laid into its own span, where no other look's lies, the one that ends first before the others.
    So looks that were open at once (two tabs, a script) share that time, and one that painted nothing lends none.
    """
    claims = sorted(
        (*look.span, look.painted_ms * 1000)
        for look in looks
        if look.span is not None and look.painted_ms > 0
    )
    ends = [end for _, end, _ in claims]
    counted = 0  # In microseconds, as the claims.
    waiting: list[tuple[datetime, int]] = []
    for place, (start, closed, claimed) in enumerate(claims):
        heappush(waiting, (closed, claimed))
        now, following = start, claims[place + 1][0] if place + 1 < len(claims) else max(ends)
        while waiting and now < following:
            end, claim = heappop(waiting)
            laid = min(claim, max(0, (min(end, following) - now) // _MICROSECOND))
            counted += laid
            now += laid * _MICROSECOND
            if claim > laid and end > now:
                heappush(waiting, (end, claim - laid))
    return counted // 1000


def union(ranges: Iterable[tuple[int, int]], *, film_ms: int) -> tuple[tuple[int, int], ...]:
    """Return ranges of a film in order, without overlap, inside the film."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((max(0, a), min(film_ms, b)) for a, b in ranges):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def played(
    ranges: Iterable[tuple[int, int]], *, film_ms: int, painted_ms: int
) -> tuple[tuple[int, int], ...]:
    """Return what was played of a film: no more than ``FASTEST`` times the time that it was painted."""
    left = FASTEST * painted_ms
    kept = []
    for start, end in union(ranges, film_ms=film_ms):
        if left <= 0:
            break
        kept.append((start, min(end, start + left)))
        left -= end - start
    return tuple(kept)


def viewings(looks: Iterable[Look]) -> list[Viewing]:
    """Return what each person saw of one original, in the order of their first looks."""
    by_person: dict[str, list[Look]] = {}
    for look in sorted(looks, key=lambda look: look.opened_at):
        by_person.setdefault(look.person, []).append(look)
    return [_viewing(person, theirs) for person, theirs in by_person.items()]


def _viewing(person: str, looks: Sequence[Look]) -> Viewing:
    painted_ms = painted_in_all(looks)
    passed = painted_ms / 1000
    if not looks[0].is_film:
        if painted_ms < STILL_MS:
            return Viewing(person, Seen.OPENED, passed, passed, 0.0)
        if any(look.is_animation for look in looks):
            return Viewing(person, Seen.IN_PART, passed, passed, None, is_animation=True)
        return Viewing(person, Seen.VIEWED, passed, passed, 1.0)
    film_ms = max(look.film_ms for look in looks)
    said = [each for look in looks for each in look.played if look.painted_ms > 0]
    ranges = played(
        said, film_ms=film_ms or max((end for _, end in said), default=0), painted_ms=painted_ms
    )
    seen_ms = sum(end - start for start, end in ranges)
    if not film_ms:
        seen = Seen.IN_PART if seen_ms >= SHORTEST_STRETCH_MS else Seen.OPENED
        is_sound = any(look.is_sound for look in looks)
        return Viewing(person, seen, seen_ms / 1000, passed, None, is_sound=is_sound)
    share = seen_ms / film_ms
    if film_ms - seen_ms <= min(WHOLE_GAP_MS, film_ms // 4):
        seen = Seen.VIEWED
    else:
        seen = Seen.IN_PART if share >= 0.01 else Seen.OPENED
    return Viewing(person, seen, seen_ms / 1000, passed, share)


def most_seen(looks: Iterable[Look]) -> Seen:
    """Return the most that any one person saw."""
    found = {each.seen for each in viewings(looks)}
    order = (Seen.VIEWED, Seen.IN_PART, Seen.OPENED)
    return next((seen for seen in order if seen in found), Seen.NOT_OPENED)


def seen_in_words(looks: Iterable[Look], *, you: str = "") -> str:
    """Return what was seen and by whom, like "Viewed by R-1, 2.5 s". ``you`` is the reader's pseudonym."""
    looks = list(looks)
    found = viewings(looks)
    verb = "Heard" if any(look.is_sound for look in looks) else "Viewed"
    if not found:
        return "Not opened"
    whole = [each for each in found if each.seen == Seen.VIEWED]
    parts = [each for each in found if each.seen == Seen.IN_PART]
    if not whole and not parts:
        return f"Opened, not {verb.lower()}"

    def named(each: Viewing) -> str:
        return "you" if each.person == you else each.person

    said = [f"by {named(each)}, {_time(each)}" for each in whole]
    said += [f"in part by {named(each)}, {_how_much(each)}" for each in parts]
    others = bool(you) and you not in {each.person for each in (*whole, *parts)}
    return f"{verb} {'; '.join(said)}{'; not by you' if others else ''}"


def _time(each: Viewing, what: str = "") -> str:
    """Return the seconds of ``what``, and of a film that was played faster the time that passed."""
    seconds, passed = f"{each.seconds:.1f} s", f"{each.passed:.1f} s"
    if each.seconds <= each.passed or seconds == passed:
        return f"{seconds}{what}"
    return f"{seconds}{what or ' of film'}, in {passed}"


def _how_much(each: Viewing) -> str:
    if each.is_animation:
        return f"{each.seconds:.1f} s of an animation (how much of it was seen is not measured)"
    if each.is_sound:
        return f"{_time(each, ' of a recording')} (how long it is was not measured)"
    if each.share is None:
        return _time(each, " of a film of unknown length")
    return f"{int(each.share * 100)} %"
