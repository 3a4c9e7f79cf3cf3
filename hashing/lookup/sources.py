"""Where the digests of each space come from: tables as the index builder and the delta read them.

A space is known by one ``Source``. Its rows carry a mark: the version that their list had when they were
last added, retired or restored. Whoever changes rows holds the list's row lock and raises the list's version
before the transaction ends, so that a reader who sees version v of a list sees every change marked below v,
and every later change is marked v or higher. (A sequence would not do: its numbers may be committed out
of order, and a reader would skip the late one.)
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import connection

__all__ = ["SOURCES", "Rows", "Source", "count_changed", "read", "register"]

_AT_ONCE = 200_000
_HEADER = 19  # Signature of 11 bytes, flags, length of an extension that is never there.


@dataclass(frozen=True, kw_only=True)
class Source:
    """The rows of one space, as SQL expressions over ``tables``. None of it comes from outside.

    ``id`` is a bigint, unique in the space; ``list`` the UUID of the hash list; ``value`` the digest in lower-case
    hexadecimal; ``live`` whether the row counts; ``mark`` its list's version when that last changed;
    ``only`` which rows of the tables belong to the space.
    """

    space: str
    bits: int
    tables: str
    id: str
    list: str
    value: str
    live: str
    mark: str
    only: str = "TRUE"


class Rows(NamedTuple):
    """Rows as arrays of one length: numbers, positions of lists, whether they count, digests in words."""

    ids: npt.NDArray[np.int64]
    lists: npt.NDArray[np.int64]
    live: npt.NDArray[np.bool_]
    words: npt.NDArray[np.uint64]

    @classmethod
    def none(cls, bits: int) -> Rows:
        return cls(
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
            np.zeros(0, bool),
            np.zeros((0, bits // 64), np.uint64),
        )


def _of_entries(algorithm: str, bits: int) -> Source:
    return Source(
        space=algorithm,
        bits=bits,
        tables="hashing_hashentry e",
        id="e.id",
        list="e.hash_list_id",
        value="e.value",
        live="e.retired_at IS NULL",
        mark="e.list_version",
        only=f"e.algorithm = '{algorithm}'",
    )


SOURCES: dict[str, Source] = {
    name: _of_entries(name, bits)
    for name, bits in (("pdq", 256), ("phash", 64), ("dhash", 64), ("whash", 64))
}


# Frames count and cease to count with their video.
SOURCES["video"] = Source(
    space="video",
    bits=256,
    tables="hashing_videoframe f JOIN hashing_listedvideo v ON v.id = f.video_id",
    id="f.id",
    list="v.hash_list_id",
    value="f.value",
    live="v.retired_at IS NULL",
    mark="v.list_version",
    only="v.state = 'ready'",
)


def register(source: Source) -> None:
    """Make a space known. Called once, when the room is loaded; before the first look-up."""
    SOURCES[source.space] = source


def read(
    source: Source,
    since: Mapping[UUID, tuple[int, int]],
    *,
    only_live: bool = False,
    most: int | None = None,
) -> Rows:
    """Read the rows of some lists: ``since`` gives each list's position and the lowest mark to read.

    At most ``most`` rows are read. Streams in PostgreSQL's binary COPY format; ten million rows need no
    more memory than their arrays.
    """
    parts = list(_parts(source, since, only_live=only_live, most=most))
    if not parts:
        return Rows.none(source.bits)
    return Rows(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _parts(
    source: Source, since: Mapping[UUID, tuple[int, int]], *, only_live: bool, most: int | None
) -> Iterator[Rows]:
    if not since:
        return
    size = source.bits // 8
    kind = np.dtype(
        [
            ("fields", ">i2"),
            ("id_length", ">i4"),
            ("id", ">i8"),
            ("list_length", ">i4"),
            ("list", ">i4"),
            ("live_length", ">i4"),
            ("live", "u1"),
            ("value_length", ">i4"),
            ("value", ">u8", (source.bits // 64,)),
        ]
    )
    with (
        connection.cursor() as cursor,
        cursor.copy(_query(source, since, only_live=only_live, most=most)) as copy,
    ):
        pending = b""
        head = True
        messages = iter(copy)
        while batch := list(itertools.islice(messages, _AT_ONCE)):
            pending += b"".join(map(bytes, batch))
            if head:
                pending, head = pending[_HEADER:], False
            whole = len(pending) // kind.itemsize * kind.itemsize
            rows = np.frombuffer(pending[:whole], dtype=kind)
            pending = pending[whole:]
            if len(rows):
                if (rows["fields"] != 4).any() or (rows["value_length"] != size).any():
                    raise ValueError(
                        f"a row of {source.space} holds no digest of {source.bits} bits"
                    )
                yield Rows(
                    rows["id"].astype(np.int64),
                    rows["list"].astype(np.int64),
                    rows["live"].astype(bool),
                    rows["value"].astype(np.uint64),
                )
        if pending != struct.pack(">h", -1):
            raise ValueError(f"a row of {source.space} holds no digest of {source.bits} bits")


def _query(
    source: Source, since: Mapping[UUID, tuple[int, int]], *, only_live: bool, most: int | None
) -> str:
    limit = "" if most is None else f"LIMIT {int(most)}"
    return (
        f"COPY (SELECT ({source.id})::bigint, wanted.at::int, ({source.live})::bool, "
        f"decode({source.value}, 'hex') {_from(source, since, only_live=only_live)} {limit}) "
        "TO STDOUT (FORMAT BINARY)"
    )


def _from(source: Source, since: Mapping[UUID, tuple[int, int]], *, only_live: bool) -> str:
    # UUIDs and whole numbers: written by their types, nothing in them can be SQL.
    wanted = ", ".join(
        f"('{UUID(str(key))}'::uuid, {int(at)}, {int(mark)})" for key, (at, mark) in since.items()
    )
    live = f"AND ({source.live})" if only_live else ""
    return (
        f"FROM {source.tables} JOIN (VALUES {wanted}) AS wanted(list, at, mark) "
        f"ON ({source.list}) = wanted.list AND ({source.mark}) >= wanted.mark "
        f"WHERE ({source.only}) {live}"
    )


def count_changed(source: Source, since: Mapping[UUID, tuple[int, int]], most: int) -> int:
    """Return how many rows ``read`` would give, counting no further than ``most``."""
    if not since:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT 1 {_from(source, since, only_live=False)} "  # noqa: S608
            f"LIMIT {int(most)}) AS counted"
        )
        row: Any = cursor.fetchone()
    return int(row[0])
