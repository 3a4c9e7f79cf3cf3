"""The files of a conversation: JSON Lines for programs, CSV for people."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.tables import csv_line
from referrals.metadata import known, place, time_text

if TYPE_CHECKING:
    from referrals.package.description import PackageSpec
    from referrals.package.messages import Conversation, Message

ORDER = (
    "by conversation_position where a message has one; others behind the message that their sender listed before "
    "them in its report; sent_at may be missing and was not used for the order. A gap says which places nobody sent us"
)


def messages_jsonl(spec: PackageSpec, conversation: Conversation) -> bytes:
    """One JSON object per message; the first line describes the conversation."""
    counts = conversation.counts
    head = {
        # The id that its messages name; what its sender gave no id is called by what it is.
        "conversation": conversation.told_id or conversation.id,
        "messages": counts.messages,
        "lines": len(conversation.messages),
        "in_several_versions": counts.in_versions,
        "not_sent": counts.not_sent,
        "left_out": counts.left_out,
        "gaps": list(counts.gaps),
        "order": ORDER,
        "package": spec.package_id,
        "title": conversation.title,
    }
    lines = [
        head,
        *(
            {"position": position, **_message(message)}
            for position, message in enumerate(conversation.messages, start=1)
        ),
    ]
    return "".join(
        json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines
    ).encode("utf-8", "backslashreplace")


_COLUMNS = (
    "position",
    "message",
    "sent_at",
    "received_at",
    "sender",
    "reported",
    "exhibits",
    "text",
    "surface",
    "report",
    "source_url",
    "upload_ip",
    "upload_port",
    "public",
    "original_name",
    "part",
    "group",
    "conversation",
    "conversation_position",
    "reply_to",
    "edited",
    "deleted",
    "not_sent",
)


def messages_csv(conversation: Conversation) -> bytes:
    """The same for a spreadsheet, safe to open in one.

    A cell that begins like a formula gets an apostrophe in front (``core.tables``): a message must not be able to
    run something on an officer's machine. README.txt says so; the JSON Lines file has the text unchanged.
    """
    rows = [
        (
            str(position),
            message.id,
            time_text(message.sent_at),
            time_text(message.received_at),
            message.sender,
            "yes" if message.is_reported else "no",
            " ".join(message.exhibits),
            _text(message),
            message.surface,
            " ".join([message.report, *(each.report for each in message.also)]).strip(),
            message.source_url,
            message.upload_ip,
            "" if message.upload_port is None else str(message.upload_port),
            "" if message.is_public is None else "yes" if message.is_public else "no",
            message.original_name,
            message.role,
            message.group_id,
            message.place.conversation,
            "" if message.place.position is None else str(message.place.position),
            message.place.reply_to,
            _mark(message.place.edited_at, is_so=message.place.is_edited),
            _mark(message.place.deleted_at, is_so=message.place.is_deleted),
            message.place.not_sent,
        )
        for position, message in enumerate(conversation.messages, start=1)
    ]
    text = "".join(csv_line(row) for row in (_COLUMNS, *rows))
    return b"\xef\xbb\xbf" + text.encode("utf-8", "backslashreplace")


def _text(message: Message) -> str:
    if message.is_left_out:
        return "[left out of this package]"
    if message.gap:
        return f"[{message.gap}]"
    if message.place.not_sent:
        return "[not sent to us]"
    return message.text


def _mark(at: datetime | None, *, is_so: bool | None) -> str:
    if is_so is None:
        return ""
    return time_text(at) or ("yes" if is_so else "no")


def _message(message: Message) -> dict[str, Any]:
    if message.is_left_out:
        return {"left_out": True}
    if message.gap:
        return {"gap": message.gap}
    return known(
        {
            "id": message.id,
            "item": message.item_id,
            "platform_id": message.platform_id,
            "sender": message.sender,
            "sent_at": time_text(message.sent_at),
            "received_at": time_text(message.received_at),
            "text": message.text,
            "exhibits": list(message.exhibits),
            "reported": message.is_reported,
            "role": message.role,
            "surface": message.surface,
            "group": message.group_id,
            **place(message.place),
            "report": message.report,
            "source": message.source,
            "original_name": message.original_name,
            "source_url": message.source_url,
            "upload_ip": message.upload_ip,
            "upload_port": message.upload_port,
            "is_public": message.is_public,
            # Other reports that tell the very same message.
            "also": [
                {
                    "item": each.item_id,
                    "report": each.report,
                    "source": each.source,
                    "received_at": time_text(each.received_at),
                }
                for each in message.also
            ],
        }
    )
