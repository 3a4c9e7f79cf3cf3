"""Settling the colour, the orientation and the size of decoded pixels. Pillow's pictures in and out.

Every digest depends on it, so it is settled once: EXIF orientation applied; palettes, CMYK, 16-bit, 32-bit
and floating-point samples turned into 8 bits; transparency composited on white, as a chat window shows it;
pictures larger than 512 on a side averaged down to 512 x 512, as PDQ's reference program squashes them.
"""

from __future__ import annotations

import logging
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

__all__ = [
    "SIDE",
    "UnreadableColour",
    "differ",
    "orientation",
    "points",
    "small",
    "turn",
    "turns_sideways",
]

SIDE = 512
"""Longest side of what comes out."""

_POINTS = (32, 32)
_CHANGED = 1.0
"""Mean change of brightness (of 255) from which two frames of an animation are unlike: far less than changes a digest."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (tag 0x0112) to the turn that puts the picture upright."""

log = logging.getLogger(__name__)


class UnreadableColour(ValueError):
    """The picture's colour mode cannot be turned into RGB. The message is for a person."""


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8. Damaged metadata does not make the pixels unreadable."""
    try:
        value = int(image.getexif().get(0x0112, 1))
    except MemoryError:
        raise
    except Exception as failed:  # noqa: BLE001 — parsers of metadata raise anything
        log.info("damaged metadata, taken as upright: %s", type(failed).__name__)
        return 1
    return value if value in _TURNS else 1


def turns_sideways(value: int) -> bool:
    """Return whether an orientation swaps width and height."""
    return value in {5, 6, 7, 8}


def turn(image: Image.Image, value: int) -> Image.Image:
    """Return the picture put upright from an EXIF orientation."""
    return image.transpose(_TURNS[value]) if value in _TURNS else image


def small(image: Image.Image, mode: str) -> Image.Image:
    """Return the picture in ``mode`` ("RGB" or "L"), on white, at most 512 x 512.

    Raises UnreadableColour; what decoding raises passes through.
    """
    image.load()
    pixels = _even_samples(image)
    if pixels.width > SIDE or pixels.height > SIDE:
        # Transparent pixels do not bleed: Pillow multiplies by alpha before it averages.
        pixels = pixels.resize((SIDE, SIDE), Image.Resampling.BOX)
    if pixels.mode == "RGBA":
        white = Image.new("RGBA", pixels.size, (255, 255, 255, 255))
        pixels = Image.alpha_composite(white, pixels)
    if pixels.mode not in {"RGB", "L", "CMYK", "YCbCr", "RGBA", "RGBX", "HSV"}:
        raise UnreadableColour(f"its colour mode {pixels.mode} cannot be read")
    if pixels.mode not in {"RGB", "L"}:
        pixels = pixels.convert("RGB")
    return pixels if pixels.mode == mode else pixels.convert(mode)


def points(pixels: Image.Image) -> npt.NDArray[np.int16]:
    """Return what ``small`` gave as 32 x 32 grey points, to be compared by ``differ``."""
    grey = pixels if pixels.mode == "L" else pixels.convert("L")
    return np.asarray(grey.resize(_POINTS, Image.Resampling.BOX)).astype(np.int16)


def differ(before: npt.NDArray[np.int16] | None, now: npt.NDArray[np.int16] | None) -> bool:
    """Return whether a frame shows something else than the one that was hashed before; yes if there was none."""
    return before is None or now is None or float(np.abs(now - before).mean()) > _CHANGED


def _even_samples(image: Image.Image) -> Image.Image:
    """Return the picture in a mode whose samples can be averaged: no palette, 8 bits, real alpha."""
    mode = image.mode
    if mode in {"PA", "LA", "La", "RGBa"} or (
        mode in {"P", "RGB", "L", "1"} and image.info.get("transparency") is not None
    ):
        if mode == "La":
            return image.convert("LA").convert("RGBA")
        return image.convert("RGBA")
    if mode == "P":
        return image.convert("RGB")
    if mode == "1":
        return image.convert("L")
    if mode == "LAB":
        return _from_lab(image)
    if mode in {"F", "I"} or mode.startswith("I;16"):
        return _eight_bit(image)
    return image


def _from_lab(image: Image.Image) -> Image.Image:
    """Return CIELAB samples, as print shops save TIFF, as RGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    turned = ImageCms.applyTransform(
        image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"), inPlace=False
    )
    return image.convert("L") if turned is None else turned


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return samples of 16 bits, 32 bits or floating point as 8-bit grey.

    16-bit samples keep their scale. For the others the file does not say what white is: 0-1, 0-255 and
    0-65535 are taken at their word, anything else is stretched from its darkest to its lightest sample.
    """
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    low, high = cast("tuple[float, float]", image.getextrema())
    if low >= 0 and high <= 1 and image.mode == "F":
        scale, offset = 255.0, 0.0
    elif low >= 0 and high <= 255:
        scale, offset = 1.0, 0.0
    elif low >= 0 and high <= 65_535:
        scale, offset = 1 / 257, 0.0
    else:
        scale = 255.0 / ((high - low) or 1)
        offset = -low * scale
    return image.point(lambda value: value * scale + offset).convert("L")
