"""What a browser may be given of an original: decided by its first bytes, never by what was declared."""

from __future__ import annotations

HEAD = 64
"""How many bytes ``inline_type`` wants to see."""

_ISO_VIDEO_BRANDS = frozenset(
    {
        b"isom",
        b"iso2",
        b"iso4",
        b"iso5",
        b"iso6",
        b"mp41",
        b"mp42",
        b"avc1",
        b"M4V ",
        b"dash",
        b"MSNV",
    }
)

_ENDINGS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "video/webm": "webm",
}


def inline_type(head: bytes) -> str | None:
    """Return the media type of an original that a browser shows safely, or None.

    Pictures and films that every current browser decodes. Not SVG or PDF, which can hold programs, and
    not HEIC, which browsers do not decode.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp" and head[8:12] in _ISO_VIDEO_BRANDS:
        return "video/mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head:
        return "video/webm"
    return None


def ending(media_type: str) -> str:
    """Return the file ending for a type that ``inline_type`` returned."""
    return _ENDINGS[media_type]
