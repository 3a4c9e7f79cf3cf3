"""Which entries of a list act automatically: those that two people saw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, F, Max, OuterRef, QuerySet

from accounts.models import User
from hashing.models import ExchangeRecord, HashEntry, HashList

__all__ = ["NewEntries", "acts", "new_entries", "unseen_entries", "why_not_approve"]


def unseen_entries(hash_list: HashList) -> QuerySet[HashEntry]:
    """Return the entries in force that changed since two people approved that the list acts.

    What an exchange itself sends to its list is not among them: the two approved the exchange, and a change of
    where it fetches from ends their approval.
    """
    rows = HashEntry.objects.filter(
        hash_list=hash_list, retired_at=None, list_version__gt=hash_list.automatic_version
    )
    if hash_list.kind == "exchange":
        rows = rows.exclude(Exists(ExchangeRecord.objects.filter(entry=OuterRef("pk"))))
    return rows


def acts(hash_list: HashList, matched: Iterable[HashEntry]) -> bool:
    """Return whether an exact match of ``matched`` entries of a list opens its case at the highest severity."""
    if not hash_list.acts_automatically:
        return False
    matched = list(matched)
    if any(entry.list_version <= hash_list.automatic_version for entry in matched):
        return True
    return (
        hash_list.kind == "exchange"
        and ExchangeRecord.objects.filter(entry__in=[entry.pk for entry in matched]).exists()
    )


@dataclass(frozen=True)
class NewEntries:
    """How many entries somebody put on a list that do not act yet."""

    who: str
    count: int
    at: datetime


def new_entries(hash_list: HashList) -> list[NewEntries]:
    """Return who put in how many of the entries that nobody approved yet, the most first."""
    rows = (
        unseen_entries(hash_list)
        .values(who=F("added_by__pseudonym"))
        .annotate(count=Count("pk"), at=Max("created_at"))
        .order_by("-count")
    )
    return [NewEntries(row["who"] or "the server", row["count"], row["at"]) for row in rows]


def why_not_approve(hash_list: HashList, person: User) -> str:
    """Return why a person cannot be the second one for the request that waits, in words; empty if they can."""
    asked = hash_list.automatic_request_by
    if asked is None:
        return ""
    if asked.pk == person.pk:
        return "You asked for this yourself: another person has to approve."
    if hash_list.content_by_id == person.pk:
        return "You last changed what would act: another person has to approve."
    return ""
