"""The index against brute force, and its file against everything that may happen to a file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashing import index
from hashing.index import Damaged, IndexFile, Space

SLOW_MACHINE = settings(deadline=None, max_examples=60)


def drawn(seed: int, rows: int, bits: int, *, clustered: bool = False) -> np.ndarray:
    """Return digests: evenly spread, or all within a few bits of four centres."""
    rng = np.random.default_rng(seed)
    words = bits // 64
    if not clustered:
        return rng.integers(0, 2**64, size=(rows, words), dtype=np.uint64)
    found = rng.integers(0, 2**64, size=(4, words), dtype=np.uint64)[rng.integers(0, 4, rows)]
    for row in found:
        flip(row, rng.choice(bits, int(rng.integers(0, 6)), replace=False))
    return found


def flip(row: np.ndarray, places: np.ndarray) -> None:
    for place in map(int, places):
        row[place >> 6] ^= np.uint64(1 << (place & 63))


def brute(
    digests: np.ndarray, ids: np.ndarray, lists: np.ndarray, query: np.ndarray, reach: np.ndarray
) -> list[tuple[int, int, int]]:
    far = np.bitwise_count(digests ^ query).sum(axis=1, dtype=np.int64)
    (at,) = np.nonzero(far <= reach[lists])
    return sorted((int(far[i]), int(ids[i]), int(lists[i])) for i in at)


def found_in(space: Space, query: np.ndarray, reach: np.ndarray) -> list[tuple[int, int, int]]:
    ids, lists, far = space.search(query, reach)
    assert list(zip(far.tolist(), ids.tolist(), strict=True)) == sorted(
        zip(far.tolist(), ids.tolist(), strict=True)
    )
    return sorted(zip(far.tolist(), ids.tolist(), lists.tolist(), strict=True))


@SLOW_MACHINE
@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.sampled_from([64, 256]),
    rows=st.integers(1, 400),
    radius=st.integers(0, 256),
    second=st.integers(-1, 60),
    away=st.integers(0, 48),
    clustered=st.booleans(),
    doubled=st.booleans(),
)
def test_the_index_agrees_with_counting_bits(
    *,
    seed: int,
    bits: int,
    rows: int,
    radius: int,
    second: int,
    away: int,
    clustered: bool,
    doubled: bool,
) -> None:
    digests = drawn(seed, rows, bits, clustered=clustered)
    rng = np.random.default_rng(seed + 1)
    if doubled:
        digests = digests[rng.integers(0, rows, rows)]
    ids = rng.permutation(rows) + 7
    lists = rng.integers(0, 2, rows)
    reach = np.array([min(radius, bits), second], dtype=np.int16)
    query = digests[0].copy()
    flip(query, rng.choice(bits, away, replace=False))
    space = index.build(bits, digests, ids, lists, few=0)
    assert found_in(space, query, reach) == brute(digests, ids, lists, query, reach)


@pytest.mark.parametrize(("bits", "radius"), [(256, 31), (256, 20), (64, 8), (64, 4), (64, 11)])
@pytest.mark.parametrize("clustered", [False, True])
def test_every_planted_neighbour_is_found_and_nothing_beyond(
    bits: int, radius: int, *, clustered: bool
) -> None:
    rows = 20_000
    digests = drawn(1, rows, bits, clustered=clustered)
    ids, lists = np.arange(rows), np.zeros(rows, dtype=np.int64)
    space = index.build(bits, digests, ids, lists)
    assert space.offsets.size
    reach = np.array([radius], dtype=np.int16)
    rng = np.random.default_rng(2)
    for away in range(radius + 6):
        for row in map(int, rng.integers(0, rows, 3)):
            query = digests[row].copy()
            flip(query, rng.choice(bits, away, replace=False))
            found = found_in(space, query, reach)
            assert found == brute(digests, ids, lists, query, reach)
            assert (row in {each[1] for each in found}) == (away <= radius)


def test_a_bucket_that_holds_nearly_everything_changes_no_answer() -> None:
    rows = 30_000
    digests = drawn(3, rows, 256)
    digests[:29_000, :3] = digests[0, :3]
    digests[:20_000] = digests[0]
    ids, lists = np.arange(rows), np.arange(rows) % 3
    space = index.build(256, digests, ids, lists)
    assert len(space.digests) == 10_001
    reach = np.array([31, -1, 5], dtype=np.int16)
    for row in (0, 25_000, 29_999):
        query = digests[row].copy()
        flip(query, np.array([1, 2, 3, 200]))
        assert found_in(space, query, reach) == brute(digests, ids, lists, query, reach)


@pytest.mark.parametrize("copies", [1, 2, 4, 8])
def test_one_digest_alone_or_several_times_is_found(copies: int) -> None:
    digests = index.words_of(["ab" * 32] * copies, 256)
    space = index.build(256, digests, np.arange(copies), np.zeros(copies, dtype=np.int64), few=0)
    assert len(space.digests) == 1
    assert space.entries == copies
    ids, _, far = space.search(digests[0], np.array([31], dtype=np.int16))
    assert ids.tolist() == list(range(copies))
    assert not far.any()


def test_nothing_in_it_finds_nothing() -> None:
    empty = index.build(64, *(np.zeros((0, 1), np.uint64), np.zeros(0, int), np.zeros(0, int)))
    assert not len(empty.search(np.zeros(1, np.uint64), np.array([64], np.int16)).ids)


def test_an_opposite_digest_is_256_away_and_not_0() -> None:
    space = index.build(256, index.words_of(["0" * 64], 256), np.array([1]), np.array([0]))
    query = index.words_of(["f" * 64], 256)[0]
    assert space.search(query, np.array([256], np.int16)).distances.tolist() == [256]
    assert not len(space.search(query, np.array([255], np.int16)).ids)


def test_digests_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="64 hexadecimal"):
        index.words_of(["ab"], 256)
    assert index.words_of([], 64).shape == (0, 1)


def test_large_numbers_of_entries_keep_their_value() -> None:
    ids = np.array([5, 2**40, 2**62])
    digests = drawn(4, 3, 64)
    space = index.build(64, digests, ids, np.array([0, 0, 300]))
    found = found_in(space, digests[2], np.full(301, 0, dtype=np.int16))
    assert found == [(0, 2**62, 300)]


# ── The file ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Return a small index file with two spaces."""
    path = tmp_path / "an.idx"
    with path.open("wb") as stream:
        spaces = (
            (
                name,
                index.build(
                    bits, drawn(5, 300, bits), np.arange(300), np.zeros(300, np.int64), few=0
                ),
            )
            for name, bits in (("pdq", 256), ("phash", 64))
        )
        index.write(stream, spaces, {"lists": ["one"]})
    return path


def test_a_written_file_answers_as_what_was_built(whole: Path) -> None:
    file = IndexFile(whole)
    assert file.meta == {"lists": ["one"]}
    assert file.size == whole.stat().st_size
    for name, bits in (("pdq", 256), ("phash", 64)):
        rows = drawn(5, 300, bits)
        ids, _, far = file.spaces[name].search(rows[17], np.array([3], np.int16))
        assert (ids.tolist(), far.tolist()) == ([17], [0])
    index.verify(whole)


def test_a_file_that_is_removed_or_replaced_stays_readable_where_it_is_open(whole: Path) -> None:
    file = IndexFile(whole)
    whole.unlink()
    whole.write_bytes(b"something else")
    rows = drawn(5, 300, 256)
    assert file.spaces["pdq"].search(rows[9], np.array([0], np.int16)).ids.tolist() == [9]


def test_arrays_of_a_file_cannot_be_written_to(whole: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        IndexFile(whole).spaces["pdq"].digests[0, 0] = 1


def test_a_file_cut_short_anywhere_is_refused(whole: Path) -> None:
    data = whole.read_bytes()
    step = max(len(data) // 400, 1)
    for length in [*range(200), *range(200, len(data), step), *range(len(data) - 200, len(data))]:
        whole.write_bytes(data[:length])
        with pytest.raises(Damaged):
            IndexFile(whole)
    whole.write_bytes(data + b"\0")
    with pytest.raises(Damaged):
        IndexFile(whole)


def test_a_flipped_byte_of_header_table_or_trailer_is_refused(whole: Path) -> None:
    data = bytearray(whole.read_bytes())
    table = data.rindex(b'{"meta"')
    for place in [*range(16), *range(table, len(data))]:
        data[place] ^= 0x41
        whole.write_bytes(data)
        with pytest.raises(Damaged):
            IndexFile(whole)
        data[place] ^= 0x41


def test_a_flipped_byte_of_the_content_is_found_by_reading_it_all(whole: Path) -> None:
    data = bytearray(whole.read_bytes())
    for place in range(16, data.rindex(b'{"meta"'), 997):
        data[place] ^= 1
        whole.write_bytes(data)
        with pytest.raises(Damaged, match="checksum"):
            index.verify(whole)
        data[place] ^= 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 5000, b"HOLDFIDX" * 700, b"\x80\x04\x95" + b"pickle" * 1000],
    ids=["empty", "zeros", "magic alone", "foreign"],
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.idx"
    path.write_bytes(content)
    with pytest.raises(Damaged):
        IndexFile(path)


def test_a_file_of_another_version_is_refused(whole: Path) -> None:
    data = bytearray(whole.read_bytes())
    data[8] += 1
    whole.write_bytes(data)
    with pytest.raises(Damaged, match="another version"):
        IndexFile(whole)


def test_lists_that_point_outside_the_digests_are_noticed() -> None:
    rows = 5000
    space = index.build(256, drawn(6, rows, 256), np.arange(rows), np.zeros(rows, np.int64))
    offsets = space.offsets.copy()
    offsets[1:] = rows + 5
    broken = Space(
        bits=256,
        digests=space.digests,
        offsets=offsets,
        posts=space.posts,
        first=space.first,
        ids=space.ids,
        lists=space.lists,
        base=space.base,
    )
    with pytest.raises(Damaged, match="outside itself"):
        broken.search(np.zeros(4, np.uint64), np.array([31], np.int16))


def test_parts_that_do_not_fit_together_are_refused() -> None:
    space = index.build(64, drawn(7, 10, 64), np.arange(10), np.zeros(10, np.int64), few=0)
    with pytest.raises(Damaged, match="fit together"):
        Space(
            bits=64,
            digests=space.digests,
            offsets=space.offsets,
            posts=space.posts,
            first=space.first,
            ids=space.ids[:5].copy(),
            lists=space.lists,
            base=0,
        )


def test_only_known_kinds_of_numbers_are_written() -> None:
    from hashing.index.layout import Writer

    with pytest.raises(ValueError, match="cannot hold"):
        Writer(io.BytesIO()).add("x", np.zeros(3, dtype=np.float32))
