"""Folding text so that disguised writings of one word compare equal, with a way back to the original.

Every step is switchable, because every step beyond the first also makes different words equal. The order
is fixed: each character is replaced by a table (Unicode's compatibility decomposition and case folding:
The Unicode Standard 3.13, D146, and UAX #15; look-alikes: the confusables data of UTS #39; digits and
signs that stand for letters), marks that stand in another order are sorted (UAX #15), letters that
repeat are reduced to one. Words written letter by letter are put together beside the text.

The result is decomposed (NFKD): two texts compare equal when both were folded with the same steps.
Offsets are code points, as Python counts them. Everything is linear in the length of the text, but for the
sorting of marks, n log n in the length of one run of marks.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashing.lookalikes import GREY, LEET, SQUARED, prototypes

__all__ = ["LEVELS", "Folded", "Step", "Steps", "Stretch", "fold", "is_invisible", "level_of", "steps_of"]


class Step(StrEnum):
    """One thing that folding may disregard."""

    CASE = "case"
    MARKS = "marks"
    LOOKALIKES = "lookalikes"
    SIGNS = "signs"
    REPEATS = "repeats"
    SPACED = "spaced"


Steps = frozenset[Step]

LEVELS: dict[str, Steps] = {
    "exact": frozenset(),
    "folded": frozenset({Step.CASE}),
    "evasive": frozenset(Step),
}
"""Named sets of steps. ``exact`` still takes canonically equivalent writings as one (UAX #15)."""

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

_LIMIT = 0x32400
"""Code points from here on have no decomposition, no case and no script: they are kept or invisible."""

_FEWEST_SPACED = 4
_RUN = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,3}[^\W_](?![^\W_])){3,}")
"""At least four letters, each alone, with one to three signs or spaces between them."""

_Codes = NDArray[np.uint32]
_Places = NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """Letters that stood apart, put together. Character ``i`` is character ``at[i]`` of the folded text."""

    text: str
    at: tuple[int, ...]


class Folded:
    """Folded text that knows where each character came from. The way back is worked out when asked for."""

    __slots__ = ("_boundaries", "_counts", "_ends", "_kept", "_sorted", "_starts", "original", "steps", "stretches", "text")

    def __init__(
        self,
        original: str,
        text: str,
        steps: Steps,
        *,
        stretches: tuple[Stretch, ...] = (),
        counts: NDArray[np.uint8] | None = None,
        sorted_: tuple[_Places, _Places] | None = None,
        kept: _Places | None = None,
    ) -> None:
        self.original, self.text, self.steps, self.stretches = original, text, steps, stretches
        self._counts, self._sorted, self._kept = counts, sorted_, kept
        self._starts: _Places | None = None
        self._ends: _Places | None = None
        self._boundaries: bytes | None = None

    def _trace(self) -> None:
        if self._counts is None:
            whole = np.arange(len(self.original))
        else:
            whole = np.repeat(np.arange(len(self.original)), self._counts)
        starts, ends = whole, whole + 1
        if self._sorted is not None:
            # The runs of marks that were sorted: each of their characters came from anywhere in the run.
            first, last = self._sorted
            starts, ends = whole[first], whole[last] + 1
        if self._kept is not None:
            last_of = np.append(self._kept[1:], len(starts)) - 1
            starts, ends = starts[self._kept], ends[last_of]
        self._starts, self._ends = starts, ends

    def source(self, at: int) -> int:
        """Return the place in the original of folded character ``at``."""
        if self._counts is None and self._kept is None and self._sorted is None:
            return at
        if self._starts is None:
            self._trace()
        return int(self._starts[at])  # type: ignore[index]  # _trace has set it

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the part of the original that folded characters ``start`` to ``end`` came from.

        Marks that were folded away belong to the letter before them, invisible characters to nobody.
        """
        begin, last = self.source(start), self._end(end - 1)
        while last < len(self.original) and is_decoration(self.original[last]):
            last += 1
        return begin, max(last, begin + 1)

    def _end(self, at: int) -> int:
        self.source(at)
        return at + 1 if self._ends is None else int(self._ends[at])

    @property
    def boundaries(self) -> bytes:
        """One byte for each place: whether a word may begin or end before folded character ``at``.

        What a character was in the original counts: ``!`` ends a word also where it may stand for a letter.
        Invisible characters may hide inside a word or end one: both are tried. Scripts that write no spaces
        (Chinese, Japanese, Thai and others; UAX #29 leaves them to dictionaries) have a boundary everywhere.
        """
        if self._boundaries is None:
            self._boundaries = self._bounded()
        return self._boundaries

    def is_boundary(self, at: int) -> bool:
        """Return whether a word may begin or end before folded character ``at``."""
        return self.boundaries[at] != 0

    def _bounded(self) -> bytes:
        size = len(self.text)
        found = np.ones(size + 1, bool)
        if size < 2:
            return found.tobytes()
        is_word, invisible, unspaced, continues = _properties()
        codes, capped = _codes_of(self.original)
        word = is_word.take(capped)
        self.source(0)
        if self._starts is None or self._ends is None:
            before, after = slice(0, size - 1), slice(1, size)
            inside = word[before] & word[after]
        else:
            before, after = self._ends[:-1] - 1, self._starts[1:]
            inside = word[before] & word[after]
        if codes.dtype != np.uint8:
            open_ = unspaced.take(capped)
            inside &= ~(open_[before] | (open_[after] & ~continues.take(capped)[after]))
            if self._starts is not None and self._ends is not None:
                hidden = np.concatenate((_FIRST, np.cumsum(invisible.take(capped), dtype=np.int64)))
                inside &= ~((hidden[after] - hidden[before]) > invisible.take(capped)[before])
        found[1:size] = ~inside
        return found.tobytes()

    def is_letter_end(self, at: int) -> bool:
        """Return whether no letter is cut in two before folded character ``at`` (no mark follows)."""
        return at >= len(self.text) or not _continues(self.text[at])


def steps_of(names: Iterable[str]) -> Steps:
    """Return steps by their names. Raises ValueError for a name that is none."""
    return frozenset(Step(name) for name in names)


def level_of(steps: Steps) -> str:
    """Return the name of a set of steps, or ``custom``."""
    return next((name for name, known in LEVELS.items() if known == steps), "custom")


def fold(text: str, steps: Steps = LEVELS["folded"]) -> Folded:
    """Fold a text. Never raises for any text, surrogates and unassigned code points included."""
    folds_repeats, folds_spaced = Step.REPEATS in steps, Step.SPACED in steps
    counts = sorted_ = None
    if text.isascii():
        plain = text.lower() if Step.CASE in steps else text
        if Step.SIGNS in steps:
            plain = plain.translate(_ASCII_SIGNS)
    else:
        codes, counts = _table(steps).replace(text)
        plain = _text(codes)
        if not unicodedata.is_normalized("NFD", plain):
            plain, sorted_ = _sorted_marks(plain)
    if Step.SIGNS in steps and "1" in plain:
        plain = _resolved(plain)
    if not (folds_repeats or folds_spaced) or len(plain) < 2:
        return Folded(text, plain, steps, counts=counts, sorted_=sorted_)
    codes, capped = _codes_of(plain)
    table = _table(steps)
    stretches = _stretches(plain, capped, table) if folds_spaced else ()
    if folds_repeats:
        same = (capped[1:] == capped[:-1]) & table.is_letter.take(capped[1:])
        if same.any():
            kept = np.concatenate((_FIRST, np.flatnonzero(~same) + 1))
            if stretches:
                stretches = _moved(stretches, kept, len(codes))
            return Folded(
                text,
                _text(codes[kept]),
                steps,
                stretches=stretches,
                counts=counts,
                sorted_=sorted_,
                kept=kept,
            )
    return Folded(text, plain, steps, stretches=stretches, counts=counts, sorted_=sorted_)


_FIRST = np.zeros(1, np.int64)


def _codes_of(plain: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the code points of a text, and the same cut to the size of the tables."""
    if plain.isascii():
        codes = np.frombuffer(plain.encode("ascii"), np.uint8)
        return codes, codes
    codes = _codes(plain)
    return codes, np.minimum(codes, _LIMIT)


def _moved(stretches: tuple[Stretch, ...], kept: _Places, length: int) -> tuple[Stretch, ...]:
    """Return stretches whose places count what was kept, with their own repeats reduced to one."""
    places = np.zeros(length, np.int64)
    places[kept] = 1
    places = np.cumsum(places) - 1
    moved = []
    for each in stretches:
        first = [i for i, char in enumerate(each.text) if i == 0 or char != each.text[i - 1]]
        text = "".join(each.text[i] for i in first)
        moved.append(Stretch(text, tuple(int(places[each.at[i]]) for i in first)))
    return tuple(moved)


def _stretches(plain: str, capped: NDArray[Any], table: _Table) -> tuple[Stretch, ...]:
    if len(capped) < 2 * _FEWEST_SPACED - 1:
        return ()
    letter = table.is_word.take(capped)
    alone = letter.copy()
    alone[1:] &= ~letter[:-1]
    alone[:-1] &= ~letter[1:]
    if np.count_nonzero(alone) < _FEWEST_SPACED:
        return ()
    found = []
    for run in _RUN.finditer(plain):
        at = [i for i in range(run.start(), run.end()) if plain[i].isalnum()]
        found.append(Stretch("".join(plain[i] for i in at), tuple(at)))
    return tuple(found)


_BESIDE_I = re.compile(r"(?<=i)1+|1+(?=i)")
_BESIDE_L = re.compile(r"(?<=l)1+|1+(?=l)")


def _resolved(plain: str) -> str:
    """Let ``1``, which may stand for i and for l, be what stands beside it, so that repeats are seen."""
    if "i1" in plain or "1i" in plain:
        plain = _BESIDE_I.sub(lambda found: "i" * len(found.group()), plain)
    if "l1" in plain or "1l" in plain:
        plain = _BESIDE_L.sub(lambda found: "l" * len(found.group()), plain)
    return plain


def _sorted_marks(plain: str) -> tuple[str, tuple[_Places, _Places]]:
    """Put each run of marks in canonical order; each of them then comes from the whole run."""
    first = np.arange(len(plain))
    last = first.copy()
    chars = list(plain)
    at = 0
    while at < len(chars):
        end = at
        while end < len(chars) and unicodedata.combining(chars[end]):
            end += 1
        if end - at > 1:
            chars[at:end] = sorted(chars[at:end], key=unicodedata.combining)
            first[at:end], last[at:end] = at, end - 1
        at = max(end, at + 1)
    return "".join(chars), (first, last)


class _Table:
    """What each code point becomes under some steps: a number of code points in ``flat``."""

    def __init__(self, steps: Steps) -> None:
        pieces = _pieces(steps)
        count = np.ones(_LIMIT + 1, np.uint8)
        first = np.arange(_LIMIT + 1, dtype=np.uint32)
        offset = np.zeros(_LIMIT + 1, np.uint32)
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

    def replace(self, text: str) -> tuple[_Codes, NDArray[np.uint8] | None]:
        """Return the code points that a text becomes, and how many each became (None: one)."""
        codes = _codes(text)
        beyond = None
        if len(codes) and int(codes.max()) >= _LIMIT:
            beyond = codes
            is_tag = (codes >= 0xE0000) & (codes <= 0xE0FFF) & (self._count[0x200B] == 0)
            codes = np.where(codes >= _LIMIT, np.where(is_tag, 0x200B, _LIMIT), codes)
        out = self._first.take(codes)
        if beyond is not None:
            out = np.where(codes == _LIMIT, beyond, out)
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
def _table(steps: Steps) -> _Table:
    return _Table(steps - {Step.REPEATS, Step.SPACED})


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
        if code < _LIMIT:
            found[code] = become(base.get(code, chr(code)))
    return found


@functools.lru_cache(maxsize=2)
def _base(*, is_folded: bool) -> dict[int, str]:
    """Return decompositions: compatibility with case folding and nothing invisible, or canonical ones."""
    found = {}
    for code in range(0x80, _LIMIT):
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
    return "".join(one for one in piece if not is_invisible(one))


@functools.lru_cache(maxsize=1)
def _letters() -> NDArray[np.bool_]:
    found = np.zeros(_LIMIT + 1, bool)
    for code in range(_LIMIT):
        found[code] = chr(code).isalnum()
    return found


_ASCII_SIGNS = {ord(sign): letter for sign, letter in LEET.items() if sign.isascii()}


def _codes(text: str) -> _Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _text(codes: _Codes) -> str:
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
def _continues(char: str) -> bool:
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


@functools.lru_cache(maxsize=1)
def _properties() -> tuple[NDArray[np.bool_], ...]:
    """Return for each code point whether it is part of a word, invisible, of a script without spaces, a mark."""
    word = _letters().copy()
    word[ord("_")] = True
    continues = np.zeros(_LIMIT + 1, bool)
    invisible, unspaced = continues.copy(), continues.copy()
    for code in range(0x0300, _LIMIT):
        continues[code] = _continues_plainly(chr(code))
    word |= continues
    word[[ord(char) for char in SQUARED | GREY]] = True
    for first, last in _INVISIBLE:
        invisible[min(first, _LIMIT) : min(last, _LIMIT - 1) + 1] = True
    word[invisible] = False
    for first, last in _UNSPACED:
        unspaced[first : min(last, _LIMIT - 1) + 1] = True
    return word, invisible, unspaced, continues
