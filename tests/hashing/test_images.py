"""Untrusted pictures: decoded under limits, or refused with a reason."""

from __future__ import annotations

import ast
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from hashing import digests, images
from hashing.images import CannotDecode, Limits, decode, sample
from hashing.matching import distance
from tests import pictures


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    grey = [each.convert("L").resize((64, 64)) for each in (one, other)]
    return float(np.asarray(ImageChops.difference(*grey)).mean())


@pytest.fixture
def original() -> Image.Image:
    return pictures.draw(3)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_every_allowed_format_is_decoded(original: Image.Image, format: str) -> None:
    picture = decode(pictures.encode(original, format))
    assert (picture.format, picture.width, picture.height) == (format, 640, 480)
    assert picture.frames_total == 1
    assert not picture.problem
    assert mean_difference(picture.frames[0].pixels, original) < 4


@pytest.mark.parametrize("name", ["palette_png", "cmyk_jpeg", "gif", "webp", "turned_by_exif"])
def test_colour_and_orientation_are_settled(original: Image.Image, name: str) -> None:
    picture = decode(pictures.variants(original)[name][0])
    assert (picture.width, picture.height) == (640, 480)
    assert picture.frames[0].pixels.mode == "RGB"
    assert mean_difference(picture.frames[0].pixels, original) < 6


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_orientation_is_put_upright(turn: int) -> None:
    upright = pictures.draw(5, (400, 300))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[turn]) if turn in undo else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    picture = decode(pictures.encode(stored, exif=exif))
    assert (picture.width, picture.height) == (400, 300)
    assert mean_difference(picture.frames[0].pixels, upright) < 3


@pytest.mark.parametrize("make", [pictures.sixteen_bit_png, pictures.float_tiff])
def test_deep_samples_keep_their_brightness(
    original: Image.Image, make: Callable[[Image.Image], bytes]
) -> None:
    picture = decode(make(original))
    assert mean_difference(picture.frames[0].pixels, original) < 2


def test_transparency_lies_on_white(original: Image.Image) -> None:
    pixels = decode(pictures.transparent_png(original)).frames[0].pixels
    assert pixels.getpixel((2, 2)) == (255, 255, 255)


def test_large_pictures_come_back_small() -> None:
    picture = decode(pictures.jpeg(7, (3000, 1000)))
    assert (picture.width, picture.height) == (3000, 1000)
    assert picture.frames[0].pixels.size == (512, 512)


def test_an_animation_is_sampled_from_first_to_last() -> None:
    picture = decode(pictures.animated_gif(40))
    assert picture.frames_total == 40
    numbers = [frame.index for frame in picture.frames]
    assert (len(numbers), numbers[0], numbers[-1]) == (16, 0, 39)
    assert mean_difference(picture.frames[-1].pixels, pictures.draw(939, (320, 240))) < 8


def _as_tiff(frames: list[Image.Image]) -> bytes:
    return pictures.encode(frames[0], "TIFF", save_all=True, append_images=frames[1:])


def _as_animation(form: str, frames: list[Image.Image]) -> bytes:
    if form == "TIFF":
        return _as_tiff(frames)
    return pictures.encode(
        frames[0], form, save_all=True, append_images=frames[1:], duration=80, lossless=True
    )


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_every_frame_that_shows_something_else_is_hashed(form: str) -> None:
    """One frame among sixty: the others are two pictures in turns of ten, and those are hashed once a turn."""
    two = [pictures.draw(seed, (160, 120)).convert("RGB") for seed in (1, 2)]
    frames = [two[number // 10 % 2].copy() for number in range(60)]
    for number, frame in enumerate(frames):
        frame.putpixel((number, 0), (255, 255, 255))  # No two are the same, and none is unlike.
    frames[33] = pictures.draw(3, (160, 120)).convert("RGB")
    picture = images.digest(_as_animation(form, frames))
    assert (picture.frames_total, picture.problem) == (60, "")
    assert [each.frame for each in picture.digests] == [0, 10, 20, 30, 33, 34, 40, 50]
    shown = decode(_as_animation(form, frames), algorithms=["pdq"])
    assert len(shown.frames) == 16
    assert 33 in {each.frame for each in shown.digests}


def test_an_animation_beyond_the_limit_says_how_many_frames_were_looked_at() -> None:
    picture = images.digest(pictures.animated_gif(12), limits=Limits(frames=5))
    assert [each.frame for each in picture.digests] == [0, 1, 2, 3, 4]
    assert picture.problem == (
        "5 of 12 frames looked at, in their order: no more than 5 unlike frames are hashed"
    )


def test_an_animated_png_shows_all_its_frames() -> None:
    assert [frame.index for frame in decode(pictures.animated_png(4)).frames] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("total", "wanted"), [(1, 16), (16, 16), (17, 16), (5000, 16), (9, 1), (3, 2)]
)
def test_samples_begin_with_the_first_frame(total: int, wanted: int) -> None:
    numbers = sample(total, wanted)
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert len(numbers) == min(total, wanted)
    assert numbers[-1] == (total - 1 if wanted > 1 else 0)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (pictures.truncated_jpeg(), "damaged", "damaged or cut off"),
        (pictures.empty(), "empty", "empty"),
        (pictures.not_a_picture(), "wrong_type", "looks like a PDF document"),
        (b"just some words", "wrong_type", "not a picture, it looks like a text"),
        (b"\x80\x81\x82 of no form", "wrong_type", "not a picture in a known format"),
        (b"\x00" * 100, "wrong_type", "nothing but zero bytes"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 50, "heic_off", "HEIC is not switched on here"),
        (b"\x00\x00\x00\x18ftypavif" + b"\x00" * 50, "damaged", "damaged"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\x00" * 50, "unsupported_format", "JPEG 2000"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format", "SVG"),
        (pictures.bomb_png(), "too_many_pixels", "60000 x 60000 pixels"),
        (pictures.jpeg()[:20], "damaged", "damaged"),
        (b"II*\x00" + b"\xff" * 40, "damaged", "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_decoded_says_why(data: bytes, code: str, words: str) -> None:
    with pytest.raises(CannotDecode) as refused:
        decode(data)
    assert words in refused.value.reason
    assert refused.value.code == code


def test_a_file_beyond_the_limit_of_bytes_is_not_opened() -> None:
    with pytest.raises(CannotDecode) as refused:
        decode(pictures.jpeg(), limits=Limits(bytes=1000))
    assert refused.value.code == "too_many_bytes"


def test_an_endless_animation_is_refused() -> None:
    with pytest.raises(CannotDecode) as refused:
        decode(pictures.animated_gif(12), limits=Limits(frames_walked=10))
    assert refused.value.code == "too_many_frames"


def test_memory_beyond_the_limit_is_refused_not_taken() -> None:
    with pytest.raises(CannotDecode) as refused:
        decode(pictures.large_png(), limits=Limits(memory=24 * 1024 * 1024))
    assert refused.value.code == "too_much_memory"


@pytest.fixture
def broken_decoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return a function that lets the decoder run a line of Python in the place of its own work."""

    def breaks(line: str) -> None:
        images.stop()
        program = (
            "import os, signal, time, hashing.decoder as decoder, hashing.pixels as pixels\n"
            f"{line}\n"
            "decoder.main()"
        )
        monkeypatch.setattr(images, "COMMAND", [sys.executable, "-c", program])

    yield breaks
    images.stop()


def test_time_beyond_the_limit_kills_the_decoder(broken_decoder: Callable[[str], None]) -> None:
    """The decoder here hangs inside C, where no signal handler of Python would ever run."""
    broken_decoder("decoder._send_picture = lambda *_: os.read(0, 1)")
    process = images.decoder_pid()
    began = time.monotonic()
    with pytest.raises(CannotDecode) as refused:
        decode(pictures.jpeg(), limits=Limits(seconds=0.3))
    assert refused.value.code == "too_slow"
    assert time.monotonic() - began < 3
    with pytest.raises(ProcessLookupError):  # Nobody was left behind, not even as a zombie.
        os.kill(process, 0)


def test_a_crash_of_the_decoder_is_an_answer_and_the_next_picture_is_decoded(
    broken_decoder: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_decoder("decoder._send_picture = lambda *_: signal.raise_signal(signal.SIGSEGV)")
    with pytest.raises(CannotDecode) as refused:
        decode(pictures.jpeg())
    assert refused.value.code == "crashed"
    monkeypatch.undo()
    assert decode(pictures.jpeg()).frames_total == 1


def test_an_answer_that_is_not_well_formed_counts_as_a_crash(
    broken_decoder: Callable[[str], None],
) -> None:
    broken_decoder(
        "decoder._send_picture = lambda *_: (decoder._send(b'H', b'{}'), decoder._send(b'F', b'x' * 9))"
    )
    with pytest.raises(CannotDecode) as refused:
        decode(pictures.jpeg())
    assert refused.value.code == "crashed"


def test_frames_before_a_hang_are_kept_and_the_rest_is_named(
    broken_decoder: Callable[[str], None],
) -> None:
    broken_decoder(
        "small, seen = pixels.small, []\n"
        "pixels.small = lambda *said: ("
        "seen.append(1), time.sleep(30 if len(seen) > 3 else 0), small(*said))[-1]"
    )
    picture = decode(pictures.animated_gif(8), limits=Limits(seconds=2))
    assert len(picture.frames) == 3
    assert "3 of 8 frames looked at" in picture.problem


def test_one_decoder_serves_many_pictures_and_is_replaced_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images.stop()
    monkeypatch.setattr(images, "MOST_PICTURES", 3)
    served = []
    for seed in range(4):
        served.append(images.decoder_pid())
        decode(pictures.jpeg(seed))
    assert served[0] == served[1] == served[2] != served[3]


def test_a_refusal_does_not_cost_the_decoder() -> None:
    decode(pictures.jpeg())
    process = images.decoder_pid()
    with pytest.raises(CannotDecode):
        decode(pictures.truncated_jpeg())
    assert decode(pictures.jpeg()).frames_total == 1
    assert images.decoder_pid() == process


def test_a_forked_process_gets_a_decoder_of_its_own() -> None:
    decode(pictures.jpeg())
    process = images.decoder_pid()
    child = os.fork()
    if child == 0:
        try:
            decode(pictures.jpeg(2))
            own = images.decoder_pid()
            images.stop()
            os._exit(0 if own != process else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert decode(pictures.jpeg(3)).frames_total == 1
    assert images.decoder_pid() == process


def test_the_decoder_knows_nothing_of_its_parent(
    broken_decoder: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "an invented secret")
    broken_decoder(
        "import fcntl, sys\n"
        "def open_files():\n"
        "    for number in range(20):\n"
        "        try: fcntl.fcntl(number, fcntl.F_GETFD)\n"
        "        except OSError: continue\n"
        "        yield number\n"
        "decoder._send_picture = lambda *_: decoder._refuse(decoder.CannotDecode("
        "repr([sorted(os.environ), list(open_files()), 'django' in sys.modules]), 'told'))"
    )
    with pytest.raises(CannotDecode) as told:
        decode(pictures.jpeg())
    names, files, knows_django = ast.literal_eval(told.value.reason)
    assert "SECRET_KEY" not in names
    assert not any(name.startswith(("HOLDFAST", "DATABASE", "REDIS")) for name in names)
    assert files == [0, 1, 2]
    assert not knows_django


def test_an_animation_cut_off_in_the_middle_is_named() -> None:
    whole = pictures.animated_png(6)
    picture = decode(whole[: len(whole) * 6 // 10])
    assert 1 <= len(picture.frames) < 6
    assert picture.problem


def test_the_decoder_can_write_no_file_and_leave_no_core(
    broken_decoder: Callable[[str], None], tmp_path: Path
) -> None:
    target = tmp_path / "plaintext"
    broken_decoder(
        "def write(*_):\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"    open({str(target)!r}, 'wb').write(b'x' * 10)\n"
        "decoder._send_picture = write"
    )
    with pytest.raises(CannotDecode):
        decode(pictures.jpeg())
    assert not target.exists() or target.stat().st_size == 0


# ── Digests without pixels ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_digests_without_pixels_are_those_of_the_pixels(original: Image.Image, name: str) -> None:
    data = pictures.encode(original, name)
    bare = images.digest(data, algorithms=images.PERCEPTUAL).digests[0]
    with_pixels = decode(data, algorithms=images.PERCEPTUAL)
    assert with_pixels.digests[0] == digests.of_frame(
        0, with_pixels.frames[0].pixels, images.PERCEPTUAL
    )
    # Grey is decoded straight from the file's own luma; only rounding may differ.
    assert distance(bare.pdq, with_pixels.digests[0].pdq) <= 6
    assert distance(bare.phash, with_pixels.digests[0].phash) <= 2


def test_a_jpeg_that_lacks_only_its_end_is_whole_and_one_that_lacks_more_is_damaged() -> None:
    for size in ((160, 120), (1600, 1200)):
        whole = pictures.jpeg(7, size)
        seen = images.digest(whole).digests
        for missing in (1, 2):
            assert images.digest(whole[:-missing]).digests == seen
        for missing in (12, 200, len(whole) // 2):
            with pytest.raises(images.CannotDecode, match="damaged or cut off"):
                images.digest(whole[:-missing])
