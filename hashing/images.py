"""The one place that decodes pictures from strangers.

A decoder is C code fed by an attacker, so it runs in a child process of its own:

* forked, not started: a new interpreter would cost ten times the decoding of an ordinary picture;
* with limits that the kernel enforces (address space, CPU seconds, no file may grow, no core dump, which
  would be plaintext on disk) and a wall clock that ends in SIGKILL. A signal handler or a thread inside the
  worker could do neither: Python runs handlers between bytecodes, and one call into libtiff, libwebp
  or libavif may never come back to Python;
* and what crosses back is pixels of at most 512 x 512 per frame behind a checked header, never a pickle.

A crash, a hang or a memory bomb therefore costs one child and becomes ``CannotDecode`` with a reason in
plain words. Call it in workers only: a web process must neither fork nor wait this long.

Colour is settled here, once, because every digest depends on it: EXIF orientation applied; palettes,
CMYK, 16-bit, 32-bit and floating-point samples turned into 8-bit RGB; transparency composited on white,
as a chat window shows it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import struct
import sys
import time
import warnings
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from PIL import Image, UnidentifiedImageError, features

__all__ = ["SIDE", "CannotDecode", "Frame", "Limits", "Picture", "decode", "looks_like"]

SIDE = 512
"""Longest side of a returned frame. PDQ's reference program squashes larger pictures to 512 x 512."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
"""What is decoded: PNG includes animated PNG, JPEG the several pictures in one file that phones write (MPO)."""

_BEGINNINGS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"II*\x00",
    b"MM\x00*",
    b"BM",
)

_MESSAGE = struct.Struct(">cI")
_HEADER, _FRAME, _END, _FAILED = b"H", b"F", b"E", b"X"
_LARGEST_MESSAGE = SIDE * SIDE * 3 + 64
_FRAME_HEAD = struct.Struct(">III")


class CannotDecode(Exception):
    """The picture was not decoded. ``reason`` is a sentence for a person, ``code`` is for programs."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one picture may cost. A picture beyond any of them is not decoded, and a person is told."""

    bytes: int = 100 * 1024 * 1024
    pixels: int = 64_000_000
    frames: int = 16
    """Frames returned of an animation: the first and others evenly spread."""
    frames_walked: int = 5_000
    """Frames that an animation may have in all."""
    seconds: float = 20.0
    memory: int = 1_536 * 1024 * 1024
    """Address space that the child may use beyond what it was born with. Linux enforces it."""


@dataclass(frozen=True)
class Frame:
    """One frame: its place in the animation (0 for a still) and at most 512 x 512 RGB pixels."""

    index: int
    pixels: Image.Image


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded picture. ``width`` and ``height`` are of the original, after its EXIF orientation.

    ``problem`` is a sentence when some frames of an animation could not be decoded: the frames that are
    here are good, the rest was not seen.
    """

    format: str
    width: int
    height: int
    frames_total: int
    frames: tuple[Frame, ...]
    problem: str = ""


def looks_like(head: bytes) -> str:
    """Return in plain words what a file that is no picture seems to be, or an empty string."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}:
            return "a HEIC picture"
        return "a video" if brand not in {b"avif", b"avis"} else "an AVIF picture"
    signatures = (
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive or an office document"),
        (b"\x1aE\xdf\xa3", "a video"),
        (b"OggS", "an Ogg recording"),
        (b"ID3", "an audio file"),
        (b"MZ", "a program"),
        (b"\x7fELF", "a program"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"8BPS", "a Photoshop document"),
        (b"\x00\x00\x01\x00", "an icon"),
    )
    for signature, words in signatures:
        if head.startswith(signature):
            return words
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "an SVG drawing"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if head and not head.strip(b"\x00"):
        return "nothing but zero bytes"
    return ""


def decode(source: bytes | BinaryIO, *, limits: Limits | None = None) -> Picture:
    """Decode a picture under limits. Raises CannotDecode; what reading ``source`` raises passes through.

    Reads the whole file into memory (at most ``limits.bytes``). Forks: call it in workers, not in web
    processes or threads.
    """
    limits = limits or Limits()
    data = source if isinstance(source, bytes) else _read(source, limits.bytes)
    if len(data) > limits.bytes:
        raise CannotDecode(
            f"the file is larger than {limits.bytes // (1024 * 1024)} MB", "too_many_bytes"
        )
    if not data:
        raise CannotDecode("the file is empty", "empty")
    return _in_child(data, limits)


def _read(source: BinaryIO, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= limit and (piece := source.read(min(1 << 20, limit + 1 - size))):
        parts.append(piece)
        size += len(piece)
    return b"".join(parts)


# ── The parent ────────────────────────────────────────────────────────────────────────────────
def _in_child(data: bytes, limits: Limits) -> Picture:
    _load_plugins()
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads: the child takes no lock that a thread could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            child = os.fork()
        except OSError:
            os.close(receiver)
            os.close(sender)
            raise
    if child == 0:
        os.close(receiver)
        _child(data, limits, sender)
    os.close(sender)
    reaped = False
    try:
        picture = _receive(receiver, limits)
        reaped = picture is not None
        if picture is not None:
            os.waitpid(child, 0)
            return picture
        _, status = os.waitpid(child, 0)
        reaped = True
        raise _why_it_died(status)
    finally:
        os.close(receiver)
        if not reaped:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _why_it_died(status: int) -> CannotDecode:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in {
        signal.SIGXCPU,
        signal.SIGALRM,
        signal.SIGKILL,
    }:
        return CannotDecode("decoding took too long", "too_slow")
    return CannotDecode("the file makes the decoder crash", "crashed")


def _receive(receiver: int, limits: Limits) -> Picture | None:
    """Collect what the child sends. None: it died without a word. Raises CannotDecode."""
    deadline = time.monotonic() + limits.seconds
    picture: Picture | None = None
    frames: list[Frame] = []
    while True:
        try:
            message = _message(receiver, deadline)
        except TimeoutError:
            if picture is None or not frames:
                raise CannotDecode("decoding took too long", "too_slow") from None
            return _partial(picture, frames, "decoding took too long")
        if message is None:
            if picture is None or not frames:
                return None
            return _partial(picture, frames, "the decoder stopped")
        kind, body = message
        if kind == _HEADER and picture is None:
            fields = json.loads(body)
            picture = Picture(
                format=str(fields["format"]),
                width=int(fields["width"]),
                height=int(fields["height"]),
                frames_total=int(fields["frames_total"]),
                frames=(),
            )
        elif kind == _FRAME and picture is not None and len(frames) < limits.frames:
            frames.append(_frame(body))
        elif kind == _END and picture is not None and frames:
            return replace(picture, frames=tuple(frames))
        elif kind == _FAILED:
            fields = json.loads(body)
            refused = CannotDecode(str(fields["reason"]), str(fields["code"]))
            if picture is None or not frames:
                raise refused
            return _partial(picture, frames, refused.reason)
        else:
            raise CannotDecode("the file makes the decoder crash", "crashed")


def _partial(picture: Picture, frames: list[Frame], why: str) -> Picture:
    problem = f"only {len(frames)} of its {picture.frames_total} frames could be looked at: {why}"
    return replace(picture, frames=tuple(frames), problem=problem)


def _frame(body: bytes) -> Frame:
    index, width, height = _FRAME_HEAD.unpack_from(body)
    pixels = body[_FRAME_HEAD.size :]
    if not (0 < width <= SIDE and 0 < height <= SIDE and len(pixels) == width * height * 3):
        raise CannotDecode("the file makes the decoder crash", "crashed")
    return Frame(index, Image.frombytes("RGB", (width, height), pixels))


def _message(receiver: int, deadline: float) -> tuple[bytes, bytes] | None:
    head = _exactly(receiver, _MESSAGE.size, deadline)
    if head is None:
        return None
    kind, length = _MESSAGE.unpack(head)
    if length > _LARGEST_MESSAGE:
        raise CannotDecode("the file makes the decoder crash", "crashed")
    body = _exactly(receiver, length, deadline)
    return None if body is None else (kind, body)


def _exactly(receiver: int, length: int, deadline: float) -> bytes | None:
    """Read ``length`` bytes from the pipe; None when it ends before. Raises TimeoutError."""
    parts = bytearray()
    poll = select.poll()
    poll.register(receiver, select.POLLIN)
    while len(parts) < length:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError
        piece = os.read(receiver, length - len(parts))
        if not piece:
            return None
        parts += piece
    return bytes(parts)


# ── The child ─────────────────────────────────────────────────────────────────────────────────
def _load_plugins() -> None:
    """Import what the child will need: after the fork no import lock may be waited for."""
    Image.init()
    for name in ("jpg", "zlib", "libtiff", "webp", "avif"):
        features.check(name)


def _child(data: bytes, limits: Limits, sender: int) -> NoReturn:
    """Decode and send. Never returns into the parent's code and never runs its exit handlers."""
    status = 1
    try:
        _confine(limits)
        try:
            _send_picture(data, limits, sender)
            _send(sender, _END, b"")
        except CannotDecode as refused:
            _send_refusal(sender, refused)
        except MemoryError:
            _send_refusal(
                sender, CannotDecode("decoding needs more memory than allowed", "too_much_memory")
            )
        except UnidentifiedImageError:
            _send_refusal(sender, _unidentified(data))
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, KeyError, IndexError):
            # What Pillow's decoders raise on damage; their messages may quote the file.
            _send_refusal(sender, CannotDecode("the file is damaged or cut off", "damaged"))
        except Exception:  # noqa: BLE001 — whatever it was, the parent is told
            _send_refusal(sender, CannotDecode("the decoder failed on the file", "decoder_failed"))
        status = 0
    finally:
        os._exit(status)


def _confine(limits: Limits) -> None:
    gc.disable()  # A collection here would only copy the parent's pages.
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    # If the parent is killed, its alarm clock is gone: the child then ends by its own.
    signal.setitimer(signal.ITIMER_REAL, limits.seconds + 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    cpu = int(limits.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        ceiling = pages * resource.getpagesize() + limits.memory
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    Image.MAX_IMAGE_PIXELS = None  # Checked here, per frame, with our own limit and our own words.
    warnings.simplefilter("ignore")


def _unidentified(data: bytes) -> CannotDecode:
    words = looks_like(data[:512])
    if words == "a HEIC picture":
        return CannotDecode("HEIC pictures cannot be decoded here", "unsupported_format")
    if words:
        return CannotDecode(f"the file is not a picture, it looks like {words}", "wrong_type")
    if data.startswith(_BEGINNINGS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return CannotDecode("the file is damaged or cut off", "damaged")
    return CannotDecode("the file is not a picture in a known format", "wrong_type")


def _send_picture(data: bytes, limits: Limits, sender: int) -> None:
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        _check_size(image, limits)
        width, height = image.size
        total = _count_frames(image, limits)
        if total == 1:
            image.draft("RGB", (SIDE, SIDE))  # JPEG only: decodes at a fraction of the size.
        orientation = _orientation(image)
        if orientation in _TURNED:
            width, height = height, width
        for index in sample(total, limits.frames):
            if total > 1:
                image.seek(index)
                _check_size(image, limits)  # The pages of a TIFF differ in size.
            pixels = _small_rgb(image)
            if orientation in _TURNS:
                pixels = pixels.transpose(_TURNS[orientation])
            if index == 0:
                name = "JPEG" if image.format == "MPO" else image.format
                fields = {"format": name, "width": width, "height": height, "frames_total": total}
                _send(sender, _HEADER, json.dumps(fields).encode())
            head = _FRAME_HEAD.pack(index, pixels.width, pixels.height)
            _send(sender, _FRAME, head + pixels.tobytes())


def _send(sender: int, kind: bytes, body: bytes) -> None:
    view = memoryview(_MESSAGE.pack(kind, len(body)) + body)
    while view:
        view = view[os.write(sender, view) :]


def _send_refusal(sender: int, refused: CannotDecode) -> None:
    fields = {"reason": refused.reason, "code": refused.code}
    _send(sender, _FAILED, json.dumps(fields).encode())


def _check_size(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width * height > limits.pixels:
        raise CannotDecode(
            f"the picture has {width} x {height} pixels, "
            f"more than the {limits.pixels // 1_000_000} million that are decoded",
            "too_many_pixels",
        )
    if not width or not height:
        raise CannotDecode("the picture has no pixels", "damaged")


def _count_frames(image: Image.Image, limits: Limits) -> int:
    total = int(getattr(image, "n_frames", 1))
    if total > limits.frames_walked:
        raise CannotDecode(
            f"the animation has {total} frames, more than the {limits.frames_walked} that are walked",
            "too_many_frames",
        )
    return max(total, 1)


def sample(total: int, wanted: int) -> list[int]:
    """Return up to ``wanted`` frame numbers of ``total``: the first, the last and an even spread."""
    if total <= wanted:
        return list(range(total))
    if wanted == 1:
        return [0]
    return sorted({round(step * (total - 1) / (wanted - 1)) for step in range(wanted)})


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (tag 0x0112) to the turn that puts the picture upright."""

_TURNED = frozenset({5, 6, 7, 8})


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 — parsers of metadata raise anything
        return 1  # Damaged metadata does not make the pixels unreadable.


def _small_rgb(image: Image.Image) -> Image.Image:
    """Return the picture as 8-bit RGB on white, squashed to 512 x 512 by area if larger."""
    image.load()
    pixels = _even_samples(image)
    width, height = pixels.size
    if width > SIDE or height > SIDE:
        # Transparent pixels do not bleed: Pillow multiplies by alpha before it averages.
        pixels = pixels.resize((SIDE, SIDE), Image.Resampling.BOX)
    if pixels.mode == "RGBA":
        white = Image.new("RGBA", pixels.size, (255, 255, 255, 255))
        pixels = Image.alpha_composite(white, pixels)
    if pixels.mode not in {"RGB", "L", "CMYK", "YCbCr", "RGBA", "RGBX", "HSV"}:
        raise CannotDecode(
            f"its colour mode {pixels.mode} cannot be read", "unsupported_colour_mode"
        )
    return pixels.convert("RGB")


def _even_samples(image: Image.Image) -> Image.Image:
    """Return the picture in a mode whose samples can be averaged: no palette, 8 bits, real alpha."""
    mode = image.mode
    if mode in {"PA", "LA", "La", "RGBa"} or (
        mode in {"P", "RGB", "L", "1"} and image.info.get("transparency") is not None
    ):
        if mode == "La":
            return image.convert("LA").convert("RGBA")
        return image.convert("RGBA")
    if mode == "P":
        return image.convert("RGB")
    if mode == "1":
        return image.convert("L")
    if mode in {"F", "I"} or mode.startswith("I;16"):
        return _eight_bit(image)
    return image


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return samples of 16 bits, 32 bits or floating point as 8-bit grey.

    16-bit samples keep their scale. For the others the file does not say what white is: 0-1, 0-255 and
    0-65535 are taken at their word, anything else is stretched from its darkest to its lightest sample.
    """
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    low, high = cast("tuple[float, float]", image.getextrema())
    if low >= 0 and high <= 1 and image.mode == "F":
        scale, offset = 255.0, 0.0
    elif low >= 0 and high <= 255:
        scale, offset = 1.0, 0.0
    elif low >= 0 and high <= 65_535:
        scale, offset = 1 / 257, 0.0
    else:
        scale = 255.0 / ((high - low) or 1)
        offset = -low * scale
    return image.point(lambda value: value * scale + offset).convert("L")
