"""Messages of a package: what was said, in which place of which conversation, and what is missing between."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

MOST_GAPS = 5
"""Gaps that are named for people; of more it says how many."""


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
class Counts:
    """How much of a conversation there is. A message with several wordings is one message."""

    messages: int
    in_versions: int  # messages of which there are several wordings
    not_sent: int  # messages whose content never came to us
    left_out: int  # messages whose file stays behind: their places are kept, and nothing else
    gaps: tuple[str, ...]  # places of which nothing was sent, in words


@dataclass(frozen=True, slots=True)
class Conversation:
    """Context around the reported content, in the order in which it is read. One JSONL and one CSV each."""

    id: str
    title: str
    messages: tuple[Message, ...]
    told_id: str = ""  # the sender's own id of the conversation
    noun: str = "message"  # what one entry of it is called

    @property
    def versions(self) -> dict[str, int]:
        """Return how many wordings there are of each message."""
        return dict(Counter(each.id for each in self.messages if each.id))

    @property
    def counts(self) -> Counts:
        """Return how much of it there is."""
        told = [each for each in self.messages if not each.gap]
        not_sent = {each.id for each in told if each.place.not_sent}
        left_out = sum(each.is_left_out for each in told)
        versions = self.versions
        return Counts(
            messages=len(versions) + left_out,
            in_versions=sum(number > 1 for number in versions.values()),
            not_sent=len(not_sent),
            left_out=left_out,
            gaps=tuple(each.gap for each in self.messages if each.gap),
        )

    @property
    def size_in_words(self) -> str:
        """Return how much of it there is, for people, without a full stop."""
        counts = self.counts
        plural = "" if counts.messages == 1 else "s"
        said = [f"{counts.messages:,} {self.noun}{plural}"]
        if counts.in_versions:
            said.append(f"{counts.in_versions:,} in several versions")
        if counts.not_sent:
            said.append(f"{counts.not_sent:,} without content, which was not sent to us")
        if counts.left_out:
            said.append(f"{counts.left_out:,} left out with the file")
        if counts.gaps:
            shown = "; ".join(gap[:1].lower() + gap[1:] for gap in counts.gaps[:MOST_GAPS])
            more = len(counts.gaps) - MOST_GAPS
            said.append(shown + (f"; {more:,} gaps more" if more > 0 else ""))
        return ", ".join(said)
