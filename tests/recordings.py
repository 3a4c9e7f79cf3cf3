"""Recordings for tests: beginnings of each form with silence behind, made here. Nothing in them is a voice."""

from __future__ import annotations

import struct


def ogg(number: int = 1) -> bytes:
    """Return an Ogg file whose one stream calls itself Opus: two pages, of silence."""
    head = b"OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00"
    first = b"OggS\x00\x02" + b"\x00" * 8 + struct.pack("<III", number, 0, 0) + b"\x01"
    return first + bytes([len(head)]) + head + b"OggS\x00\x04" + b"\x00" * 60


def wav(seconds: float = 0.5) -> bytes:
    """Return silence as WAV, 8,000 samples of one byte a second."""
    sound = b"\x80" * int(8000 * seconds)
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    body = b"WAVE" + form + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(body)) + body


def mp3() -> bytes:
    """Return three frames of MPEG-1 layer III, 128 kbit/s, 44.1 kHz, without a tag."""
    return (b"\xff\xfb\x90\x00" + b"\x00" * 413) * 3


def mp3_with_tag() -> bytes:
    return b"ID3\x04\x00\x00\x00\x00\x00\x00" + mp3()


def adts() -> bytes:
    """Return three frames of AAC, 64 bytes each."""
    return (b"\xff\xf1\x50\x80\x08\x1f\xfc" + b"\x00" * 57) * 3


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def m4a(handler: bytes = b"soun") -> bytes:
    """Return an MP4 of the brand of recordings with one track; ``vide`` makes it a film that calls itself sound."""
    hdlr = _box(b"hdlr", b"\x00" * 8 + handler + b"\x00" * 13)
    moov = _box(b"moov", _box(b"trak", _box(b"mdia", hdlr)))
    return _box(b"ftyp", b"M4A \x00\x00\x00\x00M4A mp42") + moov + _box(b"mdat", b"\x00" * 32)


def amr() -> bytes:
    return b"#!AMR\n" + b"\x3c" + b"\x00" * 31


def flac() -> bytes:
    return b"fLaC\x00\x00\x00\x22" + b"\x00" * 34


def caf() -> bytes:
    return b"caff\x00\x01\x00\x00desc" + b"\x00" * 40
