"""Entries that list exactly a file, by its cryptographic digests: a database index is enough for those."""

from __future__ import annotations

from hashing.digests import FileDigests
from hashing.lookup.lists import in_force
from hashing.models import Algorithm, HashEntry

__all__ = ["exact_entries", "exact_matches"]

_EXACT = (Algorithm.MD5, Algorithm.SHA1, Algorithm.SHA256)


def exact_matches(digests: FileDigests) -> list[HashEntry]:
    """Return the entries in force that list exactly this file, with their lists."""
    return exact_entries([digests.md5, digests.sha1, digests.sha256])


def exact_entries(values: list[str]) -> list[HashEntry]:
    """Return the entries in force that list one of the cryptographic digests, with their lists.

    A PDQ hash is as long as a SHA-256 and never taken for one. One small query for the many files that are
    on no list: whether a list is in force is asked only for those found.
    """
    # Each branch is an equality on the index (algorithm, value); lengths keep the algorithms apart.
    found = list(
        HashEntry.objects.filter(
            algorithm__in=_EXACT, value__in=values, retired_at=None
        ).values_list("pk", flat=True)
    )
    if not found:
        return []
    return list(
        HashEntry.objects.filter(pk__in=found, hash_list__in=in_force().values("pk"))
        .select_related("hash_list")
        .order_by("hash_list__slug", "pk")
    )
