"""The lists that are in force, compiled for looking up and kept per process.

Every look-up first reads the lists' versions (one small query), so that an entry added or retired in any
process counts from the next item on. Every action that changes a list raises its version.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from uuid import UUID

from hashing.active_terms import ActiveTerms, active_terms, forget_terms
from hashing.digests import BITS, FileDigests
from hashing.matching import Table
from hashing.models import Algorithm, HashEntry, HashList

__all__ = [
    "ActiveHashList",
    "ActiveTerms",
    "active_hash_lists",
    "active_terms",
    "exact_matches",
    "forget",
]


@dataclass(frozen=True)
class ActiveHashList:
    """A hash list in force with its perceptual digests as tables."""

    id: UUID
    slug: str
    name: str
    category: str
    version: int
    thresholds: dict[str, int]
    tables: dict[str, Table]


_lock = threading.Lock()
_tables: dict[UUID, tuple[int, dict[str, Table]]] = {}


def active_hash_lists() -> list[ActiveHashList]:
    """Return the hash lists in force. Costs one query, and a load for each list that changed."""
    # The version is read before the entries: at worst the entries are newer and loaded once more.
    lists = list(HashList.objects.filter(is_active=True).order_by("slug"))
    with _lock:
        for gone in set(_tables) - {each.pk for each in lists}:
            del _tables[gone]
        return [_compiled(each) for each in lists]


def _compiled(hash_list: HashList) -> ActiveHashList:
    known = _tables.get(hash_list.pk)
    if known is None or known[0] != hash_list.version:
        tables = {
            algorithm.value: _load(hash_list, algorithm)
            for algorithm in (Algorithm.PDQ, Algorithm.PHASH)
        }
        known = _tables[hash_list.pk] = (hash_list.version, tables)
    return ActiveHashList(
        id=hash_list.pk,
        slug=hash_list.slug,
        name=hash_list.name,
        category=hash_list.category,
        version=hash_list.version,
        thresholds={
            Algorithm.PDQ.value: hash_list.pdq_threshold,
            Algorithm.PHASH.value: hash_list.phash_threshold,
        },
        tables=known[1],
    )


def _load(hash_list: HashList, algorithm: Algorithm) -> Table:
    entries = HashEntry.objects.filter(
        hash_list=hash_list, algorithm=algorithm, retired_at=None
    ).values_list("pk", "value")
    return Table(entries.iterator(chunk_size=10_000), bits=BITS[algorithm.value])


def exact_matches(digests: FileDigests) -> list[HashEntry]:
    """Return the entries in force that list exactly this file, with their lists."""
    wanted = (
        HashEntry.objects.filter(algorithm=algorithm, value=value, retired_at=None)
        for algorithm, value in (
            (Algorithm.MD5, digests.md5),
            (Algorithm.SHA1, digests.sha1),
            (Algorithm.SHA256, digests.sha256),
        )
    )
    first, *others = (each.filter(hash_list__is_active=True).values("pk") for each in wanted)
    return list(
        HashEntry.objects.filter(pk__in=first.union(*others, all=True))
        .select_related("hash_list")
        .order_by("hash_list__slug", "pk")
    )


def forget() -> None:
    """Drop everything compiled. For tests, whose databases come and go under one process."""
    with _lock:
        _tables.clear()
    forget_terms()
