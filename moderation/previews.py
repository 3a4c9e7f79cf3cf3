"""Drawing the safe preview of a picture: small, grey, blurred beyond recovery, without metadata.

The picture is first reduced to 28 points on its longer side and only then blown up again: what is not in those
points is gone, whatever is done to the preview later. The blur on top only removes the blocks. Values in,
values out; decoding is done by ``hashing.images``.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

__all__ = ["LONGEST", "MEDIA_TYPE", "POINTS", "Rendition", "draw_preview", "draw_strip"]

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


def draw_strip(points: Sequence[tuple[bytes, tuple[int, int], str]]) -> Rendition:
    """Return the preview of a film: its storyboard, three frames a row, each with its time.

    ``points`` holds for each frame its grey points, the film's size and the time in words. The points are
    all that is left of a frame: see ``hashing.video_frames``.
    """
    columns = min(3, len(points))
    width = LONGEST // columns
    cells = []
    for raw, size, words in points:
        grid = _fit(*size, POINTS)
        small = Image.frombytes("L", grid, raw.ljust(grid[0] * grid[1], b"\0")[: grid[0] * grid[1]])
        scale = width / grid[0]
        shape = (width, max(1, round(grid[1] * scale)))
        blurred = small.resize(shape, Image.Resampling.BICUBIC).filter(
            ImageFilter.GaussianBlur(width / POINTS * 0.6)
        )
        pen = ImageDraw.Draw(blurred)
        pen.rectangle((0, shape[1] - 14, 8 + 7 * len(words), shape[1]), fill=0)
        pen.text((4, shape[1] - 13), words, fill=255)
        cells.append(blurred)
    height = max(cell.height for cell in cells)
    rows = -(-len(cells) // columns)
    sheet = Image.new(
        "L", (width * columns + 2 * (columns - 1), height * rows + 2 * (rows - 1)), 24
    )
    for place, cell in enumerate(cells):
        sheet.paste(cell, (place % columns * (width + 2), place // columns * (height + 2)))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return Rendition(out.getvalue(), *sheet.size)


def _fit(width: int, height: int, longest: int) -> tuple[int, int]:
    scale = longest / max(width, height, 1)
    return max(1, round(width * scale)), max(1, round(height * scale))
