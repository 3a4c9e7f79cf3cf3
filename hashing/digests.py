"""Digests of files and pictures. Values in, values out.

* MD5, SHA-1 and SHA-256 find exact copies. The first two can be forged, so a match says "listed under this
  value", which for finding known material is enough; integrity rests on SHA-256 alone.
* PDQ (256 bits, with a quality of 0-100): Meta's perceptual hash, by ``hashing.pdq``, which agrees with
  ``pdqhash`` to the bit and gives the hashes of the turned and mirrored picture as well.
* pHash, dHash and wHash (64 bits): ``imagehash`` with its defaults. wHash costs ten times the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import BinaryIO

import imagehash
import numpy as np
from PIL import Image

from hashing import pdq

__all__ = [
    "BITS",
    "LOW_QUALITY",
    "PERCEPTUAL",
    "USUAL",
    "FileDigests",
    "FrameDigests",
    "of_file",
    "of_frame",
]

LOW_QUALITY = 50
"""Below this PDQ quality a picture has too little detail for its digest to mean much (PDQ's own advice)."""

BITS = {
    "md5": 128,
    "sha1": 160,
    "sha256": 256,
    "pdq": 256,
    "phash": 64,
    "dhash": 64,
    "whash": 64,
}
"""Length of each algorithm's digest."""

PERCEPTUAL = ("pdq", "phash", "dhash", "whash")
"""What can be computed of a picture's pixels. PDQ always is."""

USUAL = frozenset({"pdq", "phash", "dhash"})
"""What is computed unless settings or a list in force ask for more."""

_IMAGEHASH = {"phash": imagehash.phash, "dhash": imagehash.dhash, "whash": imagehash.whash}
_PIECE = 1 << 18


@dataclass(frozen=True)
class FileDigests:
    """Cryptographic digests of a whole file, lower-case hex."""

    md5: str
    sha1: str
    sha256: str


@dataclass(frozen=True)
class FrameDigests:
    """Perceptual digests of one frame, lower-case hex; empty where one was not asked for.

    ``quality`` is PDQ's, 0-100. ``turned`` holds the PDQ hashes of the frame turned back from each of
    ``pdq.TURNS``: a mirrored or turned copy has the original's hash among them.
    """

    frame: int
    pdq: str
    quality: int
    phash: str = ""
    dhash: str = ""
    whash: str = ""
    turned: tuple[str, ...] = ()

    @property
    def is_low_quality(self) -> bool:
        return self.quality < LOW_QUALITY

    def values(self) -> dict[str, str]:
        """Return the digests that were computed, by algorithm."""
        found = {name: str(getattr(self, name)) for name in PERCEPTUAL}
        return {name: value for name, value in found.items() if value}


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


def of_frame(index: int, pixels: Image.Image, algorithms: Collection[str] = USUAL) -> FrameDigests:
    """Return the perceptual digests of grey or RGB pixels, at most 512 x 512 (see ``hashing.pixels``).

    ``algorithms`` are names of ``PERCEPTUAL``. Raises ValueError for pixels of another mode.
    """
    if pixels.mode not in {"L", "RGB"}:
        raise ValueError(f"pixels of mode {pixels.mode} have no digest")
    grey = pixels if pixels.mode == "L" else pixels.convert("L")
    found = pdq.compute(np.asarray(grey))
    others = {
        name: str(function(grey)) for name, function in _IMAGEHASH.items() if name in algorithms
    }
    return FrameDigests(
        frame=index,
        pdq=found.value.hex(),
        quality=found.quality,
        turned=tuple(value.hex() for value in found.turned),
        **others,
    )
