"""Many text rules of many lists, compiled together, and what they say about a text. Values in, values out."""

from __future__ import annotations

import bisect
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from hashing.folding import LEVELS, Folded, Step, Steps, fold
from hashing.languages import UNKNOWN, Language, language_of
from hashing.patterns import MOST_SPANS, Patterns
from hashing.rule_lines import Joint, Operand, Rule, RuleKind
from hashing.terms import Bound, Matcher, explain

__all__ = ["Entry", "Hit", "Reading", "Rulebook", "Span"]

Id = TypeVar("Id", bound=Hashable)
ListId = TypeVar("ListId", bound=Hashable)

Span = tuple[int, int]

_PATTERN_STEPS = frozenset({Step.CASE, Step.MARKS, Step.LOOKALIKES})
"""What a pattern sees folded, besides the text as it was sent. Signs are its own to write."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Entry(Generic[Id, ListId]):
    """A rule with its id, its list and the list's folding steps."""

    id: Id
    list_id: ListId
    rule: Rule
    steps: Steps


@dataclass(frozen=True)
class Hit(Generic[Id, ListId]):
    """A rule that fires on a text. ``spans`` are [start, end) in code points of the text as it was sent.

    ``suppressed`` holds the places that stood inside an allowed phrase; a rule with nothing else has no
    ``spans``. ``steps`` says how the first place had to be folded to be the term; empty: as listed.
    """

    id: Id
    list_id: ListId
    rule: Rule
    spans: tuple[Span, ...]
    suppressed: tuple[Span, ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Reading(Generic[Id, ListId]):
    """What a rulebook says about a text. The language is None where no rule asked and nothing was hit."""

    hits: list[Hit[Id, ListId]] = field(default_factory=list)
    language: Language | None = None


class _Look(NamedTuple):
    """One operand of one rule: the key of everything that is looked for."""

    entry: int
    part: int


class Rulebook(Generic[Id, ListId]):
    """Rules compiled into one automaton and one set of patterns for each way of folding in use."""

    def __init__(self, entries: Iterable[Entry[Id, ListId]]) -> None:
        """Raises ValueError for a pattern that cannot be used."""
        self._entries = list(entries)
        self._combined: set[int] = set()
        self._allowing: set[int] = set()
        terms: dict[Steps, list[tuple[int | _Look, str, Bound]]] = defaultdict(list)
        patterns: dict[Steps, list[tuple[int | _Look, str]]] = defaultdict(list)
        for number, entry in enumerate(self._entries):
            if entry.rule.kind == RuleKind.COMBINATION:
                self._combined.add(number)
            elif entry.rule.kind == RuleKind.ALLOW:
                self._allowing.add(number)
            steps = _steps(entry)
            is_single = len(entry.rule.parts) == 1
            for at, part in enumerate(entry.rule.parts):
                # A rule of one part has a plain number as its key: there may be 100,000 of them.
                key = number if is_single else _Look(number, at)
                if part.operand.bound is None:
                    patterns[steps].append((key, part.operand.text))
                else:
                    terms[steps].append((key, part.operand.text, part.operand.bound))
        self._matchers = [(steps, Matcher(some, steps)) for steps, some in terms.items()]
        self._patterns = [
            (steps, Patterns(some, is_exact=Step.CASE not in steps))
            for steps, some in patterns.items()
        ]

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """How much memory the automata take, without the rules themselves."""
        return sum(matcher.stats["total_size"] for _, matcher in self._matchers)

    def read(self, text: str) -> Reading[Id, ListId]:
        """Return what fires on a text, in the order of the rules."""
        found = self._found(text)
        if not found:
            return Reading()
        allowed = self._allowed(found)
        language: Language | None = None
        hits = []
        words: list[int] | None = None
        for number in sorted(found):
            if number in self._allowing:
                continue
            entry = self._entries[number]
            parts = found[number]
            if 0 not in parts:
                continue
            if language is None:
                language = language_of(text)
            languages = entry.rule.languages
            if languages and language.code not in {*languages, UNKNOWN}:
                continue
            kept: dict[int, list[Span]] = {}
            suppressed: list[Span] = []
            for part, spans in parts.items():
                kept[part], inside = _outside(spans, allowed.get(entry.list_id, []))
                if entry.rule.parts[part].joint != Joint.WITHOUT:
                    suppressed += inside
            if number in self._combined:
                if words is None:
                    words = [match.start() for match in _WORD.finditer(text)]
                spans = _joined(entry.rule, kept, words)
                if not spans and not _joined(entry.rule, parts, words):
                    continue  # Not even without the allowed phrases.
            else:
                spans = kept[0]
            if not spans and not suppressed:
                continue
            hits.append(
                Hit(
                    entry.id,
                    entry.list_id,
                    entry.rule,
                    tuple(spans),
                    tuple(sorted(set(suppressed))),
                    self._explained(entry, text, kept[0] if spans else suppressed),
                )
            )
        return Reading(hits, language)

    def folded(self, text: str) -> list[tuple[Steps, Folded]]:
        """Return the text as each way of folding in use sees it."""
        ways = {steps for steps, _ in self._matchers} | {steps for steps, _ in self._patterns}
        return [(steps, fold(text, steps)) for steps in sorted(ways, key=len)]

    def _found(self, text: str) -> dict[int, dict[int, list[Span]]]:
        """Return the places of each operand: rule number → part number → spans in order."""
        found: dict[int, dict[int, list[Span]]] = {}
        for _, matcher in self._matchers:
            for key, start, end in matcher.find(text):
                number, part = key if isinstance(key, _Look) else (key, 0)
                spans = found.setdefault(number, {}).setdefault(part, [])
                if len(spans) < MOST_SPANS and (not spans or spans[-1] != (start, end)):
                    spans.append((start, end))
        for steps, patterns in self._patterns:
            for key, start, end in _pattern_places(patterns, steps, text):
                number, part = key if isinstance(key, _Look) else (key, 0)
                found.setdefault(number, {}).setdefault(part, []).append((start, end))
        return found

    def _allowed(self, found: Mapping[int, Mapping[int, list[Span]]]) -> dict[ListId, list[Span]]:
        allowed: dict[ListId, list[Span]] = defaultdict(list)
        for number in self._allowing & set(found):
            allowed[self._entries[number].list_id] += found[number][0]
        return {list_id: _widest(spans) for list_id, spans in allowed.items()}

    def _explained(
        self, entry: Entry[Id, ListId], text: str, spans: list[Span]
    ) -> tuple[Step, ...]:
        operand: Operand = entry.rule.parts[0].operand
        if operand.bound is None or not spans:
            return ()
        start, end = spans[0]
        return explain(operand.text, text[start:end], _steps(entry))


def _steps(entry: Entry[Id, ListId]) -> Steps:
    return LEVELS[entry.rule.level] if entry.rule.level else entry.steps


def _pattern_places(
    patterns: Patterns[int | _Look], steps: Steps, text: str
) -> list[tuple[int | _Look, int, int]]:
    places = set(patterns.find(text))
    seen = steps & _PATTERN_STEPS
    if seen - {Step.CASE} or (seen and not text.isascii()):
        folded = fold(text, seen)
        if folded.text != text:
            places |= {
                (key, *folded.span(start, end)) for key, start, end in patterns.find(folded.text)
            }
    return sorted(places, key=lambda place: (place[1], place[2]))


def _widest(spans: Iterable[Span]) -> list[Span]:
    """Return the spans that lie in no other, in order: their starts and their ends both rise."""
    widest: list[Span] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not widest or end > widest[-1][1]:
            widest.append((start, end))
    return widest


def _outside(spans: list[Span], allowed: list[Span]) -> tuple[list[Span], list[Span]]:
    """Return the spans that lie in no allowed one, and those that do."""
    if not allowed:
        return spans, []
    starts = [start for start, _ in allowed]
    kept: list[Span] = []
    inside: list[Span] = []
    for span in spans:
        # Of those that begin in time, the last one reaches farthest.
        at = bisect.bisect_right(starts, span[0]) - 1
        (inside if at >= 0 and allowed[at][1] >= span[1] else kept).append(span)
    return kept, inside


def _joined(rule: Rule, places: Mapping[int, list[Span]], words: list[int]) -> list[Span]:
    """Return the places of a combination that holds, else nothing."""
    first = places.get(0, [])
    others: list[Span] = []
    for at, part in enumerate(rule.parts):
        if at == 0:
            continue
        there = places.get(at, [])
        if part.joint == Joint.WITHOUT:
            if there:
                return []
        elif part.joint == Joint.AND:
            if not there:
                return []
            others += there
        else:
            first, near = _near(first, there, part.distance, words)
            others += near
        if not first:
            return []
    return sorted(set(first + others))


def _near(
    first: list[Span], second: list[Span], distance: int, words: list[int]
) -> tuple[list[Span], list[Span]]:
    """Return the spans of both that have one of the other within ``distance`` words between them."""
    if not first or not second:
        return [], []
    ordered = sorted(second)
    kept, near = [], []
    for span in first:
        at = bisect.bisect_left(ordered, span)
        # The nearest of the other stands just before or just behind, or overlaps.
        for other in ordered[max(0, at - 1) : at + 1]:
            if other != span and _words_between(span, other, words) <= distance:
                kept.append(span)
                near.append(other)
    return sorted(set(kept)), near


def _words_between(one: Span, other: Span, words: list[int]) -> int:
    before, after = sorted((one, other))
    if after[0] < before[1]:
        return 0
    return bisect.bisect_left(words, after[0]) - bisect.bisect_left(words, before[1])
