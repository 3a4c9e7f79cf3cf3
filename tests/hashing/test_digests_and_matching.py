"""Digests find near-duplicates and nothing else; the table is exact."""

from __future__ import annotations

import hashlib
import io

import pytest

from hashing import digests, images
from hashing.matching import distance
from tests import pictures

SEEDS = (11, 12, 13)


def digests_of(data: bytes) -> digests.FrameDigests:
    frame = images.decode(data).frames[0]
    return digests.of_frame(frame.index, frame.pixels)


@pytest.mark.parametrize("seed", SEEDS)
def test_near_duplicates_are_within_the_default_thresholds(seed: int) -> None:
    image = pictures.draw(seed)
    listed = digests_of(pictures.encode(image))
    assert not listed.is_low_quality
    for name, (data, _) in pictures.variants(image).items():
        found = digests_of(data)
        assert distance(listed.pdq, found.pdq) <= 31, name
        assert distance(listed.phash, found.phash) <= 8, name
    deep = digests_of(pictures.sixteen_bit_png(image))
    assert distance(listed.pdq, deep.pdq) <= 31


def test_unrelated_pictures_are_far_apart() -> None:
    found = [digests_of(pictures.jpeg(seed)) for seed in range(20, 32)]
    for at, one in enumerate(found):
        for other in found[at + 1 :]:
            assert distance(one.pdq, other.pdq) > 80
            assert distance(one.phash, other.phash) > 12


def test_a_blank_picture_has_low_quality() -> None:
    from PIL import Image

    assert digests_of(pictures.encode(Image.new("RGB", (300, 300), "white"))).is_low_quality
    assert digests_of(pictures.encode(Image.new("RGB", (1, 1)), "PNG")).quality == 0


def test_file_digests_are_those_of_the_standard_library() -> None:
    data = b"drawn" * 200_000
    found = digests.of_file(io.BytesIO(data))
    assert found.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert found.sha1 == hashlib.sha1(data, usedforsecurity=False).hexdigest()
    assert found.sha256 == hashlib.sha256(data).hexdigest()


def test_digests_of_different_length_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different length"):
        distance("ab", "abcd")
