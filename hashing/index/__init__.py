"""Exact search within a radius over Hamming digests of 64 and 256 bits, in arrays that a file can hold.

Method: multi-index hashing (Norouzi, Punjani and Fleet, “Fast Exact Search in Hamming Space with
Multi-Index Hashing”, 2014; the pigeonhole over unequal parts after Gog and Venturini, 2016). A digest is
cut into words. If two digests differ in at most r bits, then for any slacks t₁ … tₘ with Σ(tᵢ + 1) ≥ r + 1 at
least one word i differs in at most tᵢ bits; so looking up every word with tᵢ flipped bits finds all.

Why eleven words of 23 or 24 bits and not the usual sixteen of 16: measured over ten million uniform
digests at radius 31, sixteen words with one flip make 272 probes but 41,500 candidates, each a cache miss
into the digests, and sixteen lists of rows cost 610 MiB. Eleven words with two flips make 2,800
candidates, and their 2,300 probes go into tables of 4 MiB that mostly stay in the cache. Further:

* a table counts by the first p ≈ log₂(n) − 3 bits of a word, so that a bucket holds about eight rows; the
  word's other bits stand in the unused high bits of the 32-bit row number, so that only rows that differ in
  at most tᵢ bits of the whole word touch a digest;
* the digests are sorted by the first word, which therefore needs no list of rows;
* probes, lists and digests are asked for ahead of their use (prefetch): the time of a query is the
  number of cache misses divided by those that a core keeps in flight;
* equal digests are kept once.

Recall is 1 by construction. Beyond slack 3 (radius 43 of 256 bits, 11 of 64), for few rows, and when a
query's buckets hold more than a tenth of all rows (real digests are skewed: blank pictures, one template
with many texts), every digest is compared instead, in about 2.7 ns each; so no query costs much more than
that. Cost and memory are measured by ``benchmarks/matching.py``.
"""

from __future__ import annotations

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hashing.index.layout import Damaged, Mapped, Writer, verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

__all__ = [
    "Damaged",
    "Found",
    "IndexFile",
    "Row",
    "Shape",
    "Space",
    "build",
    "shape_of",
    "slack_of",
    "verify",
    "warm",
    "words_of",
    "write",
]

Array = npt.NDArray[Any]

WORDS = {64: 3, 256: 11}
"""Words a digest is cut into, by its length in bits."""

MOST_SLACK = 3
FEW = 4096
"""Rows that are compared one by one without an index: that takes about 10 µs."""

_SEEN, _COMPARED = 2, 10
"""A query whose buckets hold more than half of the rows, or that would compare more than a tenth of them
one by one, is answered by comparing all of them in turn, which costs a tenth of that a row."""

_ROOM = 1 << 14


class Row(NamedTuple):
    """One entry to be found: its number, the position of its list, and its digest in hexadecimal."""

    id: int
    list: int
    value: str


class Found(NamedTuple):
    """Entries within reach, as arrays of one length: numbers, positions of lists, distances in bits."""

    ids: Array
    lists: Array
    distances: Array


def words_of(values: Iterable[str], bits: int) -> Array:
    """Return digests (hex) as an array of rows of 64-bit words. Raises ValueError for another length."""
    values = list(values)
    if any(len(value) != bits // 4 for value in values):
        raise ValueError(f"every digest must have {bits // 4} hexadecimal digits")
    raw = bytes.fromhex("".join(values))
    return np.frombuffer(raw, dtype=">u8").astype(np.uint64).reshape(-1, bits // 64)


@dataclass(frozen=True)
class Shape:
    """How digests of one length are cut, for a number of rows."""

    starts: Array
    widths: Array
    prefix: int
    id_bits: int

    @classmethod
    def of(cls, bits: int, rows: int) -> Shape:
        count = WORDS[bits]
        widths = np.full(count, bits // count, dtype=np.int64)
        widths[::-1][: bits % count] += 1
        starts = np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64)
        log = round(math.log2(max(rows, 2)))
        return cls(
            starts=starts,
            widths=widths,
            prefix=int(min(max(log - 3, 1), widths.min())),
            id_bits=max((rows - 1).bit_length(), 1),
        )


def shape_of(bits: int, rows: int) -> Shape:
    """Return how digests are cut for a number of rows."""
    return Shape.of(bits, rows)


def slack_of(bits: int, radius: int) -> Array | None:
    """Return how many bits may differ in each word so that nothing within ``radius`` is missed.

    The first word gets least: its rows are read from the digests themselves. None: too many.
    """
    count = WORDS[bits]
    each, more = divmod(radius + 1, count)
    slack = np.full(count, each - 1, dtype=np.int64)
    if more:
        slack[-more:] += 1
    return slack if slack.max() <= MOST_SLACK else None


@lru_cache(maxsize=64)
def _flips(prefix: int) -> tuple[Array, Array, Array]:
    """Return all patterns of up to ``MOST_SLACK`` flipped bits, their weights, and how many weigh ≤ t."""
    patterns, weights, upto = [0], [0], [1]
    for weight in range(1, MOST_SLACK + 1):
        for places in itertools.combinations(range(prefix), weight):
            patterns.append(sum(1 << place for place in places))
            weights.append(weight)
        upto.append(len(patterns))
    arrays = (np.array(each, dtype=np.int64) for each in (patterns, weights, upto))
    return tuple(arrays)  # type: ignore[return-value]  # three of them


class _Scratch(threading.local):
    """Buffers of one thread."""

    def __init__(self) -> None:
        most = len(_flips(28)[0])
        self.low = np.zeros(most, dtype=np.int64)
        self.high = np.zeros(most, dtype=np.int64)
        self.candidates = np.zeros(_ROOM, dtype=np.uint32)
        self.rows = np.zeros(1024, dtype=np.int64)
        self.distances = np.zeros(1024, dtype=np.int64)


_scratch: _Scratch | None = None


def _buffers() -> _Scratch:
    global _scratch  # noqa: PLW0603 — made once, each thread sees its own
    if _scratch is None:
        _scratch = _Scratch()
    return _scratch


@dataclass(frozen=True)
class Space:
    """The digests of one kind: sorted, each once, with the tables to find them by.

    ``first[i]`` … ``first[i + 1]`` are the entries of digest i; an empty ``first`` says one each. ``lists`` holds
    each entry's list as a position in a table that the reader knows.
    """

    bits: int
    digests: Array
    offsets: Array
    posts: Array
    first: Array
    ids: Array
    lists: Array
    base: int

    @property
    def entries(self) -> int:
        """Return the number of entries; equal digests of several entries count each."""
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Return the bytes of all arrays."""
        arrays = (self.digests, self.offsets, self.posts, self.first, self.ids, self.lists)
        return sum(each.nbytes for each in arrays)

    def __post_init__(self) -> None:
        for each in (self.digests, self.offsets, self.posts, self.first, self.ids, self.lists):
            each.flags.writeable = False
        n = len(self.digests)
        sound = (
            self.bits in WORDS
            and self.digests.shape == (n, self.bits // 64)
            and len(self.ids) == len(self.lists)
            and (len(self.first) == n + 1 if len(self.first) else len(self.ids) == n)
            and (not len(self.first) or int(self.first[-1]) == len(self.ids))
            and (self.offsets.size == 0 or self.posts.shape == (WORDS[self.bits] - 1, n))
        )
        if not sound:
            raise Damaged("the parts of the index do not fit together")
        object.__setattr__(self, "_shape", Shape.of(self.bits, n))

    def search(self, query: Array, reach: Array, *, plan: str = "") -> Found:
        """Return the entries whose list reaches as far as they are from ``query``, nearest first.

        ``query`` is one digest in 64-bit words; ``reach[k]`` the radius of the list at position k in bits,
        −1 for a list that is not in force. ``plan`` forces ``linear`` (for tests). Raises Damaged.
        """
        from hashing.index import kernels

        n = len(self.digests)
        radius = int(reach.max(initial=-1))
        if n == 0 or radius < 0:
            return _NOTHING
        query = np.ascontiguousarray(query, dtype=np.uint64).reshape(1, -1)
        reach = np.ascontiguousarray(reach, dtype=np.int16)
        if len(reach) <= int(self.lists.max(initial=0) if n < FEW else 0):
            raise ValueError("a radius is missing for one of the lists")
        shape: Shape = self._shape  # type: ignore[attr-defined]  # set in __post_init__
        slack = slack_of(self.bits, radius) if self.offsets.size and plan != "linear" else None
        buffers = _buffers()
        while True:
            found = kernels.TOO_MANY
            if slack is not None:
                found = kernels.search(
                    self.digests,
                    self.offsets,
                    self.posts,
                    shape.starts,
                    shape.widths,
                    slack,
                    *_flips(shape.prefix),
                    shape.prefix,
                    shape.id_bits,
                    query,
                    radius,
                    n // _SEEN,
                    n // _COMPARED,
                    self.first,
                    self.lists,
                    reach,
                    buffers.low,
                    buffers.high,
                    buffers.candidates,
                    buffers.rows,
                    buffers.distances,
                )
            if found == kernels.TOO_MANY:
                found = kernels.linear(
                    self.digests,
                    query,
                    radius,
                    self.first,
                    self.lists,
                    reach,
                    buffers.rows,
                    buffers.distances,
                )
            if found == kernels.DAMAGED:
                raise Damaged("the index points outside itself")
            if found <= len(buffers.rows):
                break
            buffers.rows = np.zeros(found * 2, dtype=np.int64)
            buffers.distances = np.zeros(found * 2, dtype=np.int64)
        if found == 0:
            return _NOTHING
        return self._entries(buffers.rows[:found], buffers.distances[:found], reach)

    def _entries(self, rows: Array, distances: Array, reach: Array) -> Found:
        """Return the entries of digests that were found, without those of lists that do not reach."""
        if len(self.first):
            begin = self.first[rows].astype(np.int64)
            count = self.first[rows + 1].astype(np.int64) - begin
            distances = np.repeat(distances, count)
            # Where each run of entries begins, then 0, 1, 2 … within it.
            runs = np.repeat(begin - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
            at = runs + np.arange(len(distances))
        else:
            at = rows
        lists = self.lists[at].astype(np.int64)
        ids = self.ids[at].astype(np.int64) + self.base
        reached = reach[lists] >= distances
        order = np.lexsort((ids[reached], distances[reached]))
        return Found(
            ids[reached][order], lists[reached][order], distances[reached][order].astype(np.int64)
        )


_NOTHING = Found(*(np.zeros(0, dtype=np.int64) for _ in range(3)))


def build(
    bits: int, digests: Array, ids: Array, lists: Array, *, threads: int = 2, few: int = FEW
) -> Space:
    """Build the tables over ``digests`` (rows of 64-bit words); row i is entry ``ids[i]`` of ``lists[i]``.

    Costs about half a second a million rows and twice the memory of the result. The input is not kept. Below
    ``few`` rows there are no tables. Raises ValueError for what cannot be indexed.
    """
    if len(lists) and int(lists.max()) >= 1 << 16:
        raise ValueError("one index holds the digests of at most 65,536 lists")
    order = _sorted(digests)
    digests = digests[order]
    ids, lists = ids[order].astype(np.int64), lists[order]
    n = len(digests)
    first = np.zeros(0, dtype=np.uint32)
    if n:
        new = np.ones(n, dtype=bool)
        new[1:] = (digests[1:] != digests[:-1]).any(axis=1)
        if not new.all():
            starts = np.flatnonzero(new)
            digests = digests[starts]
            first = np.append(starts, n).astype(np.uint32)
    base = int(ids.min()) if n else 0
    narrow = not n or int(ids.max()) - base < 1 << 32
    offsets, posts = _tables(bits, digests, threads=threads, few=few)
    return Space(
        bits=bits,
        digests=digests,
        offsets=offsets,
        posts=posts,
        first=first,
        ids=(ids - base).astype(np.uint32 if narrow else np.int64),
        lists=lists.astype(np.uint8 if int(lists.max(initial=0)) < 1 << 8 else np.uint16),
        base=base,
    )


def _sorted(digests: Array) -> Array:
    """Return the order of the rows by all their words. Sorting by the first settles nearly all."""
    order = np.argsort(digests[:, 0])
    first = digests[order, 0]
    tied = np.zeros(len(first), dtype=bool)
    same = first[1:] == first[:-1]
    tied[1:] |= same
    tied[:-1] |= same
    if tied.any():
        rows = order[tied]
        columns = [digests[rows, k] for k in range(digests.shape[1] - 1, -1, -1)]
        order[tied] = rows[np.lexsort(columns)]
    return order


def _tables(bits: int, digests: Array, *, threads: int, few: int) -> tuple[Array, Array]:
    n = len(digests)
    if n < max(few, 1):
        return np.zeros((0, 0), dtype=np.uint32), np.zeros((0, 0), dtype=np.uint32)
    from hashing.index import kernels

    if n >= 1 << 31:
        raise ValueError("one index holds at most 2,147,483,647 different digests")
    shape = Shape.of(bits, n)
    offsets = np.zeros((len(shape.starts), (1 << shape.prefix) + 1), dtype=np.uint32)
    posts = np.zeros((len(shape.starts) - 1, n), dtype=np.uint32)

    def one(word: int) -> None:
        post = posts[word - 1] if word else np.zeros(0, dtype=np.uint32)
        pairs = np.zeros(n if word else 0, dtype=np.uint64)
        kernels.build_word(
            digests,
            shape.starts[word],
            shape.widths[word],
            shape.prefix,
            shape.id_bits,
            offsets[word],
            post,
            pairs,
        )

    one(0)  # Compiles; then each thread takes words until none is left.
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(1, len(shape.starts))))
    return offsets, posts


class IndexFile:
    """An index file mapped into memory: spaces by name, and what its builder noted (``meta``)."""

    def __init__(self, path: Path) -> None:
        """Open a file. Raises Damaged when it is no whole index file of this version, OSError."""
        self._mapped = Mapped(path)
        self.size = self._mapped.size
        self.meta: dict[str, Any] = self._mapped.meta.get("about", {})
        try:
            said = {
                str(k): (int(v["bits"]), int(v["base"]))
                for k, v in self._mapped.meta["spaces"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Damaged("the file does not say what it holds") from None
        self.spaces = {
            name: Space(
                bits=bits,
                base=base,
                **{part: self._mapped.array(f"{name}.{part}") for part in _PARTS},
            )
            for name, (bits, base) in said.items()
        }


_PARTS = ("digests", "offsets", "posts", "first", "ids", "lists")


def write(stream: BinaryIO, spaces: Iterable[tuple[str, Space]], about: dict[str, Any]) -> None:
    """Write an index file. ``spaces`` may be a generator: each is written before the next is asked for.

    ``about`` is JSON that the reader gets as ``meta``. What stands in it when the last space is written counts.
    """
    writer = Writer(stream)
    said: dict[str, dict[str, int]] = {}
    for name, space in spaces:
        for part in _PARTS:
            writer.add(f"{name}.{part}", getattr(space, part))
        said[name] = {"bits": space.bits, "base": space.base}
    writer.close({"spaces": said, "about": about})


def warm(bits: Sequence[int] = (64, 256)) -> None:
    """Compile the kernels for this process and those it forks. Takes a second or two."""
    for each in bits:
        rows = np.arange(FEW * (each // 64), dtype=np.uint64).reshape(-1, each // 64)
        rows[:, 0] *= np.uint64(0x9E3779B97F4A7C15)
        space = build(each, rows, np.arange(FEW), np.zeros(FEW, dtype=np.uint8))
        for plan in ("", "linear"):
            space.search(rows[7], np.array([1], dtype=np.int16), plan=plan)
