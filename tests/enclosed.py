"""Files in which other files lie: drawn pictures and films as thumbnails, covers, attachments, and behind an end."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from zlib import crc32

import av
from PIL import Image

from config.sample.pictures import encode
from hashing.film_tracks import elements
from tests import clips, pictures

__all__ = ["ENCLOSED", "attached", "drawn", "shown_by", "tiny", "trimmed"]


def drawn(seed: int) -> Image.Image:
    """Return a drawn picture of the size of a small film."""
    return Image.open(io.BytesIO(pictures.jpeg(seed, (320, 240)))).convert("RGB")


def tiny(seed: int) -> bytes:
    """Return a drawn picture as a camera's thumbnail: 160 x 120."""
    return encode(drawn(seed).resize((160, 120)))


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _in_jpeg(outer: bytes, marker: int, body: bytes) -> bytes:
    return outer[:2] + _segment(marker, body) + outer[2:]


def _exif(tags: list[tuple[int, int, int, int]], data: bytes) -> bytes:
    """Return an Exif block whose second directory has these tags, with ``data`` at 200."""
    entries = b"".join(struct.pack("<HHLL", *each) for each in tags)
    block = b"II*\0" + struct.pack("<LHL", 8, 0, 14) + struct.pack("<H", len(tags)) + entries
    return b"Exif\0\0" + block.ljust(200, b"\0") + data


def _with_thumbnail(outer: bytes, inner: int) -> bytes:
    small = tiny(inner)
    tags = [(0x0103, 3, 1, 6), (0x0201, 4, 1, 200), (0x0202, 4, 1, len(small))]
    return _in_jpeg(outer, 0xE1, _exif(tags, small))


def _with_bare_thumbnail(outer: bytes, inner: int) -> bytes:
    grey = drawn(inner).convert("L").resize((160, 120))
    size = 160 * 120
    tags = [(0x0100, 4, 1, 160), (0x0101, 4, 1, 120), (0x0102, 3, 1, 8), (0x0103, 3, 1, 1)]
    tags += [(0x0106, 3, 1, 1), (0x0111, 4, 1, 200), (0x0115, 3, 1, 1), (0x0116, 4, 1, 120)]
    return _in_jpeg(outer, 0xE1, _exif([*tags, (0x0117, 4, 1, size)], grey.tobytes()))


def _with_xmp(outer: bytes, inner: int) -> bytes:
    text = base64.b64encode(tiny(inner)).replace(b"A", b"A&#xA;")
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x><xmpGImg:image>" + text + b"</xmpGImg:image></x>"
    return _in_jpeg(outer, 0xE1, xmp)


def film_of(seed: int, seconds: float = 1.5) -> bytes:
    """Return a film that shows a drawn picture."""
    return clips.encode([drawn(seed)] * round(12 * seconds))


def attached(film: bytes, data: bytes) -> bytes:
    """Return a Matroska film with a file attached: RFC 9559, section 5.1.6."""

    def element(name: bytes, body: bytes) -> bytes:
        return name + b"\x01" + len(body).to_bytes(7) + body

    (_, _, head), (_, begin, end) = list(elements(film, 0, len(film)))[:2]
    file = element(b"\x46\x6e", b"a") + element(b"\x46\x60", b"b") + element(b"\x46\x5c", data)
    attachments = element(b"\x19\x41\xa4\x69", element(b"\x61\xa7", file))
    return film[:head] + element(b"\x18\x53\x80\x67", film[begin:end] + attachments)


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">L4s", len(body) + 8, name) + body


def _with_cover(film: bytes, data: bytes) -> bytes:
    """Return an MP4 with a cover, in a description of its own: what players read is the same wherever it stands."""
    item = _box(b"covr", _box(b"data", struct.pack(">LL", 13, 0) + data))
    return film + _box(b"udta", _box(b"meta", bytes(4) + _box(b"ilst", item)))


def trimmed(seed: int, then: int) -> bytes:
    """Return an MP4 whose first second, a drawn picture, an edit list tells players to leave out."""
    whole = clips.encode([drawn(seed)] * 12 + [drawn(then)] * 24)
    out = io.BytesIO()
    with av.open(io.BytesIO(whole)) as given, av.open(out, "w", format="mp4") as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        for packet in given.demux(stream):
            if packet.dts is None:
                continue
            shift = round(1 / float(packet.time_base or 1))
            packet.pts, packet.dts, packet.stream = (
                (packet.pts or 0) - shift,
                packet.dts - shift,
                copy,
            )
            made.mux(packet)
    return out.getvalue()


def shown_by(outer: int) -> bytes:
    """Return the picture that the files of ENCLOSED show, which nobody listed."""
    return encode(drawn(outer))


ENCLOSED: dict[str, Callable[[int, int], bytes]] = {
    "Exif thumbnail": lambda outer, inner: _with_thumbnail(shown_by(outer), inner),
    "Exif thumbnail without compression": lambda outer, inner: _with_bare_thumbnail(
        shown_by(outer), inner
    ),
    "XMP thumbnail": lambda outer, inner: _with_xmp(shown_by(outer), inner),
    "two JPEGs": lambda outer, inner: shown_by(outer) + shown_by(inner),
    "motion photo": lambda outer, inner: shown_by(outer) + b"MotionPhoto_Data" + film_of(inner),
    "behind a PNG": lambda outer, inner: encode(drawn(outer), "PNG") + shown_by(inner),
    "behind a GIF": lambda outer, inner: encode(drawn(outer), "GIF") + encode(drawn(inner), "PNG"),
    "behind a WebP": lambda outer, inner: (
        encode(drawn(outer), "WEBP") + encode(drawn(inner), "WEBP")
    ),
    "behind a BMP": lambda outer, inner: encode(drawn(outer), "BMP") + shown_by(inner),
    "behind an AVIF": lambda outer, inner: encode(drawn(outer), "AVIF") + shown_by(inner),
    "in a TIFF": lambda outer, inner: encode(drawn(outer), "TIFF") + shown_by(inner),
    "in a PNG": lambda outer, inner: _in_png(encode(drawn(outer), "PNG"), tiny(inner)),
    "Matroska attachment": lambda outer, inner: attached(
        clips.encode([drawn(outer)] * 12, container="matroska"), shown_by(inner)
    ),
    "MP4 cover": lambda outer, inner: _with_cover(film_of(outer), shown_by(inner)),
    "behind an MP4": lambda outer, inner: film_of(outer) + shown_by(inner),
    "behind an AVI": lambda outer, inner: (
        clips.encode([drawn(outer)] * 12, codec="mpeg4", container="avi") + shown_by(inner)
    ),
    "edit list": lambda outer, inner: trimmed(inner, outer),
}
"""Files that show the drawn picture of the first number, and hold that of the second one besides."""


def _in_png(outer: bytes, data: bytes) -> bytes:
    body = b"prIv" + data
    return outer[:33] + struct.pack(">L", len(data)) + body + crc32(body).to_bytes(4) + outer[33:]
