"""Loads listed videos for people whose role may see lists. Not visible is 404."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from accounts.models import User
from accounts.permissions import Permission
from hashing.models import HashList, ListedVideo

__all__ = ["get_video_for", "videos_of"]


def videos_of(hash_list: HashList) -> QuerySet[ListedVideo]:
    """Return the videos of a list, newest first."""
    return hash_list.videos.select_related("added_by", "retired_by").order_by("-pk")


def get_video_for(user: User, id: int) -> ListedVideo:
    """Return one listed video with its list. Raises Http404."""
    rows = ListedVideo.objects.select_related("hash_list")
    if not user.may(Permission.HASHING_LISTS_VIEW):
        rows = rows.none()
    return get_object_or_404(rows, pk=id)
