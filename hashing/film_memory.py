"""What memory holds before a film's frames are written into it: a pattern, never a picture of before.

OpenCV hands out its buffer whether FFmpeg wrote a frame into it or not. Memory that FFmpeg is given from now on begins
as a pattern, so an unwritten frame shows nothing of this film or of another one; and the same place of a film, looked
at again with another pattern, differs exactly where nothing was written.
"""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["PATTERNS", "filled", "plain"]

PATTERNS = (0xA5, 0x5A)
_M_PERTURB = -6
"""Of glibc's mallopt(3): memory is filled when it is handed out, and when it is given back. Costs about three percent
of the time of a film. Other C libraries have nothing like it; there the first frame alone is a guess."""


def filled(pattern: int) -> None:
    """Have memory begin as ``pattern`` (1 to 255) from now on."""
    # Without the C library, or with one that knows no such thing, memory stays as it is.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_PERTURB, pattern)


def plain() -> None:
    """Have memory begin as it is again."""
    filled(0)
