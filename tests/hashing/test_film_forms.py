"""Films that are coded in other ways than most: each is matched rightly, or says that it is not."""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from hashing import ffmpeg_log, images, video_frames, videos
from hashing.images import CannotDecode
from hashing.models import FlagKind
from reports.models import Item, ScanState
from tests import clips, peers
from tests.hashing.conftest import flags_of

RATE, SIZE = 25, (320, 180)


def coded(
    codec: str,
    pixels: str = "yuv420p",
    container: str = "mp4",
    flags: str = "",
    lasting: float = 2,
    **options: str,
) -> bytes:
    """Return two drawn seconds (or more) in a codec, with options for its encoder."""
    out = io.BytesIO()
    with clips.unhurried(), av.open(out, "w", format=container) as film:
        stream = film.add_stream(codec, rate=RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt = pixels
        stream.codec_context.thread_count = 1
        stream.options = {name.replace("_", "-"): value for name, value in options.items()}
        if flags:
            stream.options = {**stream.options, "flags": flags}
        for number, picture in enumerate(clips.frames(7, lasting, rate=RATE, size=SIZE)):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            film.mux(stream.encode(frame))  # type: ignore[arg-type]
        film.mux(stream.encode(None))
    return out.getvalue()


PQ = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
HLG = PQ.replace("smpte2084", "arib-std-b67")
RIGHT: dict[str, Callable[[], bytes]] = {
    "H.264, 10 bits": lambda: coded("libx264", "yuv420p10le"),
    "H.264, 4:2:2, 10 bits": lambda: coded("libx264", "yuv422p10le"),
    "H.264, 4:4:4": lambda: coded("libx264", "yuv444p"),
    "HEVC, 10 bits": lambda: coded("libx265", "yuv420p10le", x265_params="log-level=none"),
    "AV1": lambda: coded("libsvtav1", preset="12"),
    "AV1, 10 bits": lambda: coded("libsvtav1", "yuv420p10le", preset="12"),
}
HDR: dict[str, Callable[[], bytes]] = {
    "H.264 with a PQ tag": lambda: coded("libx264", x264_params=PQ),
    "H.264 with an HLG tag": lambda: coded("libx264", x264_params=HLG),
    "HEVC, 10 bits, PQ": lambda: coded(
        "libx265", "yuv420p10le", x265_params=f"log-level=none:{PQ}"
    ),
    "AV1, 10 bits, PQ": lambda: coded(
        "libsvtav1",
        "yuv420p10le",
        preset="12",
        svtav1_params="color-primaries=9:transfer-characteristics=16:matrix-coefficients=9",
    ),
}


@pytest.mark.parametrize("form", RIGHT)
def test_a_film_of_another_form_is_seen_as_others_see_it(form: str) -> None:
    film = RIGHT[form]()
    watched = videos.watch(film, every=0.25)
    assert not watched.problem
    for at, value, _ in peers.each_second(film):
        near = min(abs(frame.at_ms / 1000 - at) for frame in watched.frames)
        (frame,) = [each for each in watched.frames if abs(each.at_ms / 1000 - at) == near]
        assert (int(frame.digests.pdq, 16) ^ int(value, 16)).bit_count() <= 10


@pytest.mark.parametrize("form", HDR)
def test_a_film_whose_colours_were_turned_into_others_says_so(
    scanned: Callable[..., Item], form: str
) -> None:
    """The tag alone changes what OpenCV gives, by far more than a list allows."""
    item = scanned(HDR[form](), "video/mp4")
    (flag,) = flags_of(item)
    assert (item.scan_state, flag.kind) == (ScanState.PARTLY, FlagKind.COULD_NOT_SCAN)
    assert "high dynamic range" in flag.summary


DEAF = (
    "from hashing import ffmpeg_log; ffmpeg_log.complaints = lambda: 0; "
    "from hashing.decoder import main; main()"
)


def test_a_frame_that_was_not_written_is_not_believed_whatever_the_log_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The buffer holds a pattern, and another one when it is looked at again: what was given is thrown away."""
    images.stop()
    monkeypatch.setattr(images, "COMMAND", [sys.executable, "-c", DEAF])
    try:
        with pytest.raises(CannotDecode) as refused:
            videos.watch(coded("libx264", x264_params="interlaced=1"), every=0.25)
        assert refused.value.code == "unwritten"
        assert videos.watch(coded("libx264"), every=0.25).frames
    finally:
        images.stop()


def test_an_unwritten_frame_shows_no_memory_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg_log, "complaints", lambda: 0)
    video_frames.warm()
    film = coded("libx264", x264_params="interlaced=1")
    limits: dict[str, Any] = {"every": 0.25, "longest": 60, "most": 100, "pixels": 10**6}
    list(video_frames.walk(clips.clip(3, 1), demuxer="mov", **limits))
    _, first = itertools.islice(video_frames.walk(film, demuxer="mov", **limits), 2)
    assert len(set(first.grey.tobytes())) == 1


def test_a_still_film_is_believed() -> None:
    (shot,) = clips.frames(3, 1, rate=1)
    watched = videos.watch(clips.encode([shot] * 60), every=0.5)
    assert not watched.problem
    assert len(watched.frames) >= 8


def test_a_film_whose_times_stand_still_is_looked_at_all_the_same() -> None:
    """Many frames that call themselves the same moment: a player shows each of them."""
    shots = [*clips.frames(3, 8, rate=12), *clips.frames(4, 4, rate=12)]
    film = clips.encode(shots, rate=1000, container="matroska")
    watched = videos.watch(film, every=0.25)
    assert [frame.at_ms for frame in watched.frames] == [0, 64, 128]
