"""The file of one item under scan: read once and decoded once, however many detectors ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from hashing import digests, images
from hashing.digests import FileDigests, FrameDigests
from hashing.images import CannotDecode, Limits, Picture

__all__ = ["Media"]


class Media:
    """Lazy views of one file. A failed decoding is remembered: every detector hears the same reason."""

    def __init__(self, opener: Callable[[], BinaryIO], *, limits: Limits | None = None) -> None:
        self._opener = opener
        self._limits = limits or Limits()
        self._file: FileDigests | None = None
        self._picture: Picture | None = None
        self._frames: tuple[FrameDigests, ...] | None = None
        self._refused: CannotDecode | None = None

    def open(self) -> BinaryIO:
        """Return the original as a binary file. Raises VaultDamage."""
        return self._opener()

    def file_digests(self) -> FileDigests:
        """Return the digests of the whole file. Raises VaultDamage."""
        if self._file is None:
            with self.open() as stream:
                self._file = digests.of_file(stream)
        return self._file

    def picture(self) -> Picture:
        """Return the decoded picture. Raises CannotDecode, VaultDamage."""
        if self._refused is not None:
            raise self._refused
        if self._picture is None:
            try:
                with self.open() as stream:
                    self._picture = images.decode(stream, limits=self._limits)
            except CannotDecode as refused:
                self._refused = refused
                raise
        return self._picture

    def frame_digests(self) -> tuple[FrameDigests, ...]:
        """Return the perceptual digests of each decoded frame. Raises CannotDecode, VaultDamage."""
        if self._frames is None:
            self._frames = tuple(
                digests.of_frame(frame.index, frame.pixels) for frame in self.picture().frames
            )
        return self._frames

    def computed(self) -> tuple[FileDigests | None, tuple[FrameDigests, ...]]:
        """Return what some detector asked for so far; computes nothing."""
        return self._file, self._frames or ()
