"""Letters that look alike, and signs that stand for letters. Values only.

The look-alikes are Unicode's confusables (UTS #39, ``confusables.txt``), as the package
``confusable-homoglyphs`` carries them: a table of pairs, from which the prototypes are worked out here. Its
data is older than Python's; letters that were added since fold to themselves. What Unicode does not list
but people write with is added: letters in filled circles and squares, regional indicators, small capitals.
"""

from __future__ import annotations

import functools
import json
import unicodedata
from importlib import resources

__all__ = ["GREY", "LEET", "SQUARED", "prototypes"]

LEET = {
    "0": "o",
    "2": "z",
    "3": "e",
    "4": "a",
    "5": "s",
    "6": "g",
    "7": "t",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "+": "t",
    "!": "1",
    "|": "1",
    "€": "e",
    "£": "l",
    "¢": "c",
    "¥": "y",
    "¡": "1",
}
"""Signs that stand for letters. ``1`` stays: it stands for i and for l (``hashing.terms`` tries both)."""

SQUARED = frozenset(map(chr, [*range(0x1F150, 0x1F16A), *range(0x1F170, 0x1F18A)]))
"""Letters in filled circles and squares: symbols to Unicode, letters to a reader."""

GREY = frozenset(
    map(chr, [*range(0x24B6, 0x24EA), *range(0x1F110, 0x1F14A), *range(0x1F1E6, 0x1F200)])
)
"""Letters in circles, brackets and squares, and regional indicators."""


@functools.lru_cache(maxsize=1)
def prototypes() -> dict[str, str]:
    """Return for each letter that looks like others the lower-case letters that all of them fold to.

    ASCII letters and digits are never replaced. A letter and its capital share what they fold to, so that
    folding look-alikes never tells apart what folding case made equal: Cyrillic ``в`` folds to ``b``
    because ``В`` looks like ``B``.
    """
    table = _table()
    found: dict[str, str] = {}
    for char in table:
        if len(char) != 1 or char.isascii():
            continue
        small = char.casefold()
        if len(small) != 1 or small in found or not _is_letter(small):
            continue
        own, capital = _lower(table, small), _lower(table, small.upper())
        best = next((each for each in (own, capital) if each and each.isascii()), own or capital)
        if best and best != small:
            found[small] = best
    for start, count in ((0x1F150, 26), (0x1F170, 26), (0x1F1E6, 26)):
        found |= {chr(start + index): chr(ord("a") + index) for index in range(count)}
    for code in (*range(0x1D00, 0x1D23), *range(0x0262, 0x02A0), *range(0xA730, 0xA732)):
        *_, letter = unicodedata.name(chr(code), " ").split(" ")
        if "SMALL CAPITAL" in unicodedata.name(chr(code), "") and len(letter) == 1:
            found[chr(code)] = letter.lower()
    return found


_AS_ONE = {"rn": "m", "vv": "w", "cl": "d", "lj": "lj"}
"""Prototypes of two letters that stand for one: Unicode's prototype of ``m`` is ``rn``."""


def _lower(table: dict[str, str], char: str) -> str:
    target = table.get(char, "")
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", target).casefold())
    folded = _AS_ONE.get(folded, folded)
    if not folded or not all(_is_letter(one) or unicodedata.combining(one) for one in folded):
        return ""
    return folded if _is_letter(folded[0]) else ""


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] == "L"


def _table() -> dict[str, str]:
    """Return source → prototype. The data names both directions; a prototype has many sources."""
    file = resources.files("confusable_homoglyphs").joinpath("confusables.json")
    pairs: dict[str, list[str]] = {
        _bare(source): [_bare(each["c"]) for each in others]
        for source, others in json.loads(file.read_text(encoding="utf-8")).items()
    }
    found = {}
    for source, others in pairs.items():
        if len(others) != 1:
            continue  # A prototype.
        target = others[0]
        if len(pairs.get(target, ())) == 1 and _rank(source) < _rank(target):
            continue  # A lone pair: the plainer one is the prototype.
        found[source] = target
    return found


def _rank(text: str) -> tuple[bool, int, str]:
    return not text.isascii(), len(text), text


def _bare(text: str) -> str:
    return text.replace("\u200e", "")
