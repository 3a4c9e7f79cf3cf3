"""The rows that changed since the index file was written, in arrays of this process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hashing.index import Found
from hashing.lookup.sources import Rows

__all__ = ["Delta"]

Array = npt.NDArray[np.int64]


class Delta:
    """Rows of one space that are newer than the file; what the file says of them no longer counts.

    Searched by comparing every row: 2 ms for half a million of 256 bits.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        # One row a 64-bit word: the scan then runs along memory instead of across it.
        self._words = np.ascontiguousarray(rows.words[rows.live].T)
        self._ids = rows.ids[rows.live]
        self._lists = rows.lists[rows.live]
        self._known = np.sort(rows.ids)

    @classmethod
    def empty(cls, bits: int) -> Delta:
        return cls(Rows.none(bits))

    def __len__(self) -> int:
        return len(self._known)

    def merged(self, newer: Rows) -> Delta:
        """Return a delta in which ``newer`` rows take the place of the same rows as they were."""
        if not len(newer.ids):
            return self
        kept = ~np.isin(self._rows.ids, newer.ids)
        pairs = zip(self._rows, newer, strict=True)
        return Delta(Rows(*(np.concatenate([old[kept], new]) for old, new in pairs)))

    def search(self, query: npt.NDArray[np.uint64], reach: npt.NDArray[np.int16]) -> Found:
        """Return the entries whose list reaches as far as they are from ``query``, in no order."""
        total = np.zeros(len(self._ids), dtype=np.int64)
        for row, word in zip(self._words, query, strict=True):
            total += np.bitwise_count(row ^ word)
        (at,) = np.nonzero(total <= reach[self._lists])
        return Found(self._ids[at], self._lists[at], total[at])

    def covers(self, ids: Array) -> npt.NDArray[np.bool_]:
        """Return for each number whether its row changed since the file was written."""
        if not len(self._known):
            return np.zeros(len(ids), dtype=bool)
        at = np.minimum(np.searchsorted(self._known, ids), len(self._known) - 1)
        return self._known[at] == ids
