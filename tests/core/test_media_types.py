"""What a file is: its bytes decide, for intake, decoder and reveal alike."""

from __future__ import annotations

import pytest

from core.media_types import HEAD_BYTES, kind_of, sniff
from tests import clips, pictures, recordings

PICTURE = pictures.draw(1, (64, 48))


def drawn(codec: str, container: str) -> bytes:
    return clips.encode(
        clips.frames(1, 1, rate=25, size=(176, 144)), rate=25, codec=codec, container=container
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("JPEG", "a JPEG picture"),
        ("PNG", "a PNG picture"),
        ("GIF", "a GIF picture"),
        ("WEBP", "a WebP picture"),
        ("TIFF", "a TIFF picture"),
        ("BMP", "a BMP picture"),
        ("AVIF", "an AVIF picture"),
    ],
)
def test_a_picture_that_is_decoded_is_known_by_its_bytes(name: str, words: str) -> None:
    found = sniff(pictures.encode(PICTURE, name))
    assert found is not None
    assert (found.words, found.kind, found.picture) == (words, "image", name)


def test_a_heic_photo_is_a_picture_that_pillow_never_gets() -> None:
    found = sniff(pictures.heic(PICTURE))
    assert found is not None
    assert (found.words, found.kind, found.picture) == ("a HEIC picture", "image", "")


@pytest.mark.parametrize(
    ("codec", "container", "demuxer", "inline"),
    [
        ("libx264", "mp4", "mov", "video/mp4"),
        ("libx264", "mov", "mov", ""),
        ("libx264", "3gp", "mov", ""),
        ("libvpx-vp9", "webm", "matroska", "video/webm"),
        ("libx264", "matroska", "matroska", ""),
        ("mpeg4", "avi", "avi", ""),
        ("libx264", "flv", "flv", ""),
        ("mpeg2video", "mpeg", "mpeg", ""),
        ("mpeg2video", "mpegts", "mpegts", ""),
        ("mpeg2video", "mpeg2video", "mpegvideo", ""),
        ("wmv2", "asf", "", ""),
        ("libx264", "h264", "", ""),
    ],
)
def test_a_video_is_known_by_its_bytes(
    codec: str, container: str, demuxer: str, inline: str
) -> None:
    found = sniff(drawn(codec, container))
    assert found is not None
    assert (found.kind, found.demuxer, found.inline) == ("video", demuxer, inline)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"ffconcat version 1.0\nfile a.png\n", "a list of other files"),
        (b"\xef\xbb\xbfffconcat version 1.0\n", "a list of other files"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 40506 RTP/AVP 96\r\n", "a description of a"),
        (b"#EXTM3U\n#EXTINF:2,\nfile:///a.ts\n", "a playlist"),
        (b"<?xml version='1.0'?>\n<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'>", "a playlist"),
        (b"\x1b[31mcoloured\x1b[0m text of a terminal", "a text"),
        (b"frame%03d.png", "a text"),
        ("Straße, кварлов".encode(), "a text"),
        # Texts that have a beginning of pictures and videos in them.
        (b"RIFFabcdAVI is how this begins", "a text"),
        (b"abcdmoov, a text, abcd", "a text"),
        (b"\n\n\nxmdat a text", "a text"),
        (b"BM is how this begins, and it goes on for a while", "a text"),
        (b"G" * HEAD_BYTES, "a text"),
    ],
)
def test_a_text_is_never_a_video(head: bytes, words: str) -> None:
    found = sniff(head)
    assert found is not None
    assert found.words.startswith(words)
    assert (found.kind, found.picture, found.demuxer, found.inline) == ("other", "", "", "")


@pytest.mark.parametrize(
    "head",
    [b"", b"\x80\x81\x82", b"\x00\x00\x00\x18skimped" + b"\xff" * 40, "text".encode("utf-16")],
    ids=["empty", "no form", "almost a box", "utf-16"],
)
def test_what_is_not_known_is_neither(head: bytes) -> None:
    assert sniff(head) is None
    assert kind_of(head) == "other"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf" + b"\x00" * 40, "AVIF"),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1heicmiaf" + b"\x00" * 40, ""),
        (b"\x00\x00\x00\x1cftyphevx\x00\x00\x00\x00mif1hevcmiaf" + b"\x00" * 40, ""),
        (b"\x00\x00\x00\x1cftypmif2\x00\x00\x00\x00mif1miafheix" + b"\x00" * 40, ""),
    ],
)
def test_brands_of_still_pictures_are_pictures(head: bytes, kind: str) -> None:
    found = sniff(head)
    assert found is not None
    assert (found.kind, found.picture) == ("image", kind)


@pytest.mark.parametrize("box", [b"moov", b"mdat", b"wide"])
def test_an_old_quicktime_film_is_a_video(box: bytes) -> None:
    assert kind_of(b"\x00\x00\x01\x18" + box + b"\x00" * 60) == "video"


def test_a_transport_stream_with_time_stamps_is_a_video() -> None:
    packet = b"\x00\x00\x00\x01\x47\x40\x00\x10" + b"\xff" * 184
    assert kind_of(packet * 6) == "video"


@pytest.mark.parametrize(
    ("recording", "words", "inline"),
    [
        (recordings.ogg(), "an Ogg recording", "audio/ogg"),
        (recordings.wav(), "a WAV recording", "audio/wav"),
        (recordings.mp3(), "an MP3 recording", "audio/mpeg"),
        (recordings.mp3_with_tag(), "an MP3 recording", "audio/mpeg"),
        (recordings.adts(), "an AAC recording", "audio/aac"),
        (recordings.m4a(), "an MP4 recording", "audio/mp4"),
        (recordings.flac(), "a FLAC recording", "audio/flac"),
        # Browsers play neither.
        (recordings.amr(), "an AMR recording", ""),
        (recordings.caf(), "a Core Audio recording", ""),
    ],
)
def test_a_voice_message_is_sound(recording: bytes, words: str, inline: str) -> None:
    found = sniff(recording)
    assert found is not None
    assert (found.words, found.kind, found.inline) == (words, "audio", inline)
    assert (found.picture, found.demuxer) == ("", "")  # No decoder ever gets one.


@pytest.mark.parametrize(
    "head",
    [
        b"ID3 is how this text begins",
        b"#!AMR is how this text begins",
        b"\xff\xfb\x90\x00" + b"\x01" * 500,  # One frame, and no other behind it.
        b"\xff\xfe" + "a text in UTF-16".encode("utf-16-le"),
        b"\xff\xf1\x50\x80\x08\x1f\xfc" + b"\x01" * 200,
    ],
)
def test_what_begins_like_sound_and_is_none(head: bytes) -> None:
    assert kind_of(head) == "other"
