"""Loads lookups of files for whoever asked. Somebody else's is 404."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.shortcuts import get_object_or_404

from accounts.models import User
from accounts.permissions import Permission
from hashing.models import FileLookup, LookupState

__all__ = ["answered", "get_lookup_for", "known_so_far"]


def answered(ids: Iterable[UUID]) -> dict[UUID, FileLookup]:
    """Return those of the lookups that have come to an end, by id."""
    return {
        each.pk: each
        for each in FileLookup.objects.filter(pk__in=list(ids)).exclude(state=LookupState.WAITING)
    }


def known_so_far(ids: Iterable[UUID]) -> dict[UUID, FileLookup]:
    """Return those of the lookups of which anything is known, by id: ended, or begun and kept what the bytes say."""
    rows = FileLookup.objects.filter(pk__in=list(ids))
    return {each.pk: each for each in rows.exclude(state=LookupState.WAITING, result__isnull=True)}


def get_lookup_for(user: User, id: UUID) -> FileLookup:
    """Return a lookup that this person asked for. Raises Http404."""
    rows = FileLookup.objects.filter(asked_by=user)
    if not user.may(Permission.HASHING_LISTS_VIEW):
        rows = rows.none()
    return get_object_or_404(rows, pk=id)
