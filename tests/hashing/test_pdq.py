"""PDQ agrees with the reference to the bit, and finds turned and mirrored copies exactly."""

from __future__ import annotations

import numpy as np
import pdqhash
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashing import images, pdq
from hashing.matching import distance
from tests import pictures

TURNED = {
    "turned 90° left": Image.Transpose.ROTATE_90,
    "turned upside down": Image.Transpose.ROTATE_180,
    "turned 90° right": Image.Transpose.ROTATE_270,
    "mirrored top to bottom": Image.Transpose.FLIP_TOP_BOTTOM,
    "mirrored left to right": Image.Transpose.FLIP_LEFT_RIGHT,
    "mirrored along one diagonal": Image.Transpose.TRANSPOSE,
    "mirrored along the other diagonal": Image.Transpose.TRANSVERSE,
}


def reference(luma: np.ndarray) -> tuple[bytes, int]:
    bits, quality = pdqhash.compute(np.ascontiguousarray(np.repeat(luma[:, :, None], 3, axis=2)))
    return np.packbits(np.asarray(bits, np.uint8)).tobytes(), int(quality)


def luma_of(seed: int, size: tuple[int, int] = (512, 512)) -> np.ndarray:
    return np.asarray(pictures.draw(seed, size).convert("L"))


def bits_apart(one: bytes, other: bytes) -> int:
    return distance(one.hex(), other.hex())


@pytest.mark.parametrize("size", [(512, 512), (512, 384), (300, 200), (129, 511), (64, 64), (9, 7)])
def test_the_hash_is_that_of_the_reference(size: tuple[int, int]) -> None:
    for seed in range(8):
        luma = luma_of(seed, size)
        found = pdq.compute(luma)
        value, quality = reference(luma)
        # Sums in another order round in another place: a coefficient at the median may flip its bit.
        assert bits_apart(found.value, value) <= 2
        assert abs(found.quality - quality) <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(64, 512), st.integers(64, 512), st.integers(1, 32))
def test_noise_of_any_shape_has_a_hash_near_the_reference(
    seed: int, rows: int, columns: int, block: int
) -> None:
    dice = np.random.default_rng(seed)
    blocks = dice.integers(0, 192, (-(-rows // block), -(-columns // block)), dtype=np.uint8)
    luma = np.kron(blocks, np.ones((block, block), np.uint8))[:rows, :columns]
    # Grain: blocks alone make coefficients that are exactly 0, whose bits are a matter of rounding.
    luma = luma + dice.integers(0, 64, luma.shape, dtype=np.uint8)
    found = pdq.compute(np.ascontiguousarray(luma))
    value, quality = reference(luma)
    assert abs(found.quality - quality) <= 2
    if quality >= 50:
        assert bits_apart(found.value, value) <= 8


@pytest.mark.parametrize("words", TURNED)
@pytest.mark.parametrize("size", [(512, 512), (400, 300)])
def test_a_turned_copy_has_exactly_the_hash_of_the_original(
    words: str, size: tuple[int, int]
) -> None:
    original = Image.fromarray(luma_of(21, size))
    copy = pdq.compute(np.asarray(original.transpose(TURNED[words])))
    listed = pdq.compute(np.asarray(original)).value
    assert bits_apart(copy.value, listed) > 31
    assert bits_apart(copy.turned[pdq.TURNS.index(words)], listed) <= 2


@pytest.mark.parametrize(
    "wrong", [np.zeros((0, 4), np.uint8), np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4))]
)
def test_what_is_no_picture_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="8-bit samples"):
        pdq.compute(wrong)


def test_a_blank_picture_has_quality_0() -> None:
    assert pdq.compute(np.full((300, 300), 200, np.uint8)).quality == 0


# ── Copies that others miss ───────────────────────────────────────────────────────────────────
def as_png(image: Image.Image, **more: object) -> bytes:
    return pictures.encode(image, "PNG", **more)


def turned_by_exif(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return pictures.encode(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


COPIES = {
    "GIF": lambda image: pictures.encode(image.quantize(128), "GIF"),
    "palette PNG": lambda image: as_png(image.quantize(128)),
    "CMYK JPEG": lambda image: pictures.encode(image.convert("CMYK")),
    "16-bit PNG": pictures.sixteen_bit_png,
    "float TIFF": pictures.float_tiff,
    "transparent PNG": lambda image: as_png(image.convert("RGBA")),
    "EXIF-rotated JPEG": turned_by_exif,
    "mirrored JPEG": lambda image: pictures.encode(
        image.transpose(TURNED["mirrored left to right"])
    ),
    "rotated JPEG": lambda image: pictures.encode(image.transpose(TURNED["turned 90° left"])),
    "AVIF": lambda image: pictures.encode(image, "AVIF"),
    "WebP": lambda image: pictures.encode(image, "WEBP"),
    "BMP": lambda image: pictures.encode(image, "BMP"),
    "small JPEG": lambda image: pictures.encode(image.resize((320, 240))),
}


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("seed", [31, 32, 33])
def test_a_copy_is_within_reach_of_the_listed_picture(kind: str, seed: int) -> None:
    image = pictures.draw(seed)
    listed = images.digest(pictures.encode(image)).digests[0]
    copy = images.digest(COPIES[kind](image)).digests[0]
    assert listed.quality >= 50
    assert min(distance(listed.pdq, value) for value in (copy.pdq, *copy.turned)) <= 20
