"""Putting the media of a confirmed case on an own hash list."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Refused
from hashing import actions as hashing
from hashing.list_access import own_lists_for
from moderation import access
from moderation.views.answers import see


@require_POST
@requires(Permission.HASHING_ENTRIES_ADD)
def list_digests(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Add the digests of the case's media to a list: what is found again then matches."""
    user = person_of(request)
    case = access.get_case_for(user, id)
    lists = {str(each.pk): each for each in own_lists_for(user)}
    chosen = lists.get(request.POST.get("list", ""))
    if chosen is None:
        raise Http404
    added, said = 0, ""
    try:
        added = hashing.list_media(chosen, access.media_of(case), actor=user)
    except Refused as refused:
        said = refused.message
    if added:
        messages.success(
            request, f"{added} digests are on “{chosen}” and count from the next item on."
        )
    else:
        messages.warning(request, said or f"All of its digests are on “{chosen}” already.")
    return see(reverse("moderation:case", args=[case.pk]))
