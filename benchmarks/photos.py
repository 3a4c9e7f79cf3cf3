"""Pictures for measurements, as large and as full of detail as photographs; drawn, never taken."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config.sample.pictures import draw


def photograph(seed: int, size: tuple[int, int]) -> Image.Image:
    """Return a drawn picture with detail at every scale, as the spectrum of photographs has it."""
    dice = np.random.default_rng(seed)
    width, height = size
    detail = np.zeros((height, width, 3), np.float32)
    for octave in (8, 16, 32, 64, 128, 256, 512):
        noise = dice.normal(size=(octave, octave, 3)).astype(np.float32)
        larger = np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_LINEAR), np.float32)
        detail += larger * 160 / octave**0.8
    shapes = np.asarray(draw(seed, (640, 480)).resize(size), np.float32)
    grain = dice.normal(0, 3, (height, width, 1)).astype(np.float32)
    return Image.fromarray(np.clip(shapes + detail + grain, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    """Return the picture as a JPEG, 4:2:0 as phones write it."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling=2)
    return out.getvalue()


def photographs(count: int, size: tuple[int, int]) -> list[bytes]:
    """Return ``count`` unlike JPEGs of a size: three in four full of detail, the others plain shapes."""
    return [
        jpeg(draw(seed, size) if seed % 4 == 3 else photograph(seed, size)) for seed in range(count)
    ]
