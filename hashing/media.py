"""The file of one item under scan: read once and decoded once, however many detectors ask."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, cast

from hashing import digests, images, videos
from hashing.digests import USUAL, FileDigests, FrameDigests
from hashing.images import CannotDecode, Limits, Picture
from hashing.inside import MOST_PARTS, Inside, Part, find
from hashing.videos import SEEN_EVERY, VideoLimits, Watched

__all__ = ["INSIDE_SECONDS", "Media"]

INSIDE_SECONDS = 10.0
"""How long may be looked at all that lies in a file besides what it shows."""
DEEPEST = 3
"""How deep pictures within pictures within pictures are looked at."""
KEPT_BYTES = 16 * 1024 * 1024


class _Joined(io.RawIOBase):
    """Some bytes, and the rest of the stream that they were read from."""

    def __init__(self, beginning: bytes, rest: BinaryIO) -> None:
        self._beginning: bytes | None = beginning
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        if self._beginning is not None:
            beginning, self._beginning = self._beginning, None
            return beginning
        return self._rest.read(size)


@dataclass
class _Allowance:
    """What may still be looked at in a file besides what it shows, however it lies in each other."""

    parts: int = MOST_PARTS
    until: float | None = None

    def seconds(self) -> float:
        """Return how much time is left. The first to ask begins it."""
        if self.until is None:
            self.until = time.monotonic() + INSIDE_SECONDS
        return self.until - time.monotonic()


class Media:
    """Lazy views of one file. A failed decoding is remembered: every detector hears the same reason.

    ``algorithms`` are the perceptual digests to compute (``digests.PERCEPTUAL``). With ``needs_pixels`` the
    first decoding brings pixels along; without, digests alone are asked for, which is twice as quick, and
    a detector that wants pixels after all costs a second decoding.
    """

    def __init__(
        self,
        opener: Callable[[], BinaryIO],
        *,
        limits: Limits | None = None,
        algorithms: Collection[str] = USUAL,
        needs_pixels: bool = False,
    ) -> None:
        self._opener = opener
        self._limits = limits or Limits()
        self._algorithms = algorithms
        self._needs_pixels = needs_pixels
        self._file: FileDigests | None = None
        self._facts: Picture | None = None
        self._picture: Picture | None = None
        self._refused: CannotDecode | None = None
        self._bytes: bytes | None = None
        self._watched: Watched | None = None
        self._inside: Inside | None = None
        self._allowance = _Allowance()
        self._depth = 0

    def open(self) -> BinaryIO:
        """Return the original as a binary file. Raises VaultDamage."""
        return self._opener()

    def file_digests(self) -> FileDigests:
        """Return the digests of the whole file. Raises VaultDamage.

        A file of ordinary size stays in memory until it is decoded: decrypting it again would cost more.
        """
        if self._file is None:
            with self.open() as stream:
                beginning = stream.read(KEPT_BYTES)
                self._file = digests.of_file(cast(BinaryIO, _Joined(beginning, stream)))
            if self._facts is None and len(beginning) < KEPT_BYTES:
                self._bytes = beginning
        return self._file

    def facts(self) -> Picture:
        """Return what is known of the picture; its frames hold digests, and maybe no pixels.

        Raises CannotDecode, VaultDamage.
        """
        if self._refused is not None:
            raise self._refused
        if self._facts is None:
            self._facts = self._decoded(with_pixels=self._needs_pixels)
        return self._facts

    def picture(self) -> Picture:
        """Return the decoded picture with RGB pixels. Raises CannotDecode, VaultDamage."""
        if self._needs_pixels:
            return self.facts()
        if self._refused is not None:
            raise self._refused
        if self._picture is None:
            self._picture = self._decoded(with_pixels=True)
        return self._picture

    def video(self) -> Watched:
        """Return what watching the file as a video came to. Raises CannotDecode, VaultDamage."""
        if self._refused is not None:
            raise self._refused
        if self._watched is None:
            limits = VideoLimits(bytes=self._limits.bytes)
            if self._depth:
                limits = replace(limits, seconds=self._limits.seconds)
            try:
                self._watched = videos.watch(self._taken(), every=SEEN_EVERY, limits=limits)
            except CannotDecode as refused:
                self._refused = refused
                raise
        return self._watched

    def frame_digests(self) -> tuple[FrameDigests, ...]:
        """Return the perceptual digests of each decoded frame. Raises CannotDecode, VaultDamage."""
        return self.facts().digests

    def computed(self) -> tuple[FileDigests | None, tuple[FrameDigests, ...]]:
        """Return what some detector asked for so far; computes nothing."""
        if self._watched is not None:
            # Twice a second is enough for what is kept: ``frame`` is then the time in milliseconds.
            kept = {frame.at_ms // 500: frame.digests for frame in reversed(self._watched.frames)}
            return self._file, tuple(kept[half] for half in sorted(kept))
        return self._file, self._facts.digests if self._facts is not None else ()

    def watched(self) -> Watched | None:
        """Return what watching came to, if some detector asked for it; watches nothing."""
        return self._watched

    def inside(self) -> Inside:
        """Return what lies in the file besides what it shows. Raises VaultDamage."""
        if self._inside is None:
            self._taken()
        return self._inside or Inside()

    def parts(self) -> Iterator[tuple[Part, Media | None]]:
        """Yield the pictures and films that lie in the file besides what it shows, to be looked at like files.

        None for one that is not to be looked at: there are too many, they took too long or lie too deep. Raises VaultDamage.
        """
        for part in self.inside().parts:
            self._allowance.parts -= 1
            left = self._allowance.seconds()
            if self._depth >= DEEPEST or self._allowance.parts < 0 or left <= 0:
                yield part, None
                continue
            media = Media(
                partial(io.BytesIO, part.data),
                limits=replace(self._limits, seconds=min(self._limits.seconds, max(left, 1))),
                algorithms=self._algorithms,
            )
            media._allowance, media._depth = self._allowance, self._depth + 1
            yield part, media

    def _taken(self) -> bytes:
        """Return the file's bytes, a byte more than is looked at if it has too many, and keep what lies in it."""
        held, self._bytes = self._bytes, None
        if held is None:
            with self.open() as stream:
                held = images.read(stream, self._limits.bytes)
        if self._inside is None:
            is_too_large = len(held) > self._limits.bytes
            self._inside = Inside() if is_too_large else find(held)
        return held

    def _decoded(self, *, with_pixels: bool) -> Picture:
        ask = images.decode if with_pixels else images.digest
        try:
            return ask(self._taken(), limits=self._limits, algorithms=self._algorithms)
        except CannotDecode as refused:
            self._refused = refused
            raise
