"""What a text consists of for a classifier: its words and the letters within them.

Words are runs of letters and digits of the folded text (``hashing.folding``); word features are one and
two words in a row. Letter features are the n-grams of each word with a blank at either end, as
scikit-learn's ``char_wb`` makes them: they recognise endings, compounds and changed spellings. Training
and scoring call the same functions, so a model never sees another text than the one it was trained on.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

__all__ = [
    "FEATURES_VERSION",
    "LETTERS",
    "WORDS",
    "letters",
    "single_words",
    "word_places",
    "words",
]

FEATURES_VERSION = 1
"""Raised whenever the same text would give other features. Older models are then refused, not misread."""

WORDS, LETTERS = "words", "letters"
SHORTEST, LONGEST = 2, 4
"""Length of the letter n-grams, the blanks included."""


def _marks() -> str:
    """Return the characters that stand on another one, as ranges of a character class.

    Folded text is decomposed, and many scripts write vowels as marks: a word must not end at one.
    """
    codes = [code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M"]
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_WORD = re.compile(rf"\w[\w{_marks()}]*")


def words(folded: str) -> list[str]:
    """Return the words of a folded text and its pairs of neighbouring words."""
    single = _WORD.findall(folded)
    return single + [f"{one} {two}" for one, two in pairwise(single)]


def single_words(folded: str) -> list[str]:
    """Return the words of a folded text, each as often as it stands there."""
    return _WORD.findall(folded)


def letters(folded: str) -> list[str]:
    """Return the letter n-grams of a folded text."""
    found: list[str] = []
    for word in _WORD.findall(folded):
        padded = f" {word} "
        length = len(padded)
        for n in range(SHORTEST, LONGEST + 1):
            if n >= length:
                found.append(padded)
                break
            found += [padded[at : at + n] for at in range(length - n + 1)]
    return found


def word_places(folded: str) -> list[tuple[str, int, int]]:
    """Return the words of a folded text with their places as [start, end)."""
    return [(match[0], *match.span()) for match in _WORD.finditer(folded)]
