"""What lies in a file besides what it shows: thumbnails, covers, attachments, and whatever stands behind its end.

A decoder reads the one picture or film that a file is, and passes over the rest in silence: the thumbnail of what a
picture was before it was cropped, the film behind a phone's motion photo, a second picture behind the first one's end,
the cover of a film, a Matroska attachment. Pictures and films among these are cut out here by their beginnings, to be
looked at as files of their own; what else is of a size to hold a picture is named.

Pure: bytes in, values out; nothing is decoded. Sources: ITU-T T.81 (JPEG), Exif 2.32, TIFF 6.0, XMP part 3, PNG
(third edition), GIF89a, the WebP container, Microsoft's BMP and RIFF, ISO/IEC 14496-12 (boxes), RFC 9559 (Matroska).
"""

from __future__ import annotations

import binascii
import itertools
import re
from collections.abc import Generator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from core import media_types
from core.media_types import HEAD_BYTES, MediaType, sniff
from hashing import film_tracks

__all__ = ["MOST_PARTS", "Inside", "Part", "find"]

MOST_PARTS = 16
"""Pictures and films in one file that are looked at besides what it shows, whatever lies in what."""
SMALL = 4096
"""Bytes behind the end that no known form begins with and that say nothing: cameras leave notes of their own there."""
MOST_STEPS = 400_000
"""Pieces of a file that are walked through: one of ordinary pieces has some thousands at most."""
_steps: ContextVar[Iterator[int]] = ContextVar("steps")
_THUMBNAIL = "Thumbnail or cover in its metadata"
_LEAST = 64
"""Bytes of the smallest picture that shows anything."""
_PADDING = b"\0\xff \t\r\n"


class _TooMany(Exception):
    """The file is made of more than ``MOST_STEPS`` pieces."""


def _step() -> None:
    if next(_steps.get()) >= MOST_STEPS:
        raise _TooMany


def _few(pieces: Iterator[film_tracks.Part]) -> Iterator[film_tracks.Part]:
    for piece in pieces:
        _step()
        yield piece


def _elements(data: bytes, begin: int, end: int) -> Iterator[film_tracks.Part]:
    return _few(film_tracks.elements(data, begin, end))


@dataclass(frozen=True)
class Part:
    """A picture or film inside another file. ``where`` names it at the beginning of a sentence."""

    where: str
    kind: str
    data: bytes

    @property
    def is_thumbnail(self) -> bool:
        """Return whether it is a picture in the file's metadata: in most files it shows what they show."""
        return self.where == _THUMBNAIL


@dataclass(frozen=True)
class Inside:
    """What lies in a file besides what it shows. ``unread`` are parts of sentences: what nobody looked at."""

    parts: tuple[Part, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """A stretch of a file that its own decoder does not look at. ``is_end``: whatever is there is named."""

    begin: int
    end: int
    is_end: bool = False
    is_attachment: bool = False


def find(data: bytes) -> Inside:
    """Return what lies in a picture or film besides what it shows; nothing for other files.

    At most one more than ``MOST_PARTS`` parts. What is broken is read as far as it can be.
    """
    form = sniff(data[:HEAD_BYTES])
    if form is None or form.kind == "other":
        return Inside()
    parts: list[Part] = []
    unread: list[str] = []
    _steps.set(itertools.count())
    try:
        for part in _found(data, form, unread):
            parts.append(part)
            if len(parts) > MOST_PARTS:
                break
    except _TooMany:
        unread.append("it is made of more pieces than are looked at")
    return Inside(tuple(parts), tuple(dict.fromkeys(unread)))


def _found(data: bytes, form: MediaType, unread: list[str]) -> Iterator[Part]:
    for place in _places(data, form):
        taken = place.begin
        for begin, end, inner in _media(data, place):
            yield Part(_where(place, inner), inner.kind, data[begin:end])
            unread += _named(data, place, taken, begin)
            taken = end
        unread += _named(data, place, taken, place.end)
    for each in _hidden(data, form):
        yield Part(_THUMBNAIL, "image", each)
    if form is media_types.TIFF and _has_further_directories(data):
        unread.append("it holds further pictures in directories below its pages")
    if form is media_types.HEIF and any(name == b"moov" for name, *_ in _boxes(data)):
        unread.append("it holds a film besides its pictures")


def _where(place: _Place, inner: MediaType) -> str:
    if place.is_attachment:
        return "Attachment"
    if place.is_end:
        return "Video behind its end" if inner.kind == "video" else "Picture behind its end"
    if inner.kind == "video":
        return "Video in its metadata"
    return _THUMBNAIL


_FONTS = (b"\0\1\0\0", b"OTTO", b"ttcf", b"wOFF", b"wOF2")


def _named(data: bytes, place: _Place, begin: int, end: int) -> Iterator[str]:
    """Yield what is to be said of bytes that are no picture or film: nothing of padding and of small notes."""
    if not (place.is_end or place.is_attachment):
        return
    rest = data[begin:end].strip(_PADDING)
    if not rest:
        return
    known = sniff(rest[:HEAD_BYTES])
    is_text = known is not None and known.words == "a text"
    size = f"{len(rest):,} bytes"
    if place.is_attachment:
        if not data.startswith(_FONTS, begin, end):
            yield f"an attachment of {size} is {known.words if known else 'of no known form'}"
    elif known is not None and not is_text:
        yield f"the {size} behind its end look like {known.words}"
    elif len(rest) > SMALL:
        yield f"the {size} behind its end are {'a text' if is_text else 'of no known form'}"


# ── Pictures and films by their beginnings ────────────────────────────────────────────────────
_BEGINNINGS = {
    b"\xff\xd8\xff": 0,
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR": 0,
    b"GIF87a": 0,
    b"GIF89a": 0,
    b"WEBPVP8": 8,
    b"AVI LIST": 8,
    b"ftyp": 4,
    b"\x1a\x45\xdf\xa3": 0,
    b"FLV\x01": 0,
}
"""What is searched for, and how many bytes behind a file's beginning it stands."""


def _beginnings(data: bytes, place: _Place) -> Generator[int, int, None]:
    """Yield where in a place a picture or film may begin, in order; what is sent is where to go on."""
    at = place.begin
    places = {each: data.find(each, at, place.end) for each in _BEGINNINGS}
    while True:
        found = []
        for each, before in _BEGINNINGS.items():
            if 0 <= places[each] < at + before:
                places[each] = data.find(each, at + before, place.end)
            if places[each] >= 0:
                found.append(places[each] - before)
        if not found:
            return
        _step()
        at = yield min(found)


def _media(data: bytes, place: _Place) -> Iterator[tuple[int, int, MediaType]]:
    """Yield the pictures and films in a place: where each begins and ends, and what it is."""
    at = place.begin
    if place.is_attachment or place.is_end:
        whole = sniff(data[at : min(at + HEAD_BYTES, place.end)])
        if whole in {media_types.TIFF, media_types.BMP, media_types.MPEG_TS, media_types.MPEG_PS}:
            # Forms whose beginning is too common to be searched for.
            yield at, place.end, whole
            return
    if place.end - place.begin < _LEAST:
        return
    beginnings = _beginnings(data, place)
    begin = next(beginnings, -1)
    while begin >= 0:
        at = begin + 1
        form = sniff(data[begin : min(begin + HEAD_BYTES, place.end)])
        if form is not None and form.kind != "other" and _is_one(data, begin, place.end, form):
            at = max(_end_of(data, begin, place.end, form), at)
            yield begin, at, form
        try:
            begin = beginnings.send(at)
        except StopIteration:
            return


def _is_one(data: bytes, begin: int, end: int, form: MediaType) -> bool:
    """Return whether more than a few chance bytes say that this is a picture or film."""
    if form is media_types.JPEG:
        return _has_frame(data, begin, end)
    if form is media_types.GIF:
        return data[begin + 6 : begin + 10].count(0) < 4 and end - begin > 20
    return end - begin > 32


def _has_frame(data: bytes, begin: int, end: int) -> bool:
    """Return whether segments follow each other from a JPEG's beginning to the one that describes its frame."""
    at = begin + 2
    for _ in range(64):
        _step()
        if at + 4 > end or data[at] != 0xFF:
            return False
        if 0xC0 <= data[at + 1] <= 0xC2:
            return True
        at += 2 + max(int.from_bytes(data[at + 2 : at + 4]), 2)
    return False


def _end_of(data: bytes, begin: int, end: int, form: MediaType) -> int:
    """Return where a picture or film ends that begins here: at ``end`` where that cannot be told."""
    if form is media_types.JPEG:
        return next((at for marker, at, _ in _segments(data, begin, end) if marker == 0xD9), end)
    if form is media_types.PNG:
        chunks = _chunks(data, begin, end)
        return next((stop + 4 for name, _, stop in chunks if name == b"IEND"), end)
    if form is media_types.GIF:
        return _gif_end(data, begin, end)
    if form in {media_types.WEBP, media_types.AVI}:
        return _riffs_end(data, begin, end)
    if form is media_types.BMP:
        return _bmp_end(data, begin, end)
    if form.demuxer == "matroska":
        elements = _elements(data, begin, end)
        # The header and the segment: another header begins another film.
        return max((stop for _, (_, _, stop) in zip(range(2), elements, strict=False)), default=end)
    if form.demuxer == "mov" or form in {media_types.AVIF, media_types.HEIF}:
        boxes = list(_boxes(data, begin, end))
        again = [at for name, at, _ in boxes[1:] if name == b"ftyp"]
        return again[0] - 8 if again else max((stop for *_, stop in boxes), default=end)
    return end


# ── Where nobody looks ────────────────────────────────────────────────────────────────────────
def _places(data: bytes, form: MediaType) -> Iterator[_Place]:
    """Yield the places of a file that its decoder passes over, in their order."""
    size = len(data)
    if form is media_types.JPEG:
        for marker, begin, end in _segments(data, 0, size):
            if marker == 0xD9:
                break
            yield _Place(begin, end)
    elif form is media_types.PNG:
        for name, begin, end in _chunks(data, 0, size):
            if name not in {b"IDAT", b"fdAT"}:
                yield _Place(begin, end)
            if name == b"IEND":
                break
    elif form in {media_types.GIF, media_types.WEBP}:
        yield _Place(12, _end_of(data, 0, size, form))
    elif form in {media_types.AVIF, media_types.HEIF}:
        for name, begin, end in _boxes(data):
            if name != b"ftyp":
                yield _Place(begin, end)
    elif form is media_types.TIFF:
        # Its own pictures may be JPEGs, parts of which are none by themselves.
        if not any(tags.get(0x0103) in {6, 7} for _, tags in _directories(data)):
            yield _Place(8, size)
        return
    elif form.demuxer == "mov":
        for name, begin, end in _boxes(data):
            if name not in {b"ftyp", b"mdat", b"moof", b"sidx"}:
                yield _Place(begin, end)
    elif form.demuxer == "matroska":
        yield from _in_segments(data)
    elif form is media_types.AVI:
        yield from _in_avi(data)
    has_end = form.picture or form.demuxer in {"mov", "matroska", "avi"} or form is media_types.HEIF
    if has_end:
        yield _Place(_end_of(data, 0, size, form), size, is_end=True)


def _in_segments(data: bytes) -> Iterator[_Place]:
    for begin, end in film_tracks.inside(_elements, data, (b"\x18\x53\x80\x67",)):
        for name, start, stop in _elements(data, begin, end):
            if name == b"\x19\x41\xa4\x69":
                path = (b"\x61\xa7", b"\x46\x5c")
                for part in film_tracks.inside(_elements, data, path, (start, stop)):
                    yield _Place(*part, is_attachment=True)
            elif name != b"\x1f\x43\xb6\x75":
                yield _Place(start, stop)


def _in_avi(data: bytes) -> Iterator[_Place]:
    at, end = 12, len(data)
    while at + 12 <= end:
        _step()
        stop = min(at + 8 + int.from_bytes(data[at + 4 : at + 8], "little"), end)
        if data[at : at + 4] == b"RIFF":
            at += 12
            continue
        if data[at + 8 : at + 12] != b"movi":
            yield _Place(at + 8, stop)
        at = stop + stop % 2


# ── How forms are built ───────────────────────────────────────────────────────────────────────
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _segments(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield a JPEG's markers with where their contents begin and end; the last one is 0xD9 where it is whole."""
    at = begin + 2
    while (found := _MARKER.search(data, at, end)) is not None:
        _step()
        marker, at = data[found.end() - 1], found.end()
        if marker == 0xD9:
            yield marker, at, at
            return
        if marker in {0x01, 0xD8}:
            continue
        stop = at + int.from_bytes(data[at : at + 2])
        if stop < at + 2 or stop > end:
            return
        yield marker, at + 2, stop
        at = stop


def _chunks(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    at = begin + 8
    while at + 12 <= end:
        stop = at + 8 + int.from_bytes(data[at : at + 4])
        if stop + 4 > end:
            return
        _step()
        yield data[at + 4 : at + 8], at + 8, stop
        at = stop + 4


def _gif_end(data: bytes, begin: int, end: int) -> int:
    def colours(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    if begin + 13 > end:
        return end
    at = begin + 13 + colours(data[begin + 10])
    while at + 10 < end:
        if data[at] == 0x2C:
            at += 11 + colours(data[at + 9])
        elif data[at] == 0x21:
            at += 2
        else:
            break
        while at < end and data[at]:
            _step()
            at += 1 + data[at]
        _step()
        at += 1
    return min(at + 1, end) if at < end and data[at] == 0x3B else end


def _riffs_end(data: bytes, begin: int, end: int) -> int:
    """Return where the last of a file's RIFFs ends: a long AVI has several, each after the other."""
    at = begin
    while data[at : at + 4] == b"RIFF" and (at == begin or data[at + 8 : at + 12] == b"AVIX"):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
        if at >= end:
            return end
    return at


def _bmp_end(data: bytes, begin: int, end: int) -> int:
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


def _boxes(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[film_tracks.Part]:
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


# ── Thumbnails that no beginning shows ────────────────────────────────────────────────────────
_BASE64 = re.compile(rb"/9j/(?:[A-Za-z0-9+/]|&#x[aAdD];|\s){200,}={0,2}")
_XMP_AGAIN = b"http://ns.adobe.com/xmp/extension/\0"


def _hidden(data: bytes, form: MediaType) -> Iterator[bytes]:
    """Yield thumbnails in base64 (XMP), and those without compression (Exif) as a TIFF of their own."""
    if form is media_types.JPEG:
        blocks = [data[b:e] for marker, b, e in _segments(data, 0, len(data)) if marker == 0xE1]
        # What is too long for one segment goes on in the next ones, each behind 75 bytes of heading.
        again = b"".join(each[75:] for each in blocks if each.startswith(_XMP_AGAIN))
        blocks = [each for each in blocks if not each.startswith(_XMP_AGAIN)] + [again]
    elif form is media_types.PNG:
        chunks = _chunks(data, 0, len(data))
        blocks = [data[b:e] for name, b, e in chunks if name in {b"eXIf", b"iTXt", b"tEXt"}]
    elif form is media_types.WEBP:
        blocks = [data[b:e] for name, b, e in _riff_chunks(data) if name in {b"EXIF", b"XMP "}]
    else:
        return
    for block in blocks:
        for found in _BASE64.finditer(block):
            text = re.sub(rb"&#x[aAdD];|\s", b"", found[0]).rstrip(b"=")
            text = text[: len(text) - (len(text) % 4 == 1)]
            yield binascii.a2b_base64(text + b"=" * (-len(text) % 4))
        exif = block.removeprefix(b"Exif\0\0")
        if exif[:4] in {b"II*\0", b"MM\0*"}:
            yield from _bare_thumbnail(exif)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while at + 8 <= len(data):
        _step()
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, min(at + 8 + size, len(data))
        at += 8 + size + size % 2


def _bare_thumbnail(exif: bytes) -> Iterator[bytes]:
    """Yield the thumbnail of the second directory, where it has no compression: begun there, the block is a TIFF."""
    for number, (at, tags) in enumerate(_directories(exif)):
        if number == 1 and 0x0111 in tags and tags.get(0x0103, 1) != 6:
            order = "little" if exif[:2] == b"II" else "big"
            yield exif[:4] + at.to_bytes(4, order) + exif[8:]  # type: ignore[arg-type]


def _directories(data: bytes) -> Iterator[tuple[int, dict[int, int]]]:
    """Yield a TIFF's directories: where each begins, and its tags with their first short number."""
    is_little = data[:2] == b"II"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little" if is_little else "big")

    at, known = number(4, 4), set[int]()
    while 8 <= at < len(data) and at not in known:
        known.add(at)
        tags = {}
        for entry in range(at + 2, min(at + 2 + 12 * number(at, 2), len(data) - 11), 12):
            _step()
            tags[number(entry, 2)] = number(entry + 8, 2)
        _step()
        yield at, tags
        at = number(at + 2 + 12 * number(at, 2), 4)


def _has_further_directories(data: bytes) -> bool:
    return any(0x014A in tags for _, tags in _directories(data))
