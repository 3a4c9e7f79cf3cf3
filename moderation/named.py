"""Whom cases name: what an erasure must not take away."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from moderation.models import Case, CaseItem


def named_in_cases(
    *, accounts: Collection[uuid.UUID], groups: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    """Return those accounts and groups that a case is about, or that an item of a case came from or belongs to."""
    found: set[uuid.UUID] = set()
    for name, keys in (("account", accounts), ("group", groups)):
        if keys:
            found |= set(Case.objects.filter(**{f"{name}__in": keys}).values_list(name, flat=True))
    for name, keys in (("account", accounts), ("sender", accounts), ("group", groups)):
        if keys:
            rows = CaseItem.objects.filter(**{f"item__{name}__in": keys})
            found |= set(rows.values_list(f"item__{name}", flat=True))
    return found
