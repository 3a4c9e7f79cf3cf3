"""How many video tracks a film has. OpenCV opens one of them, and cannot be asked for the others.

Pure: bytes in, a number out. Counts what a container declares, without decoding; what is broken is counted as far as
it can be read. Sources: ISO/IEC 14496-12 (boxes), RFC 9559 and RFC 8794 (Matroska, EBML), Microsoft's RIFF
specification (AVI), ISO/IEC 13818-1 (transport streams). Flash has one track by definition; the tracks of program
streams are not counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["video_tracks"]

Part = tuple[bytes, int, int]
"""The name of a box or element, and where its content begins and ends."""
Parts = Callable[[bytes, int, int], Iterator[Part]]

_PACKET = 188


def video_tracks(data: bytes, demuxer: str) -> int:
    """Return the number of video tracks in a film that FFmpeg's ``demuxer`` reads; 1 where they are not counted."""
    counters = {"mov": _of_boxes, "matroska": _of_elements, "avi": _of_avi, "mpegts": _of_packets}
    counter = counters.get(demuxer)
    return counter(data) if counter else 1


# ── MP4 and QuickTime ─────────────────────────────────────────────────────────────────────────
def _of_boxes(data: bytes) -> int:
    handlers = _inside(_boxes, data, (b"moov", b"trak", b"mdia", b"hdlr"))
    return sum(data[begin + 8 : begin + 12] == b"vide" for begin, _ in handlers)


def _boxes(data: bytes, begin: int, end: int) -> Iterator[Part]:
    while begin + 8 <= end:
        size, head = int.from_bytes(data[begin : begin + 4]), 8
        if size == 1:
            size, head = int.from_bytes(data[begin + 8 : begin + 16]), 16
        stop = end if size == 0 else min(begin + size, end)
        if stop < begin + head:
            return
        yield data[begin + 4 : begin + 8], begin + head, stop
        begin = stop


# ── Matroska and WebM ─────────────────────────────────────────────────────────────────────────
def _of_elements(data: bytes) -> int:
    path = (b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\x83")
    return sum(
        data[begin:end].lstrip(b"\0") == b"\x01" for begin, end in _inside(_elements, data, path)
    )


def _elements(data: bytes, begin: int, end: int) -> Iterator[Part]:
    while begin < end:
        named = _length(data[begin])
        name = data[begin : begin + named]
        begin += named
        if not 1 <= named <= 4 or begin >= end:
            return
        sized = _length(data[begin])
        if sized > 8:
            return
        size = int.from_bytes(data[begin : begin + sized]) & (1 << 7 * sized) - 1
        begin += sized
        is_open = size == (1 << 7 * sized) - 1  # A length that was not known when it was written.
        stop = end if is_open else min(begin + size, end)
        yield name, begin, stop
        begin = stop


def _length(first: int) -> int:
    """Return the bytes of an EBML number with this first byte; 9 for one that does not exist."""
    return 9 - first.bit_length()


# ── AVI and transport streams ─────────────────────────────────────────────────────────────────
def _of_avi(data: bytes) -> int:
    headers = data[: data.find(b"movi")] if b"movi" in data else data
    return len(re.findall(rb"strh.{4}vids", headers, re.DOTALL))


def _of_packets(data: bytes) -> int:
    """Count the streams of packets that begin a video's packet: start codes 0xE0 to 0xEF."""
    first, size = (0, _PACKET) if data[:1] == b"\x47" else (4, _PACKET + 4)
    whole = len(data) // size
    packets = np.frombuffer(data, np.uint8, whole * size).reshape(whole, size)[:, first:]
    begins = (packets[:, 0] == 0x47) & (packets[:, 1] & 0x40 > 0) & (packets[:, 3] & 0x10 > 0)
    packets = packets[begins]
    has_field = packets[:, 3] & 0x20 > 0
    at = 4 + np.where(has_field, 1 + packets[:, 4].astype(np.int64), 0)
    packets, at = packets[at < _PACKET - 4], at[at < _PACKET - 4]
    starts = [
        np.take_along_axis(packets, (at + place)[:, None], axis=1)[:, 0] for place in range(4)
    ]
    is_video = (starts[0] == 0) & (starts[1] == 0) & (starts[2] == 1) & (starts[3] & 0xF0 == 0xE0)
    names = (packets[is_video, 1].astype(np.int64) & 0x1F) << 8 | packets[is_video, 2]
    return len(np.unique(names))


def _inside(parts: Parts, data: bytes, path: tuple[bytes, ...]) -> list[tuple[int, int]]:
    """Return where the contents of all parts lie that are reached by these names, one within the other."""
    found = [(0, len(data))]
    for wanted in path:
        found = [
            (begin, end)
            for outer in found
            for name, begin, end in parts(data, *outer)
            if name == wanted
        ]
    return found
