"""Search texts that a page keeps for a while, so that they stand in no address."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import StoredSearch, User
from accounts.permissions import Permission

SEARCH_LIFE = timedelta(hours=12)
"""As long as the longest session: *Back* works within it, and nothing is left of it the next day."""


@transaction.atomic
def keep_search(page: str, fields: dict[str, list[str]], *, actor: User) -> StoredSearch:
    """Keep what ``actor`` typed into the search of ``page`` (a view's name), for them alone.

    Not audited: the page that opens it says in the log what was looked for. It runs out by itself.
    """
    require(actor, Permission.OWN_ACCOUNT)
    return StoredSearch.objects.create(
        owner=actor, page=page, fields=fields, expires_at=Now() + SEARCH_LIFE
    )


def forget_old_searches() -> int:
    """Delete searches that ran out; return how many."""
    return StoredSearch.objects.filter(expires_at__lt=Now()).delete()[0]
