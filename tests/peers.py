"""What others say of a film: every frame decoded by PyAV, and hashed by the reference's own PDQ, one a second.

Independent of Holdfast's decoder, picking and hashing: the way in which peers make the lists that they share.
"""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pdqhash
from PIL import Image

from tests import clips

__all__ = ["RATES", "each_second", "lively", "variable", "vpdq_json"]

RATES = (24, 25, 30, 50, 60)
Listed = list[tuple[float, str, int]]
"""Seconds, PDQ hash in hex, quality."""


def each_second(film: bytes) -> Listed:
    """Return the hash of the first frame of each second, as vPDQ makes them by default."""
    found: Listed = []
    with av.open(io.BytesIO(film)) as opened:
        for frame in opened.decode(video=0):
            at = float(frame.time or 0)
            if not found or int(at + 0.001) > int(found[-1][0] + 0.001):
                bits, quality = pdqhash.compute(frame.to_ndarray(format="rgb24"))
                found.append((at, np.packbits(bits.astype(np.uint8)).tobytes().hex(), int(quality)))
    return found


def vpdq_json(listed: Listed) -> list[str]:
    """Return the hashes as vPDQ's files hold them."""
    return [f"{value},{quality},{at:.3f}" for at, value, quality in listed]


def lively(
    rate: int, seconds: float = 6, seed: int = 1, size: tuple[int, int] = (320, 180)
) -> list[Image.Image]:
    """Return the frames of a film in which a quarter of a second makes another picture."""
    return list(clips.frames(seed, seconds, rate=rate, size=size, scene=0.9))


def variable(seed: int = 1) -> bytes:
    """Return a film of a variable frame rate: 10 a second for three seconds, then 50."""
    shots = lively(50, seed=seed)
    times = [*range(0, 150, 5), *range(150, 300)]
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=50)
        stream.width, stream.height = shots[0].size
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast"}
        stream.codec_context.time_base = Fraction(1, 50)
        stream.codec_context.thread_count = 1
        for at in times:
            frame = av.VideoFrame.from_ndarray(np.asarray(shots[at].convert("RGB")), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 50)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return out.getvalue()
