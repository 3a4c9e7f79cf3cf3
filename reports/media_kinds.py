"""Which kind of file this is, for routing to detectors. Whether it can be read is found out later."""

from __future__ import annotations

from reports.models import ItemKind

HEAD_BYTES = 64

_IMAGES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"8BPS",
)
_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}


def kind_of(declared: str, head: bytes) -> ItemKind:
    """Return the kind of a file from its first bytes, else from the declared media type.

    ``head`` holds the first ``HEAD_BYTES`` bytes (ISO/IEC 14496-12 ``ftyp`` brands, RIFF forms and
    common magic numbers). A file whose bytes say nothing is what its sender called it: a truncated or
    broken image stays an image, so that it is shown as *could not scan* and a person looks.
    """
    if head.startswith(_IMAGES):
        return ItemKind.IMAGE
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return ItemKind.IMAGE
        if head[8:12] == b"AVI ":
            return ItemKind.VIDEO
    if head[4:8] == b"ftyp":
        return ItemKind.IMAGE if head[8:12] in _IMAGE_BRANDS else ItemKind.VIDEO
    if head.startswith((b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"FLV\x01")):
        return ItemKind.VIDEO
    kind = declared.partition("/")[0].strip().lower()
    return {"image": ItemKind.IMAGE, "video": ItemKind.VIDEO}.get(kind, ItemKind.OTHER)
