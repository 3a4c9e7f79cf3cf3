"""PDQ as two matrix products. Values in, values out.

Source: Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (2019), section
2, and the reference program of the same authors. Everything before the median is linear in the pixels:

    luma ──box filter, twice along each axis──▶ 64 x 64 samples ──DCT──▶ 16 x 16 coefficients ──median──▶ bits

Filtering and sampling along one axis are one 64 x n matrix, so the 64 x 64 samples of a picture of n x m
pixels are ``P_n @ luma @ P_m.T``: half a millisecond for 512 x 512 where running sums in floating point
take several.

The eight turned and mirrored hashes come from the same two products, with the matrices' columns reversed
beside them. The reference turns coefficients instead, which is off by 10 to 20 of 256 bits: PDQ samples at
4, 12, 20 … and not symmetrically. These here are exactly the hashes of the turned picture.

Rounding differs from running sums in the last place, which can flip a bit whose coefficient lies at the
median; ``benchmarks/digesting.py`` prints how often.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

__all__ = ["TURNS", "Pdq", "compute"]

_SAMPLES = 64
_SIDE = 16
_PASSES = 2

TURNS = (
    "turned 90° right",
    "turned upside down",
    "turned 90° left",
    "mirrored top to bottom",
    "mirrored left to right",
    "mirrored along one diagonal",
    "mirrored along the other diagonal",
)
"""How a copy was turned, in words, when its ``Pdq.turned[i]`` is the hash of the original."""


class Pdq(NamedTuple):
    """A PDQ hash of 32 bytes and its quality from 0 to 100.

    ``turned`` holds the hashes of the picture turned back from each of ``TURNS``.
    """

    value: bytes
    quality: int
    turned: tuple[bytes, ...]


def compute(luma: npt.NDArray[np.uint8]) -> Pdq:
    """Return the PDQ hash of a picture's luma (rows x columns, 8 bits, at most 512 on a side).

    The quality counts gradients between neighbouring samples: a picture with little detail has a hash that
    fits many such pictures; PDQ's authors advise to drop hashes below 50. Raises ValueError when the
    array is no picture.
    """
    if luma.ndim != 2 or not luma.size or luma.dtype != np.uint8:
        raise ValueError("luma must be a two-dimensional array of 8-bit samples that is not empty")
    rows, columns = luma.shape
    grid = (_both_ways(columns) @ (_both_ways(rows) @ luma.astype(np.float32)).T).T
    plain = grid[:_SAMPLES, :_SAMPLES]
    across = grid[:_SAMPLES, _SAMPLES:]
    down = grid[_SAMPLES:, :_SAMPLES]
    both = grid[_SAMPLES:, _SAMPLES:]
    return Pdq(
        _bits(plain),
        _quality(plain),
        tuple(_bits(each) for each in (across.T, both, down.T, down, across, plain.T, both.T)),
    )


@functools.lru_cache(maxsize=64)
def _both_ways(length: int) -> csr_matrix:
    """Return the 128 x ``length`` matrix that samples an axis forwards (64 rows) and backwards.

    Sparse: each sample rests on two box windows, seven points for a side of 512.
    """
    forwards = _sampler(length)
    return csr_matrix(np.concatenate([forwards, forwards[:, ::-1]]))


def _sampler(length: int) -> npt.NDArray[np.float32]:
    """Return the 64 x ``length`` matrix of two box filters and the sampling along one axis."""
    window = (length + 2 * _SAMPLES - 1) // (2 * _SAMPLES)
    box = np.zeros((length, length))
    ahead = (window + 2) // 2 - 1
    for at in range(length):
        first, last = max(0, at + ahead - window + 1), min(length - 1, at + ahead)
        box[at, first : last + 1] = 1 / (last - first + 1)
    smooth = np.linalg.matrix_power(box, _PASSES)
    chosen = [int((at + 0.5) * length / _SAMPLES) for at in range(_SAMPLES)]
    return np.ascontiguousarray(smooth[chosen], dtype=np.float32)


@functools.lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float32]:
    """Return the 16 x 64 matrix of the DCT-II, without the constant term."""
    row = np.arange(1, _SIDE + 1)[:, None]
    column = 2 * np.arange(_SAMPLES)[None, :] + 1
    waves = np.sqrt(2 / _SAMPLES) * np.cos(np.pi / 2 / _SAMPLES * row * column)
    return waves.astype(np.float32)


def _quality(samples: npt.NDArray[np.float32]) -> int:
    down = np.abs(((samples[:-1] - samples[1:]) * 100 / 255).astype(np.int32)).sum()
    across = np.abs(((samples[:, :-1] - samples[:, 1:]) * 100 / 255).astype(np.int32)).sum()
    return min(100, int(down + across) // 90)


def _bits(samples: npt.NDArray[np.float32]) -> bytes:
    """Return 256 bits: which coefficients are above the median. The last one comes first, as PDQ writes it."""
    cosines = _cosines()
    flat = (cosines @ samples @ cosines.T).ravel()
    middle = np.partition(flat, len(flat) // 2 - 1)[len(flat) // 2 - 1]
    return np.packbits((flat > middle)[::-1]).tobytes()
