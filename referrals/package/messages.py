"""Messages of a package: what was said, in which place of which conversation, and what is missing between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stood, and what its sender did to it afterwards, as the platform told it."""

    conversation: str = ""  # the platform's own id of the chat
    position: int | None = None  # its place there
    reply_to: str = ""  # the platform's own id of the message that it answers
    is_edited: bool | None = None  # None: nobody said
    edited_at: datetime | None = None
    is_deleted: bool | None = None
    deleted_at: datetime | None = None
    not_sent: str = ""  # why its content never came to us: the platform's own code


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Told:
    """Another report that tells the very same message."""

    item_id: str
    report: str
    source: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, or another text of the case; with ``exhibits``, its text is their caption."""

    id: str
    sender: str  # platform id of an account
    sent_at: datetime | None
    text: str
    exhibits: tuple[str, ...] = ()  # exhibit ids attached to it
    is_reported: bool = False
    role: str = ""
    item_id: str = ""
    platform_id: str = ""
    surface: str = ""
    group_id: str = ""  # platform id of the group that it was written in
    report: str = ""
    source: str = ""
    original_name: str = ""
    source_url: str = ""
    upload_ip: str = ""
    upload_port: int | None = None
    is_public: bool | None = None
    received_at: datetime | None = None  # by us
    place: Place = NOWHERE
    also: tuple[Told, ...] = ()
    is_left_out: bool = False  # there was one here; its place is kept and nothing else
    gap: str = (
        ""  # which places of the conversation nobody sent, in words; then there is nothing else
    )


@dataclass(frozen=True, slots=True)
class Conversation:
    """Context around the reported content, in the order in which it is read. One JSONL and one CSV each."""

    id: str
    title: str
    messages: tuple[Message, ...]
