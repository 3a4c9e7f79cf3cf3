"""Finding literal terms in text: word-bounded, folded, all at once. Values in, values out."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

import ahocorasick

from hashing.folding import Folded, fold

__all__ = ["Match", "Matcher"]

Key = TypeVar("Key", bound=Hashable)


class Match(NamedTuple, Generic[Key]):
    """A term in a text: ``original[start:end]`` is how it was written there."""

    key: Key
    start: int
    end: int


class Matcher(Generic[Key]):
    """Many terms compiled into one automaton; the cost of ``find`` does not depend on their number.

    Terms are folded (``hashing.folding``) and match only between word boundaries. Scripts that write no
    spaces (Chinese, Japanese, Thai and others) have no such boundaries and match anywhere.
    """

    def __init__(self, terms: Iterable[tuple[Key, str]]) -> None:
        by_folded: dict[str, list[Key]] = {}
        for key, text in terms:
            if folded := fold(text).text:
                by_folded.setdefault(folded, []).append(key)
        self._automaton = ahocorasick.Automaton()
        for folded, keys in by_folded.items():
            self._automaton.add_word(folded, (len(folded), keys))
        if by_folded:
            self._automaton.make_automaton()
        self._is_empty = not by_folded

    def find(self, text: str) -> list[Match[Key]]:
        """Return every occurrence in order of its place; overlapping terms are all reported."""
        if self._is_empty or not text:
            return []
        folded = fold(text)
        if not folded.text:
            return []
        matches: list[Match[Key]] = []
        for last, (length, keys) in self._automaton.iter(folded.text):
            start, end = last - length + 1, last + 1
            if _is_boundary(folded, start) and _is_boundary(folded, end):
                matches.extend(Match(key, *folded.span(start, end)) for key in keys)
        return sorted(matches, key=lambda match: (match.start, match.end))


def _is_boundary(folded: Folded, at: int) -> bool:
    """Return whether a word may begin or end between characters ``at - 1`` and ``at``."""
    if at == 0 or at == len(folded.text) or at in folded.breaks:
        return True
    before, after = folded.text[at - 1], folded.text[at]
    return not (_is_word(before) and _is_word(after)) or _is_unspaced(before) or _is_unspaced(after)


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_" or unicodedata.category(char).startswith("M")


_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)


def _is_unspaced(char: str) -> bool:
    code = ord(char)
    return code >= 0x0E00 and any(first <= code <= last for first, last in _UNSPACED)
