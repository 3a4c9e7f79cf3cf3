"""Digests of files and pictures. Values in, values out.

* MD5, SHA-1 and SHA-256 find exact copies. The first two can be forged, so a match says "listed under this
  value", which for finding known material is enough; integrity rests on SHA-256 alone.
* PDQ (256 bits, with a quality of 0-100): Meta's perceptual hash, by ``pdqhash``.
* pHash (64 bits): ``imagehash.phash`` with its defaults.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import BinaryIO

import imagehash
import numpy as np
import pdqhash
from PIL import Image

__all__ = ["BITS", "LOW_QUALITY", "FileDigests", "FrameDigests", "of_file", "of_frame"]

LOW_QUALITY = 50
"""Below this PDQ quality a picture has too little detail for its digest to mean much (PDQ's own advice)."""

BITS = {"md5": 128, "sha1": 160, "sha256": 256, "pdq": 256, "phash": 64}
"""Length of each algorithm's digest."""

_PIECE = 1 << 18


@dataclass(frozen=True)
class FileDigests:
    """Cryptographic digests of a whole file, lower-case hex."""

    md5: str
    sha1: str
    sha256: str


@dataclass(frozen=True)
class FrameDigests:
    """Perceptual digests of one frame, lower-case hex. ``quality`` is PDQ's, 0-100."""

    frame: int
    pdq: str
    quality: int
    phash: str

    @property
    def is_low_quality(self) -> bool:
        return self.quality < LOW_QUALITY


def of_file(stream: BinaryIO) -> FileDigests:
    """Read a file to its end and return its digests. Constant memory."""
    hashes = (
        hashlib.md5(usedforsecurity=False),
        hashlib.sha1(usedforsecurity=False),
        hashlib.sha256(),
    )
    while piece := stream.read(_PIECE):
        for each in hashes:
            each.update(piece)
    return FileDigests(*(each.hexdigest() for each in hashes))


def of_frame(index: int, pixels: Image.Image) -> FrameDigests:
    """Return the perceptual digests of RGB pixels (see ``hashing.images``, which settles size and colour)."""
    bits, quality = pdqhash.compute(np.asarray(pixels))
    return FrameDigests(
        frame=index,
        pdq=np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes().hex(),
        quality=int(quality),
        phash=str(imagehash.phash(pixels)),
    )
