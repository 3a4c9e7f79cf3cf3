"""Videos from strangers: watched by the decoder, matched by their frames.

After vPDQ (Meta's ThreatExchange, ``vpdq``): a video is the set of the PDQ hashes of its frames, each with
its quality and time, and two videos are alike when enough of one's frames are found in the other. The
paper on TMK+PDQF (Facebook, 2019) describes PDQ; vPDQ counts shares in both directions.

vPDQ's defaults take one frame a second of both videos: those of a copy that was sped up or cut in the middle
of a second lie half a second apart, and in a moving scene that is another picture. Here a video that came in
is looked at four times a second and a listed one twice, so that every listed frame has a neighbour an eighth of
a second away; decoding costs ten times as much as the hashes. What counts is seconds, not frames: a still
scene has as many votes as a busy one. Values in, values out.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.media_types import sniff
from hashing import film_program, video_frames
from hashing.decoder import FRAME_HEAD, CannotDecode
from hashing.digests import FrameDigests, of_frame
from hashing.images import Limits, converse, digests_of, facts_of

__all__ = [
    "LISTED_EVERY",
    "SEEN_EVERY",
    "VideoFrame",
    "VideoLimits",
    "Watched",
    "clock",
    "match",
    "runs",
    "watch",
]

_ELSEWHERE = frozenset({"interlaced", "hdr", "unwritten", "no_frames", "wrong_type"})
"""Codes of films that the system's ffmpeg is asked for, where it is switched on."""
LISTED_EVERY = 0.5
SEEN_EVERY = 0.25
STORYBOARD = 9
_MIRRORED = 4
"""Place of "mirrored left to right" among the turned hashes: the one way in which videos are turned."""


@dataclass(frozen=True, kw_only=True)
class VideoLimits:
    """What one video may cost; beyond any of them the part within is looked at, and a person is told."""

    bytes: int = 100 * 1024 * 1024
    pixels: int = 36_000_000
    """Points of one frame: 8K is 33 million."""
    longest: float = 3600.0
    """Seconds of the film that are looked at."""
    frames: int = 16_000
    """An hour at four a second, and as many scenes as an hour has."""
    seconds: float = 240.0
    memory: int = 2 * 1024 * 1024 * 1024


@dataclass(frozen=True)
class VideoFrame:
    """A picked frame: its time in milliseconds, its hash, and the hash of what is between black bars."""

    at_ms: int
    digests: FrameDigests
    cropped: FrameDigests | None
    points: bytes
    size: tuple[int, int]

    def values(self) -> list[str]:
        """Return the hashes that have enough detail to mean anything."""
        both = (self.digests, self.cropped)
        return [each.pdq for each in both if each is not None and not each.is_low_quality]

    def queries(self) -> list[str]:
        """Return the hashes to look for: as it is, mirrored, and both without black bars."""
        both = (self.digests, self.cropped)
        good = [each for each in both if each is not None and not each.is_low_quality]
        return [value for each in good for value in (each.pdq, each.turned[_MIRRORED])]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A video that was watched. ``problem`` is a sentence when a part of it could not be."""

    width: int
    height: int
    duration_ms: int
    frames: tuple[VideoFrame, ...]
    problem: str = ""

    def storyboard(self) -> list[VideoFrame]:
        """Return up to nine frames, evenly spread over the time."""
        if len(self.frames) <= STORYBOARD:
            return list(self.frames)
        step = (len(self.frames) - 1) / (STORYBOARD - 1)
        return [self.frames[round(step * place)] for place in range(STORYBOARD)]


def watch(source: bytes | BinaryIO, *, every: float, limits: VideoLimits | None = None) -> Watched:
    """Watch a video, picking a frame ``every`` so many seconds and at each new scene.

    Reads the file into memory; what reading it raises passes through. Raises CannotDecode.
    """
    limits = limits or VideoLimits()
    data = source if isinstance(source, bytes) else source.read(limits.bytes + 1)
    if len(data) > limits.bytes:
        raise CannotDecode(
            f"the file is larger than {limits.bytes // (1024 * 1024)} MB", "too_many_bytes"
        )
    if not data:
        raise CannotDecode("the file is empty", "empty")
    began = time.monotonic()
    try:
        can_go_elsewhere = film_program.program() is not None
    except LookupError:
        can_go_elsewhere = False
    wishes = {
        "is_video": True,
        "elsewhere": can_go_elsewhere,
        "every": every,
        "longest": limits.longest,
        "pixels": limits.pixels,
        "frames": limits.frames,
        "frames_walked": 0,
        "seconds": limits.seconds,
        "memory": limits.memory,
        "algorithms": [],
        "with_pixels": False,
    }
    bounds = Limits(frames=limits.frames, seconds=limits.seconds)
    try:
        facts, frames, why = converse(wishes, data, bounds, _frame)
        if can_go_elsewhere and why is not None and why.code in _ELSEWHERE:
            raise why
    except CannotDecode as refused:
        if not (can_go_elsewhere and refused.code in _ELSEWHERE):
            raise
        left = max(limits.seconds - (time.monotonic() - began), 10.0)
        return _elsewhere(data, refused, every=every, limits=limits, seconds=left)
    last = frames[-1].at_ms
    return Watched(
        width=int(facts.get("width", 0)),
        height=int(facts.get("height", 0)),
        duration_ms=last + round(1000 / max(float(facts.get("rate", 25)), 0.1)),
        frames=tuple(frames),
        problem=_told(why, last) if why else "",
    )


@dataclass(frozen=True)
class _Kept:
    """What is kept of a look at a film by the system's ffmpeg, until its time is known."""

    digests: FrameDigests
    cropped: FrameDigests | None
    points: bytes
    tiny: npt.NDArray[np.uint8]


def _elsewhere(
    data: bytes, refused: CannotDecode, *, every: float, limits: VideoLimits, seconds: float
) -> Watched:
    """Watch a film that OpenCV ``refused`` by the system's ffmpeg. Raises CannotDecode."""
    form = sniff(data)
    if form is None or not form.demuxer:
        raise refused
    size = (int(refused.facts.get("width", 0)), int(refused.facts.get("height", 0)))

    def keep(grey: Image.Image) -> _Kept:
        inner = video_frames.between_bars(np.asarray(grey))
        shape = _storyboard_size(size if all(size) else grey.size)
        return _Kept(
            of_frame(0, grey, ("pdq",)),
            of_frame(0, inner, ("pdq",)) if inner is not None else None,
            grey.resize(shape, Image.Resampling.BOX).tobytes(),
            np.asarray(grey.resize((video_frames.TINY,) * 2, Image.Resampling.BOX)),
        )

    try:
        seen = film_program.watch(
            data,
            demuxer=form.demuxer,
            longest=limits.longest,
            most=limits.frames,
            pixels=limits.pixels,
            seconds=seconds,
            memory=limits.memory,
            keep=keep,
        )
    except film_program.NotWatched as failed:
        raise CannotDecode(
            f"{refused.reason}; the system's ffmpeg {failed.reason}", failed.code
        ) from None
    picks = video_frames.Picks(every, limits.frames)
    frames = tuple(
        VideoFrame(
            round(at * 1000),
            replace(kept.digests, frame=round(at * 1000)),
            kept.cropped and replace(kept.cropped, frame=round(at * 1000)),
            kept.points,
            size if all(size) else (video_frames.POINTS, video_frames.POINTS),
        )
        for at, kept in seen.looks
        if picks.wants(at, kept.tiny)
    )
    last = round(seen.looks[-1][0] * 1000)
    faults = [*seen.faults, *video_frames.untold(data, form.demuxer)]
    why = CannotDecode("; ".join(reason for reason, _ in faults), faults[0][1]) if faults else None
    return Watched(
        width=size[0],
        height=size[1],
        duration_ms=last + round(1000 / max(float(refused.facts.get("rate", 25)), 0.1)),
        frames=frames,
        problem=_told(why, last) if why else "",
    )


def _storyboard_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = video_frames.POINTS / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _told(why: CannotDecode, last: int) -> str:
    if why.code == "hdr":
        return why.reason  # To its end, that is.
    return f"looked at as far as {clock(last)}, not all of it: {why.reason}"


def _frame(body: bytes) -> VideoFrame:
    try:
        (length,) = FRAME_HEAD.unpack_from(body)
        said = facts_of(body[FRAME_HEAD.size : FRAME_HEAD.size + length])
        at_ms = round(float(said["at"]) * 1000)
        width, height = (int(side) for side in said["size"])
        cropped = said.get("cropped")
        return VideoFrame(
            at_ms,
            digests_of(at_ms, said["digests"]),
            digests_of(at_ms, cropped) if cropped else None,
            base64.b64decode(said["points"], validate=True)[:1024],
            (width, height),
        )
    except (ValueError, KeyError, TypeError, IndexError):
        raise CannotDecode("the file makes the decoder crash", "crashed") from None


# ── Matching ──────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Shares:
    """How much of two videos is found in each other.

    ``compared`` is the share of the listed video's seconds that were seen, ``query`` the share of
    the other one's seconds that show something listed, both 0 to 1; ``run`` the most listed seconds
    in a row; ``spans`` where in the video that came in, in seconds.
    """

    compared: float
    query: float
    run: int
    spans: tuple[tuple[int, int], ...]
    distance: int
    pairs: tuple[tuple[int, int, int, int], ...] = ()
    """What shows what, in seconds: from and to in the video that came in, from and to in the listed one."""


@dataclass(frozen=True)
class Seen:
    """A listed frame that a frame of the video looks like: times in milliseconds, differing bits."""

    query_ms: int
    listed_ms: int
    distance: int


def match(seen: Iterable[Seen], *, query_ms: Sequence[int], listed_ms: Sequence[int]) -> Shares:
    """Return how much of two videos is found in each other.

    ``query_ms`` and ``listed_ms`` are the times of the frames that have enough detail to be compared at
    all; a video without such frames matches nothing.
    """
    mine, theirs, nearest = set(), set(), 256
    seen = list(seen)
    for each in seen:
        mine.add(each.query_ms // 1000)
        theirs.add(each.listed_ms // 1000)
        nearest = min(nearest, each.distance)
    query_seconds = {at // 1000 for at in query_ms}
    listed_seconds = {at // 1000 for at in listed_ms}
    return Shares(
        compared=len(theirs & listed_seconds) / len(listed_seconds) if listed_seconds else 0.0,
        query=len(mine & query_seconds) / len(query_seconds) if query_seconds else 0.0,
        run=max((end - start for start, end in runs(theirs)), default=0),
        spans=tuple(runs(mine)),
        distance=nearest,
        pairs=tuple(_pairs(seen)),
    )


def _pairs(seen: Sequence[Seen]) -> list[tuple[int, int, int, int]]:
    """Return the stretches of the one video that show stretches of the other, in order of the first.

    Each second of the video that came in is paired with the listed second that it looks most like; among
    equally near ones, with the one that goes on from the pair before. A stretch ends where
    the listed video jumps by more than three seconds: a loop, a cut, another part.
    """
    by_second: dict[int, list[tuple[int, int]]] = {}
    for each in seen:
        by_second.setdefault(each.query_ms // 1000, []).append(
            (each.distance, each.listed_ms // 1000)
        )
    found: list[list[int]] = []
    for second in sorted(by_second):
        last = found[-1] if found else None
        expected = last[3] if last else 0
        listed = min(by_second[second], key=lambda pair: (pair[0], abs(pair[1] - expected)))[1]
        if last and second - last[1] <= 1 and -1 <= listed - last[3] <= 3:
            last[1], last[3] = second + 1, max(last[3], listed + 1)
        else:
            found.append([second, second + 1, listed, listed + 1])
    return [(a, b, c, d) for a, b, c, d in found]


def runs(seconds: Iterable[int], *, gap: int = 1) -> list[tuple[int, int]]:
    """Return seconds as spans [start, end); a single missing second does not end one."""
    spans: list[list[int]] = []
    for second in sorted(seconds):
        if spans and second - spans[-1][1] <= gap:
            spans[-1][1] = second + 1
        else:
            spans.append([second, second + 1])
    return [(start, end) for start, end in spans]


def clock(milliseconds: int) -> str:
    """Return a time in a film as people write it: 1:05 or 1:02:05."""
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
