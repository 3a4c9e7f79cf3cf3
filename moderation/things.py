"""One thing of the platform, however many reports name it.

Twelve reports of one picture bring twelve items, each with what its sender said; they are one thing to look at and
one thing to remove. Items are one thing when the platform's id, the conversation, the surface, whom it belongs to and the bytes
or words agree. The same file under two ids is two things: each must be removed. What came without an id must also agree
in its address and time, and a text without an id is a thing of its own: nobody can say that two of them are one.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case as When_
from django.db.models import Count, F, Q, QuerySet, When, Window
from django.db.models.functions import MD5, FirstValue, RowNumber

from moderation.models import Case, CaseItem
from reports.choices import WITHOUT_FILE, ItemKind, ItemRole
from reports.models import Item

_SAME: list[Any] = [
    *(F(f"item__{field}") for field in ("external_id", "surface", "kind", "blob")),
    # Taken in the database, and only where it can matter: a text without an id is alone anyway.
    When_(When(~Q(item__external_id=""), then=MD5("item__text"))),
    *(F(f"item__{field}") for field in ("account", "group", "sender")),
    # Many a messenger numbers the messages of each chat from 1.
    *(F(f"item__{field}") for field in ("conversation", "in_group")),
    When_(When(item__external_id="", then=F("item__source_url"))),
    When_(When(item__external_id="", then=F("item__content_at"))),
    When_(When(item__external_id="", item__kind=ItemKind.TEXT, then=F("item__pk"))),
]
ORDER = ("-item__role", "position", "pk")
"""What is reported comes before the same thing as context of another report."""


def things_of(case: Case, *, to_remove: bool = False) -> QuerySet[CaseItem]:
    """Return the first case item of each thing of a case, with ``times``: how many items are this thing.

    ``to_remove`` leaves out texts, what was not sent and what is context in every report: that may be the victim's own.
    """
    rows = CaseItem.objects.filter(case=case)
    if to_remove:
        rows = rows.filter(item__role=ItemRole.REPORTED).exclude(item__kind__in=WITHOUT_FILE)
    return rows.annotate(
        nth=Window(RowNumber(), partition_by=_SAME, order_by=ORDER),
        times=Window(Count("pk"), partition_by=_SAME),
    ).filter(nth=1)


def reports_of(case: Case, firsts: list[int]) -> dict[int, list[int]]:
    """Return the numbers of the reports that name each of some things, by the keys of their first case items."""
    rows = (
        CaseItem.objects.filter(case=case)
        .annotate(first=Window(FirstValue("pk"), partition_by=_SAME, order_by=ORDER))
        .filter(first__in=firsts, item__report__isnull=False)
        .order_by("item__report__number")
        .values_list("first", "item__report__number")
    )
    found: dict[int, list[int]] = {}
    for first, number in rows:
        if number not in found.setdefault(first, []):
            found[first].append(number)
    return found


class Removal(NamedTuple):
    """What one order to remove is about: the platform's id and the bytes, wherever they were reported.

    Without an id of the platform only bytes, place and sender can tell two things apart.
    """

    external_id: str
    blob: UUID | None
    surface: str
    sender: UUID | None
    conversation: str
    in_group: UUID | None


def removal_of(item: Item) -> Removal:
    """Return which order to remove an item belongs to."""
    sender = None if item.external_id else item.sender_id
    return Removal(
        item.external_id, item.blob_id, item.surface, sender, item.conversation, item.in_group_id
    )


def once_each(items: list[Item]) -> list[Item]:
    """Return the item that stands for each thing to remove, in order: the first, or the first that names a sender."""
    found: dict[Removal, Item] = {}
    for item in items:
        known = found.setdefault(removal_of(item), item)
        if known.sender_id is None and item.sender_id is not None:
            found[removal_of(item)] = item
    return list(found.values())
