"""Walking through a video and picking frames: the decoder's half, values in, values out.

OpenCV reads the file from memory through FFmpeg; nothing is written to disk. Every frame has to be decoded,
since most are differences to others, but only those that are picked are converted.

Picked is a frame every so often, and besides whatever begins a new scene. A frame with black bars is
given without them as well: a copy inside bars is then found, and so is a copy of a listed video that had bars.
"""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hashing import ffmpeg_log, film_memory, film_tracks

__all__ = [
    "DECODERS",
    "LOOKS",
    "POINTS",
    "SIDE",
    "TINY",
    "UNSEEN",
    "Picked",
    "Picks",
    "Unwatchable",
    "between_bars",
    "step_of",
    "untold",
    "walk",
    "warm",
]

SIDE = 512
POINTS = 28
"""Points on the longer side of a storyboard's frame: see ``moderation.previews``, which draws it."""
SCENE = 0.12
"""Mean change of brightness (of 1) between two looks that begins a new scene."""
LOOKS = 4.0
"""Looks a second: picking needs a converted frame, which costs half as much as decoding it."""
UNSEEN = 64
"""Frames in a row that are not looked at: no film has more in a quarter of a second, unless its times are false."""
TINY = 32
"""Points on either side of what is compared to tell whether a new scene began."""
BAR = 22
"""Brightness (of 255) up to which an edge counts as a black bar, with room for a codec's noise."""
SMALLEST_PICTURE = 0.4
"""Share of either side that must remain between bars."""
HOLE = 500
"""Packets in a row that cannot be decoded, after which nothing more is expected. At the end of a film, as many
questions are asked for nothing; they take a few milliseconds together."""

DECODERS = (
    *("h264", "hevc", "vp9", "vp8", "libdav1d"),
    *("mpeg4", "mpeg2video", "mpeg1video", "mjpeg"),
)
"""FFmpeg's decoders that may run. Those of MPEG-1 and MPEG-2 are one piece of code. The hundreds of others are where
most of its holes are found: forms of games and old cameras, which come to a library only by somebody's intent."""

Grey = npt.NDArray[np.uint8]


_DAMAGED = ("the file is damaged or cut off", "damaged")
_UNCONVERTED = (
    "its frames are interlaced, or of a form that is not converted here",
    "interlaced",
)
_MAPPED = (
    (
        "its colours are of a high dynamic range (HDR), and each program turns those into ordinary ones in its own way:"
        " a copy may not be recognised"
    ),
    "hdr",
)


class Unwatchable(Exception):
    """The file cannot be watched. ``reason`` is a sentence for a person, ``code`` is for programs."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True)
class Picked:
    """A picked frame: its time in seconds, its grey pixels, and those between black bars if there are any."""

    at: float
    grey: Image.Image
    cropped: Image.Image | None
    points: str
    size: tuple[int, int]


def warm() -> None:
    """Load OpenCV and open its reader once, so that no file has to be opened for the first video."""
    cv2 = _opencv()
    _open(cv2, bytes(64), "mov")
    ffmpeg_log.listen()
    tiny = np.zeros((64, 64, 3), np.uint8)
    cv2.resize(cv2.cvtColor(tiny, cv2.COLOR_BGR2GRAY), (TINY, TINY), interpolation=cv2.INTER_AREA)
    film_memory.plain()


def walk(
    data: bytes,
    *,
    demuxer: str,
    every: float,
    longest: float,
    most: int,
    pixels: int,
    elsewhere: bool = False,
) -> Iterator[Any]:
    """Yield first what is known of the video (a dictionary), then its picked frames in order of time.

    ``demuxer`` is FFmpeg's name of the one form that the file is read as. ``every`` is in seconds, counted on a grid
    that begins with the film; at most ``most`` frames and the first ``longest`` seconds are looked at. ``elsewhere``:
    another program can watch what this one cannot convert, so that nothing of such a film is given.

    Raises Unwatchable for a file that holds no video, has no frame or frames of more than ``pixels`` points, and after
    the frames that could be seen for one that goes beyond those limits, is damaged or cut off, has frames that
    could not be converted, or colours that were. With the code ``unwritten``, no frame that was given is to be
    believed.
    """
    cv2 = _opencv()
    if not ffmpeg_log.is_heard():
        raise Unwatchable(
            "the OpenCV that is installed here does not tell of damage", "no_complaints"
        )
    film_memory.filled(film_memory.PATTERNS[0])
    try:
        film = _opened(cv2, data, demuxer)
        width = int(film.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(film.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate = film.get(cv2.CAP_PROP_FPS)
        rate = rate if math.isfinite(rate) and 0.1 <= rate <= 1000 else 25.0
        if width * height > pixels:
            raise Unwatchable(
                f"its frames have {width} x {height} pixels, "
                f"more than the {pixels // 1_000_000} million that are decoded",
                "too_many_pixels",
            )
        yield {"width": width, "height": height, "rate": round(rate, 3)}
        heard = ffmpeg_log.complaints()
        film_looks = _Looks(cv2, film, rate, longest=longest, elsewhere=elsewhere)
        picks = Picks(every, most)
        for at, colour in film_looks:
            grey = _grey(cv2, colour)
            tiny = cv2.resize(grey, (TINY, TINY), interpolation=cv2.INTER_AREA)
            if not picks.wants(at, tiny):
                continue
            size = (colour.shape[1], colour.shape[0])
            yield Picked(
                round(at, 3),
                Image.fromarray(grey),
                between_bars(grey),
                _points(cv2, grey, size),
                size,
            )
        heard += film_looks.refusals
        is_damaged = ffmpeg_log.complaints() > heard
        if not film_looks.are_written(data, demuxer):
            raise Unwatchable("the decoder did not write its frames", "unwritten")
    finally:
        film_memory.plain()
    _end(data, demuxer, picks, film_looks, is_damaged=is_damaged)


def _end(data: bytes, demuxer: str, picks: Picks, looks: _Looks, *, is_damaged: bool) -> None:
    """Say what of a film was not seen, or not as it is. Raises Unwatchable; returns when all of it was."""
    found = []
    if looks.unlike:
        found.append(_UNCONVERTED)
    elif not picks.count:
        found.append(("the video has no frame that can be decoded", "no_frames"))
    if is_damaged:
        found.append(_DAMAGED)
    found += [each for each in untold(data, demuxer) if each not in found]
    if looks.are_mapped:
        found.append(_MAPPED)
    if found:
        raise Unwatchable("; ".join(reason for reason, _ in found), found[0][1])


class Picks:
    """Which looks at a film are picked: the first of each step of a grid, and whatever begins a new scene."""

    def __init__(self, every: float, most: int) -> None:
        self._every, self._most = every, most
        self._step = -1
        self._before: npt.NDArray[np.int16] | None = None
        self.count = 0

    def wants(self, at: float, tiny: Grey) -> bool:
        """Return whether the look at second ``at`` is picked; ``tiny`` is the frame as 32 x 32 grey points.

        Raises Unwatchable when there are too many.
        """
        points = tiny.astype(np.int16)
        before, self._before = self._before, points
        is_new = before is not None and np.abs(points - before).mean() / 255 > SCENE
        step = step_of(at, self._every)
        if step == self._step and not is_new:
            return False
        if self.count >= self._most:
            raise Unwatchable(
                f"it has more than the {self._most:,} frames that are hashed", "too_many_frames"
            )
        self._step = step
        self.count += 1
        return True


def step_of(at: float, every: float) -> int:
    """Return the step of a grid of ``every`` seconds in which a time lies.

    Counted from the beginning of the film, never from the frame before: so every step has its frame at any frame
    rate. What misses a step by less than a thousandth, as 0.9999996 s does, lies in it.
    """
    return math.floor(at / every + 0.001)


class _Looks:
    """The frames of a film that are looked at, with their times: four a second, never more than 64 apart.

    Iterate once. ``unlike`` are those that could not be converted, ``refusals`` FFmpeg's complaints of that.
    """

    def __init__(
        self, cv2: Any, film: Any, rate: float, *, longest: float, elsewhere: bool
    ) -> None:
        self._cv2, self._film, self._rate = cv2, film, rate
        self._longest, self._elsewhere = longest, elsewhere
        self.unlike = self.refusals = self._count = 0
        self.are_mapped = False
        # Looks in a row that are the same to the last bit: how many now, how many at most, and there which frame.
        self._same = self._most_same = 0
        self._last: Grey | None = None
        self._stillest: tuple[int, Grey] | None = None

    def __iter__(self) -> Iterator[tuple[float, Grey]]:
        """Yield seconds and colours (BGR). Raises Unwatchable beyond the longest, or for what is seen elsewhere."""
        cv2, film = self._cv2, self._film
        number, at, step, unseen = 0, 0.0, -1, 0
        while _grab(film):
            at = _time(film.get(cv2.CAP_PROP_POS_MSEC) / 1000, number / self._rate, at)
            number += 1
            if at > self._longest:
                raise Unwatchable(
                    f"it is longer than the {self._longest / 60:.0f} minutes that are looked at",
                    "too_long",
                )
            unseen += 1
            if step_of(at, 1 / LOOKS) == step and unseen < UNSEEN:
                continue
            colour = self._converted()
            if colour is None:
                continue
            step, unseen = step_of(at, 1 / LOOKS), 0
            self._compare(number, colour)
            yield at, colour

    def _converted(self) -> Grey | None:
        """Return the frame that was decoded last, or None if OpenCV has none or only says that it has."""
        complaints, mappings = ffmpeg_log.complaints(), ffmpeg_log.mappings()
        is_read, colour = self._film.retrieve()
        if ffmpeg_log.mappings() > mappings:
            self.are_mapped = True
            if self._elsewhere:
                raise Unwatchable(*_MAPPED)
        if refused := ffmpeg_log.complaints() - complaints:
            # OpenCV says that it was read: what it gives is another picture, or whatever lay in memory.
            self.unlike, self.refusals = self.unlike + 1, self.refusals + refused
            if self._elsewhere:
                raise Unwatchable(*_UNCONVERTED)
            return None
        return colour if is_read else None

    def _compare(self, number: int, colour: Grey) -> None:
        self._count += 1
        is_same = self._last is not None and np.array_equal(self._last, colour)
        self._same, self._last = (self._same + 1 if is_same else 1), colour
        if self._same > self._most_same:
            self._most_same, self._stillest = self._same, (number, colour)

    def are_written(self, data: bytes, demuxer: str) -> bool:
        """Return whether the frames are the film's own, where one and the same picture is half of it or more.

        Such a film may be still, or its frames may never have been written into the buffer: then the same frame is
        another picture when it is read into memory with another pattern.
        """
        if self._stillest is None or self._most_same * 2 < self._count:
            return True
        number, believed = self._stillest
        film_memory.filled(film_memory.PATTERNS[1])
        again = _opened(self._cv2, data, demuxer)
        if not all(_grab(again) for _ in range(number)):
            return False
        is_read, colour = again.retrieve()
        return bool(is_read) and np.array_equal(believed, colour)


def untold(data: bytes, demuxer: str) -> list[tuple[str, str]]:
    """Return what FFmpeg does not tell of a film that was not all seen: sentences with codes."""
    found = []
    if demuxer == "flv" and not _ends_with_a_tag(data):
        found.append(_DAMAGED)
    if film_tracks.has_broken_packets(data, demuxer):
        found.append(_DAMAGED)
    if film_tracks.changes_form(data, demuxer):
        found.append(
            ("its frames are of several codecs, and those of one were looked at", "several_codecs")
        )
    if (tracks := film_tracks.video_tracks(data, demuxer)) > 1:
        found.append((f"it has {tracks} video tracks, and one was looked at", "several_tracks"))
    return found


def _grab(film: Any) -> bool:
    """Decode the next frame. Returns False at the end of the film, not at a hole in it: OpenCV stops at every packet
    that cannot be decoded, and goes on when asked again.
    """
    return any(film.grab() for _ in range(HOLE))


def _ends_with_a_tag(data: bytes) -> bool:
    """Return whether a Flash video ends as it has to: with the length of its last tag, after that tag.

    Adobe Flash Video File Format 10.1, annex E.3. FFmpeg says nothing about one that was cut off.
    """
    length = int.from_bytes(data[-4:])
    tag = data[-4 - length :][:4] if 11 <= length <= len(data) - 4 else b""
    return tag[:1] in {b"\x08", b"\x09", b"\x12"} and int.from_bytes(tag[1:]) == length - 11


def _opencv() -> Any:
    """Return OpenCV, told to be silent: FFmpeg quotes names of the file's parts."""
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    import cv2 as opencv

    cv2: Any = opencv
    cv2.setNumThreads(0)
    return cv2


def _opened(cv2: Any, data: bytes, demuxer: str) -> Any:
    """Return the opened film. Raises Unwatchable."""
    film = _open(cv2, data, demuxer)
    if film is None:
        raise Unwatchable(
            "the file is damaged, or holds no video in a form that is decoded here", "wrong_type"
        )
    return film


def _open(cv2: Any, data: bytes, demuxer: str) -> Any:
    """Return the opened film, or None. One decoder after the other is tried: a wrong one costs a millisecond.

    FFmpeg is not asked what the file is, and it gets no choice of decoders: OpenCV would start whichever the file
    wants, since FFmpeg's list of allowed ones does not reach the decoder that OpenCV opens. Nobody may call the film's
    ``release``: in OpenCV 4.14 that ends the process when the film is read from Python's memory.
    """
    for decoder in DECODERS:
        # Read by OpenCV at each opening.
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _options(demuxer, decoder)
        source: Any = io.BytesIO(data)  # Shares the bytes.
        film = cv2.VideoCapture(source, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if film.isOpened():
            return film
    return None


def _options(demuxer: str, decoder: str) -> str:
    """Return FFmpeg's options, as OpenCV writes them: one demuxer, one decoder, no protocol.

    The file is read from memory; nothing that it names is opened, be it a file or an address. The list of
    protocols holds a name that none has: at an empty list, FFmpeg stops reading the options.
    """
    options = {
        "input_format": demuxer,
        "format_whitelist": demuxer,
        "video_codec": decoder,
        "codec_whitelist": decoder,
        "protocol_whitelist": "none",
        # An edit list tells a player which frames to leave out. They are in the file, and anybody can see them.
        **({"ignore_editlist": "1"} if demuxer == "mov" else {}),
    }
    return "|".join(f"{name};{value}" for name, value in options.items())


def _time(said: float, counted: float, before: float) -> float:
    """Return a frame's time: what the file says, or by counting where that runs backwards or is nothing."""
    if math.isfinite(said) and said >= before and (said > 0 or counted == 0):
        return said
    return max(counted, before)


def _grey(cv2: Any, colour: Any) -> Grey:
    """Return a frame as grey pixels, squashed to 512 x 512 if it is larger, as pictures are."""
    height, width = colour.shape[:2]
    if width > SIDE or height > SIDE:
        colour = cv2.resize(colour, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def between_bars(grey: Grey) -> Image.Image | None:
    """Return the picture between black bars, or None if there are none."""
    rows, columns = grey.max(axis=1) > BAR, grey.max(axis=0) > BAR
    if rows.all() and columns.all():
        return None
    (lines,), (places,) = np.nonzero(rows), np.nonzero(columns)
    if not len(lines) or not len(places):
        return None
    top, bottom, left, right = lines[0], lines[-1] + 1, places[0], places[-1] + 1
    height, width = grey.shape
    if bottom - top < SMALLEST_PICTURE * height or right - left < SMALLEST_PICTURE * width:
        return None
    if bottom - top > 0.97 * height and right - left > 0.97 * width:
        return None
    inner = np.ascontiguousarray(grey[top:bottom, left:right])
    return Image.fromarray(inner)


def _points(cv2: Any, grey: Grey, size: tuple[int, int]) -> str:
    """Return a few hundred grey points of a frame, base64: all that a storyboard ever shows of it."""
    scale = POINTS / max(size)
    shape = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    small = cv2.resize(grey, shape, interpolation=cv2.INTER_AREA)
    return base64.b64encode(small.tobytes()).decode()
