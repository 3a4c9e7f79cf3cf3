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

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashing.folding_tables import (
    LEVELS,
    LIMIT,
    Step,
    Steps,
    Table,
    codes_of,
    continues,
    gaps,
    is_decoration,
    is_invisible,
    properties,
    table_of,
    text_of,
)
from hashing.lookalikes import LEET

__all__ = [
    "LEVELS",
    "Folded",
    "Step",
    "Steps",
    "Stretch",
    "fold",
    "is_invisible",
    "level_of",
    "squeezed",
    "steps_of",
]


_FEWEST_SPACED = 4
_RUN = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,3}[^\W_](?![^\W_])){3,}")
"""At least four letters, each alone, with one to three signs or spaces between them."""

_BROKEN = re.compile(r"-(?<=\w-)[^\S\r\n]*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029][\s>|]*(?=\w)")
"""A hyphen between two parts of a word, and the line break behind it with what mail programs put on the next line."""

_Places = NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """Letters that stood apart, put together. Character ``i`` is character ``at[i]`` of the folded text."""

    text: str
    at: tuple[int, ...]


class Folded:
    """Folded text that knows where each character came from. The way back is worked out when asked for."""

    __slots__ = (
        "_boundaries",
        "_counts",
        "_ends",
        "_kept",
        "_sorted",
        "_starts",
        "original",
        "steps",
        "stretches",
        "text",
    )

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

    def _bounded(self) -> bytes:
        size = len(self.text)
        found = np.ones(size + 1, bool)
        if size < 2:
            return found.tobytes()
        is_word, invisible, unspaced, is_mark = properties()
        codes, capped = _capped(self.original)
        word = is_word.take(capped)
        self.source(0)
        if self._starts is None or self._ends is None:
            before = np.arange(size - 1)
            after = before + 1
        else:
            before, after = self._ends[:-1] - 1, self._starts[1:]
        inside = word[before] & word[after]
        if codes.dtype != np.uint8:
            open_ = unspaced.take(capped)
            inside &= ~((open_[before] | open_[after]) & ~is_mark.take(capped)[after])
            if self._starts is not None and self._ends is not None:
                hidden = np.concatenate((_FIRST, np.cumsum(invisible.take(capped), dtype=np.int64)))
                inside &= ~((hidden[after] - hidden[before]) > invisible.take(capped)[before])
                inside |= before >= after  # Both are of one character, which is not cut in two.
        found[1:size] = ~inside
        return found.tobytes()

    def is_letter_end(self, at: int) -> bool:
        """Return whether no letter is cut in two before folded character ``at`` (no mark follows)."""
        return at >= len(self.text) or not continues(self.text[at])


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
        codes, counts = table_of(steps).replace(text)
        plain = text_of(codes)
        if not unicodedata.is_normalized("NFD", plain):
            plain, sorted_ = _sorted_marks(plain)
    if Step.SIGNS in steps and "1" in plain:
        plain = _resolved(plain)
    kept = None
    if Step.GAPS in steps and "-" in plain:
        plain, kept = _joined_lines(plain)
    if not (folds_repeats or folds_spaced) or len(plain) < 2:
        return Folded(text, plain, steps, counts=counts, sorted_=sorted_, kept=kept)
    codes, capped = _capped(plain)
    table = table_of(steps)
    stretches = _stretches(plain, capped, table) if folds_spaced else ()
    if folds_repeats:
        same = (capped[1:] == capped[:-1]) & table.is_letter.take(capped[1:])
        if same.any():
            once = np.concatenate((_FIRST, np.flatnonzero(~same) + 1))
            if stretches:
                stretches = _moved(stretches, once, len(codes))
            return Folded(
                text,
                text_of(codes[once]),
                steps,
                stretches=stretches,
                counts=counts,
                sorted_=sorted_,
                kept=once if kept is None else kept[once],
            )
    return Folded(
        text, plain, steps, stretches=stretches, counts=counts, sorted_=sorted_, kept=kept
    )


def _joined_lines(plain: str) -> tuple[str, _Places | None]:
    """Return a text in which no line ends behind a hyphen inside a word, and where each character stood (None: there)."""
    broken = [(found.start() + 1, found.end()) for found in _BROKEN.finditer(plain)]
    if not broken:
        return plain, None
    kept = np.ones(len(plain), bool)
    parts, at = [], 0
    for start, end in broken:
        parts.append(plain[at:start])
        kept[start:end] = False
        at = end
    return "".join((*parts, plain[at:])), np.flatnonzero(kept)


def squeezed(plain: str, steps: Steps) -> tuple[str, _Places | None]:
    """Return a folded text with one space wherever words are apart, and where each character stood (None: there).

    White space always parts words; with ``Step.GAPS`` whatever is no part of one does, of any kind and number.
    """
    if not plain:
        return plain, None
    codes, capped = _capped(plain)
    gap = gaps(with_signs=Step.GAPS in steps).take(capped)
    if codes.dtype != np.uint8:
        # A mark behind a gap decorates no letter: an accent that stands alone is a space with a mark.
        mark = properties()[3].take(capped)
        if mark.any():
            base = np.maximum.accumulate(np.where(mark, 0, np.arange(len(codes))))
            gap |= mark & gap[base]
    kept = np.ones(len(codes), bool)
    kept[1:] = ~(gap[1:] & gap[:-1])
    if kept.all():
        out, places = codes.copy(), None
        out[gap] = 0x20
    else:
        places = np.flatnonzero(kept)
        out = codes[places]
        out[gap[places]] = 0x20
    text = out.tobytes().decode("ascii") if out.dtype == np.uint8 else text_of(out)
    return text, places


_ASCII_SIGNS = {ord(sign): letter for sign, letter in LEET.items() if sign.isascii()}
_FIRST = np.zeros(1, np.int64)


def _capped(plain: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the code points of a text, and the same cut to the size of the tables."""
    if plain.isascii():
        small = np.frombuffer(plain.encode("ascii"), np.uint8)
        return small, small
    codes = codes_of(plain)
    return codes, np.minimum(codes, LIMIT)


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


def _stretches(plain: str, capped: NDArray[Any], table: Table) -> tuple[Stretch, ...]:
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
