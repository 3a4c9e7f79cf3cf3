"""Finding listed terms in text, all at once. Values in, values out.

One Aho-Corasick automaton (A. V. Aho, M. J. Corasick: Efficient string matching, CACM 18(6), 1975) holds every
term under the same folding steps, so that the time to read a text does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

import ahocorasick

from hashing.folding import LEVELS, Folded, Step, Steps, fold, squeezed
from hashing.lookalikes import LEET

__all__ = ["Bound", "Match", "Matcher", "explain"]

Key = TypeVar("Key", bound=Hashable)

_FEWEST_SPACED = 4
"""Terms with fewer letters are not looked for among letters that stand apart: initials would match."""


class Bound(StrEnum):
    """Where a term may stand: as a word, at the beginning or end of one, or anywhere."""

    WORD = "word"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    PART = "part"


class Match(NamedTuple, Generic[Key]):
    """A term in a text: ``original[start:end]`` is how it was written there."""

    key: Key
    start: int
    end: int


class _Listed(NamedTuple, Generic[Key]):
    key: Key
    bound: Bound
    folded: str
    """With i and l kept apart; the automaton takes both as ``1``."""
    is_spaced: bool
    """Compared with letters that stood apart, as these are without their signs."""
    has_letter: bool


_BREAKS = "\u200b\u2060\ufeff"
"""Invisible characters that may part two words, or stand inside one: word processors and web pages write them for both."""
_AS_SPACE = dict.fromkeys(map(ord, _BREAKS), " ")


class _Joined(NamedTuple, Generic[Key]):
    """A phrase without its spaces, which stood before these characters."""

    listed: _Listed[Key]
    cuts: frozenset[int]


_SIGNS = frozenset(sign for sign in LEET if not sign.isalnum())


class Matcher(Generic[Key]):
    """Many terms under the same folding steps, compiled into one automaton, and one more for phrases.

    A phrase is a term of several words. Between them any white space may stand, and with ``Step.GAPS`` signs of any
    kind and number: phrases are looked for in the text with one space for all of these (``folding.squeezed``).
    """

    def __init__(
        self,
        terms: Iterable[tuple[Key, str] | tuple[Key, str, Bound]],
        steps: Steps = LEVELS["folded"],
    ) -> None:
        self._steps = steps
        self._takes_signs = Step.SIGNS in steps
        self._takes_spaced = Step.SPACED in steps
        by_text: dict[str, list[_Listed[Key]]] = {}
        phrases: dict[str, list[_Listed[Key]]] = {}
        again: list[tuple[Key, str, Bound]] = []
        self._open: set[int] = set()
        """Lengths of terms that need not begin and end a word."""
        for key, text, *bounds in terms:
            bound = bounds[0] if bounds else Bound.WORD
            has_letter = any(char.isalpha() for char in text)
            phrase = self._phrase(text)
            if phrase:
                listed = _Listed(key, bound, phrase, False, has_letter)  # noqa: FBT003 — a field
                phrases.setdefault(self._scanned(phrase), []).append(listed)
                again.append((key, text, bound))
            for written, is_spaced in self._writings(text):
                if phrase and not is_spaced:
                    continue
                listed = _Listed(key, bound, written, is_spaced, has_letter)
                by_text.setdefault(self._scanned(written), []).append(listed)
                if bound != Bound.WORD:
                    self._open.add(len(written))
        self._automaton = _compiled(by_text)
        self._phrases = _compiled(phrases)
        self._phrases_by_text = phrases
        self._joined: Any = None
        """The phrases without spaces, made for the first text with one of ``_BREAKS``."""
        # A sign behind a word may stand for a letter or part two words: where it may, phrases are tried both ways.
        self._plain: Matcher[Key] | None = None
        if again and self._takes_signs and Step.GAPS in steps:
            self._plain = Matcher(again, steps - {Step.SIGNS, Step.SPACED})

    def _writings(self, text: str) -> list[tuple[str, bool]]:
        folded = fold(text, self._steps).text
        if not folded:
            return []
        found = [(folded, False)]
        if self._takes_spaced:
            letters = "".join(char for char in folded if char.isalnum())
            if len(letters) < len(folded):  # Its signs stood between letters that may repeat now.
                letters = fold(letters, self._steps).text
            if len(letters) >= _FEWEST_SPACED:
                found.append((letters, True))
        return found

    def _phrase(self, text: str) -> str:
        """Return a term of several words as it is looked for; nothing for one word."""
        if len(text.split()) < 2:
            return ""
        phrase = squeezed(fold(text, self._steps).text, self._steps)[0].strip()
        return phrase if " " in phrase else ""

    def _scanned(self, folded: str) -> str:
        if not self._takes_signs:
            return folded
        return folded.replace("i", "1").replace("l", "1")

    @property
    def stats(self) -> dict[str, int]:
        """Return what the automaton says of its size: ``nodes_count``, ``total_size`` in bytes and more."""
        found = {"total_size": 0}
        for automaton in (self._automaton, self._phrases):
            for name, size in automaton.get_stats().items() if automaton else ():
                found[name] = found.get(name, 0) + size
        if self._plain is not None:
            found["total_size"] += self._plain.stats["total_size"]
        return found

    def find(self, text: str) -> list[Match[Key]]:
        """Return every occurrence in order of its place; overlapping terms are all reported."""
        if not (self._automaton or self._phrases) or not text:
            return []
        return self.find_in(fold(text, self._steps))

    def find_in(self, folded: Folded) -> list[Match[Key]]:
        """Return the same for a text that was folded with this matcher's steps."""
        if not folded.text:
            return []
        matches = self._words_in(folded) if self._automaton else []
        if self._phrases:
            matches += self._phrases_in(folded)
            if (
                Step.CASE in self._steps
                and not folded.original.isascii()
                and any(each in folded.original for each in _BREAKS)
            ):
                matches = list(dict.fromkeys([*matches, *self._broken_phrases(folded.original)]))
            if self._plain is not None and not _SIGNS.isdisjoint(folded.original):
                matches = list(dict.fromkeys([*matches, *self._plain.find(folded.original)]))
        return sorted(matches, key=lambda match: (match.start, match.end))

    def _phrases_in(self, folded: Folded) -> list[Match[Key]]:
        matches: list[Match[Key]] = []
        text, places = squeezed(folded.text, self._steps)
        for last, (length, some) in self._phrases.iter(self._scanned(text)):
            first = last - length + 1
            start = first if places is None else int(places[first])
            end = (last if places is None else int(places[last])) + 1
            begins, ends = folded.boundaries[start], folded.boundaries[end]
            matches += [
                Match(listed.key, *folded.span(start, end))
                for listed in some
                if self._stands(
                    listed,
                    folded,
                    start,
                    end,
                    begins=begins,
                    ends=ends,
                    written=text[first : last + 1],
                )
            ]
        return matches

    def _broken_phrases(self, original: str) -> list[Match[Key]]:
        """Return phrases in a text whose invisible characters may each part two words, or nothing."""
        if self._joined is None:
            self._joined = _without_spaces(self._phrases_by_text)
        folded = fold(original.translate(_AS_SPACE), self._steps)
        text, places = squeezed(folded.text, self._steps)
        at = [place for place, char in enumerate(text) if char != " "]
        where = at if places is None else [int(places[place]) for place in at]
        matches: list[Match[Key]] = []
        for last, (length, some) in self._joined.iter(self._scanned("".join(text.split(" ")))):
            first = last - length + 1
            apart = {i - first for i in range(first + 1, last + 1) if at[i] - at[i - 1] > 1}
            hard = {
                i
                for i in apart
                if original[
                    folded.span(where[first + i - 1], where[first + i - 1] + 1)[1] : folded.source(
                        where[first + i]
                    )
                ].strip(_BREAKS)
            }
            start, end = where[first], where[last] + 1
            begins, ends = folded.boundaries[start], folded.boundaries[end]
            written = "".join(text[at[i]] for i in range(first, last + 1))
            matches += [
                Match(each.listed.key, *folded.span(start, end))
                for each in some
                if hard <= each.cuts <= apart
                and self._stands(
                    each.listed, folded, start, end, begins=begins, ends=ends, written=written
                )
            ]
        return matches

    def _words_in(self, folded: Folded) -> list[Match[Key]]:
        matches: list[Match[Key]] = []
        bounds: bytes | None = None
        only_words = not self._open
        for last, value in self._automaton.iter(self._scanned(folded.text)):
            if bounds is None:
                bounds = folded.boundaries
            # Most of what the automaton finds are parts of words: they must cost next to nothing.
            if only_words and not bounds[last + 1]:
                continue
            length, some = value
            start, end = last - length + 1, last + 1
            begins, ends = bounds[start], bounds[end]
            if not (begins and ends) and length not in self._open:
                continue
            matches += [
                Match(listed.key, *folded.span(start, end))
                for listed in some
                if not listed.is_spaced
                and self._stands(
                    listed,
                    folded,
                    start,
                    end,
                    begins=begins,
                    ends=ends,
                    written=folded.text[start:end],
                )
            ]
        for stretch in folded.stretches:
            for last, (length, some) in self._automaton.iter(self._scanned(stretch.text)):
                start, end = last - length + 1, last + 1
                for listed in some:
                    if listed.is_spaced and _is_same(listed.folded, stretch.text[start:end]):
                        begin, _ = folded.span(stretch.at[start], stretch.at[start] + 1)
                        _, until = folded.span(stretch.at[last], stretch.at[last] + 1)
                        matches.append(Match(listed.key, begin, until))
        return matches

    def _stands(
        self,
        listed: _Listed[Key],
        folded: Folded,
        start: int,
        end: int,
        *,
        begins: int,
        ends: int,
        written: str,
    ) -> bool:
        bound = listed.bound
        if not begins and bound in {Bound.WORD, Bound.PREFIX}:
            return False
        if bound in {Bound.WORD, Bound.SUFFIX}:
            if not ends:
                return False
        elif not folded.is_letter_end(end):
            return False
        if not self._takes_signs:
            return True
        if not _is_same(listed.folded, written):
            return False
        # Figures alone are a number, whatever they could spell.
        begin, until = folded.span(start, end)
        return (
            not listed.has_letter
            or any(map(str.isalpha, folded.original[begin:until]))
            or any(ord(char) > 0x2000 for char in folded.original[begin:until])
        )


def _compiled(by_text: Mapping[str, Sequence[object]]) -> Any:
    """Return an automaton, or None where there is nothing to look for."""
    if not by_text:
        return None
    automaton = ahocorasick.Automaton()
    for written, some in by_text.items():
        automaton.add_word(written, (len(written), some))
    automaton.make_automaton()
    return automaton


def _without_spaces(phrases: dict[str, list[_Listed[Key]]]) -> Any:
    joined: dict[str, list[_Joined[Key]]] = {}
    for written, some in phrases.items():
        cuts, length = set(), 0
        for word in written.split(" ")[:-1]:
            length += len(word)
            cuts.add(length)
        for each in some:
            whole = each._replace(folded=each.folded.replace(" ", ""))
            joined.setdefault(written.replace(" ", ""), []).append(_Joined(whole, frozenset(cuts)))
    return _compiled(joined)


def _is_same(term: str, written: str) -> bool:
    """Return whether two texts are the same where ``1`` may be an i or an l."""
    return term == written or all(
        a == b or "1" in (a, b) for a, b in zip(term, written, strict=True)
    )


def explain(term: str, written: str, steps: Steps) -> tuple[Step, ...]:
    """Return the fewest steps under which a writing is the term, in their order; empty: as it is listed.

    ``written`` is a match of the term under ``steps``.
    """
    # Nearly always it is as listed, or but for its capitals.
    for few in (LEVELS["exact"], frozenset({Step.CASE})):
        if few <= steps and fold(term, few).text == fold(written, few).text:
            return tuple(few)
    needed = set(steps)
    for step in reversed(Step):
        if step in needed and _is_found(term, written, frozenset(needed - {step})):
            needed.discard(step)
    return tuple(step for step in Step if step in needed)


def _is_found(term: str, written: str, steps: Steps) -> bool:
    matches = Matcher([(0, term, Bound.PART)], steps).find(written)
    return any((match.start, match.end) == (0, len(written)) for match in matches)
