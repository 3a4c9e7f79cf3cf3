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
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from core import media_types
from core.media_types import HEAD_BYTES, MediaType, sniff
from hashing import film_tracks, outlines

__all__ = ["MOST_PARTS", "Inside", "Part", "find"]

MOST_PARTS = 16
"""Pictures and films in one file that are looked at besides what it shows, whatever lies in what."""
SMALL = 4096
"""Bytes behind the end that no known form begins with and that say nothing: cameras leave notes of their own there."""
_THUMBNAIL = "Thumbnail or cover in its metadata"
_LEAST = 64
"""Bytes of the smallest picture that shows anything."""
_PADDING = b"\0\xff \t\r\n"


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
    if form is None or form.kind not in {"image", "video"}:
        return Inside()
    parts: list[Part] = []
    unread: list[str] = []
    outlines.count_anew()
    try:
        for part in _found(data, form, unread):
            parts.append(part)
            if len(parts) > MOST_PARTS:
                break
    except outlines.TooMany:
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
    unread += _frames_beyond(data, form)
    if form is media_types.AVIF and data[8:12] != b"avis" and _has_film(data):
        # Decoders show its film or its picture, whichever its brand says: here it is asked for the film.
        yield Part("Video in it", "image", data[:8] + b"avis" + data[12:])


def _has_film(data: bytes) -> bool:
    return any(name == b"moov" for name, *_ in outlines.boxes(data))


def _frames_beyond(data: bytes, form: MediaType) -> Iterator[str]:
    """Yield what is to be said of frames that a decoder passes over, or sees a part of."""
    if form is media_types.HEIF and _has_film(data):
        yield "it holds a film besides its pictures"
    if form is media_types.GIF and outlines.is_beyond_canvas(data):
        yield "it has frames that reach beyond its canvas"
    if form is media_types.PNG:
        chunks = [(name, data[begin:end]) for name, begin, end in _animation(data)]
        told = [int.from_bytes(content[:4]) for name, content in chunks if name == b"acTL"]
        has_frames = any(name == b"fdAT" for name, _ in chunks)
        if has_frames and sum(name == b"fcTL" for name, _ in chunks) > max(told, default=-1):
            yield "it has more frames than it says"


def _animation(data: bytes) -> Iterator[film_tracks.Part]:
    for name, begin, end in outlines.chunks(data, 0, len(data)):
        if name in {b"acTL", b"fcTL", b"fdAT"}:
            yield name, begin, min(end, begin + 4)


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
        outlines.step()
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
        if (
            form is not None
            and form.kind in {"image", "video"}
            and _is_one(data, begin, place.end, form)
        ):
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


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _has_frame(data: bytes, begin: int, end: int) -> bool:
    """Return whether a JPEG's segments lead to one that describes a frame, as its length and its numbers show."""
    for marker, at, stop in outlines.segments(data, begin, end):
        if marker in _FRAMES:
            # Bits, height, width, and three bytes for each of one to four colours.
            return (
                stop - at in {9, 12, 15, 18} and data[at] in {8, 12} and any(data[at + 3 : at + 5])
            )
        if marker in {0xD9, 0xDA}:
            return False
    return False


def _end_of(data: bytes, begin: int, end: int, form: MediaType) -> int:
    """Return where a picture or film ends that begins here: at ``end`` where that cannot be told."""
    if form is media_types.JPEG:
        return next(
            (at for marker, at, _ in outlines.segments(data, begin, end) if marker == 0xD9), end
        )
    if form is media_types.PNG:
        # Cut off or broken, it ends with its last whole chunk.
        stop = begin + 8
        for name, _, each in outlines.chunks(data, begin, end):
            stop = each + 4
            if name == b"IEND":
                break
        return stop
    if form is media_types.GIF:
        return outlines.gif_end(data, begin, end)
    if form in {media_types.WEBP, media_types.AVI}:
        return outlines.riffs_end(data, begin, end)
    if form is media_types.BMP:
        return outlines.bmp_end(data, begin, end)
    if form.demuxer == "matroska":
        elements = outlines.elements(data, begin, end)
        # The header and the segment: another header begins another film.
        return max((stop for _, (_, _, stop) in zip(range(2), elements, strict=False)), default=end)
    if form.demuxer == "mov" or form in {media_types.AVIF, media_types.HEIF}:
        boxes = list(outlines.boxes(data, begin, end))
        again = [at for name, at, _ in boxes[1:] if name == b"ftyp"]
        return again[0] - 8 if again else max((stop for *_, stop in boxes), default=end)
    return end


# ── Where nobody looks ────────────────────────────────────────────────────────────────────────
def _places(data: bytes, form: MediaType) -> Iterator[_Place]:
    """Yield the places of a file that its decoder passes over, in their order."""
    size = len(data)
    if form is media_types.JPEG:
        for marker, begin, end in outlines.segments(data, 0, size):
            if marker == 0xD9:
                break
            yield _Place(begin, end)
    elif form is media_types.PNG:
        for name, begin, end in outlines.chunks(data, 0, size):
            yield _Place(begin, end)
            if name == b"IEND":
                break
    elif form in {media_types.GIF, media_types.WEBP, media_types.BMP}:
        yield _Place(12, _end_of(data, 0, size, form))
    elif form in {media_types.AVIF, media_types.HEIF}:
        for _, begin, end in outlines.boxes(data):
            yield _Place(begin, end)
    elif form is media_types.TIFF:
        # Its own pictures may be JPEGs, parts of which are none by themselves.
        if not any(tags.get(0x0103) in {6, 7} for _, tags in _directories(data)):
            yield _Place(8, size)
        return
    elif form.demuxer == "mov":
        for name, begin, end in outlines.boxes(data):
            if name != b"mdat":
                yield _Place(begin, end)
    elif form.demuxer == "matroska":
        yield from _in_segments(data)
    elif form is media_types.AVI:
        yield from _in_avi(data)
    has_end = form.picture or form.demuxer in {"mov", "matroska", "avi"} or form is media_types.HEIF
    if has_end:
        yield _Place(_end_of(data, 0, size, form), size, is_end=True)


def _in_segments(data: bytes) -> Iterator[_Place]:
    for begin, end in film_tracks.inside(outlines.elements, data, (b"\x18\x53\x80\x67",)):
        for name, start, stop in outlines.elements(data, begin, end):
            if name == b"\x19\x41\xa4\x69":
                path = (b"\x61\xa7", b"\x46\x5c")
                for part in film_tracks.inside(outlines.elements, data, path, (start, stop)):
                    yield _Place(*part, is_attachment=True)
            elif name != b"\x1f\x43\xb6\x75":
                yield _Place(start, stop)


def _in_avi(data: bytes) -> Iterator[_Place]:
    at, end = 12, outlines.riffs_end(data, 0, len(data))
    while at + 12 <= end:
        outlines.step()
        stop = min(at + 8 + int.from_bytes(data[at + 4 : at + 8], "little"), end)
        if data[at : at + 4] == b"RIFF":
            at += 12
            continue
        if data[at + 8 : at + 12] != b"movi":
            yield _Place(at, stop)
        at = stop + stop % 2


# ── Thumbnails that no beginning shows ────────────────────────────────────────────────────────
_BASE64 = re.compile(rb"/9j/(?:[A-Za-z0-9+/]|&#x[aAdD];|\s){200,}={0,2}")
_XMP_AGAIN = b"http://ns.adobe.com/xmp/extension/\0"


def _hidden(data: bytes, form: MediaType) -> Iterator[bytes]:
    """Yield thumbnails in base64 (XMP), and those without compression (Exif) as a TIFF of their own."""
    if form is media_types.JPEG:
        blocks = [
            data[b:e] for marker, b, e in outlines.segments(data, 0, len(data)) if marker == 0xE1
        ]
        # What is too long for one segment goes on in the next ones, each behind 75 bytes of heading.
        again = b"".join(each[75:] for each in blocks if each.startswith(_XMP_AGAIN))
        blocks = [each for each in blocks if not each.startswith(_XMP_AGAIN)] + [again]
    elif form is media_types.PNG:
        chunks = outlines.chunks(data, 0, len(data))
        blocks = [data[b:e] for name, b, e in chunks if name in {b"eXIf", b"iTXt", b"tEXt"}]
    elif form is media_types.WEBP:
        blocks = [
            data[b:e] for name, b, e in outlines.riff_chunks(data) if name in {b"EXIF", b"XMP "}
        ]
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


def _bare_thumbnail(exif: bytes) -> Iterator[bytes]:
    """Yield the thumbnail of the second directory, where it has no compression: begun there, the block is a TIFF."""
    for number, (at, tags) in enumerate(_directories(exif)):
        if number == 1 and 0x0111 in tags and tags.get(0x0103, 1) != 6:
            begins = at.to_bytes(4, "little" if exif[:2] == b"II" else "big")
            yield exif[:4] + begins + exif[8:]


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
            outlines.step()
            tags[number(entry, 2)] = number(entry + 8, 2)
        outlines.step()
        yield at, tags
        at = number(at + 2 + 12 * number(at, 2), 4)


def _has_further_directories(data: bytes) -> bool:
    return any(0x014A in tags for _, tags in _directories(data))
