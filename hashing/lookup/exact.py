"""Entries that list exactly a file, by its cryptographic digests: a database index is enough for those."""

from __future__ import annotations

from hashing.digests import FileDigests
from hashing.lookup.lists import in_force
from hashing.models import Algorithm, HashEntry

__all__ = ["exact_matches"]


def exact_matches(digests: FileDigests) -> list[HashEntry]:
    """Return the entries in force that list exactly this file, with their lists."""
    lists = in_force().values("pk")
    wanted = (
        HashEntry.objects.filter(algorithm=algorithm, value=value, retired_at=None)
        for algorithm, value in (
            (Algorithm.MD5, digests.md5),
            (Algorithm.SHA1, digests.sha1),
            (Algorithm.SHA256, digests.sha256),
        )
    )
    first, *others = (each.filter(hash_list__in=lists).values("pk") for each in wanted)
    return list(
        HashEntry.objects.filter(pk__in=first.union(*others, all=True))
        .select_related("hash_list")
        .order_by("hash_list__slug", "pk")
    )
