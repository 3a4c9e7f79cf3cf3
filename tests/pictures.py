"""Drawn pictures for tests, good ones and hostile ones. All of them are made here, none is stored."""

from __future__ import annotations

import io
import struct
import zlib

import pillow_heif
from PIL import Image

from config.sample.pictures import draw, encode, variants

__all__ = [
    "animated_gif",
    "animated_png",
    "bomb_png",
    "draw",
    "empty",
    "encode",
    "float_tiff",
    "heic",
    "jpeg",
    "large_png",
    "not_a_picture",
    "sixteen_bit_png",
    "transparent_png",
    "truncated_jpeg",
    "variants",
    "with_metadata",
]


def jpeg(seed: int = 1, size: tuple[int, int] = (640, 480)) -> bytes:
    """Return a drawn JPEG."""
    return encode(draw(seed, size))


def truncated_jpeg(seed: int = 1) -> bytes:
    """Return the first 60 % of a JPEG."""
    whole = jpeg(seed)
    return whole[: len(whole) * 6 // 10]


def empty() -> bytes:
    """Return a file of zero bytes."""
    return b""


def not_a_picture() -> bytes:
    """Return a document that calls itself a picture."""
    return b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb_png(width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a PNG of a few hundred bytes that claims 3.6 thousand million pixels."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes(100_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    )


def large_png(side: int = 7_900) -> bytes:
    """Return a PNG just within the limit of pixels, whose rows are all the same (a small file)."""
    row = b"\x00" + b"\x40\x80\xc0" * side
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    )


def _frames(count: int, seed: int, listed: tuple[int, Image.Image] | None) -> list[Image.Image]:
    frames = [draw(seed + number, (320, 240)) for number in range(count)]
    if listed is not None:
        at, image = listed
        frames[at] = image.resize((320, 240))
    return frames


def animated_gif(
    count: int = 6, seed: int = 900, *, listed: tuple[int, Image.Image] | None = None
) -> bytes:
    """Return a GIF of ``count`` unlike frames; ``listed`` puts a picture at a frame number."""
    first, *rest = [frame.quantize(128) for frame in _frames(count, seed, listed)]
    return encode(first, "GIF", save_all=True, append_images=rest, duration=80, loop=0)


def animated_png(count: int = 4, seed: int = 950) -> bytes:
    """Return an APNG of ``count`` unlike frames."""
    first, *rest = _frames(count, seed, None)
    return encode(first, "PNG", save_all=True, append_images=rest, duration=80)


def sixteen_bit_png(image: Image.Image) -> bytes:
    """Return the picture as a grey PNG of 16 bits a sample."""
    grey = image.convert("L")
    samples = b"".join(struct.pack("<H", value * 257) for value in grey.tobytes())
    out = io.BytesIO()
    Image.frombytes("I;16", grey.size, samples).save(out, "PNG")
    return out.getvalue()


def float_tiff(image: Image.Image) -> bytes:
    """Return the picture as a grey TIFF of floating-point samples from 0 to 1."""
    return encode(image.convert("L").convert("F").point(lambda value: value * (1 / 255)), "TIFF")


def heic(image: Image.Image) -> bytes:
    """Return the picture as phones save it: HEVC in a HEIF file."""
    out = io.BytesIO()
    pillow_heif.from_pillow(image.convert("RGB")).save(out, quality=90)
    return out.getvalue()


def transparent_png(image: Image.Image) -> bytes:
    """Return the picture on a transparent ground: its outer tenth is clear, and black below."""
    width, height = image.size
    clear = Image.new("RGBA", image.size, (0, 0, 0, 0))
    inner = (width // 10, height // 10, width * 9 // 10, height * 9 // 10)
    clear.paste(image.crop(inner).convert("RGBA"), inner[:2])
    return encode(clear, "PNG")


MARKER = b"marker-of-metadata"


def with_metadata(image: Image.Image) -> bytes:
    """Return a JPEG with EXIF (a place and a camera), a comment and an ICC profile that hold a marker."""
    exif = Image.Exif()
    exif[0x010F] = MARKER.decode()
    exif[0x0132] = "2026:01:02 03:04:05"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (51.0, 30.0, 0.0)
    return encode(image, exif=exif, comment=MARKER, icc_profile=MARKER * 20)
