"""Entries that list exactly a file, by its cryptographic digests: a database index is enough for those."""

from __future__ import annotations

from django.db import connection

from hashing.digests import FileDigests
from hashing.lookup.lists import in_force
from hashing.models import Algorithm, HashEntry

__all__ = ["exact_matches"]

_EXACT = (Algorithm.MD5.value, Algorithm.SHA1.value, Algorithm.SHA256.value)


def exact_matches(digests: FileDigests) -> list[HashEntry]:
    """Return the entries in force that list exactly this file, with their lists.

    A PDQ hash is as long as a SHA-256 and never taken for one. One small query for the many files that are
    on no list: whether a list is in force is asked only for those found.
    """
    # Equalities on the index (algorithm, value); lengths keep the algorithms apart. Asked for every file that
    # is scanned, and written out because putting such a query together costs more than its answer.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM hashing_hashentry WHERE algorithm IN (%s, %s, %s) "
            "AND value IN (%s, %s, %s) AND retired_at IS NULL",
            [*_EXACT, digests.md5, digests.sha1, digests.sha256],
        )
        found = [pk for (pk,) in cursor.fetchall()]
    if not found:
        return []
    return list(
        HashEntry.objects.filter(pk__in=found, hash_list__in=in_force().values("pk"))
        .select_related("hash_list")
        .order_by("hash_list__slug", "pk")
    )
