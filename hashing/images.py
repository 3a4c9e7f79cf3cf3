"""Pictures from strangers, decoded and digested outside this process (``hashing.decoder``).

A decoder is C code fed by an attacker. Here it is another program with nothing in its memory to steal, in a
sandbox of the kernel, with limits that the kernel enforces, and with a wall clock that ends in SIGKILL: a signal handler or a thread inside
the worker could do neither, because one call into libtiff, libwebp or FFmpeg may never come back to
Python. A crash, a hang or a memory bomb costs one decoder and becomes ``CannotDecode`` with a reason in plain
words.

The decoder lives on from picture to picture, since starting it costs as much as fifty pictures; it is
replaced after each failure, after ``MOST_PICTURES`` and in every forked process. Call it in workers only: a
web process must not wait this long.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from PIL import Image

from core.media_types import HEIF, sniff
from hashing import heic, sandbox
from hashing.confinement import STOPPED_BY, Gap, from_json
from hashing.decoder import (
    END,
    FAILED,
    FRAME,
    FRAME_HEAD,
    HEADER,
    MESSAGE,
    REQUEST,
    UNBELIEVABLE,
    CannotDecode,
    sample,
)
from hashing.digests import PERCEPTUAL, USUAL, FrameDigests
from hashing.pixels import SIDE

__all__ = [
    "SIDE",
    "CannotDecode",
    "Frame",
    "Limits",
    "Picture",
    "converse",
    "decode",
    "decoder_pid",
    "digest",
    "digests_of",
    "facts_of",
    "read",
    "sample",
    "stop",
]

MOST_PICTURES = 500
"""Pictures after which a decoder is replaced, so that what it may leak stays small."""

F = TypeVar("F")
COMMAND = [sys.executable, "-m", "hashing.decoder"]
START_SECONDS = 60.0
_LARGEST_MESSAGE = SIDE * SIDE * 3 + 4096
_PIPE = 1 << 20
_ROOT = Path(__file__).resolve().parent.parent
_CRASHED = ("the file makes the decoder crash", "crashed")
_TOO_SLOW = ("decoding took too long", "too_slow")
_STOPPED = (
    "the decoder was stopped by the sandbox: the file made it try what decoding never needs",
    "sandboxed",
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one picture may cost. A picture beyond any of them is not decoded, and a person is told."""

    bytes: int = 100 * 1024 * 1024
    pixels: int = 64_000_000
    frames: int = 512
    """Frames of an animation that are hashed: each that is unlike the one that was hashed before it."""
    shown: int = 16
    """Frames whose pixels are returned, if pixels are wanted: the first, the last and an even spread."""
    frames_walked: int = 5_000
    """Frames that an animation may have in all."""
    seconds: float = 20.0
    memory: int = 1_536 * 1024 * 1024
    """Address space that decoding may use beyond what the decoder was born with. Linux enforces it."""


@dataclass(frozen=True)
class Frame:
    """One frame: its place in the animation (0 for a still), pixels and digests as far as asked for.

    ``pixels`` are RGB, at most 512 x 512; a single black one where ``is_shown`` is false.
    """

    index: int
    pixels: Image.Image
    digests: FrameDigests | None = None
    is_shown: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded picture. ``width`` and ``height`` are of the original, after its EXIF orientation.

    ``frames`` are those whose pixels were wanted, a few of an animation; ``digests`` are of every frame that is unlike
    the one before. ``problem`` is a sentence when some frames of an animation could not be looked at: what is here is
    good, the rest was not seen.
    """

    format: str
    width: int
    height: int
    frames_total: int
    frames: tuple[Frame, ...]
    digests: tuple[FrameDigests, ...] = ()
    problem: str = ""


def decode(
    source: bytes | BinaryIO,
    *,
    limits: Limits | None = None,
    algorithms: Collection[str] = (),
) -> Picture:
    """Decode a picture to pixels, and digest it by ``algorithms`` if any. Raises CannotDecode.

    Reads the whole file into memory (at most ``limits.bytes``); what reading it raises passes through.
    """
    return _ask(source, limits or Limits(), algorithms, with_pixels=True)


def digest(
    source: bytes | BinaryIO,
    *,
    limits: Limits | None = None,
    algorithms: Collection[str] = USUAL,
) -> Picture:
    """Digest a picture without its pixels: about twice as quick, because colour is not decoded.

    The frames hold a single black pixel each. Raises as ``decode`` does.
    """
    return _ask(source, limits or Limits(), algorithms, with_pixels=False)


def _ask(
    source: bytes | BinaryIO, limits: Limits, algorithms: Collection[str], *, with_pixels: bool
) -> Picture:
    data = source if isinstance(source, bytes) else read(source, limits.bytes)
    if len(data) > limits.bytes:
        raise CannotDecode(
            f"the file is larger than {limits.bytes // (1024 * 1024)} MB", "too_many_bytes"
        )
    if not data:
        raise CannotDecode("the file is empty", "empty")
    if sniff(data) is HEIF:
        return _heic(data, limits, algorithms, with_pixels=with_pixels)
    wishes = {
        "pixels": limits.pixels,
        "frames": limits.frames,
        "frames_walked": limits.frames_walked,
        "shown": limits.shown,
        "seconds": limits.seconds,
        "memory": limits.memory,
        "algorithms": sorted(set(algorithms) & set(PERCEPTUAL)),
        "with_pixels": with_pixels,
    }
    parse = functools.partial(_frame, with_pixels=with_pixels)
    facts, frames, problem = converse(wishes, data, limits, parse)
    picture = _picture(facts, tuple(frames), with_pixels=with_pixels)
    if problem is None:
        return picture
    count = f"{frames[-1].index + 1} of {picture.frames_total}"
    return replace(picture, problem=f"{count} frames looked at, in their order: {problem.reason}")


def _heic(
    data: bytes, limits: Limits, algorithms: Collection[str], *, with_pixels: bool
) -> Picture:
    """Return the pictures in a HEIC file as the frames of one. Raises CannotDecode."""
    pictures = heic.to_jpegs(data, seconds=limits.seconds, memory=limits.memory)
    looked = [
        _ask(each, limits, algorithms, with_pixels=with_pixels)
        for each in pictures[: heic.MOST_PICTURES]
    ]
    frames = tuple(replace(picture.frames[0], index=index) for index, picture in enumerate(looked))
    hashed = tuple(
        replace(picture.digests[0], frame=index)
        for index, picture in enumerate(looked)
        if picture.digests
    )
    problem = ""
    if len(pictures) > len(looked):
        problem = f"only the first {len(looked)} of its pictures were looked at"
    total = len(pictures)
    whole = replace(looked[0], format="HEIF", frames_total=total, frames=frames, digests=hashed)
    return replace(whole, problem=problem)


def converse(
    wishes: dict[str, Any], data: bytes, limits: Limits, parse: Callable[[bytes], F]
) -> tuple[dict[str, Any], list[F], CannotDecode | None]:
    """Have the decoder look at a file; return its facts, what ``parse`` makes of each frame, and why
    frames are missing (None: none is).

    Raises CannotDecode when nothing could be looked at.
    """
    with _lock:
        decoder = _decoder()
        try:
            return decoder.ask(json.dumps(wishes).encode(), data, limits, parse)
        finally:
            if decoder.is_spent:
                stop()


def read(source: BinaryIO, limit: int) -> bytes:
    """Return a file's bytes, or of a larger one a byte more than ``limit``."""
    parts: list[bytes] = []
    size = 0
    while size <= limit and (piece := source.read(min(1 << 20, limit + 1 - size))):
        parts.append(piece)
        size += len(piece)
    return b"".join(parts)


# ── The decoder's life ────────────────────────────────────────────────────────────────────────
_lock = threading.Lock()
_current: _Decoder | None = None


def stop() -> None:
    """End this process's decoder, if there is one; the next picture starts another."""
    global _current  # noqa: PLW0603 — one decoder per process
    if _current is not None:
        _current.end()
        _current = None


def decoder_pid() -> int:
    """Return the process number of this process's decoder, which is started if there is none."""
    with _lock:
        return _decoder().process.pid


def _decoder() -> _Decoder:
    global _current  # noqa: PLW0603
    if _current is not None and _current.owner != os.getpid():
        # Born before a fork: the parent still talks to it. Only our copies of the pipes are closed.
        _current.forsake()
        _current = None
    if _current is not None and _current.process.poll() is not None:
        stop()
    if _current is None:
        _current = _Decoder()
    return _current


class _Decoder:
    """A running decoder and the pipes to it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.pictures = 0
        self.is_spent = False
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # Libraries quote file content in their warnings.
            cwd=_ROOT,
            env={
                "PATH": "/usr/bin:/bin",
                "LC_ALL": "C.UTF-8",
                # One thread: there is one picture at a time, and threads cost address space.
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },
            start_new_session=True,
            bufsize=0,
        )
        given, answers = self.process.stdin, self.process.stdout
        if given is None or answers is None:
            raise RuntimeError("the picture decoder has no pipes")
        self._in, self._out = given.fileno(), answers.fileno()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            for pipe in (self._in, self._out):
                with contextlib.suppress(OSError):  # Beyond what an unprivileged user may have.
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
        os.set_blocking(self._in, False)
        try:
            sandbox.insist(self._started())
        except BaseException:
            self.end()
            raise

    def _started(self) -> tuple[Gap, ...]:
        """Wait until it is confined and ready; return what of the sandbox it could not have."""
        try:
            kind, body = self._message(time.monotonic() + START_SECONDS) or (b"", b"")
            if kind != HEADER:
                raise RuntimeError("the picture decoder did not start")
            return from_json(body)
        except (TimeoutError, ValueError, CannotDecode):
            raise RuntimeError("the picture decoder did not start") from None

    def ask(
        self, wishes: bytes, data: bytes, limits: Limits, parse: Callable[[bytes], F]
    ) -> tuple[dict[str, Any], list[F], CannotDecode | None]:
        """Send one file and collect the answer. Raises CannotDecode."""
        self.pictures += 1
        self.is_spent = True  # Until it has answered to the end.
        deadline = time.monotonic() + limits.seconds
        try:
            self._write(REQUEST.pack(len(wishes), len(data)) + wishes, deadline)
            self._write(data, deadline)
        except TimeoutError:
            raise CannotDecode(*_TOO_SLOW) from None
        except BrokenPipeError:
            raise CannotDecode(*self._why_it_died()) from None
        facts: dict[str, Any] | None = None
        frames: list[F] = []
        while True:
            try:
                message = self._message(deadline)
            except TimeoutError:
                message, why = None, _TOO_SLOW
            else:
                why = self._why_it_died() if message is None else _CRASHED
            if message is None:
                if facts is None or not frames:
                    raise CannotDecode(*why)
                return facts, frames, CannotDecode(*why)
            kind, body = message
            if kind == HEADER and facts is None:
                facts = facts_of(body)
            elif kind == FRAME and facts is not None and len(frames) < limits.frames:
                frames.append(parse(body))
            elif kind == END and facts is not None and frames:
                self.is_spent = self.pictures >= MOST_PICTURES
                return facts, frames, None
            elif kind == FAILED:
                # It said so itself and goes on; only memory that ran out leaves it in a doubtful state.
                refused = _refusal(body)
                refused.facts = facts or {}
                self.is_spent = refused.code in {"too_much_memory", "decoder_failed"}
                if facts is None or not frames or refused.code in UNBELIEVABLE:
                    raise refused
                return facts, frames, refused
            else:
                raise CannotDecode(*_CRASHED)

    def _why_it_died(self) -> tuple[str, str]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        status = self.process.returncode
        if status is not None and -status in {signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL}:
            return _TOO_SLOW
        return _STOPPED if status == -STOPPED_BY else _CRASHED

    def _write(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        poll = select.poll()
        poll.register(self._in, select.POLLOUT)
        while view:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            view = view[os.write(self._in, view[:_PIPE]) :]

    def _message(self, deadline: float) -> tuple[bytes, bytes] | None:
        head = self._exactly(MESSAGE.size, deadline)
        if head is None:
            return None
        kind, length = MESSAGE.unpack(head)
        if length > _LARGEST_MESSAGE:
            raise CannotDecode(*_CRASHED)
        body = self._exactly(length, deadline)
        return None if body is None else (kind, body)

    def _exactly(self, length: int, deadline: float) -> bytes | None:
        """Read ``length`` bytes from the pipe; None when it ends before. Raises TimeoutError."""
        parts = bytearray()
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        while len(parts) < length:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            piece = os.read(self._out, length - len(parts))
            if not piece:
                return None
            parts += piece
        return bytes(parts)

    def end(self) -> None:
        """Kill it and close the pipes."""
        self.process.kill()
        self.process.wait()
        self._close()

    def forsake(self) -> None:
        """Close this process's copies of the pipes; the decoder belongs to another process."""
        self.process.returncode = 0  # Not our child: nothing may wait for it or warn about it.
        self._close()

    def _close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _end_with_the_process() -> None:
    if _current is not None and _current.owner == os.getpid():
        stop()


atexit.register(_end_with_the_process)


# ── Answers, checked ──────────────────────────────────────────────────────────────────────────
def _picture(facts: dict[str, Any], frames: tuple[Frame, ...], *, with_pixels: bool) -> Picture:
    shown = tuple(frame for frame in frames if frame.is_shown) if with_pixels else frames
    if not shown:
        raise CannotDecode(*_CRASHED)  # The first frame is always among those that are shown.
    try:
        return Picture(
            format=str(facts["format"]),
            width=int(facts["width"]),
            height=int(facts["height"]),
            frames_total=int(facts["frames_total"]),
            frames=shown,
            digests=tuple(frame.digests for frame in frames if frame.digests is not None),
        )
    except (KeyError, TypeError, ValueError):
        raise CannotDecode(*_CRASHED) from None


def _refusal(body: bytes) -> CannotDecode:
    facts = facts_of(body)
    return CannotDecode(str(facts.get("reason", "")), str(facts.get("code", "")))


def _frame(body: bytes, *, with_pixels: bool) -> Frame:
    try:
        (length,) = FRAME_HEAD.unpack_from(body)
        facts = facts_of(body[FRAME_HEAD.size : FRAME_HEAD.size + length])
        raw = body[FRAME_HEAD.size + length :]
        index, width, height = (int(facts[name]) for name in ("index", "width", "height"))
        said = facts.get("digests")
        found = digests_of(index, said) if said else None
        is_shown = facts["is_shown"] is True
    except (ValueError, KeyError, TypeError, IndexError):
        raise CannotDecode(*_CRASHED) from None
    if not (with_pixels and is_shown):
        return Frame(index, Image.new("RGB", (1, 1)), found)
    if not (0 < width <= SIDE and 0 < height <= SIDE and len(raw) == width * height * 3):
        raise CannotDecode(*_CRASHED)
    return Frame(index, Image.frombytes("RGB", (width, height), raw), found, is_shown=True)


def digests_of(index: int, said: dict[str, Any]) -> FrameDigests:
    """Return digests that are well formed. Raises ValueError: what comes out of there is not trusted."""
    values = {name: str(said[name]) for name in PERCEPTUAL if name in said}
    for name, value in [*values.items(), *(("pdq", str(each)) for each in said["turned"])]:
        if len(bytes.fromhex(value)) != (32 if name == "pdq" else 8):
            raise ValueError("a digest of the wrong length")
    quality = int(said["quality"])
    if not 0 <= quality <= 100:
        raise ValueError("a quality out of range")
    return FrameDigests(
        frame=index, quality=quality, turned=tuple(str(each) for each in said["turned"]), **values
    )


def facts_of(body: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(body)
    except ValueError:
        raise CannotDecode(*_CRASHED) from None
    if not isinstance(facts, dict):
        raise CannotDecode(*_CRASHED)
    return facts
