"""Digests find near-duplicates and nothing else; the table is exact."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashing import digests, images
from hashing.matching import Hit, Table, distance
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


def hexes(bits: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=bits // 8, max_size=bits // 8).map(bytes.hex)


@given(
    st.lists(hexes(256), max_size=20),
    hexes(256),
    st.lists(st.integers(0, 255), max_size=40),
    st.integers(0, 128),
)
def test_the_table_agrees_with_counting_bits(
    values: list[str], query: str, flips: list[int], threshold: int
) -> None:
    near = int(query, 16)
    for bit in flips:
        near ^= 1 << bit
    entries = list(enumerate([*values, f"{near:064x}", f"{~int(query, 16) % 2**256:064x}"]))
    brute = sorted(
        (
            Hit(key, (int(value, 16) ^ int(query, 16)).bit_count())
            for key, value in entries
            if (int(value, 16) ^ int(query, 16)).bit_count() <= threshold
        ),
        key=lambda hit: (hit.distance, hit.id),
    )
    assert Table(entries, bits=256).within(query, threshold) == brute


@given(st.lists(hexes(64), min_size=1, max_size=20), hexes(64))
def test_short_digests_are_compared_in_the_same_way(values: list[str], query: str) -> None:
    table = Table(enumerate(values), bits=64)
    assert list(table.distances(query)) == [distance(value, query) for value in values]


def test_an_opposite_digest_is_256_away_and_not_0() -> None:
    assert list(Table([(1, "0" * 64)], bits=256).distances("f" * 64)) == [256]


@pytest.mark.parametrize("copies", [1, 2, 4, 8])
def test_a_table_of_one_digest_finds_it(copies: int) -> None:
    table = Table([(key, "ab" * 32) for key in range(copies)], bits=256)
    assert len(table) == copies
    assert [hit.distance for hit in table.within("ab" * 32, 0)] == [0] * copies


def test_an_empty_table_finds_nothing() -> None:
    assert Table([], bits=256).within("00" * 32, 128) == []


def test_digests_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="64 hexadecimal"):
        Table([(1, "ab")], bits=256)
    with pytest.raises(ValueError, match="64 hexadecimal"):
        Table([(1, "ab" * 32)], bits=256).within("ab" * 8, 3)
    with pytest.raises(ValueError, match="different length"):
        distance("ab", "abcd")
