"""The file of one item under scan: read once and decoded once, however many detectors ask."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from typing import BinaryIO, cast

from hashing import digests, images, videos
from hashing.digests import USUAL, FileDigests, FrameDigests
from hashing.images import CannotDecode, Limits, Picture
from hashing.videos import SEEN_EVERY, VideoLimits, Watched

__all__ = ["Media"]


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
            held, self._bytes = self._bytes, None
            limits = VideoLimits(bytes=self._limits.bytes)
            try:
                if held is not None:
                    self._watched = videos.watch(held, every=SEEN_EVERY, limits=limits)
                else:
                    with self.open() as stream:
                        self._watched = videos.watch(stream, every=SEEN_EVERY, limits=limits)
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

    def _decoded(self, *, with_pixels: bool) -> Picture:
        ask = images.decode if with_pixels else images.digest
        held, self._bytes = self._bytes, None
        try:
            if held is not None:
                return ask(held, limits=self._limits, algorithms=self._algorithms)
            with self.open() as stream:
                return ask(stream, limits=self._limits, algorithms=self._algorithms)
        except CannotDecode as refused:
            self._refused = refused
            raise
