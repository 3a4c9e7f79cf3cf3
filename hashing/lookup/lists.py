"""Which hash lists are in force, and how far each reaches."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from hashing.models import HashList

__all__ = ["SPACES", "in_force", "is_harmless", "is_in_force", "reach_of"]

SPACES = ("pdq", "phash", "dhash", "whash", "video")
"""What is searched by distance. Each is a kind of digest, compared with its own kind alone."""

_THRESHOLD = {"video": "pdq"}
"""A frame of a video is compared as PDQ is, unless the list has a threshold for videos."""


def in_force() -> QuerySet[HashList]:
    """Return the lists whose entries count now."""
    return HashList.objects.filter(is_active=True, quarantined_at=None).filter(
        Q(disabled_until=None) | Q(disabled_until__lte=Now())
    )


def is_in_force(hash_list: HashList) -> bool:
    """Return whether a list's entries count; the same rule as ``in_force``."""
    if not hash_list.is_active or hash_list.quarantined_at is not None:
        return False
    return hash_list.disabled_until is None or hash_list.disabled_until <= timezone.now()


def is_harmless(hash_list: HashList) -> bool:
    """Return whether a list holds known harmless material: its matches silence those of other lists."""
    return hash_list.is_negative


def reach_of(hash_list: HashList, space: str) -> int:
    """Return how many bits a match of this list may differ in a space."""
    own = getattr(hash_list, f"{space}_threshold", None)
    if own is None:
        own = getattr(hash_list, f"{_THRESHOLD[space]}_threshold")
    return int(own)
