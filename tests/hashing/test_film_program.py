"""Films that OpenCV cannot show, watched by the system's ffmpeg in the sandbox; and what is so without it."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings
from PIL import Image

from hashing import checks, digests, film_program, videos
from hashing.images import CannotDecode
from hashing.models import FlagKind
from hashing.videos import VideoLimits
from reports.models import Item, ScanState
from tests import enclosed, peers
from tests.hashing.conftest import flags_of
from tests.hashing.test_film_forms import HDR, coded
from tests.machine import ffmpeg

INTERLACED: dict[str, Callable[[], bytes]] = {
    "H.264": lambda: coded("libx264", x264_params="interlaced=1"),
    "H.264, in a transport stream": lambda: coded(
        "libx264", container="mpegts", x264_params="interlaced=1"
    ),
    "MPEG-2": lambda: coded("mpeg2video", container="mpeg", flags="+ilme+ildct", b="3000000"),
}
ELSEWHERE = {
    **INTERLACED,
    **{name: HDR[name] for name in ("H.264 with a PQ tag", "HEVC, 10 bits, PQ")},
    "ProRes": lambda: coded("prores_ks", "yuv422p10le", container="mov"),
}


@pytest.fixture
def switched_on(settings: Any) -> None:
    ffmpeg()
    settings.HOLDFAST_FFMPEG = "1"


@pytest.mark.usefixtures("switched_on")
@pytest.mark.parametrize("form", ELSEWHERE)
def test_a_film_that_opencv_cannot_show_is_seen_as_its_ordinary_twin_is(form: str) -> None:
    listed = peers.each_second(coded("libx264"))
    watched = videos.watch(ELSEWHERE[form](), every=0.25)
    assert not watched.problem
    assert (watched.width, watched.height) in {(320, 180), (0, 0)}
    assert [round(frame.at_ms / 250) for frame in watched.frames] == list(range(8))
    for at, value, _ in listed:
        (seen,) = [each for each in watched.frames if 0 <= each.at_ms / 1000 - at < 0.2]
        assert (int(seen.digests.pdq, 16) ^ int(value, 16)).bit_count() <= 20


@pytest.mark.usefixtures("switched_on")
def test_with_it_an_interlaced_film_is_scanned_and_without_it_a_person_is_told(
    scanned: Callable[..., Item],
) -> None:
    film = INTERLACED["H.264"]()
    item = scanned(film, "video/mp4")
    assert (item.scan_state, flags_of(item)) == (ScanState.SCANNED, [])
    assert item.blob is not None
    assert len(item.blob.watch.storyboard) >= 4
    with override_settings(HOLDFAST_FFMPEG=""):
        other = scanned(coded("libx264", x264_params="interlaced=1:keyint=7"), "video/mp4")
    (flag,) = flags_of(other)
    assert (other.scan_state, flag.kind) == (ScanState.PARTLY, FlagKind.COULD_NOT_SCAN)
    assert flag.evidence["code"] == "interlaced"


@pytest.mark.usefixtures("switched_on")
def test_a_film_that_becomes_interlaced_on_its_way_is_seen_whole() -> None:
    """Two transport streams are one: OpenCV shows the first half, and nothing of that is kept twice."""
    film = coded("libx264", container="mpegts") + INTERLACED["H.264, in a transport stream"]()
    watched = videos.watch(film, every=0.25)
    assert len(watched.frames) >= 8
    assert len({frame.at_ms for frame in watched.frames}) == len(watched.frames)


@pytest.mark.usefixtures("switched_on")
def test_frames_that_an_edit_list_leaves_out_are_seen_by_it_too() -> None:
    film = enclosed.trimmed(77, 31)
    seen = film_program.watch(
        film,
        demuxer="mov",
        longest=60,
        most=100,
        pixels=10**7,
        seconds=60,
        memory=2 << 30,
        keep=lambda grey: digests.of_frame(0, grey, ("pdq",)).pdq,
    ).looks
    twin = videos.watch(film, every=0.25)
    assert len(seen) == len(twin.frames) == 12
    for (at, value), frame in zip(seen, twin.frames, strict=True):
        assert abs(at * 1000 - frame.at_ms) <= 50
        assert (int(value, 16) ^ int(frame.digests.pdq, 16)).bit_count() <= 31


@pytest.mark.usefixtures("switched_on")
def test_what_it_cannot_see_is_said() -> None:
    whole = INTERLACED["H.264, in a transport stream"]()
    cut = bytearray(whole)
    cut[len(cut) * 4 // 10 : len(cut) * 5 // 10] = bytes(len(cut) // 10)
    assert "damaged" in videos.watch(bytes(cut), every=0.25).problem
    few = videos.watch(whole, every=0.25, limits=VideoLimits(frames=3))
    assert (len(few.frames), "more than the 3 frames" in few.problem) == (3, True)
    short = videos.watch(whole, every=0.25, limits=VideoLimits(longest=1))
    assert short.frames[-1].at_ms <= 1000
    assert "longer than" in short.problem
    with pytest.raises(CannotDecode) as refused:
        videos.watch(coded("libx264")[:400], every=0.25)
    assert "the system's ffmpeg" in refused.value.reason


@pytest.mark.usefixtures("switched_on")
def test_its_limits_of_time_and_pixels_hold() -> None:
    # Long enough not to end before its time is first looked at, however busy the machine is.
    film = coded("libx264", lasting=40, x264_params="interlaced=1")
    how: dict[str, Any] = {
        "demuxer": "mov", "longest": 60, "most": 100, "memory": 2 << 30, "keep": Image.Image.copy
    }  # fmt: skip
    with pytest.raises(film_program.NotWatched) as slow:
        film_program.watch(film, pixels=10**6, seconds=0.01, **how)
    assert slow.value.code == "ffmpeg_too_slow"
    with pytest.raises(film_program.NotWatched):
        film_program.watch(film, pixels=1000, seconds=20, **how)


@pytest.mark.usefixtures("switched_on")
def test_a_text_that_names_other_files_never_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film_program, "watch", lambda *_, **__: pytest.fail("it was asked"))
    for data in (b"ffconcat version 1.0\nfile /etc/passwd\n" * 9, b"no film at all " * 80):
        with pytest.raises(CannotDecode):
            videos.watch(data, every=0.25)


def test_pixels_that_do_not_fit_their_frame_end_it() -> None:
    frames = film_program._Frames(Image.Image.copy, most=10)
    assert frames.take(b"YUV4MPEG2 W2 H2 F25:1 Ip Cmono\nFRA")
    assert frames.take(b"ME\nabcdFRAME\nefgh")
    assert [each.tobytes() for each in frames.kept] == [b"abcd", b"efgh"]
    assert not frames.take(b"another line of bytes")
    assert frames.is_strange
    for head in (b"YUV4MPEG2 W9999 H2 F25:1 Cmono\n", b"YUV4MPEG2 W2 H2 C420jpeg\n", b"x" * 500):
        strange = film_program._Frames(Image.Image.copy, most=10)
        assert not strange.take(head)


@pytest.mark.usefixtures("switched_on")
def test_the_version_of_the_distributions_package_is_shown() -> None:
    said = StringIO()
    call_command("bundled", stdout=said)
    assert re.search(r"watched by \S*ffmpeg \d+[:.]\d+", said.getvalue())
    with override_settings(HOLDFAST_FFMPEG=""):
        assert "switched off (HOLDFAST_FFMPEG)" in film_program.described()


@override_settings(HOLDFAST_FFMPEG="/nowhere/ffmpeg")
def test_one_that_is_not_there_is_named_at_the_start_and_nothing_is_hidden() -> None:
    (error,) = checks.the_systems_ffmpeg_is_there()
    assert (error.id, "/nowhere/ffmpeg" in error.msg) == ("hashing.E004", True)
    assert "not installed" in film_program.described()
    with pytest.raises(CannotDecode) as refused:
        videos.watch(INTERLACED["H.264"](), every=0.25)
    assert refused.value.code == "interlaced"
