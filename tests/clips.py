"""Drawn clips for tests and measurements: shapes that move over drawn pictures. None is stored."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageOps

from config.sample.pictures import draw

__all__ = ["clip", "encode", "frames", "unhurried"]

Frames = Iterable[Image.Image]
SIZE = (640, 360)


@contextmanager
def unhurried() -> Iterator[None]:
    """Give the thread back its scheduling afterwards: as root, SVT-AV1 takes real-time priority for whoever encodes.

    Left so, each program that is started later runs before everything else on the machine. A Chromium that
    waits in a loop for a thread of its own then waits for ever, on both processors.
    """
    before, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, parameters)


def frames(
    seed: int, seconds: float, *, rate: int = 12, size: tuple[int, int] = SIZE, scene: float = 2.5
) -> Iterator[Image.Image]:
    """Yield the frames of a film of drawn scenes, each a slow move over a drawn picture."""
    width, height = size
    for number in range(round(seconds * rate)):
        at = number / rate
        place, within = divmod(at, scene)
        page = _page(seed * 1000 + int(place), (width * 5 // 4, height * 5 // 4))
        left = round((page.width - width) * within / scene)
        top = round((page.height - height) * (1 - within / scene))
        yield page.crop((left, top, left + width, top + height))


_pages: dict[tuple[int, tuple[int, int]], Image.Image] = {}


def _page(seed: int, size: tuple[int, int]) -> Image.Image:
    if (seed, size) not in _pages:
        if len(_pages) > 60:
            _pages.clear()
        _pages[seed, size] = draw(seed, size)
    return _pages[seed, size]


def encode(
    pictures: Frames,
    *,
    rate: int = 12,
    codec: str = "libx264",
    quality: int = 23,
    container: str = "mp4",
    each: Callable[[Image.Image], Image.Image] | None = None,
) -> bytes:
    """Return pictures as a film; ``each`` changes every one before."""
    out = io.BytesIO()
    with unhurried(), av.open(out, "w", format=container) as film:
        stream = None
        for number, picture in enumerate(pictures):
            shown = each(picture) if each else picture
            if stream is None:
                stream = film.add_stream(codec, rate=rate)
                stream.width, stream.height = shown.width // 2 * 2, shown.height // 2 * 2
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
                if codec.startswith("libx26"):
                    stream.options = {"crf": str(quality), "preset": "veryfast"}
            frame = av.VideoFrame.from_ndarray(
                np.asarray(shown.convert("RGB").crop((0, 0, stream.width, stream.height))),
                format="rgb24",
            )
            frame.pts, frame.time_base = number, Fraction(1, rate)
            film.mux(stream.encode(frame))  # type: ignore[arg-type]
        if stream is not None:
            film.mux(stream.encode(None))
    return out.getvalue()


def clip(seed: int, seconds: float = 10, **said: object) -> bytes:
    """Return a drawn film."""
    return encode(frames(seed, seconds), **said)  # type: ignore[arg-type]


def letterboxed(picture: Image.Image) -> Image.Image:
    """Return the picture between black bars above and below."""
    return ImageOps.expand(picture, (0, picture.height // 6), "black")
