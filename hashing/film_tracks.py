"""How many video tracks a film has. OpenCV opens one of them, and cannot be asked for the others.

Pure: bytes in, a number out. Counts what a container declares, without decoding; what is broken is counted as far as
it can be read. Sources: ISO/IEC 14496-12 (boxes), RFC 9559 and RFC 8794 (Matroska, EBML), Microsoft's RIFF
specification (AVI), ISO/IEC 13818-1 (transport and program streams), Enhanced RTMP v2 (Flash with several tracks).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

__all__ = [
    "Part",
    "boxes",
    "changes_form",
    "elements",
    "has_broken_packets",
    "inside",
    "video_tracks",
]

Part = tuple[bytes, int, int]
"""The name of a box or element, and where its content begins and ends."""
Parts = Callable[[bytes, int, int], Iterator[Part]]

_PACKET = 188


def video_tracks(data: bytes, demuxer: str) -> int:
    """Return the number of video tracks in a film that FFmpeg's ``demuxer`` reads; 1 where they are not counted."""
    counters = {
        "mov": _of_boxes,
        "matroska": _of_elements,
        "avi": _of_avi,
        "flv": _of_tags,
        "mpeg": _of_program_stream,
        "mpegts": _of_packets,
    }
    counter = counters.get(demuxer)
    return counter(data) if counter else 1


# ── MP4 and QuickTime ─────────────────────────────────────────────────────────────────────────
_CODECS = re.compile(
    rb"avc[1-4]|hvc1|hev1|dv[ah1][1ev]|vvc1|vvi1|[vV][pP]0?[6-9]|[vV][pP][3-9]0|av01|mp4v|[Ss]263|h26[1345]|H26[1345]"
    rb"|x26[45]|X264|encv|resv|[Mm][Jj][Pp][AaBbGg2]|[Jj][Pp][Ee][Gg]|png |tiff|gif |ap[a-z0-9]{2}|mp[12]v|m2v1|mx[345][np]"
    rb"|xd[0-9v][0-9a-d]|hdv[0-9a]|[DXdx][IiVv][Vv][XxDd]|DX50|FMP4|SVQ[13]|WRLE|rle |cvid|dvc[p ]?|dv5[np]|dvh[0-9pq]"
    rb"|AVd[nh1]|AV[D1][JNd][x1n]?|drac|WMV[123A]|WVC1|vc-1|mjp2|rpza|smc |qdrw|raw[23v]|[2v]vu[yv]|v210|v308|v4[01][08]"
)
"""Names that frames of pictures have in a film, whatever their track calls itself."""


def _of_boxes(data: bytes) -> int:
    """Count the tracks that call themselves films, and those whose frames are of a codec of pictures."""
    # Films, series of pictures, and what a film has beside it, such as depths.
    films = {b"vide", b"pict", b"auxv"}
    count = 0
    for track in inside(boxes, data, (b"moov", b"trak")):
        handlers = inside(boxes, data, (b"mdia", b"hdlr"), track)
        tables = inside(boxes, data, (b"mdia", b"minf", b"stbl", b"stsd"), track)
        forms = [name for begin, end in tables for name, *_ in boxes(data, begin + 8, end)]
        is_named = any(data[begin + 8 : begin + 12] in films for begin, _ in handlers)
        count += is_named or any(_CODECS.fullmatch(name) for name in forms)
    return count


def changes_form(data: bytes, demuxer: str) -> bool:
    """Return whether a track of an MP4 says that its frames are of several codecs: FFmpeg reads those of the first."""
    if demuxer != "mov":
        return False
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    for begin, end in inside(boxes, data, path):
        forms = {name for name, *_ in boxes(data, begin + 8, end)}
        if len(forms) > 1:
            return True
    return False


def boxes(data: bytes, begin: int, end: int) -> Iterator[Part]:
    """Yield the boxes of ISO/IEC 14496-12 in a stretch of a file; the last one may be cut off."""
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
    """Count the tracks of type 1, and those of another one whose codec is one of films (``V_``)."""
    count = 0
    for track in inside(elements, data, (b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae")):
        parts = [
            (name, data[begin : min(end, begin + 8)]) for name, begin, end in elements(data, *track)
        ]
        count += any(
            (name == b"\x83" and content.lstrip(b"\0") == b"\x01")
            or (name == b"\x86" and content.startswith(b"V_"))
            for name, content in parts
        )
    return count


def elements(data: bytes, begin: int, end: int) -> Iterator[Part]:
    """Yield the elements of EBML (RFC 8794) in a stretch of a file; the last one may be cut off."""
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
    """Count the streams that call themselves films, and those of another name whose format is one of bitmaps."""
    headers = data[: data.find(b"movi")] if b"movi" in data else data
    streams = re.split(rb"strh(?=.{4})", headers, flags=re.DOTALL)[1:]
    return sum(
        each[4:8] in {b"vids", b"iavs"}
        or re.search(rb"strf.{4}\x28\0\0\0.{8}\x01\0", each, re.DOTALL) is not None
        for each in streams
    )


def _packets(data: bytes) -> tuple[npt.NDArray[np.uint8], int]:
    """Return a transport stream's packets, 188 bytes each, and how many bytes are no whole one."""
    first, size = (0, _PACKET) if data[:1] == b"\x47" else (4, _PACKET + 4)
    whole = len(data) // size
    packets = np.frombuffer(data, np.uint8, whole * size).reshape(whole, size)[:, first:]
    return packets, len(data) - whole * size


def has_broken_packets(data: bytes, demuxer: str) -> bool:
    """Return whether a transport stream ends within a packet, or has something else where one begins.

    FFmpeg looks for the next packet and says nothing.
    """
    if demuxer != "mpegts":
        return False
    packets, rest = _packets(data)
    return bool(rest or np.any(packets[:, 0] != 0x47))


_START = b"\0\0\1"
_HAS_LENGTH = 0xBB
"""The least start code of a program stream whose packet says how long it is; below are packs and the end."""


def _of_program_stream(data: bytes) -> int:
    """Count the streams of a program stream: start codes 0xE0 to 0xEF, each a video's."""
    names = set[int]()
    at = data.find(_START)
    while 0 <= at < len(data) - 6:
        code = data[at + 3]
        at += 4
        if code >= _HAS_LENGTH:
            if code & 0xF0 == 0xE0:
                names.add(code)
            at += 2 + int.from_bytes(data[at : at + 2])
        if data[at : at + 3] != _START:
            at = data.find(_START, at)
    return len(names)


def _of_tags(data: bytes) -> int:
    """Count the tracks of a Flash video: one, unless its tags say that there are several."""
    at, names = 13, {0}
    while at + 11 < len(data):
        size = int.from_bytes(data[at + 1 : at + 4])
        tag = data[at + 11 : at + 11 + min(size, 8)]
        # An extended header (bit 0x80) of the packet type 6, several tracks: then the codec's name and the track's.
        if data[at] & 0x1F == 9 and len(tag) >= 7 and tag[0] & 0x8F == 0x86:
            names.add(tag[6] if tag[1] & 0xF0 == 0 else 1)
        at += 15 + size
    return len(names)


def _of_packets(data: bytes) -> int:
    """Count the streams of packets that begin a video's packet: start codes 0xE0 to 0xEF."""
    packets, _ = _packets(data)
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


def inside(
    parts: Parts, data: bytes, path: tuple[bytes, ...], within: tuple[int, int] | None = None
) -> list[tuple[int, int]]:
    """Return where the contents of all parts lie that are reached by these names, one within the other."""
    found = [within or (0, len(data))]
    for wanted in path:
        found = [
            (begin, end)
            for outer in found
            for name, begin, end in parts(data, *outer)
            if name == wanted
        ]
    return found
