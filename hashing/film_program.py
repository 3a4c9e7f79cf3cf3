"""Films that OpenCV cannot show as they are: watched by the system's own ffmpeg, where the operator switched that on.

No wheel that may be shipped de-interlaces, and OpenCV turns the colours of HDR films. The distribution's package does
both right, and its corrections come with the system's updates; but it also knows hundreds of forms that nobody sends.
So with ``HOLDFAST_FFMPEG`` it is asked only for films that OpenCV could not show, in a process of its own in the sandbox
(``hashing.confined_programs``): one demuxer, named by the file's first bytes; a list of codecs; no protocol but that one file. Out of it
come grey pixels and times, nothing else. Without the setting, such a film is *could not scan*.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.conf import settings
from PIL import Image

from hashing import confined_programs, system_package
from hashing.confined_programs import NotRun
from hashing.video_frames import DECODERS, LOOKS, SIDE, UNSEEN

__all__ = ["NotWatched", "Program", "Seen", "described", "program", "watch"]

T = TypeVar("T")
_NAME = "ffmpeg"
_CODECS = ",".join(
    (
        *(name for name in DECODERS if name != "libdav1d"),
        *("libdav1d", "av1", "mpegvideo", "prores", "dvvideo", "vc1", "wmv3", "wmv2"),
        *("h263", "msmpeg4", "msmpeg4v2", "flv", "vp6f", "theora"),
    )
)
"""Decoders that may run: OpenCV's, and those of films as cameras, cutting rooms and old players make them."""
_HARMLESS = re.compile(
    rb"\[[^\]\n]*\] Codec \(\w+\) not on whitelist '[\w,]*'\n|    Last message repeated \d+ times\n"
    rb"|Warning: using insecure memory!\n"
)
"""What it says of the sound of a film, whose codec is not on the list and not wanted; and what libgcrypt, which came with it,
says of the sandbox, where no memory can be locked."""
_HEAD = re.compile(rb"YUV4MPEG2 W(\d{1,5}) H(\d{1,5}) [^\n]{0,200}\n")
_FRAME = b"FRAME\n"
_FILTERS = (
    # Only frames that call themselves interlaced are touched.
    "[0:V:0]setpts=PTS-STARTPTS,yadif=mode=send_frame:deint=interlaced,"
    # As vPDQ sees them: the samples of an HDR film, not what some screen makes of them.
    "setparams=color_primaries=unknown:color_trc=unknown,"
    # The same grid as ``video_frames``: see there.
    "select='isnan(t)+isnan(prev_selected_t)+gt(floor(t*{looks}+0.001),floor(prev_selected_t*{looks}+0.001))"
    "+lt(t,prev_selected_t)+gte(n-prev_selected_n,{unseen})',"
    "scale=w='if(gt(max(iw,ih),{side}),{side},iw)':h='if(gt(max(iw,ih),{side}),{side},ih)':flags=area,"
    "format=gray,split[shown][told];[told]scale=16:16[timed]"
)


@dataclass(frozen=True)
class Program:
    """The program that is used, and its version as the distribution names it."""

    path: str
    version: str


@dataclass(frozen=True)
class Seen(Generic[T]):
    """The looks at a film, each with its second. ``faults`` are sentences, with codes, of what was not seen."""

    looks: tuple[tuple[float, T], ...]
    faults: tuple[tuple[str, str], ...] = ()


class NotWatched(Exception):
    """The program gave no frame. ``reason`` is a sentence for a person, ``code`` is for programs."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


def program() -> Program | None:
    """Return the ffmpeg that is switched on, or None. Raises LookupError if it is not installed."""
    wanted = settings.HOLDFAST_FFMPEG
    if not wanted:
        return None
    name = _NAME if wanted == "1" else wanted
    path = shutil.which(name)
    if path is None:
        raise LookupError(name)
    return Program(path, system_package.version_of(path, debian="ffmpeg", rpm="ffmpeg-free"))


def described() -> str:
    """Return a sentence for the operator: whether the system's ffmpeg is used, and of which version."""
    try:
        found = program()
    except LookupError as missing:
        return f"The system's ffmpeg is switched on, but {missing} is not installed."
    if found is None:
        return (
            "The system's ffmpeg is switched off (HOLDFAST_FFMPEG): interlaced and HDR films go to a person, "
            "flagged as could not scan."
        )
    return (
        f"Films that OpenCV cannot show are watched by {found.path} {found.version}. "
        "Its corrections come with the system's updates, not from here."
    )


def watch(
    data: bytes,
    *,
    demuxer: str,
    longest: float,
    most: int,
    pixels: int,
    seconds: float,
    memory: int,
    keep: Callable[[Image.Image], T],
) -> Seen[T]:
    """Return what ``keep`` makes of each look at a film: grey pixels, at most 512 x 512.

    Looks are those of ``hashing.video_frames``: the first frame of each quarter of a second, at most ``most`` within the
    first ``longest`` seconds. ``pixels`` a frame, ``seconds`` of time and ``memory`` in bytes are the program's limits.
    Raises NotWatched when there is no look.
    """
    try:
        found = program()
    except LookupError:
        raise NotWatched("is switched on, but not installed here", "ffmpeg_missing") from None
    if found is None:
        raise NotWatched("is not switched on here", "ffmpeg_off")
    frames = _Frames(keep, most)
    try:
        ran = confined_programs.run(
            found.path,
            _arguments(demuxer, longest=longest, pixels=pixels, most=most),
            given={"film": data},
            wanted=["times"],
            limits=confined_programs.Limits(seconds=seconds, memory=memory, output=16 << 20),
            reading=frames.take,
        )
    except NotRun as failed:
        raise NotWatched(failed.reason, f"ffmpeg_{failed.code}") from None
    faults = []
    if frames.is_strange:
        faults.append(("its frames change their size", "strange_frames"))
    elif frames.is_full:
        faults.append((f"it has more than the {most:,} frames that are hashed", "too_many_frames"))
    elif ran.failed is not None:
        faults.append((f"the system's ffmpeg {ran.failed.reason}", f"ffmpeg_{ran.failed.code}"))
    elif _HARMLESS.sub(b"", ran.complained).strip():
        faults.append(("the file is damaged or cut off", "damaged"))
    times = _times(ran.files.get("times", b""))
    looks = tuple(zip(times, frames.kept, strict=False))
    within = tuple(look for look in looks if look[0] <= longest)
    if len(within) < len(looks):
        reason = f"it is longer than the {longest / 60:.0f} minutes that are looked at"
        faults.insert(0, (reason, "too_long"))
    if not within:
        raise NotWatched(*(faults[0] if faults else ("found no frame in it", "ffmpeg_no_frames")))
    return Seen(within, tuple(faults))


def _arguments(demuxer: str, *, longest: float, pixels: int, most: int) -> list[str]:
    filters = _FILTERS.format(looks=f"{LOOKS:g}", unseen=UNSEEN, side=SIDE)
    return [
        *("-nostdin", "-hide_banner", "-nostats", "-loglevel", "error"),
        *("-filter_complex_threads", "1", "-threads", "1", "-max_pixels", str(pixels)),
        *("-protocol_whitelist", "file", "-format_whitelist", demuxer),
        *("-codec_whitelist", _CODECS, "-f", demuxer),
        *(("-ignore_editlist", "1") if demuxer == "mov" else ()),  # As in ``video_frames``.
        *("-t", f"{longest + 2:g}", "-i", "file:film"),
        *("-filter_complex", filters),
        *("-map", "[shown]", "-fps_mode", "passthrough", "-frames:v", str(most + 1)),
        *("-f", "yuv4mpegpipe", "pipe:1"),
        *("-map", "[timed]", "-fps_mode", "passthrough", "-frames:v", str(most + 1)),
        *("-c:v", "rawvideo"),
        *("-f", "mkvtimestamp_v2", "-flush_packets", "1", "-y", "file:times"),
    ]


def _times(said: bytes) -> list[float]:
    """Return seconds from ffmpeg's list of milliseconds, never running backwards."""
    times: list[float] = []
    for line in said.split(b"\n"):
        if line.isdigit() and len(line) < 12:
            times.append(max(int(line) / 1000, times[-1] if times else 0.0))
    return times


class _Frames(Generic[T]):
    """Frames out of a stream of YUV4MPEG2 with one plane (yuv4mpeg(5)): a line for all, and one before each."""

    def __init__(self, keep: Callable[[Image.Image], T], most: int) -> None:
        self._keep, self._most = keep, most
        self._rest = bytearray()
        self._size: tuple[int, int] | None = None
        self.kept: list[T] = []
        self.is_full = self.is_strange = False

    def take(self, piece: bytes) -> bool:
        """Take the next bytes. Returns whether more are wanted."""
        self._rest += piece
        if self._size is None and not self._begun():
            return not self.is_strange
        width, height = self._size or (0, 0)
        whole = len(_FRAME) + width * height
        while len(self._rest) >= whole:
            if not self._rest.startswith(_FRAME):
                self.is_strange = True
                return False
            if len(self.kept) >= self._most:
                self.is_full = True
                self._rest.clear()
                return True  # Its times are still to come.
            pixels = bytes(self._rest[len(_FRAME) : whole])
            del self._rest[:whole]
            self.kept.append(self._keep(Image.frombytes("L", (width, height), pixels)))
        return True

    def _begun(self) -> bool:
        head = _HEAD.match(self._rest)
        if head is None:
            self.is_strange = len(self._rest) > 400
            return False
        width, height = int(head[1]), int(head[2])
        if not (0 < width <= SIDE and 0 < height <= SIDE and b" Cmono" in head[0]):
            self.is_strange = True
            return False
        self._size = (width, height)
        del self._rest[: head.end()]
        return True
