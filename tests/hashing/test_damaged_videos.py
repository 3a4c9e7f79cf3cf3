"""Films of which a part cannot be seen: what can be is matched, and a person is told that it was not all."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.media_types import sniff
from hashing import ffmpeg_log, film_tracks, video_frames, videos
from hashing.images import CannotDecode
from hashing.models import FlagKind
from reports.models import Item
from tests import clips
from tests.hashing.conftest import flags_of

FORMS = {
    "mp4": ("mp4", "libx264", {}),
    "fragmented mp4": ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "matroska": ("matroska", "libx264", {}),
    "flash": ("flv", "libx264", {}),
    "avi": ("avi", "mpeg4", {}),
    "transport stream": ("mpegts", "libx264", {}),
    "program stream": ("mpeg", "mpeg2video", {}),
}


@functools.cache
def film(form: str, flags: str = "", encoder: str = "") -> bytes:
    """Return five drawn seconds in a form of FORMS; ``flags`` and ``encoder`` are for the encoder."""
    container, codec, options = FORMS[form]
    out = io.BytesIO()
    with av.open(out, "w", format=container, options=dict(options)) as made:
        stream = made.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "g": "25", "bf": "0", "x264-params": encoder}
        if flags:
            stream.options = {**stream.options, "flags": flags}
        for picture in clips.frames(7, 5, rate=25, size=(320, 180)):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
            made.mux(stream.encode(frame))  # type: ignore[arg-type]
        made.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_film_is_looked_at_to_its_end_and_one_that_was_cut_off_says_so(form: str) -> None:
    whole = videos.watch(film(form), every=0.5)
    assert not whole.problem
    assert whole.frames[-1].at_ms >= 4400
    if form == "mp4":
        return  # Its index lies at the end: without that nothing is found, which is another sentence.
    data = film(form)
    cut = videos.watch(data[: len(data) * 6 // 10], every=0.5)
    assert cut.frames[-1].at_ms < 4000
    assert re.search(r"as far as 0:0\d, not all of it: the file is damaged or cut off", cut.problem)


def test_a_film_with_a_hole_is_looked_at_behind_it_too() -> None:
    data = bytearray(film("mp4"))
    hole = range(len(data) * 4 // 10, len(data) * 6 // 10)
    data[hole.start : hole.stop] = bytes(len(hole))
    watched = videos.watch(bytes(data), every=0.5)
    assert watched.frames[-1].at_ms >= 4400
    assert "damaged" in watched.problem
    same = videos.watch(film("mp4"), every=0.5).frames[-1].digests.pdq
    assert (int(same, 16) ^ int(watched.frames[-1].digests.pdq, 16)).bit_count() <= 31


INTERLACED: dict[str, Callable[[], bytes]] = {
    "H.264": lambda: film("mp4", encoder="interlaced=1"),
    "MPEG-2": lambda: film("program stream", flags="+ilme+ildct"),
}


@pytest.mark.parametrize("codec", INTERLACED)
def test_a_frame_that_opencv_could_not_convert_is_never_hashed(
    scanned: Callable[..., Item], codec: str
) -> None:
    """OpenCV says that it was read, and gives what lay in memory: the last film's frame, for one."""
    with pytest.raises(CannotDecode) as refused:
        videos.watch(INTERLACED[codec](), every=0.5)
    assert refused.value.code == "interlaced"
    (flag,) = flags_of(scanned(INTERLACED[codec](), "video/mp4"))
    assert (flag.kind, flag.evidence["code"]) == (FlagKind.COULD_NOT_SCAN, "interlaced")


@functools.cache
def two_tracks(form: str) -> bytes:
    """Return a film of two video tracks: a drawn film that plays, and another behind it."""
    container, codec, _options = FORMS[form]
    out = io.BytesIO()
    with av.open(out, "w", format=container) as made:
        streams = [made.add_stream(codec, rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
            stream.codec_context.thread_count = 1
        for number in range(25):
            for stream, seed in zip(streams, (7, 8), strict=True):
                picture = next(clips.frames(seed, 1, rate=1, size=(320, 180)))
                pixels = np.roll(np.asarray(picture.convert("RGB")), number, axis=1)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                made.mux(stream.encode(frame))  # type: ignore[arg-type]
        for stream in streams:
            made.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize("form", ["mp4", "matroska", "avi", "transport stream", "program stream"])
def test_a_second_video_track_is_not_passed_over_in_silence(form: str) -> None:
    watched = videos.watch(two_tracks(form), every=0.5)
    assert "it has 2 video tracks, and one was looked at" in watched.problem
    read = sniff(two_tracks(form))
    assert read is not None
    assert film_tracks.video_tracks(film(form), read.demuxer) == 1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_tracks_of_anything_are_a_number(data: st.DataObject) -> None:
    form = data.draw(
        st.sampled_from(["mp4", "matroska", "avi", "transport stream", "program stream"])
    )
    broken = bytearray(two_tracks(form)[-3000:] if form == "mp4" else two_tracks(form)[:3000])
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(broken) - 1), st.integers(0, 255)), max_size=12)
    ):
        broken[place] = value
    for demuxer in ("mov", "matroska", "avi", "mpegts", "mpeg", "flv"):
        assert film_tracks.video_tracks(bytes(broken), demuxer) >= 0
        assert film_tracks.has_broken_packets(bytes(broken), demuxer) in {False, True}
        assert film_tracks.changes_form(bytes(broken), demuxer) in {False, True}


@pytest.mark.parametrize("percent", [50, 60, 72])
def test_a_transport_stream_that_ends_within_a_packet_is_damaged(percent: int) -> None:
    """Ends within a frame, too: FFmpeg says nothing of the one, and not always of the other."""
    data = film("transport stream")
    cut = data[: len(data) * percent // 100 // 188 * 188 + 94]
    assert "the file is damaged or cut off" in videos.watch(cut, every=0.5).problem
    between = data[: 188 * 40] + b"no packet" + data[188 * 40 :]
    assert film_tracks.has_broken_packets(between, "mpegts")
    stamped = b"".join(bytes(4) + data[at : at + 188] for at in range(0, len(data), 188))
    assert not film_tracks.has_broken_packets(stamped, "mpegts")
    assert film_tracks.has_broken_packets(stamped[:-100], "mpegts")


def test_a_flash_video_of_several_tracks_says_so() -> None:
    """Enhanced RTMP v2: an extended header of the packet type 6 names the track behind the codec."""
    assert film_tracks.video_tracks(film("flash"), "flv") == 1
    body = b"\x96\x01avc1\x01" + bytes(20)
    tag = b"\x09" + len(body).to_bytes(3) + bytes(7) + body
    more = film("flash") + tag + len(tag).to_bytes(4)
    assert film_tracks.video_tracks(more, "flv") == 2


def test_a_track_of_several_codecs_is_not_passed_over_in_silence() -> None:
    data = film("mp4")
    assert not film_tracks.changes_form(data, "mov")
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    ((begin, end),) = film_tracks.inside(film_tracks.boxes, data, path)
    ((name, first, last),) = film_tracks.boxes(data, begin + 8, end)
    half = (last - first + 8) // 2
    # The same description as two of half the size: what they hold does not count.
    two = b"".join(half.to_bytes(4) + each + bytes(half - 8) for each in (name, b"mp4v"))
    assert film_tracks.changes_form(data[: begin + 8] + two + data[end:], "mov")
    assert (
        "its frames are of several codecs, and those of one were looked at",
        "several_codecs",
    ) in (video_frames.untold(data[: begin + 8] + two + data[end:], "mov"))


def test_where_complaints_cannot_be_heard_no_film_is_called_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ffmpeg_log, "is_heard", lambda: False)
    data = film("mp4")
    form = sniff(data)
    assert form is not None
    with pytest.raises(video_frames.Unwatchable) as refused:
        next(
            video_frames.walk(
                data, demuxer=form.demuxer, every=1, longest=60, most=10, pixels=10**6
            )
        )
    assert refused.value.code == "no_complaints"


def test_a_track_of_films_counts_whatever_it_calls_itself() -> None:
    def box(name: bytes, content: bytes) -> bytes:
        return (len(content) + 8).to_bytes(4) + name + content

    def track(handler: bytes, codec: bytes) -> bytes:
        forms = box(b"stbl", box(b"stsd", bytes(8) + box(codec, bytes(70))))
        return box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + handler) + box(b"minf", forms)))

    def element(name: bytes, content: bytes) -> bytes:
        return name + (len(content) | 1 << 28).to_bytes(4) + content

    def entry(kind: int, codec: bytes) -> bytes:
        return element(b"\xae", element(b"\x83", bytes([kind])) + element(b"\x86", codec))

    def stream(kind: bytes, form: bytes) -> bytes:
        return b"strh" + (56).to_bytes(4, "little") + kind + bytes(52) + b"strf\x28\0\0\0" + form

    bitmap = b"\x28\0\0\0" + bytes(8) + b"\1\0\x18\0" + bytes(24)
    ordinary = [(b"vide", b"avc1"), (b"soun", b"mp4a"), (b"text", b"tx3g"), (b"meta", b"mebx")]
    for more, count in (([], 1), ([(b"meta", b"avc1")], 2), ([(b"text", b"hvc1")], 2)):
        tracks = b"".join(track(*each) for each in [*ordinary, *more])
        assert film_tracks.video_tracks(box(b"moov", tracks), "mov") == count
    kinds = [(1, b"V_MPEG4/ISO/AVC"), (2, b"A_OPUS"), (17, b"S_TEXT/UTF8")]
    for others, count in (([], 1), ([(0x10, b"V_VP9")], 2), ([(0x12, b"V_AV1")], 2)):
        tracks = b"".join(entry(*each) for each in [*kinds, *others])
        segment = element(b"\x18\x53\x80\x67", element(b"\x16\x54\xae\x6b", tracks))
        assert film_tracks.video_tracks(segment, "matroska") == count
    film = stream(b"vids", bitmap) + stream(b"auds", b"\x55\0\2\0" + bytes(36))
    assert film_tracks.video_tracks(film + b"movi", "avi") == 1
    assert film_tracks.video_tracks(film + stream(b"txts", bitmap) + b"movi", "avi") == 2
