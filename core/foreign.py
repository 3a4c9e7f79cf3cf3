"""Names and texts that strangers chose, so that a sentence around them still reads as it was written.

A name may turn the line around (U+202E), be made of nothing that shows (U+3164, zero width), or look like another
one with something invisible inside. What does not show is spelt as its code point, as in the package of a referral
(``referrals.glyphs``). What reads from right to left stays as it is: pages isolate it (``<bdi>``, ``dir="auto"``).
Unicode Standard Annex 9 (isolates) and Unicode Technical Report 36 (2.7, bidirectional spoofing).
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["is_odd", "plain_dashes", "spelt"]

BLANK = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that show nothing (Unicode: Default_Ignorable_Code_Point, and braille blank)."""
JOINERS = frozenset("\u200c\u200d")
"""Needed inside words of Persian or Hindi, and between the parts of an emoji; alone they show nothing."""
DASHES = re.compile(r"\s*[\u2010-\u2015\u2212\ufe58\ufe63\uff0d-]\s*")
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def spelt(text: str, *, lines: bool = False) -> str:
    """Return ``text`` with what does not show spelt as code points: ``[U+202E]``, ``[U+200B U+200B]``.

    ``lines`` keeps line breaks and tabs, for texts; a name has none. A joiner between two characters that show
    stays. A name of white space alone is spelt as well.
    """
    is_blank = not text.strip()
    found: list[str] = []
    codes: list[str] = []
    for place, character in enumerate([*text, ""]):
        if character and (is_blank or _hides(text, place, lines=lines)):
            codes.append(f"U+{ord(character):04X}")
            continue
        if codes:
            found.append(f"[{' '.join(codes)}]")
            codes.clear()
        found.append(character)
    return "".join(found)


def is_odd(text: str) -> bool:
    """Return whether a name holds something that does not show: then its id has to stand beside it."""
    return spelt(text) != text


def _hides(text: str, place: int, *, lines: bool) -> bool:
    character = text[place]
    if lines and character in "\n\r\t":
        return False
    if character in JOINERS:
        return not (
            0 < place < len(text) - 1 and _shows(text[place - 1]) and _shows(text[place + 1])
        )
    return not _shows(character)


def _shows(character: str) -> bool:
    return character not in BLANK and unicodedata.category(character) not in HIDDEN


def plain_dashes(number: str) -> str:
    """Return a number such as ``C–000012`` with plain hyphens: copied from a letter it has its printer's dashes."""
    return DASHES.sub("-", number)
