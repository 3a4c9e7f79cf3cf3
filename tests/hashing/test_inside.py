"""Pictures and films that lie in other files besides what those show: found, or named as not looked at."""

from __future__ import annotations

import io
import re
import struct
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audit import SYSTEM
from hashing import actions, digests, images, inside, outlines
from hashing.media import Media
from hashing.models import FlagKind, HashList
from reports.models import ScanState
from tests import clips, enclosed, pictures
from tests.hashing.conftest import Put, flags_of
from tests.hashing.test_lookups import Asking, asking

__all__ = ["asking"]

OUTER, INNER = 31, 77


def list_drawn(known: HashList, seed: int) -> None:
    frame = images.decode(enclosed.shown_by(seed)).frames[0]
    value = digests.of_frame(0, frame.pixels).pdq
    actions.add_entry(known, algorithm="pdq", value=value, actor=SYSTEM)


def test_what_lies_in_a_file_besides_what_it_shows_is_found(
    asking: Asking, known: HashList
) -> None:
    list_drawn(known, INNER)
    files = {name: build(OUTER, INNER) for name, build in enclosed.ENCLOSED.items()}
    answer = asking.files("/match", *files.values())
    assert answer.status_code == 200, answer.content
    for name, told in zip(files, answer.json()["files"], strict=True):
        matches = [each for each in told["findings"] if each["kind"] == FlagKind.HASH_MATCH]
        assert [each["evidence"]["algorithm"] for each in matches] == ["pdq"], (name, told)
        assert told["not_looked"] == [], name
        where = matches[0]["evidence"].get("inside", "")
        assert bool(where) == (name != "edit list"), name
        assert matches[0]["summary"].startswith(where), name


def test_a_scan_finds_it_and_says_where(scanned: Put, known: HashList) -> None:
    list_drawn(known, INNER)
    for name in ("Exif thumbnail", "motion photo"):
        item = scanned(enclosed.ENCLOSED[name](OUTER, INNER))
        (flag,) = flags_of(item)
        assert (item.scan_state, flag.kind) == (ScanState.SCANNED, FlagKind.HASH_MATCH)
        assert flag.summary.startswith(f"{flag.evidence['inside']}: "), flag.summary


def test_an_ordinary_thumbnail_says_nothing_and_repeats_nothing(
    asking: Asking, known: HashList
) -> None:
    ordinary = enclosed.ENCLOSED["Exif thumbnail"](OUTER, OUTER)
    (told,) = asking.files("/match", ordinary).json()["files"]
    assert (told["findings"], told["not_looked"]) == ([], [])
    list_drawn(known, OUTER)
    (told,) = asking.files("/match", ordinary).json()["files"]
    assert [each["evidence"].get("inside") for each in told["findings"]] == [None]


QUIET = {
    "zero bytes": bytes(50_000),
    "a camera's note": b"\x01\x02SEFH" + bytes(range(200)) * 4 + b"SEFT",
    "line ends": b"\r\n" * 9000,
}
NAMED = {
    "bytes of no form": (bytes(range(1, 255)) * 30, "bytes behind its end are of no known form"),
    "an archive": (b"PK\x03\x04" + bytes(range(1, 99)), "look like a ZIP archive"),
    "a long text": (b"markerword-alpha " * 900, "bytes behind its end are a text"),
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "MP4"])
def test_what_is_no_picture_behind_an_end_is_named_unless_it_is_nothing(form: str) -> None:
    whole = clips.clip(3, 1) if form == "MP4" else pictures.encode(enclosed.drawn(OUTER), form)
    assert inside.find(whole) == inside.Inside()
    for name, tail in QUIET.items():
        assert inside.find(whole + tail) == inside.Inside(), name
    for name, (tail, said) in NAMED.items():
        (sentence,) = inside.find(whole + tail).unread
        assert said in sentence, name


def test_what_was_not_looked_at_is_said_by_scan_match_and_hash(
    scanned: Put, asking: Asking, known: HashList
) -> None:
    odd = pictures.jpeg(5) + bytes(range(1, 255)) * 30
    item = scanned(odd)
    (flag,) = flags_of(item)
    assert (item.scan_state, flag.kind) == (ScanState.PARTLY, FlagKind.COULD_NOT_SCAN)
    for path in ("/match", "/hash"):
        (told,) = asking.files(path, odd).json()["files"]
        assert "behind its end" in told["not_looked"][0]
        assert told["problem"] == told["not_looked"][0]


def test_hash_gives_the_digests_of_what_lies_inside(asking: Asking) -> None:
    both = [enclosed.ENCLOSED[name](OUTER, INNER) for name in ("two JPEGs", "motion photo")]
    picture, motion = asking.files("/hash", *both).json()["files"]
    (part,) = picture["inside"]
    same = digests.of_file(io.BytesIO(enclosed.shown_by(INNER)))
    assert (part["where"], part["sha256"]) == ("Picture behind its end", same.sha256)
    assert len(part["frames"][0]["pdq"]) == 64
    assert picture["not_looked"] == []
    (part,) = motion["inside"]
    assert (part["kind"], part["frames"], len(part["md5"])) == ("video", [], 32)
    assert motion["not_looked"] == [part["problem"]]


def test_attachments_that_are_no_pictures_are_named_and_fonts_are_not() -> None:
    film = clips.encode(clips.frames(3, 1), container="matroska")
    assert not inside.find(enclosed.attached(film, b"\0\1\0\0\0\x0f" + bytes(99))).unread
    (said,) = inside.find(enclosed.attached(film, b"\x80\x81 of no form " * 9)).unread
    assert re.fullmatch(r"an attachment of \d+ bytes is of no known form", said)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc32(name + content))
    )


def odd_files() -> dict[str, bytes]:
    """Return files that a decoder shows as any other, with a small picture where it looks for nothing."""
    small, outer = enclosed.tiny(INNER), enclosed.shown_by(OUTER)
    picture = enclosed.drawn(OUTER)
    png, bitmap = pictures.encode(picture, "PNG"), pictures.encode(picture, "BMP")
    film, body = clips.clip(3, 1), png.rindex(b"IEND") - 4
    first = int.from_bytes(film[:4])
    return {
        "a PNG without an end": png[:body] + small,
        "coded pixels behind the last ones": png[:body] + chunk(b"IDAT", small) + png[body:],
        "a broken segment for an end": outer[:-2] + b"\xff\xe5\xff\xff" + small,
        "a broken segment and an end": outer[:-2] + b"\xff\xe5\xff\xff\xff\xd9" + small,
        "no end, then another beginning": outer[:-2] + small,
        "between a BMP's header and pixels": bitmap[:10]
        + struct.pack("<I", 54 + len(small))
        + bitmap[14:54]
        + small
        + bitmap[54:],
        "fill bytes before a marker": enclosed._in_jpeg(
            outer, 0xE4, small[:2] + b"\xff\xff" + small[2:]
        ),
        "a hundred empty comments": enclosed._in_jpeg(
            outer, 0xE4, small[:2] + b"\xff\xfe\0\2" * 100 + small[2:]
        ),
        "in the first box": struct.pack(">I", first + len(small))
        + film[4:first]
        + small
        + film[first:],
        "in an index of fragments": film + box(b"sidx", small),
        "in a fragment's header": film + box(b"moof", small),
    }


def test_a_picture_is_found_wherever_a_file_has_room_for_it() -> None:
    for name, data in odd_files().items():
        found = inside.find(data)
        assert [each.kind for each in found.parts] == ["image"], name
        assert images.decode(found.parts[0].data).frames, name
        assert found.unread == (), name


def test_both_a_film_and_a_picture_of_an_avif_are_looked_at(
    asking: Asking, known: HashList
) -> None:
    list_drawn(known, INNER)
    stream = io.BytesIO()
    more = [enclosed.drawn(INNER)] * 2
    enclosed.drawn(OUTER).save(stream, "AVIF", save_all=True, append_images=more, duration=500)
    series = stream.getvalue()
    (told,) = asking.files("/match", series[:8] + b"avif" + series[12:]).json()["files"]
    assert [each["evidence"]["inside"] for each in told["findings"]] == ["Video in it"]
    assert told["not_looked"] == []


def test_frames_that_a_decoder_passes_over_are_named() -> None:
    frames = [enclosed.drawn(OUTER), enclosed.drawn(INNER)]

    def animated(form: str) -> bytes:
        stream = io.BytesIO()
        frames[0].save(stream, form, save_all=True, append_images=frames[1:], duration=500)
        return stream.getvalue()

    gif, png = animated("GIF"), animated("PNG")
    at = gif.rindex(b"\x2c\0\0\0\0\x40\1\xf0\0")
    control = png.index(b"acTL") - 4
    odd = {
        gif[: at + 1] + struct.pack("<HH", 310, 230) + gif[at + 5 :]: "reach beyond its canvas",
        png[:control] + png[control + 20 :]: "more frames than it says",
        png[:control] + chunk(b"acTL", bytes((0, 0, 0, 1, 0, 0, 0, 0))) + png[control + 20 :]: (
            "more frames than it says"
        ),
    }
    for data, said in odd.items():
        (sentence,) = inside.find(data).unread
        assert said in sentence
    assert inside.find(gif) == inside.find(png) == inside.Inside()


def test_one_thing_in_another_without_end_is_looked_at_within_limits() -> None:
    many = pictures.jpeg(5) + b"".join(enclosed.tiny(seed % 5) for seed in range(40))
    found = Media(lambda: io.BytesIO(many))
    looked = [media for _, media in found.parts()]
    assert (looked[:16].count(None), looked[16]) == (0, None)
    deep = enclosed.tiny(1)
    for _ in range(5):
        deep = enclosed._in_jpeg(enclosed.tiny(2), 0xE1, deep)
    media: Media | None = Media(lambda: io.BytesIO(deep))
    depth = 0
    while media is not None:
        ((_, media),) = media.parts()
        depth += 1
    assert depth == 4
    pieces = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(17) + b"\0\0\0\0aaaa\0\0\0\0" * 10_000
    assert not inside.find(pieces).unread
    endless = b"GIF89a\1\0\1\0\0\0\0" + b"\x21\xfe\1a\0" * outlines.MOST_STEPS
    assert inside.find(endless).unread == ("it is made of more pieces than are looked at",)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_parts_or_nothing(data: st.DataObject) -> None:
    name = data.draw(
        st.sampled_from(["Exif thumbnail", "behind a GIF", "in a PNG", "behind a WebP"])
    )
    broken = bytearray(enclosed.ENCLOSED[name](OUTER, INNER))
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(broken) - 1), st.integers(0, 255)), max_size=12)
    ):
        broken[place] = value
    found = inside.find(bytes(broken[: data.draw(st.integers(0, len(broken)))]))
    assert all(part.data for part in found.parts)
