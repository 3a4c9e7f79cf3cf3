"""What FFmpeg complains of while it reads a film. OpenCV keeps it to itself.

OpenCV says that a frame was read when its conversion was refused, and hands out whatever lay in memory; it says that a
film is over at the first packet that cannot be decoded. FFmpeg says in its log what happened, so its log is listened
to, through the same library that OpenCV loaded. Only the levels of the messages are looked at, never their words: those
quote the file.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

__all__ = ["complaints", "is_heard", "listen"]

_ERROR = 16
"""``AV_LOG_ERROR`` of FFmpeg's libavutil/log.h; what is worse has a lower number."""

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_heard: list[int] = [0]
_kept: list[Any] = []
"""The callback that FFmpeg calls: it has to live as long as the process."""


def listen() -> None:
    """Have FFmpeg tell this process of errors from now on. OpenCV must have opened a film before, for it sets its own.

    Opens the library's file: to be called before the process is confined.
    """
    library = _library()
    if library is None or _kept:
        return
    callback = _CALLBACK(_note)
    _kept.append(callback)
    library.av_log_set_callback(callback)


def is_heard() -> bool:
    """Return whether complaints are heard here. Where they are not, no film can be called looked at."""
    return bool(_kept)


def complaints() -> int:
    """Return how many errors FFmpeg has told of so far."""
    return _heard[0]


def _note(_context: Any, level: int, _text: bytes, _arguments: Any) -> None:
    if level >= 0 and level & 0xFF <= _ERROR:  # The bits above are for colours.
        _heard[0] += 1


def _library() -> ctypes.CDLL | None:
    """Return the libavutil beside the OpenCV that was loaded: of a wheel for Linux or for macOS."""
    cv2 = sys.modules.get("cv2")
    folder = Path(str(getattr(cv2, "__file__", ""))).parent
    for beside in (folder.parent.glob("opencv_python*.libs"), folder.glob(".dylibs")):
        for libraries in beside:
            for found in sorted(libraries.glob("libavutil*")):
                return ctypes.CDLL(str(found))
    return None
