"""Folding text so that writings of one word compare equal, with a way back to the original.

Unicode's compatibility caseless form (The Unicode Standard, 3.13, D146: NFKC, case folding, NFKC) with
invisible characters removed, computed piece by piece so that every folded character knows which
characters of the original it came from. Offsets are code points, as Python counts them.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

__all__ = ["Folded", "fold"]

_INVISIBLE = (
    # Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties: no glyph, no meaning for comparison.
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)


@dataclass(frozen=True)
class Folded:
    """Folded text. Character ``i`` came from ``original[starts[i]:ends[i]]``.

    ``breaks`` holds the positions before which invisible characters stood in the original: a word may
    end there, or somebody hid them inside a word.
    """

    text: str
    starts: tuple[int, ...] | range
    ends: tuple[int, ...] | range
    breaks: frozenset[int] = frozenset()

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the part of the original that folded characters ``start`` to ``end`` came from."""
        return self.starts[start], self.ends[end - 1]


def fold(text: str) -> Folded:
    """Fold a text. Linear in its length."""
    if text.isascii():
        return Folded(text.lower(), range(len(text)), range(1, len(text) + 1))
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    breaks: set[int] = set()
    begin = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and _continues(text[end]):
            continue
        _fold_piece(text, begin, end, folded, starts, ends, breaks)
        begin = end
    return Folded("".join(folded), tuple(starts), tuple(ends), frozenset(breaks))


def _fold_piece(
    text: str,
    begin: int,
    end: int,
    folded: list[str],
    starts: list[int],
    ends: list[int],
    breaks: set[int],
) -> None:
    """Fold ``text[begin:end]``: one base character with all that composes with it."""
    while begin < end and _is_invisible(text[begin]):
        begin += 1
        breaks.add(len(folded))
    last = end
    while last > begin and _is_invisible(text[last - 1]):
        last -= 1
    visible = "".join(char for char in text[begin:last] if not _is_invisible(char))
    piece = _fold_visible(visible)
    folded.extend(piece)
    starts.extend([begin] * len(piece))
    ends.extend([last] * len(piece))
    if last < end:
        breaks.add(len(folded))


def _fold_visible(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@functools.lru_cache(maxsize=4096)
def _is_invisible(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _INVISIBLE)


@functools.lru_cache(maxsize=4096)
def _continues(char: str) -> bool:
    """Return whether a character may compose with the one before it, or is invisible."""
    if char < "\x80":
        return False
    if _is_invisible(char):
        return True
    first = unicodedata.normalize("NFKD", char)[0]
    if unicodedata.combining(first):
        return True
    # Vowels and final consonants of Hangul compose by rule, not by table.
    return "\u1160" <= first <= "\u11ff" or first in _second_halves()


@functools.lru_cache(maxsize=1)
def _second_halves() -> frozenset[str]:
    """Return the characters that compose with the one before although they are not combining marks."""
    found = set()
    for code in range(0x0900, 0x17000):  # All such compositions are of scripts within this range.
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            second = chr(int(parts[1], 16))
            if not unicodedata.combining(second):
                found.add(second)
    return frozenset(found)
