"""Drawing the safe preview of a picture: small, grey, blurred beyond recovery, without metadata.

The picture is first reduced to 28 points on its longer side and only then blown up again: what is not in those
points is gone, whatever is done to the preview later. The blur on top only removes the blocks. Values in,
values out; decoding is done by ``hashing.images``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageFilter

__all__ = ["LONGEST", "MEDIA_TYPE", "POINTS", "Rendition", "draw_preview"]

LONGEST = 480
"""Longer side of a preview in pixels."""

POINTS = 28
"""Points on the longer side that survive: enough for "two shapes, one dark", too few for a face."""

MEDIA_TYPE = "image/jpeg"
_QUALITY = 60


@dataclass(frozen=True)
class Rendition:
    """A preview as a JPEG with one grey channel."""

    data: bytes
    width: int
    height: int


def draw_preview(pixels: Image.Image, *, width: int, height: int) -> Rendition:
    """Return the preview of RGB pixels; ``width`` and ``height`` are the original's and give its shape.

    The pixels themselves may be squashed (``hashing.images`` does that to large pictures).
    """
    grid = _fit(width, height, POINTS)
    size = _fit(width, height, LONGEST)
    grey = pixels.convert("L").resize(grid, Image.Resampling.BOX)
    blurred = grey.resize(size, Image.Resampling.BICUBIC).filter(
        ImageFilter.GaussianBlur(LONGEST / POINTS * 0.6)
    )
    # A new picture of its pixels alone: ``info`` of the old one could carry metadata into the file.
    clean = Image.frombytes("L", blurred.size, blurred.tobytes())
    out = io.BytesIO()
    clean.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return Rendition(out.getvalue(), *size)


def _fit(width: int, height: int, longest: int) -> tuple[int, int]:
    scale = longest / max(width, height, 1)
    return max(1, round(width * scale)), max(1, round(height * scale))
