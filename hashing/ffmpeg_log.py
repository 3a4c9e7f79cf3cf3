"""What FFmpeg says while it reads a film. OpenCV keeps it to itself.

OpenCV says that a frame was read when its conversion was refused, and hands out whatever lay in memory; it says that a
film is over at the first packet that cannot be decoded; and it never says that a frame's colours were turned into
others. FFmpeg says in its log what happened, so its log is listened to, through the same library that OpenCV loaded. Of
the messages only the level counts, and whether it is one of FFmpeg's own sentences: what they quote of the file is never
looked at.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

__all__ = ["complaints", "is_heard", "listen", "mappings"]

_ERROR = 16
"""``AV_LOG_ERROR`` of FFmpeg's libavutil/log.h; what is worse has a lower number."""
_FROM_RGB = b"Forcing full internal H chroma due to input having non subsampled chroma"
"""How libswscale's converter begins on a picture that is not yet ordinary YUV: one of 4:4:4, or one in RGB."""

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_heard: list[int] = [0, 0]
_kept: list[Any] = []
"""The library and the callback that FFmpeg calls: they have to live as long as the process."""


def listen() -> None:
    """Have FFmpeg tell this process of errors from now on. OpenCV must have opened a film before, for it sets its own.

    Opens the library's file: to be called before the process is confined.
    """
    if _kept:
        return
    library = _library()
    if library is None:
        return
    library.av_get_pix_fmt_name.restype = ctypes.c_char_p
    callback = _CALLBACK(_note)
    _kept.extend((library, callback))
    library.av_log_set_callback(callback)


def is_heard() -> bool:
    """Return whether FFmpeg is heard here. Where it is not, no film can be called looked at."""
    return bool(_kept)


def complaints() -> int:
    """Return how many errors FFmpeg has told of so far."""
    return _heard[0]


def mappings() -> int:
    """Return how often so far FFmpeg set out to turn colours into others: of HDR films, and of a wide gamut.

    It does so by way of RGB of 16 bits, which no decoder that is allowed here gives.
    """
    return _heard[1]


def _note(context: int | None, level: int, text: bytes, _arguments: Any) -> None:
    if level < 0:
        return
    if level & 0xFF <= _ERROR:  # The bits above are for colours.
        _heard[0] += 1
    elif context and text.startswith(_FROM_RGB) and _source(context).startswith(b"rgb"):
        _heard[1] += 1


def _source(context: int) -> bytes:
    """Return FFmpeg's name of the pixels that a converter (a ``SwsContext``) reads, or nothing."""
    found = ctypes.c_int(-1)
    asked = _kept[0].av_opt_get_pixel_fmt(
        ctypes.c_void_p(context), b"src_format", 0, ctypes.byref(found)
    )
    return (_kept[0].av_get_pix_fmt_name(found) or b"") if asked >= 0 else b""


def _library() -> ctypes.CDLL | None:
    """Return the libavutil beside the OpenCV that was loaded: of a wheel for Linux or for macOS."""
    cv2 = sys.modules.get("cv2")
    folder = Path(str(getattr(cv2, "__file__", ""))).parent
    for beside in (folder.parent.glob("opencv_python*.libs"), folder.glob(".dylibs")):
        for libraries in beside:
            for found in sorted(libraries.glob("libavutil*")):
                return ctypes.CDLL(str(found))
    return None
