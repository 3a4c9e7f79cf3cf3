"""How pictures and films are built: their pieces one after the other, and where each form ends.

Pure: bytes in, places out; nothing is decoded. Each piece is counted: a file of more than ``MOST_STEPS`` raises TooMany.
Sources: see ``hashing.inside``, which asks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextvars import ContextVar

from hashing import film_tracks

__all__ = [
    "MOST_STEPS",
    "TooMany",
    "bmp_end",
    "boxes",
    "chunks",
    "count_anew",
    "elements",
    "gif_end",
    "is_beyond_canvas",
    "riff_chunks",
    "riffs_end",
    "segments",
    "step",
]

MOST_STEPS = 400_000
"""Pieces of a file that are walked through: one of ordinary pieces has some thousands at most."""
_steps: ContextVar[Iterator[int]] = ContextVar("steps")


class TooMany(Exception):
    """The file is made of more than ``MOST_STEPS`` pieces."""


def count_anew() -> None:
    """Begin to count the pieces of another file."""
    _steps.set(itertools.count())


def step() -> None:
    """Count a piece. Raises TooMany."""
    if next(_steps.get()) >= MOST_STEPS:
        raise TooMany


def _few(pieces: Iterator[film_tracks.Part]) -> Iterator[film_tracks.Part]:
    for piece in pieces:
        step()
        yield piece


def elements(data: bytes, begin: int, end: int) -> Iterator[film_tracks.Part]:
    """Yield the elements of EBML in a stretch of a file."""
    return _few(film_tracks.elements(data, begin, end))


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def segments(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield a JPEG's markers with where their contents begin and end.

    The last one is 0xD9: the end, or where something stands that is no whole segment, or another beginning. It is
    missing where the file ends first.
    """
    at = begin + 2
    while (found := _MARKER.search(data, at, end)) is not None:
        step()
        marker, at = data[found.end() - 1], found.end()
        if marker == 0x01:
            continue
        if marker == 0xD9:
            yield marker, at, at
            return
        stop = at + int.from_bytes(data[at : at + 2])
        if marker == 0xD8 or stop < at + 2 or stop > end:
            yield 0xD9, found.start(), found.start()
            return
        yield marker, at + 2, stop
        at = stop


def chunks(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield a PNG's whole chunks: their names, and where their contents begin and end."""
    at = begin + 8
    while at + 12 <= end:
        stop = at + 8 + int.from_bytes(data[at : at + 4])
        if stop + 4 > end:
            return
        step()
        yield data[at + 4 : at + 8], at + 8, stop
        at = stop + 4


def _colours(flags: int) -> int:
    """Return how many bytes the table of colours of a GIF or of its frame has."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where each block of a GIF begins, be it a frame (0x2C) or another, and where the next one would."""
    at = begin + 13 + _colours(data[begin + 10])
    while at + 10 < end:
        first = at
        if data[at] == 0x2C:
            at += 11 + _colours(data[at + 9])
        elif data[at] == 0x21:
            at += 2
        elif data[at]:
            break
        while at < end and data[at]:
            step()
            at += 1 + data[at]
        step()
        at += 1
        yield first, at


def gif_end(data: bytes, begin: int, end: int) -> int:
    """Return where a GIF ends: behind its trailer, or with its last whole block where that does not follow."""
    if begin + 13 > end:
        return end
    at = max(
        (following for _, following in _blocks(data, begin, end)),
        default=begin + 13 + _colours(data[begin + 10]),
    )
    return min(at + (at < end and data[at] == 0x3B), end)


def is_beyond_canvas(data: bytes) -> bool:
    """Return whether a GIF has a frame that does not lie on its canvas, or not wholly."""
    if len(data) < 13:
        return False
    width, height = (int.from_bytes(data[at : at + 2], "little") for at in (6, 8))
    for at, _ in _blocks(data, 0, len(data)):
        if data[at] == 0x2C:
            x, y, wide, high = (
                int.from_bytes(data[place : place + 2], "little")
                for place in range(at + 1, at + 9, 2)
            )
            if x + wide > width or y + high > height:
                return True
    return False


def riffs_end(data: bytes, begin: int, end: int) -> int:
    """Return where the last of a file's RIFFs ends: a long AVI has several, each after the other."""
    at = begin
    while data[at : at + 4] == b"RIFF" and (at == begin or data[at + 8 : at + 12] == b"AVIX"):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
        if at >= end:
            return end
    return at


def bmp_end(data: bytes, begin: int, end: int) -> int:
    """Return where a BMP ends; ``end`` where that cannot be told."""
    head = data[begin : begin + 54]
    if len(head) < 54 or int.from_bytes(head[14:18], "little") < 40:
        return end
    offset, width, height = (
        int.from_bytes(head[at : at + 4], "little", signed=True) for at in (10, 18, 22)
    )
    bits, packed = int.from_bytes(head[28:30], "little"), int.from_bytes(head[30:34], "little")
    size = (width * bits + 31) // 32 * 4 * abs(height)
    if packed not in {0, 3, 6}:
        size = int.from_bytes(head[34:38], "little")
    stop = begin + offset + size
    return stop if begin + 54 <= stop <= end else end


def boxes(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[film_tracks.Part]:
    """Yield the boxes of a file as far as they are some: a name of letters, and a length that lies in the file."""
    end = len(data) if end is None else end
    at = begin
    for name, start, stop in _few(film_tracks.boxes(data, begin, end)):
        is_one = re.fullmatch(rb"[\xa9A-Za-z0-9 _-]{4}", name) is not None
        is_cut = at + int.from_bytes(data[at : at + 4]) > end and name not in {b"mdat", b"moov"}
        if at > begin and (is_cut or not is_one):
            return
        yield name, start, stop
        at = stop


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks of a RIFF: their names, and where their contents begin and end."""
    at = 12
    while at + 8 <= len(data):
        step()
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, min(at + 8 + size, len(data))
        at += 8 + size + size % 2
