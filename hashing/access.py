"""Loads lists, rules and what rests on them, for people whose role may see them. Not visible is 404."""

from __future__ import annotations

import re
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse

from accounts.access import Waiting
from accounts.models import User
from accounts.permissions import Permission
from hashing.live import live_flags
from hashing.models import (
    Activation,
    ActivationState,
    Algorithm,
    Flag,
    HashEntry,
    HashImport,
    HashList,
)

__all__ = [
    "counts_of",
    "entries_of",
    "find_digest_for",
    "find_hash_list",
    "flags_of_list",
    "get_entry_for",
    "get_hash_list_for",
    "hash_list_names",
    "hash_lists_for",
    "imports_of",
    "waiting_for",
]

_DIGEST = re.compile(r"[0-9a-f]{6,64}")


def hash_lists_for(user: User) -> QuerySet[HashList]:
    """Return every hash list with ``entry_count`` (in force), or none for who may not see lists."""
    if not user.may(Permission.HASHING_LISTS_VIEW):
        return HashList.objects.none()
    in_force = Count("entries", filter=Q(entries__retired_at=None))
    return HashList.objects.annotate(entry_count=in_force).order_by("name")


def get_hash_list_for(user: User, id: UUID) -> HashList:
    """Return one hash list. Raises Http404."""
    return get_object_or_404(hash_lists_for(user), pk=id)


def entries_of(hash_list: HashList, *, search: str = "", state: str = "") -> QuerySet[HashEntry]:
    """Return a list's entries, newest first; ``search`` is the beginning of a digest or part of a note.

    Six or more hexadecimal digits are a digest. Either is found by an index: lists have any size.

    ``state``: ``active``, ``retired`` or empty for all; an unknown state finds nothing.
    """
    entries = HashEntry.objects.filter(hash_list=hash_list).select_related("retired_by")
    if search:
        text = search.strip()
        if _DIGEST.fullmatch(text.lower()):
            # Between it and it with a "z" lies what begins with it; "z" is no hexadecimal digit.
            entries = entries.filter(
                algorithm__in=Algorithm.values,
                value__gte=text.lower(),
                value__lte=f"{text.lower()}z",
            )
        else:
            entries = entries.exclude(note="").filter(note__icontains=text)
    if state == "active":
        entries = entries.filter(retired_at=None)
    elif state == "retired":
        entries = entries.filter(retired_at__isnull=False)
    elif state:
        entries = entries.none()
    return entries.order_by("-pk")


def get_entry_for(user: User, id: int) -> HashEntry:
    """Return one entry with its list. Raises Http404."""
    entry = HashEntry.objects.select_related("hash_list").filter(pk=id).first()
    if entry is None or not user.may(Permission.HASHING_LISTS_VIEW):
        raise Http404
    return entry


def find_digest_for(user: User, value: str) -> QuerySet[HashEntry]:
    """Return the entries of all lists that hold exactly this digest."""
    if not user.may(Permission.HASHING_LISTS_VIEW):
        return HashEntry.objects.none()
    return (
        HashEntry.objects.filter(value=value.strip().lower())
        .select_related("hash_list", "retired_by")
        .order_by("hash_list__name", "algorithm")
    )


def imports_of(hash_list: HashList) -> QuerySet[HashImport]:
    """Return the imports of a list, newest first."""
    return hash_list.imports.select_related("imported_by").order_by("-created_at")


def flags_of_list(hash_list: HashList) -> QuerySet[Flag]:
    """Return the flags that rest on a list, newest first. They say nothing about the item's content."""
    return live_flags().filter(hash_list=hash_list).order_by("-created_at")


def counts_of(hash_list: HashList) -> list[tuple[str, int]]:
    """Return how many entries in force a list has of each algorithm, as (name, count)."""
    rows = (
        HashEntry.objects.filter(hash_list=hash_list, retired_at=None)
        .order_by()
        .values_list("algorithm")
        .annotate(count=Count("pk"))
    )
    found = dict(rows)
    return [(each.label, found[each.value]) for each in Algorithm if each.value in found]


def find_hash_list(slug: str) -> HashList | None:
    """Return a list by its short name, for commands on the server; they answer to no role."""
    return HashList.objects.filter(slug=slug).first()


def hash_list_names() -> list[str]:
    """Return the short names of all lists, for commands on the server."""
    return list(HashList.objects.order_by("slug").values_list("slug", flat=True))


def waiting_for(user: User) -> list[Waiting]:
    """Return what waits for somebody of detection: held lists, lists to approve, classifiers to activate."""
    found = []
    lists = HashList.objects.all() if user.may(Permission.HASHING_LISTS_VIEW) else None
    if lists is not None and user.may(Permission.HASHING_LISTS_EDIT):
        held = lists.exclude(quarantined_at=None).count()
        found.append(Waiting("Hash lists that are held back", held, reverse("hashing:lists")))
    if lists is not None and user.may(Permission.HASHING_LISTS_APPROVE):
        first = Q(acts_automatically=False, automatic_asked_by__isnull=False)
        asked = lists.filter(first | Q(renewal_asked_by__isnull=False))
        others = asked.exclude(automatic_asked_by=user, acts_automatically=False)
        count = others.exclude(renewal_asked_by=user).count()
        url = reverse("hashing:lists")
        found.append(Waiting("Hash lists that are to act automatically", count, url))
    if user.may(Permission.HASHING_CLASSIFIERS_ACTIVATE):
        asked_for = Activation.objects.filter(state=ActivationState.WAITING)
        waiting = asked_for.exclude(asked_by=user).exclude(version__trained_by=user).count()
        url = reverse("hashing:classifiers")
        found.append(Waiting("Classifiers to activate", waiting, url))
    return found
