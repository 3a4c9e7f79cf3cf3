"""The tables that folding replaces characters by, made once for each set of steps. Values in, values out."""

from __future__ import annotations

import functools
import unicodedata
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from hashing.lookalikes import GREY, LEET, SQUARED, prototypes

__all__ = [
    "LEVELS",
    "LIMIT",
    "Codes",
    "Step",
    "Steps",
    "Table",
    "codes_of",
    "continues",
    "gaps",
    "is_decoration",
    "is_invisible",
    "properties",
    "table_of",
    "text_of",
]


class Step(StrEnum):
    """One thing that folding may disregard."""

    CASE = "case"
    MARKS = "marks"
    LOOKALIKES = "lookalikes"
    SIGNS = "signs"
    REPEATS = "repeats"
    SPACED = "spaced"
    GAPS = "gaps"


Steps = frozenset[Step]

LEVELS: dict[str, Steps] = {
    "exact": frozenset(),
    "folded": frozenset({Step.CASE, Step.GAPS}),
    "evasive": frozenset(Step),
}
"""Named sets of steps. ``exact`` still takes canonically equivalent writings as one (UAX #15)."""

_HYPHENS = dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2212), "-")
"""What phones and word processors write for ``-``: hyphens that do not break, dashes of figures and of lines, the minus."""

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

_DECORATION = (
    # Marks that decorate a letter without making it another one: accents, strokes, points of Hebrew and Arabic.
    # Vowel signs of Indic scripts and voicing marks of Japanese are letters in all but name and stay.
    (0x0300, 0x036F),
    (0x0483, 0x0489),
    (0x0591, 0x05BD),
    (0x05BF, 0x05BF),
    (0x05C1, 0x05C2),
    (0x05C4, 0x05C5),
    (0x05C7, 0x05C7),
    (0x0610, 0x061A),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06DC),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE20, 0xFE2F),
)

LIMIT = 0x32400
"""Code points from here on have no decomposition, no case and no script: they are kept or invisible."""

Codes = NDArray[np.uint32]


class Table:
    """What each code point becomes under some steps: a number of code points in ``flat``."""

    def __init__(self, steps: Steps) -> None:
        pieces = _pieces(steps)
        count = np.ones(LIMIT + 1, np.uint8)
        first = np.arange(LIMIT + 1, dtype=np.uint32)
        offset = np.zeros(LIMIT + 1, np.uint32)
        flat: list[int] = []
        for code, piece in pieces.items():
            count[code] = len(piece)
            if len(piece) == 1:
                first[code] = ord(piece)
            elif piece:
                first[code] = ord(piece[0])
                offset[code] = len(flat)
                flat.extend(map(ord, piece))
        self._count, self._first, self._offset = count, first, offset
        self._flat = np.array(flat or [0], dtype=np.uint32)
        letters = _letters()
        self.is_word = letters
        self.is_letter = letters.copy()
        self.is_letter[ord("0") : ord("9") + 1] = False
        self.is_letter[ord("1")] = Step.SIGNS in steps

    def replace(self, text: str) -> tuple[Codes, NDArray[np.uint8] | None]:
        """Return the code points that a text becomes, and how many each became (None: one)."""
        codes = codes_of(text)
        beyond = None
        if len(codes) and int(codes.max()) >= LIMIT:
            beyond = codes
            is_tag = (codes >= 0xE0000) & (codes <= 0xE0FFF) & (self._count[0x200B] == 0)
            codes = np.where(codes >= LIMIT, np.where(is_tag, 0x200B, LIMIT), codes)
        out = self._first.take(codes)
        if beyond is not None:
            out = np.where(codes == LIMIT, beyond, out)
        count = self._count.take(codes)
        most = int(count.max()) if len(count) else 1
        if most == 1 and int(count.min()) == 1:
            return out, None
        out = np.repeat(out, count)
        if most > 1:
            many = (count > 1).nonzero()[0]
            begin = (np.cumsum(count, dtype=np.int64) - count)[many]
            offset, count_of = self._offset[codes[many]], count[many]
            for further in range(1, most):
                has = count_of > further
                out[begin[has] + further] = self._flat[offset[has] + further]
        return out, count


@functools.lru_cache(maxsize=32)
def table_of(steps: Steps) -> Table:
    return Table(steps - {Step.REPEATS, Step.SPACED})


def _pieces(steps: Steps) -> dict[int, str]:
    """Return what each code point becomes, where that is another one."""
    base = _base(is_folded=Step.CASE in steps)
    if not steps - {Step.CASE, Step.REPEATS, Step.SPACED}:
        return base
    alike = prototypes() if Step.LOOKALIKES in steps else {}
    signs = LEET if Step.SIGNS in steps else {}
    has_marks_off = Step.MARKS in steps

    def become(piece: str) -> str:
        # Until nothing changes: a prototype may fold further, and idempotence rests on it.
        for _ in range(8):
            changed = "".join(
                signs.get(char, char)
                for one in piece
                for char in alike.get(one, one)
                if not (has_marks_off and is_decoration(char))
            )
            changed = "".join(base.get(ord(char), char) for char in changed)
            if changed == piece:
                break
            piece = changed
        return piece

    found = dict(base)
    everything = set(base) | {ord(char) for char in alike} | {ord(char) for char in signs}
    if has_marks_off:
        everything |= {code for first, last in _DECORATION for code in range(first, last + 1)}
    for code in everything:
        if code < LIMIT:
            found[code] = become(base.get(code, chr(code)))
    return found


@functools.lru_cache(maxsize=2)
def _base(*, is_folded: bool) -> dict[int, str]:
    """Return decompositions: compatibility with case folding and nothing invisible, or canonical ones."""
    found = {}
    for code in range(0x80, LIMIT):
        if 0x3400 <= code < 0xA000 or 0xD800 <= code < 0xE000 or 0x20000 <= code < 0x2F800:
            continue  # Unified ideographs and surrogates stand for themselves.
        char = chr(code)
        is_syllable = 0xAC00 <= code < 0xD7A4
        if not is_syllable and not unicodedata.decomposition(char) and char.casefold() == char:
            if is_folded and is_invisible(char):
                found[code] = ""
            continue
        if not is_folded:
            piece = unicodedata.normalize("NFD", char)
        elif is_invisible(char):
            piece = ""
        else:
            piece = _fixed(char)
        if piece != char:
            found[code] = piece
    if is_folded:
        found |= _HYPHENS
        found |= {code: chr(code + 32) for code in range(ord("A"), ord("Z") + 1)}
    return found


def _fixed(char: str) -> str:
    # NFKD and case folding undo each other for a few characters: once more until it stands (D146).
    piece = char
    for _ in range(4):
        again = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", piece).casefold())
        if again == piece:
            break
        piece = again
    return "".join(one for one in piece.translate(_HYPHENS) if not is_invisible(one))


@functools.lru_cache(maxsize=1)
def _letters() -> NDArray[np.bool_]:
    found = np.zeros(LIMIT + 1, bool)
    for code in range(LIMIT):
        found[code] = chr(code).isalnum()
    return found


def codes_of(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def text_of(codes: Codes) -> str:
    return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


@functools.lru_cache(maxsize=8192)
def is_invisible(char: str) -> bool:
    """Return whether a character has no glyph and no meaning for comparison."""
    return any(first <= ord(char) <= last for first, last in _INVISIBLE)


@functools.lru_cache(maxsize=8192)
def is_decoration(char: str) -> bool:
    """Return whether a character only decorates the letter before it."""
    return char >= "\u0300" and any(first <= ord(char) <= last for first, last in _DECORATION)


def _continues_plainly(char: str) -> bool:
    """Return whether a character belongs to the one before it: marks, later parts of Hangul syllables."""
    return unicodedata.category(char)[0] == "M" or "\u1160" <= char <= "\u11ff"


@functools.lru_cache(maxsize=8192)
def continues(char: str) -> bool:
    return char >= "\u0300" and _continues_plainly(char)


_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # Half-width Katakana
    (0x20000, 0x323AF),
)


@functools.lru_cache
def gaps(*, with_signs: bool) -> NDArray[np.bool_]:
    """Return for each code point whether it may stand between the words of a phrase: white space, or all but words."""
    if with_signs:
        found = ~properties()[0]
        # Letters only to a reader: flags and squares part words, unless look-alikes made letters of them before.
        found[[ord("_"), *(ord(char) for char in SQUARED | GREY)]] = True
        return found
    return np.array([chr(code).isspace() for code in range(LIMIT + 1)])


@functools.lru_cache(maxsize=1)
def properties() -> tuple[NDArray[np.bool_], ...]:
    """Return for each code point whether it is part of a word, invisible, of a script without spaces, a mark."""
    word = _letters().copy()
    word[ord("_")] = True
    continues = np.zeros(LIMIT + 1, bool)
    invisible, unspaced = continues.copy(), continues.copy()
    for code in range(0x0300, LIMIT):
        continues[code] = _continues_plainly(chr(code))
    word |= continues
    word[[ord(char) for char in SQUARED | GREY]] = True
    for first, last in _INVISIBLE:
        invisible[min(first, LIMIT) : min(last, LIMIT - 1) + 1] = True
    word[invisible] = False
    for first, last in _UNSPACED:
        unspaced[first : min(last, LIMIT - 1) + 1] = True
    return word, invisible, unspaced, continues
