"""The program that decodes pictures from strangers: a child of every worker that scans.

Started by ``hashing.images`` as ``python -m hashing.decoder``. It knows no settings, no database and no key: a new
interpreter with an empty environment, so a decoder that a hostile picture takes over has nothing of its
parent's memory. Pictures come in on standard input, one at a time; facts, digests and pixels of at most 512 x 512
go out on standard output behind checked headers, never a pickle.

It confines itself before it reads the first byte of a file (``hashing.confinement``): from there on it can open no
file, no connection and no process, and whoever takes it over can do no more. Limits that the kernel enforces as well:
address space, processor seconds, no file may grow, no core dump (it would be plaintext on disk). An alarm clock of
its own ends it when its parent was killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import struct
import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

from core.media_types import HEIF, JPEG, MediaType, sniff
from hashing import confinement

__all__ = [
    "END",
    "FAILED",
    "FRAME",
    "HEADER",
    "HEIC_IS_OFF",
    "MESSAGE",
    "REQUEST",
    "UNBELIEVABLE",
    "CannotDecode",
    "Wanted",
]

REQUEST = struct.Struct(">II")
"""Before each picture: length of the wishes (JSON) and of the file."""
MESSAGE = struct.Struct(">cI")
"""Before each answer: its kind and the length of its body."""
FRAME_HEAD = struct.Struct(">I")
"""Begins a frame's body: length of its facts (JSON); pixels follow, if they were asked for."""
HEADER, FRAME, END, FAILED = b"H", b"F", b"E", b"X"

HEIC_IS_OFF = ("HEIC is not switched on here", "heic_off")
UNBELIEVABLE = frozenset({"unwritten"})
"""Codes of refusals that come after frames of which none is to be believed."""


MOST_MEMORY = 4 * 1024 * 1024 * 1024
"""Address space in bytes, beyond what the decoder was born with, that no request can exceed."""


class CannotDecode(Exception):
    """The picture was not decoded. ``reason`` is a sentence for a person, ``code`` is for programs.

    ``facts`` are what was learnt of it all the same, such as its width and height.
    """

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.facts: dict[str, Any] = {}


class Wanted:
    """What one request asks for: limits, and whether digests, pixels or both come back."""

    def __init__(self, wishes: dict[str, Any]) -> None:
        self.pixels = int(wishes["pixels"])
        self.frames = int(wishes["frames"])
        self.frames_walked = int(wishes["frames_walked"])
        self.shown = int(wishes.get("shown", 0))
        self.seconds = float(wishes["seconds"])
        self.memory = int(wishes["memory"])
        self.algorithms = frozenset(str(name) for name in wishes["algorithms"])
        self.with_pixels = bool(wishes["with_pixels"])
        self.is_video = bool(wishes.get("is_video"))
        self.every = float(wishes.get("every", 1))
        self.longest = float(wishes.get("longest", 0))
        self.elsewhere = bool(wishes.get("elsewhere"))


def sample(total: int, wanted: int) -> list[int]:
    """Return up to ``wanted`` frame numbers of ``total``: the first, the last and an even spread."""
    if total <= wanted:
        return list(range(total))
    if wanted == 1:
        return [0]
    return sorted({round(step * (total - 1) / (wanted - 1)) for step in range(wanted)})


def form_of(data: bytes, kind: str) -> MediaType:
    """Return the one form that a file may be decoded as. Raises CannotDecode for all that is not decoded here.

    No library is asked what a file is: FFmpeg would obey a text that names other files or addresses.
    """
    found = sniff(data)
    what = "picture" if kind == "image" else "video"
    if found is None:
        raise CannotDecode(f"the file is not a {what} in a known format", "wrong_type")
    if found is HEIF:
        raise CannotDecode(*HEIC_IS_OFF)
    if found.kind != kind:
        raise CannotDecode(f"the file is not a {what}, it looks like {found.words}", "wrong_type")
    if not (found.picture if kind == "image" else found.demuxer):
        raise CannotDecode(f"it is {found.words}, which is not decoded here", "unsupported_format")
    return found


# ── Decoding ──────────────────────────────────────────────────────────────────────────────────
def _answer(data: bytes, wanted: Wanted) -> None:
    """Decode one picture and send what was asked for, or why it cannot be had."""
    try:
        if wanted.is_video:
            _send_video(data, wanted)
        else:
            _send_picture(data, wanted)
        _send(END, b"")
    except CannotDecode as refused:
        _refuse(refused)
    except MemoryError:
        _refuse(CannotDecode("decoding needs more memory than allowed", "too_much_memory"))
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, KeyError, IndexError):
        # What Pillow's decoders raise on damage; their messages may quote the file.
        _refuse(CannotDecode("the file is damaged or cut off", "damaged"))
    except Exception:  # noqa: BLE001 — whatever it was, the parent is told
        _refuse(CannotDecode("the decoder failed on the file", "decoder_failed"))


def _send_picture(data: bytes, wanted: Wanted) -> None:
    from PIL import Image

    from hashing import pixels

    form = form_of(data, "image")
    if form is JPEG and data.find(_EOI, data.rfind(_SOS)) < 0:
        data = _ended(data, wanted)
    mode = "RGB" if wanted.with_pixels else "L"
    with Image.open(BytesIO(data), formats=(form.picture,)) as image:
        _check_size(image, wanted)
        width, height = image.size
        total = _count_frames(image, wanted)
        if total == 1:
            # JPEG only: decodes at a fraction of the size, and without colour when only digests count.
            image.draft(mode, (pixels.SIDE, pixels.SIDE))
        orientation = pixels.orientation(image)
        if pixels.turns_sideways(orientation):
            width, height = height, width
        shown = set(sample(total, wanted.shown)) if wanted.with_pixels else set()
        before, sent = None, 0
        for index in range(total):
            if total > 1:
                image.seek(index)
                _check_size(image, wanted)  # The pages of a TIFF differ in size.
            try:
                small = pixels.turn(pixels.small(image, mode), orientation)
            except pixels.UnreadableColour as unreadable:
                raise CannotDecode(str(unreadable), "unsupported_colour_mode") from None
            if index == 0:
                name = "JPEG" if image.format == "MPO" else image.format
                facts = {"format": name, "width": width, "height": height, "frames_total": total}
                _send(HEADER, json.dumps(facts).encode())
            points = pixels.points(small) if total > 1 else None
            if index not in shown and not pixels.differ(before, points):
                continue
            if sent >= wanted.frames:
                raise CannotDecode(
                    f"no more than {wanted.frames} unlike frames are hashed", "too_many_frames"
                )
            before, sent = points, sent + 1
            _send_frame(index, small, wanted, is_shown=index in shown)


_SOS, _EOI = b"\xff\xda", b"\xff\xd9"


def _ended(data: bytes, wanted: Wanted) -> bytes:
    """Return a JPEG that lacks its end with one, if nothing else is missing: many a camera's thumbnail is so.

    Then what follows its last row changes no point of it. A progressive one may lack whole scans, and stays damaged.
    """
    from PIL import Image

    from hashing import pixels

    data = data.removesuffix(_EOI[:1])
    shown = set()
    for more in (b"", b"\x55" * 4096):
        try:
            with Image.open(BytesIO(data + more + _EOI), formats=("JPEG",)) as image:
                _check_size(image, wanted)
                if image.info.get("progressive"):
                    return data
                image.draft("RGB", (pixels.SIDE, pixels.SIDE))
                shown.add(image.tobytes())
        except (OSError, SyntaxError, ValueError):
            return data
    return data + _EOI if len(shown) == 1 else data


def _send_frame(index: int, small: Any, wanted: Wanted, *, is_shown: bool) -> None:
    from hashing import digests

    frame: dict[str, Any] = {
        "index": index,
        "width": small.width,
        "height": small.height,
        "is_shown": is_shown,
    }
    if wanted.algorithms:
        found = digests.of_frame(index, small, wanted.algorithms)
        frame["digests"] = found.values() | {"quality": found.quality, "turned": found.turned}
    head = json.dumps(frame).encode()
    _send(FRAME, FRAME_HEAD.pack(len(head)) + head + (small.tobytes() if is_shown else b""))


def _send_video(data: bytes, wanted: Wanted) -> None:
    from hashing import digests, video_frames

    form = form_of(data, "video")
    try:
        walk = video_frames.walk(
            data,
            demuxer=form.demuxer,
            every=wanted.every,
            longest=wanted.longest,
            most=wanted.frames,
            pixels=wanted.pixels,
            elsewhere=wanted.elsewhere,
        )
        facts = next(walk)
        _send(HEADER, json.dumps(facts).encode())
        for frame in walk:
            document: dict[str, Any] = {"at": frame.at, "points": frame.points, "size": frame.size}
            for name, pixels in (("digests", frame.grey), ("cropped", frame.cropped)):
                if pixels is not None:
                    found = digests.of_frame(0, pixels, ("pdq",))
                    document[name] = found.values() | {
                        "quality": found.quality,
                        "turned": found.turned,
                    }
            head = json.dumps(document).encode()
            _send(FRAME, FRAME_HEAD.pack(len(head)) + head)
    except video_frames.Unwatchable as refused:
        raise CannotDecode(refused.reason, refused.code) from None


def _check_size(image: Any, wanted: Wanted) -> None:
    width, height = image.size
    if width * height > wanted.pixels:
        raise CannotDecode(
            f"the picture has {width} x {height} pixels, "
            f"more than the {wanted.pixels // 1_000_000} million that are decoded",
            "too_many_pixels",
        )
    if not width or not height:
        raise CannotDecode("the picture has no pixels", "damaged")


def _count_frames(image: Any, wanted: Wanted) -> int:
    total = int(getattr(image, "n_frames", 1))
    if total > wanted.frames_walked:
        raise CannotDecode(
            f"the animation has {total} frames, more than the {wanted.frames_walked} that are walked",
            "too_many_frames",
        )
    return max(total, 1)


# ── The process ───────────────────────────────────────────────────────────────────────────────
def _send(kind: bytes, body: bytes) -> None:
    view = memoryview(MESSAGE.pack(kind, len(body)) + body)
    while view:
        view = view[os.write(1, view) :]


def _refuse(refused: CannotDecode) -> None:
    _send(FAILED, json.dumps({"reason": refused.reason, "code": refused.code}).encode())


def _read(length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        piece = os.read(0, min(length - len(parts), 1 << 20))
        if not piece:
            return None
        parts += piece
    return bytes(parts)


def _prepare() -> None:
    """Load everything: once it is confined no module, library or file can be opened."""
    import cv2  # noqa: F401 — videos need it
    import numpy as np
    from PIL import Image, features

    from hashing import digests, pixels, video_frames  # noqa: F401 — pixels is used later

    Image.init()
    for name in ("jpg", "zlib", "libtiff", "webp", "avif"):
        features.check(name)
    Image.MAX_IMAGE_PIXELS = None  # Checked here, per frame, with our own limit and our own words.
    warnings.simplefilter("ignore")
    digests.of_frame(0, Image.fromarray(np.zeros((64, 64), np.uint8)), digests.PERCEPTUAL)
    video_frames.warm()
    _load_charsets()
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    gc.freeze()


_DVB_CHARSETS = (
    "ISO6937",
    *(f"ISO-8859-{number}" for number in range(1, 16) if number != 12),
    "UCS-2BE",
    "KSC_5601",
    "GB2312",
    "UTF-8",
)
"""In which an MPEG transport stream may name its services: ETSI EN 300 468, annex A, as FFmpeg reads it."""


def _load_charsets() -> None:
    """Have the C library load its converters for names in transport streams. Kept open, they stay loaded."""
    with contextlib.suppress(AttributeError, OSError):  # A C library that has none in files.
        iconv_open = ctypes.CDLL(None).iconv_open
        iconv_open.restype = ctypes.c_void_p
        for name in _DVB_CHARSETS:
            iconv_open(b"UTF-8", name.encode())


def _pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0])


def _limit(wanted: Wanted, born_with: int) -> None:
    """Set the limits of one picture."""
    signal.setitimer(signal.ITIMER_REAL, wanted.seconds + 1)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime + wanted.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, resource.RLIM_INFINITY))
    if born_with:
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        ceiling = min(born_with * resource.getpagesize() + wanted.memory, most)
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, most))


def main(*, confined: bool = True) -> NoReturn:
    """Answer pictures until standard input ends.

    ``confined=False`` is for measuring what the sandbox costs; no setting and no argument leads there.
    """
    gaps = confinement.begin() if confined else []
    _prepare()
    serve(gaps, confined=confined)


def serve(gaps: list[confinement.Gap], *, confined: bool = True) -> NoReturn:
    """Confine this process, in which everything is loaded, and answer until standard input ends."""
    born_with = _pages() if sys.platform == "linux" else 0
    if born_with:
        # Whoever takes it over could lift the limit of a picture, but not this one.
        most = born_with * resource.getpagesize() + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    gaps += confinement.confine() if confined else []
    _send(HEADER, confinement.as_json(gaps).encode())  # Ready.
    while (head := _read(REQUEST.size)) is not None:
        wishes, data = (_read(length) for length in REQUEST.unpack(head))
        if wishes is None or data is None:
            break
        wanted = Wanted(json.loads(wishes))
        _limit(wanted, born_with)
        _answer(data, wanted)
        signal.setitimer(signal.ITIMER_REAL, 0)
    os._exit(0)


if __name__ == "__main__":
    main()
