"""What lies around a digest: entries of lists, in reach or not, and media that came in."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from accounts.models import User
from accounts.permissions import Permission
from core.errors import Invalid
from hashing import lookup
from hashing.csv_lists import normalised
from hashing.live import live_flags
from hashing.models import Digest, HashEntry, HashList

__all__ = ["Around", "Near", "around"]

MOST = 2000


@dataclass(frozen=True)
class Near:
    """An entry near a digest. ``matches`` says whether its list would flag it."""

    entry: HashEntry
    distance: int
    reach: int
    flags: int

    @property
    def matches(self) -> bool:
        return self.distance <= self.reach


@dataclass(frozen=True)
class Around:
    """What lies around a digest; ``histogram`` counts entries by distance, as (bits, entries, share of the most)."""

    algorithm: str
    value: str
    radius: int
    entries: list[Near]
    media: int
    histogram: list[tuple[int, int, int]]
    is_cut: bool


def around(user: User, *, algorithm: str, value: str, radius: int | None = None) -> Around:
    """Look around a digest. Raises Invalid for one that is not well formed, or while nothing can be said."""
    if not user.may(Permission.HASHING_LISTS_VIEW):
        return Around(algorithm, value, 0, [], 0, [], is_cut=False)
    try:
        algorithm, value = normalised(algorithm, value)
    except ValueError as wrong:
        raise Invalid({"value": [str(wrong)]}) from None
    media = (
        Digest.objects.filter(algorithm=algorithm, value=value).values("blob").distinct().count()
    )
    if algorithm in {"md5", "sha1", "sha256"}:
        found = dict.fromkeys(
            HashEntry.objects.filter(algorithm=algorithm, value=value).values_list("pk", flat=True),
            0,
        )
        radius = 0
    else:
        try:
            view = lookup.current()
            if radius is None:
                radius = max(
                    (lookup.reach_of(each, algorithm) for each in view.lists.values()), default=0
                )
            wide = view.reaching(
                algorithm, dict.fromkeys(HashList.objects.values_list("pk", flat=True), radius)
            )
            found = {hit.id: hit.distance for hit in wide.near(algorithm, [value])[0]}
        except lookup.IndexNotReady as waiting:
            raise Invalid({"value": [f"Nothing can be said yet: {waiting.reason}."]}) from None
    nearest = sorted(found, key=lambda pk: (found[pk], pk))[:MOST]
    rows = HashEntry.objects.select_related("hash_list").in_bulk(nearest)
    flags = dict(
        live_flags()
        .filter(hash_entry__in=nearest)
        .values_list("hash_entry")
        .annotate(count=Count("pk"))
    )
    entries = [
        Near(
            rows[pk],
            found[pk],
            lookup.reach_of(rows[pk].hash_list, algorithm)
            if radius or algorithm not in {"md5", "sha1", "sha256"}
            else 0,
            flags.get(pk, 0),
        )
        for pk in nearest
        if pk in rows
    ]
    counts: dict[int, int] = {}
    for distance in found.values():
        counts[distance] = counts.get(distance, 0) + 1
    most = max(counts.values(), default=1)
    histogram = [(bits, counts[bits], round(counts[bits] * 100 / most)) for bits in sorted(counts)]
    return Around(algorithm, value, radius, entries, media, histogram, is_cut=len(found) > MOST)
