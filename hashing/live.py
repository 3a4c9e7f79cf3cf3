"""Findings that count: what test keys send is scanned like everything else, and is no figure of any list or rule."""

from __future__ import annotations

from django.db.models import QuerySet

from hashing.models import Flag


def live_flags() -> QuerySet[Flag]:
    """Return the findings on items that are no practice."""
    return Flag.objects.filter(item__source__practice_of=None)
