"""What a file is. Its bytes decide, never the name or the type that its sender gave it.

The only place that knows beginnings of files: intake asks for the kind, the decoder for the one form it may
read a file as, a reveal for what a browser may be given. Pure: bytes in, values out.

A file is of a known form or of none. A text is of none, whatever it calls itself: a list of files to join, a
playlist and a description of a stream are texts that a video library would obey, so no text may ever reach one.

Sources of the beginnings: ISO/IEC 14496-12 (boxes, brands), ISO/IEC 23008-12 (HEIF), AV1 Image File Format,
ISO/IEC 13818-1 (transport and program streams), RFC 9559 (Matroska), RFC 3533 (Ogg), Adobe FLV 10.1, QuickTime File
Format, RFC 3533 and RFC 7845 (Ogg, Opus), ISO/IEC 11172-3 and 13818-3 (MP3), ISO/IEC 13818-7 (ADTS), RFC 4867 (AMR), RFC
9639 (FLAC), and the specification of each picture format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["HEAD_BYTES", "HEIF", "MediaType", "kind_of", "sniff"]

HEAD_BYTES = 1024
"""How many bytes of a file ``sniff`` wants to see: five packets of an MPEG transport stream."""

Kind = Literal["image", "video", "audio", "other"]


@dataclass(frozen=True)
class MediaType:
    """A form that a file can have.

    ``words`` name it within a sentence. ``picture`` is Pillow's name of it, ``demuxer`` FFmpeg's, for
    what is decoded here; both are empty for what is only known by its beginning. ``inline`` is the media
    type under which every current browser shows it safely, or empty: not SVG or PDF, which can hold
    programs, and not HEIC, which browsers do not decode. ``ending`` is the file ending that goes with it.
    """

    words: str
    kind: Kind
    picture: str = ""
    demuxer: str = ""
    inline: str = ""
    ending: str = ""


# ── What is decoded ───────────────────────────────────────────────────────────────────────────
JPEG = MediaType("a JPEG picture", "image", picture="JPEG", inline="image/jpeg", ending="jpg")
PNG = MediaType("a PNG picture", "image", picture="PNG", inline="image/png", ending="png")
GIF = MediaType("a GIF picture", "image", picture="GIF", inline="image/gif", ending="gif")
WEBP = MediaType("a WebP picture", "image", picture="WEBP", inline="image/webp", ending="webp")
TIFF = MediaType("a TIFF picture", "image", picture="TIFF")
BMP = MediaType("a BMP picture", "image", picture="BMP")
AVIF = MediaType("an AVIF picture", "image", picture="AVIF")
HEIF = MediaType("a HEIC picture", "image")
"""Decoded by a program of the operating system where the operator switched that on, else by nobody."""

MP4 = MediaType("an MP4 video", "video", demuxer="mov", inline="video/mp4", ending="mp4")
MOV = MediaType("a QuickTime or MP4 video", "video", demuxer="mov")
WEBM = MediaType("a WebM video", "video", demuxer="matroska", inline="video/webm", ending="webm")
MATROSKA = MediaType("a Matroska video", "video", demuxer="matroska")
AVI = MediaType("an AVI video", "video", demuxer="avi")
FLV = MediaType("a Flash video", "video", demuxer="flv")
MPEG_PS = MediaType("an MPEG video", "video", demuxer="mpeg")
MPEG_TS = MediaType("an MPEG transport stream", "video", demuxer="mpegts")
MPEG_VIDEO = MediaType("an MPEG video", "video", demuxer="mpegvideo")

# ── Sound, which nobody decodes: browsers play it ─────────────────────────────────────────────
OGG_AUDIO = MediaType("an Ogg recording", "audio", inline="audio/ogg", ending="ogg")
M4A = MediaType("an MP4 recording", "audio", inline="audio/mp4", ending="m4a")
MP3 = MediaType("an MP3 recording", "audio", inline="audio/mpeg", ending="mp3")
AAC = MediaType("an AAC recording", "audio", inline="audio/aac", ending="aac")
WAV = MediaType("a WAV recording", "audio", inline="audio/wav", ending="wav")
FLAC = MediaType("a FLAC recording", "audio", inline="audio/flac", ending="flac")
AMR = MediaType("an AMR recording", "audio")
CAF = MediaType("a Core Audio recording", "audio")

# ── What is only known ────────────────────────────────────────────────────────────────────────
_BEGINNINGS: tuple[tuple[bytes, MediaType], ...] = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
    (b"\x00\x00\x01\xba", MPEG_PS),
    (b"\x00\x00\x01\xb3", MPEG_VIDEO),
    (b"FLV\x01", FLV),
    (b"8BPS\x00", MediaType("a Photoshop document", "image")),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", MediaType("a JPEG 2000 picture", "image")),
    (b"\xff\x4f\xff\x51", MediaType("a JPEG 2000 picture", "image")),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", MediaType("a JPEG XL picture", "image")),
    (b"\xff\x0a", MediaType("a JPEG XL picture", "image")),
    (b"\x00\x00\x01\x00", MediaType("an icon", "image")),
    (b"\x00\x00\x02\x00\x01\x00", MediaType("a mouse pointer", "image")),
    (b"icns\x00", MediaType("an icon", "image")),
    (b"DDS \x7c\x00\x00\x00", MediaType("a DDS picture", "image")),
    (b"\x76\x2f\x31\x01", MediaType("an OpenEXR picture", "image")),
    (b"qoif\x00", MediaType("a QOI picture", "image")),
    (
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",
        MediaType("a Windows Media file", "video"),
    ),
    (b".RMF\x00", MediaType("a RealMedia file", "video")),
    (b"DKIF\x00\x00", MediaType("a bare VP8, VP9 or AV1 stream", "video")),
    (b"\x00\x00\x01\xb0", MediaType("a bare MPEG-4 stream", "video")),
    (b"\x00\x00\x00\x01\x67", MediaType("a bare H.264 stream", "video")),
    (b"\x00\x00\x00\x01\x27", MediaType("a bare H.264 stream", "video")),
    (b"\x00\x00\x00\x01\x09", MediaType("a bare H.264 stream", "video")),
    (b"\x00\x00\x00\x01\x40\x01", MediaType("a bare HEVC stream", "video")),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01", MediaType("an MXF video", "video")),
    (b"%PDF-", MediaType("a PDF document", "other")),
    (b"PK\x03\x04", MediaType("a ZIP archive or an office document", "other")),
    (b"PK\x05\x06", MediaType("an empty ZIP archive", "other")),
    (b"Rar!\x1a\x07", MediaType("a RAR archive", "other")),
    (b"7z\xbc\xaf\x27\x1c", MediaType("a 7z archive", "other")),
    (b"\x1f\x8b\x08", MediaType("a gzip archive", "other")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", MediaType("an office document", "other")),
    (b"ID3", MP3),
    (b"fLaC\x00", FLAC),
    (b"#!AMR\n", AMR),
    (b"#!AMR-WB\n", AMR),
    (b"#!AMR_MC1.0\n", AMR),
    (b"#!AMR-WB_MC1.0\n", AMR),
    (b"caff\x00\x01", CAF),
    (b"MZ", MediaType("a program", "other")),
    (b"\x7fELF", MediaType("a program", "other")),
)

_SVG = MediaType("an SVG drawing", "image")
_TEXTS: tuple[tuple[re.Pattern[bytes], MediaType], ...] = (
    (
        re.compile(rb"(?:<\?xml.*?)?(?:<!--.*?-->\s*|<!doctype svg.*?>\s*)*<svg[\s>]", re.DOTALL),
        _SVG,
    ),
    (re.compile(rb"<!doctype html|<html"), MediaType("a web page", "other")),
    (re.compile(rb"#extm3u"), MediaType("a playlist", "other")),
    (re.compile(rb"(?:<\?xml.*?)?<mpd[\s>]", re.DOTALL), MediaType("a playlist", "other")),
    (re.compile(rb"ffconcat version"), MediaType("a list of other files", "other")),
    (re.compile(rb"v=0\r?\no="), MediaType("a description of a stream", "other")),
)
_ZEROS = MediaType("nothing but zero bytes", "other")
_TEXT = MediaType("a text", "other")

# Brands by which the first box of a file says what the rest is.
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2"}
    | {b"mif3", b"msf1", b"miaf", b"avci", b"avcs", b"jpeg", b"jpgs", b"vvic", b"vvis"}
)
_MP4_BRANDS = frozenset(
    {b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9", b"mp41"}
    | {b"mp42", b"avc1", b"av01", b"M4V ", b"dash", b"MSNV"}
)
_AUDIO_BRANDS = frozenset({b"M4A ", b"M4B "})
_OTHER_BRANDS = {
    b"crx ": MediaType("a raw photograph of a camera", "image"),
    b"jp2 ": MediaType("a JPEG 2000 picture", "image"),
    b"jxl ": MediaType("a JPEG XL picture", "image"),
}
_QUICKTIME_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_TS_PACKET = 188


def sniff(head: bytes) -> MediaType | None:
    """Return what a file with these first ``HEAD_BYTES`` bytes is, or None if that is not known.

    Fewer bytes are a shorter file. Says nothing about whether the rest of the file is whole.
    """
    head = head[:HEAD_BYTES]
    found = _beginning(head)
    if found is None or (found.kind in {"video", "audio"} and _is_text(head)):
        return _text(head)
    return found


def kind_of(head: bytes) -> Kind:
    """Return the kind of a file from its first bytes: ``other`` for whatever is no picture, video or sound."""
    found = sniff(head)
    return found.kind if found else "other"


def _beginning(head: bytes) -> MediaType | None:
    for beginning, found in _BEGINNINGS:
        if head.startswith(beginning):
            return found
    looks = (_riff, _bmp, _netpbm, _boxes, _ebml, _ogg, _transport_stream, _mp3, _adts)
    for look in looks:
        if (answer := look(head)) is not None:
            return answer
    return None


def _riff(head: bytes) -> MediaType | None:
    if head[:4] != b"RIFF":
        return None
    forms = {b"WEBP": WEBP, b"AVI ": AVI, b"WAVE": WAV}
    return forms.get(head[8:12])


def _bmp(head: bytes) -> MediaType | None:
    """Two letters alone would make a picture of a text: the header's length has to be one that exists."""
    known = {12, 16, 40, 52, 56, 64, 108, 124}
    is_bmp = head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in known
    return BMP if is_bmp else None


_NETPBM = re.compile(rb"P[1-7]\s(?:#[^\n]*\n|\s)*(?:\d|WIDTH)")


def _netpbm(head: bytes) -> MediaType | None:
    return MediaType("a Netpbm picture", "image") if _NETPBM.match(head) else None


def _boxes(head: bytes) -> MediaType | None:
    """Return what a file of ISO or QuickTime boxes is: a length, and a name of four letters."""
    size, name = int.from_bytes(head[:4], "big"), head[4:8]
    if name in _QUICKTIME_BOXES and size < 0x2000_0000:
        return MOV
    if name != b"ftyp" or not 8 <= size <= 0xFFFF:
        return None
    major = head[8:12]
    if major in _OTHER_BRANDS:
        return _OTHER_BRANDS[major]
    if major in _AUDIO_BRANDS:
        return M4A
    if major in _AVIF_BRANDS:
        return AVIF
    if major in _HEIF_BRANDS:
        compatible = head[16 : min(size, len(head))]
        brands = {compatible[at : at + 4] for at in range(0, len(compatible), 4)}
        is_avif = brands & _AVIF_BRANDS and not brands & {b"heic", b"heix"}
        return AVIF if is_avif else HEIF
    return MP4 if major in _MP4_BRANDS else MOV


def _ebml(head: bytes) -> MediaType | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return WEBM if b"\x42\x82\x84webm" in head[:64] else MATROSKA


def _ogg(head: bytes) -> MediaType | None:
    if not head.startswith(b"OggS\x00"):
        return None
    is_film = b"\x80theora" in head or b"BBCD\x00" in head
    return MediaType("an Ogg video", "video") if is_film else OGG_AUDIO


# Kilobits a second of layer III by the index in a frame's header, of MPEG-1, and of MPEG-2 and 2.5.
_MP3_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_MP3_SAMPLES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _mp3(head: bytes) -> MediaType | None:
    """MP3 without a tag: one frame after the other, each as long as its header says."""
    length = _mp3_frame(head)
    if not length:
        return None
    rest = head[length:]
    return MP3 if not rest or (len(rest) >= 4 and _mp3_frame(rest)) else None


def _mp3_frame(head: bytes) -> int:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, rate, sampling = (head[1] >> 3) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if version == 1 or rate in {0, 15} or sampling == 3:
        return 0
    bits = _MP3_RATES[0 if version == 3 else 1][rate] * 1000
    samples = 144 if version == 3 else 72
    return samples * bits // _MP3_SAMPLES[version][sampling] + ((head[2] >> 1) & 1)


def _adts(head: bytes) -> MediaType | None:
    """AAC as it is broadcast: a header of seven bytes, with the length of its frame."""

    def is_header(at: int) -> bool:
        return head[at : at + 1] == b"\xff" and head[at + 1 : at + 2] in (
            b"\xf0",
            b"\xf1",
            b"\xf8",
            b"\xf9",
        )

    if len(head) < 7 or not is_header(0):
        return None
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if length < 7 or (len(head) > length + 1 and not is_header(length)):
        return None
    return AAC


def _transport_stream(head: bytes) -> MediaType | None:
    """A transport stream has its sync byte every 188 bytes, or every 192 after a time stamp of four."""
    for packet, first in ((_TS_PACKET, 0), (_TS_PACKET + 4, 4)):
        syncs = head[first::packet]
        if len(syncs) >= 3 and syncs.count(b"\x47") == len(syncs):
            return MPEG_TS
    return None


def _text(head: bytes) -> MediaType | None:
    if head and not head.strip(b"\x00"):
        return _ZEROS
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, found in _TEXTS:
        if beginning.match(start):
            return found
    return _TEXT if _is_text(head) else None


_IS_CONTROL: Callable[[bytes], re.Match[bytes] | None] = re.compile(
    rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]"
).search


def _is_text(head: bytes) -> bool:
    """Return whether the beginning is text in UTF-8: no control characters but white space and escape."""
    if not head or _IS_CONTROL(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as wrong:
        return wrong.start > 0 and wrong.start >= len(head) - 3  # A character that is cut off.
    return True
