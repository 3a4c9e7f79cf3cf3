"""Files that ask a video library for other files, for a network, or for a decoder that nobody needs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hashing import videos
from hashing.images import CannotDecode
from hashing.video_frames import Unwatchable, walk
from reports.models import ItemKind, ScanState
from tests import clips
from tests.hashing.conftest import Put, flags_of

PORT = 40506
NAMING = {
    "a list of files": b"ffconcat version 1.0\nfile docs/images/home.png\nduration 2\n" * 3,
    "a list of files that are not there": b"ffconcat version 1.0\nfile nowhere.png\n" * 3,
    "a description of a stream": (
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        b"m=video %d RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" % PORT
    ),
    "a playlist": b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:2,\ndocs/images/home.png\n#EXT-X-ENDLIST\n",
    "an MPD": b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>",
    "a text for a terminal": b"\x1b[2J" + b"word " * 4000,
    "a pattern of names": b"docs/images/%03d.png",
}


@pytest.mark.parametrize("data", NAMING.values(), ids=NAMING)
def test_a_text_that_names_other_things_ends_as_could_not_scan(scanned: Put, data: bytes) -> None:
    item = scanned(data, "video/mp4")
    (flag,) = flags_of(item)
    assert (item.kind, item.scan_state) == (ItemKind.OTHER, ScanState.PARTLY)
    assert (flag.kind, flag.evidence["code"]) == ("could_not_scan", "wrong_type")


def test_the_answer_does_not_tell_whether_a_file_is_there(scanned: Put) -> None:
    there, absent = (
        flags_of(scanned(NAMING[name], "video/mp4"))[0]
        for name in ("a list of files", "a list of files that are not there")
    )
    assert (there.summary, there.evidence) == (absent.summary, absent.evidence)


@pytest.mark.parametrize("data", NAMING.values(), ids=NAMING)
def test_the_decoder_itself_refuses_it(data: bytes) -> None:
    with pytest.raises(CannotDecode) as refused:
        videos.watch(data, every=1)
    assert refused.value.code == "wrong_type"


def opened(data: bytes, demuxer: str) -> list[object]:
    """Return what FFmpeg makes of a file that was taken for one form."""
    return list(walk(data, demuxer=demuxer, every=1, longest=60, most=10, pixels=10**7))


@pytest.mark.parametrize(
    ("name", "demuxer"),
    [
        ("a list of files", "concat"),
        ("a description of a stream", "sdp"),
        ("a playlist", "hls"),
        ("a list of files", "mov"),
        ("a description of a stream", "mpegts"),
    ],
)
def test_nothing_is_opened_even_if_the_file_was_taken_for_something_else(
    name: str, demuxer: str
) -> None:
    with pytest.raises(Unwatchable):
        opened(NAMING[name], demuxer)
    bound = Path("/proc/net/udp").read_text() + Path("/proc/net/udp6").read_text()
    assert f":{PORT:04X} " not in bound
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", PORT))


def drawn(codec: str, container: str) -> bytes:
    return clips.encode(
        clips.frames(1, 1, rate=25, size=(352, 288)), rate=25, codec=codec, container=container
    )


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("libx264", "mp4"),
        ("libx264", "mpegts"),
        ("libx265", "mp4"),
        ("libsvtav1", "mp4"),
        ("libvpx", "webm"),
        ("libvpx-vp9", "webm"),
        ("mpeg2video", "mpeg"),
        ("mpeg4", "avi"),
    ],
)
def test_what_phones_and_platforms_write_is_watched(codec: str, container: str) -> None:
    watched = videos.watch(drawn(codec, container), every=0.25)
    assert (watched.width, watched.height, watched.problem) == (352, 288, "")
    assert len(watched.frames) >= 3
    assert any(frame.values() for frame in watched.frames)


@pytest.mark.parametrize(
    ("codec", "container"),
    [("magicyuv", "avi"), ("ffv1", "matroska"), ("rawvideo", "avi"), ("msmpeg4", "avi")],
)
def test_a_decoder_that_is_not_on_the_list_never_runs(codec: str, container: str) -> None:
    with pytest.raises(CannotDecode) as refused:
        videos.watch(drawn(codec, container), every=1)
    assert "holds no video in a form that is decoded here" in refused.value.reason


def test_a_form_that_is_only_known_is_named() -> None:
    with pytest.raises(CannotDecode) as refused:
        videos.watch(drawn("wmv2", "asf"), every=1)
    assert refused.value.reason == "it is a Windows Media file, which is not decoded here"
