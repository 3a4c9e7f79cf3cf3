"""The words of a case: messages of each conversation, other texts, what reporters wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import F, Q

from moderation.models import Case
from referrals import package
from referrals.describing.exhibits import exhibit_name, group_of, place_of
from referrals.models import Exhibit, Referral
from reports.choices import WITHOUT_FILE
from reports.conversations import Entry, Gap, in_order
from reports.models import NOT_SENT, Item, ItemRole, Surface


def describe_conversations(
    referral: Referral, exhibits: list[Exhibit]
) -> list[package.Conversation]:
    """Return messages by conversation, else by report, other texts, and what reporters wrote; nothing if they stay behind.

    A position settles the place of a message (``reports.conversations``); without one, reports stand by their numbers and
    what belongs to one report in the order in which its sender listed it (the ids rise with it). When something was sent
    is optional and orders nothing. A message whose file stays behind keeps its place, and so does what was never sent, so
    that the others are not read as if they followed each other.
    """
    if not referral.include_messages:
        return []
    # The same bytes are one exhibit, in however many messages they stand.
    names = {row.item.blob_id: exhibit_name(row.position) for row in exhibits}
    return conversations_of(referral.case, names)


def conversations_of(
    case: Case, names: dict[UUID | None, str], *, keys: Sequence[UUID] | None = None
) -> list[package.Conversation]:
    """Return the conversations, other texts and reporters' words of a case. ``names``: of its exhibits, by their blobs.

    ``keys`` are those of all items of the case, where the caller knows them: few are found faster by them than by the case.
    """
    of_case = Q(case_items__case=case) if keys is None else Q(pk__in=keys)
    items = (
        Item.objects.filter(of_case)
        .exclude(surface__in=NOT_SENT)  # The reporters' own words follow as such.
        .select_related("report", "source", "sender", "account", "group", "in_group")
        # What was found by scanning has no report, and no order but that of its arrival.
        .order_by(F("report__number").asc(nulls_last=True), "received_at", "pk")
    )
    threads: dict[_Thread, list[Item]] = {}
    for item in items:
        # A picture with neither words nor a place is an exhibit outside of a conversation.
        if (key := _thread_of(item)) is not None:
            threads.setdefault(key, []).append(item)
    found = [
        package.Conversation(
            id=thread.key,
            title=thread.title,
            messages=tuple(_messages(told, names)),
            told_id=thread.told_id,
            noun=thread.noun,
        )
        for thread, told in threads.items()
    ]
    return [*found, *_reporters_words(case)]


class _Thread(NamedTuple):
    key: str
    title: str
    told_id: str = ""
    noun: str = "message"


def _thread_of(item: Item) -> _Thread | None:
    """Return the conversation that an item belongs to. Chats of partners do not mix with the platform's."""
    if item.conversation:
        source = "" if item.source.is_own_platform else f"{item.source.slug}:"
        where = "" if item.source.is_own_platform else f" of {item.source.name}"
        title = f"Conversation {item.conversation}{where}"
        return _Thread(f"chat-{source}{item.conversation}", title, item.conversation)
    if item.surface == Surface.REPORTED_MESSAGE:
        label = str(item.report or "scan")
        return _Thread(f"report-{label}".lower(), f"Messages of report {label}")
    if item.text or item.kind in WITHOUT_FILE:
        return _Thread("texts", "Names, descriptions and other texts", noun="text")
    return None


def _messages(items: Sequence[Item], names: dict[UUID | None, str]) -> Iterator[package.Message]:
    """Yield messages in the order in which they are read, what several reports tell alike once, and the gaps."""
    by_key = {item.pk: item for item in items}
    order = in_order(
        Entry(
            item.pk,
            item.report.number if item.report else sys.maxsize,
            listed,
            item.position,
            item.external_id,
        )
        for listed, item in enumerate(items)
    )
    same: dict[Any, list[Item]] = {}
    for item in items:
        same.setdefault(_same(item), []).append(item)
    told: set[Any] = set()
    for entry in order:
        if isinstance(entry, Gap):
            yield package.Message("", "", None, "", gap=entry.words)
            continue
        item = by_key[entry.key]
        if (key := _same(item)) not in told:
            told.add(key)
            yield _message(item, [each for each in same[key] if each is not item], names)


def _same(item: Item) -> Any:
    """Return what two reports must agree in for their messages to be told once: everything that senders said."""
    if not item.external_id:
        return item.pk
    said: tuple[Any, ...] = (
        item.surface,
        item.text,
        item.blob_id,
        item.sender_id,
        item.account_id,
        item.group_id,
    )
    said += (item.in_group_id, item.content_at, item.original_name, item.source_url)
    said += (item.uploaded_ip, item.uploaded_port, item.is_public)
    return item.external_id, said, place_of(item)


def _message(item: Item, others: Sequence[Item], names: dict[UUID | None, str]) -> package.Message:
    has_file = item.kind not in WITHOUT_FILE
    if has_file and item.blob_id not in names:
        return package.Message("", "", None, "", is_left_out=True)
    author = item.sender or item.account or item.group
    told = [item, *others]
    reported = next((each for each in told if each.role == ItemRole.REPORTED), item)
    return package.Message(
        id=item.external_id or f"{item.surface}:{item.pk}",
        sender=author.external_id if author else "",
        sent_at=item.content_at,
        text=item.text,
        exhibits=(names[item.blob_id],) if has_file else (),
        is_reported=reported.role == ItemRole.REPORTED,
        role=reported.get_role_display(),
        item_id=str(item.pk),
        platform_id=item.external_id,
        surface=item.get_surface_display(),
        group_id=group_of(item),
        report=str(item.report) if item.report else "",
        source=item.source.name,
        original_name=item.original_name,
        source_url=item.source_url,
        upload_ip=item.uploaded_ip or "",
        upload_port=item.uploaded_port,
        is_public=item.is_public,
        received_at=item.received_at,
        place=place_of(item),
        also=tuple(
            package.Told(str(each.pk), str(each.report or ""), each.source.name, each.received_at)
            for each in others
        ),
    )


def _reporters_words(case: Case) -> list[package.Conversation]:
    """Return what the reports said, as a conversation of their own: claims, not content.

    Nobody tells when a reporter wrote; known is when the report came.
    """
    rows = (
        case.case_reports.select_related("report__source", "report__reporter_account")
        .exclude(report__description="")
        .order_by("report__number")
    )
    messages = []
    for row in rows:
        report = row.report
        reporter = report.reporter_account
        messages.append(
            package.Message(
                id=str(report),
                sender=reporter.external_id if reporter else f"source:{report.source.slug}",
                sent_at=None,
                received_at=report.received_at,
                text=report.description,
                report=str(report),
                source=report.source.name,
            )
        )
    if not messages:
        return []
    return [package.Conversation("reports", "What the reports say", tuple(messages), noun="text")]
