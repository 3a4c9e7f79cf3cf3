"""The words of a case: messages as the sender listed them, other texts, what reporters wrote."""

from __future__ import annotations

from uuid import UUID

from django.db.models import F

from moderation.models import Case
from referrals import package
from referrals.describing.exhibits import exhibit_name
from referrals.models import Exhibit, Referral
from reports.models import NOT_SENT, Item, ItemKind, ItemRole, Surface


def describe_conversations(
    referral: Referral, exhibits: list[Exhibit]
) -> list[package.Conversation]:
    """Return reported messages by report, other texts, and what reporters wrote; nothing if they stay behind.

    Reports stand by their numbers, and what belongs to one report in the order in which its sender listed it (the
    ids rise with it). When something was sent is optional and orders nothing. A message whose file stays behind
    keeps its place, so that the others are not read as if they followed each other.
    """
    if not referral.include_messages:
        return []
    # The same bytes are one exhibit, in however many messages they stand.
    names = {row.item.blob_id: exhibit_name(row.position) for row in exhibits}
    items = (
        Item.objects.filter(case_items__case=referral.case)
        .exclude(surface__in=NOT_SENT)  # The reporters' own words follow as such.
        .select_related("report", "source", "sender", "account", "group")
        # What was found by scanning has no report, and no order but that of its arrival.
        .order_by(F("report__number").asc(nulls_last=True), "received_at", "pk")
    )
    threads: dict[tuple[str, str], list[package.Message]] = {}
    for item in items:
        is_text = item.kind == ItemKind.TEXT
        is_message = item.surface == Surface.REPORTED_MESSAGE
        if not is_text and not is_message:
            continue  # an exhibit outside of a conversation
        if is_message:
            label = str(item.report or "scan")
            key = (f"report-{label}".lower(), f"Messages of report {label}")
        else:
            key = ("texts", "Names, descriptions and other texts")
        threads.setdefault(key, []).append(_message(item, names))
    found = [
        package.Conversation(id=key, title=title, messages=tuple(messages))
        for (key, title), messages in threads.items()
    ]
    return [*found, *_reporters_words(referral.case)]


def _message(item: Item, names: dict[UUID | None, str]) -> package.Message:
    is_text = item.kind == ItemKind.TEXT
    if not is_text and item.blob_id not in names:
        return package.Message("", "", None, "", is_left_out=True)
    author = item.sender or item.account or item.group
    return package.Message(
        id=item.external_id or f"{item.surface}:{item.pk}",
        sender=author.external_id if author else "",
        sent_at=item.content_at,
        text=item.text if is_text else "",
        exhibits=() if is_text else (names[item.blob_id],),
        is_reported=item.role == ItemRole.REPORTED,
        role=item.get_role_display(),
        item_id=str(item.pk),
        platform_id=item.external_id,
        surface=item.get_surface_display(),
        report=str(item.report) if item.report else "",
        source=item.source.name,
        original_name=item.original_name,
        source_url=item.source_url,
        upload_ip=item.uploaded_ip or "",
        upload_port=item.uploaded_port,
        is_public=item.is_public,
        received_at=item.received_at,
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
    return [package.Conversation("reports", "What the reports say", tuple(messages))]
