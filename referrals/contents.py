"""What a draft and an approval say of conversations and exhibits: who decides must know what leaves.

Counted from what the package would hold, so that page and package cannot differ. No text is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models.functions import Length
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.foreign import spelt
from core.templatetags.strangers import stranger
from moderation.models import Case
from referrals.describing import exhibit_name
from referrals.describing.words import conversations_of
from referrals.models import Exhibit, Referral
from referrals.package import Conversation
from reports.models import Item

MOST_COUNTED = 3000
"""Items of a case that are put in order for a page; of a case with more it says so. All of them leave."""
MOST_SHOWN = 20
"""Conversations that a page lists; it says how many more there are."""
MOST_PLACES = 3
"""Places of one exhibit that a page names; it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation as it leaves: no word of it, but how much there is."""

    title: str
    where: str
    size: str


@dataclass(frozen=True, slots=True)
class Talks:
    """The conversations of a case."""

    shown: Sequence[Talk]
    more: int
    too_many: int
    """Items of the case, where there are too many to be counted by conversation; else 0."""


def talks_of(referral: Referral) -> Talks:
    """Return the conversations that leave, or would if messages went along."""
    case = referral.case
    # Not joined: a planner that last saw the tables empty compares each item with each.
    keys = list(case.case_items.values_list("item", flat=True)[: MOST_COUNTED + 1])
    if len(keys) > MOST_COUNTED:
        return Talks((), 0, case.case_items.count())
    rows = referral.exhibits.filter(is_included=True).values_list("item__blob", "position")
    names: dict[UUID | None, str] = {blob: exhibit_name(position) for blob, position in rows}
    found = conversations_of(case, names, keys=keys)
    groups = dict(
        Item.objects.filter(pk__in=keys, in_group__isnull=False, source__is_own_platform=True)
        .exclude(conversation="")
        .order_by("conversation")
        .values_list("conversation", "in_group__name")
    )
    return Talks(
        [
            Talk(
                spelt(each.title),
                _group_of(each, groups),
                each.size_in_words,
            )
            for each in found[:MOST_SHOWN]
        ],
        max(0, len(found) - MOST_SHOWN),
        0,
    )


def _group_of(talk: Conversation, groups: Mapping[str, str]) -> str:
    """Return the name of the group of one of the platform's own conversations; those of partners may have the same ids."""
    name = groups.get(talk.told_id, "") if talk.id == f"chat-{talk.told_id}" else ""
    return spelt(name) if name else ""


def places_of(case: Case, exhibits: Iterable[Exhibit]) -> dict[UUID | None, list[SafeString]]:
    """Return where the bytes of these exhibits stand, by their blobs: their part, sender, place and caption, in words."""
    rows = (
        Item.objects.filter(case_items__case=case, blob__in=[row.item.blob_id for row in exhibits])
        .select_related("sender", "account", "group", "in_group", "report")
        .defer("text", "report__description", "sender__profile_text", "account__profile_text")
        .annotate(text_length=Length("text"))
        # What is reported before what only helps to understand it.
        .order_by("-role", "received_at", "pk")
    )
    found: dict[UUID | None, list[SafeString]] = {}
    for item in rows:
        found.setdefault(item.blob_id, []).append(_place(item))
    for blob, places in found.items():
        if (more := len(places) - MOST_PLACES) > 0:
            found[blob] = [*places[:MOST_PLACES], format_html("and in {} more places", f"{more:,}")]
    return found


def _place(item: Any) -> SafeString:
    sender = item.sender or item.account
    surface = f"{item.get_role_display()}: {item.get_surface_display().lower()}"
    said = [format_html("{} of {}", surface, stranger(sender)) if sender is not None else surface]
    if item.conversation:
        at = "" if item.position is None else f", position {item.position}"
        said.append(format_html("conversation {}{}", stranger(item.conversation), at))
    group = item.in_group or item.group
    if group is not None:
        said.append(format_html("group {}", stranger(group)))
    if item.text_length:
        plural = "" if item.text_length == 1 else "s"
        said.append(f"with a caption of {item.text_length:,} character{plural}")
    if item.report is not None:
        said.append(str(item.report))
    return format_html_join(", ", "{}", ((part,) for part in said))
