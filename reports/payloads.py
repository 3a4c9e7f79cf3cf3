"""What senders may say, as closed shapes: checked once here, then trusted by the actions.

Unknown members are refused instead of ignored: a misspelt ``phone_numbers`` that vanished silently would
be missing from a referral months later.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from annotated_types import GroupedMetadata
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from reports import practice
from reports.choices import IdentifierKind, ItemRole, PlatformStatus, Surface
from reports.conversations import LAST_POSITION

MAX_ITEMS = 200
MAX_TEXT = 100_000
MAX_IDENTIFIERS = 500
MAX_IP_EVENTS = 5_000
MAX_MEMBERS = 5_000
MAX_METADATA = 50
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def _storable(text: str) -> str:
    # PostgreSQL cannot hold NUL. Replacing it would change evidence, so the sender decides.
    if "\x00" in text:
        raise ValueError("may not contain the NUL character")
    return text


def _instant(value: Any) -> datetime:
    # Pydantic would take 1700000000 or "2026-01-01" too; a referral must not guess a time zone.
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str) and _INSTANT.fullmatch(value):
        # Python's parser takes 24:00 away from RFC 3339 but not lower-case letters.
        found = datetime.fromisoformat(value.upper())
    else:
        raise ValueError("must be a date and time with an offset, such as 2026-11-22T10:42:00Z")
    if found.tzinfo is None:
        raise ValueError("must name its offset from UTC, such as 2026-11-22T10:42:00Z")
    if not EARLIEST <= found < LATEST:
        raise ValueError("must lie between 1970 and 2200")
    return found


def _ip(text: str) -> str:
    # Python takes fe80::1%eth0; the interface of somebody else's machine means nothing here.
    if "%" in text:
        raise ValueError("may not name an interface")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address") from None


@dataclass(frozen=True)
class Text(GroupedMetadata):
    """What a text must keep to: its length in characters, a pattern, and what a row can hold."""

    most: int
    least: int = 0
    pattern: str | None = None

    def __iter__(self) -> Iterator[object]:
        yield from StringConstraints(
            min_length=self.least, max_length=self.most, pattern=self.pattern
        )
        yield AfterValidator(_storable)


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T10:42:00Z"]}),
]
EXTERNAL_ID = r"^\S(?:.*\S)?$"
REASON = r"^[a-z0-9][a-z0-9_.:-]*$"
COUNTRY = r"^([A-Z]{2})?$"
URL = r"^(https?://\S+)?$"
ReasonCode = Annotated[str, Text(64, 1, REASON)]
OwnId = Annotated[str, Text(200, 1, EXTERNAL_ID)]
"""The sender's word for something that is no account or group."""
ExternalId = Annotated[OwnId, AfterValidator(practice.own)]
"""The id of an account or a group, in the name space of whoever speaks (``reports.practice``)."""
Short = Annotated[str, Text(200)]
Name = Annotated[str, Text(400)]
Body = Annotated[str, Text(MAX_TEXT)]
Ip = Annotated[
    str,
    AfterValidator(_ip),
    WithJsonSchema({"type": "string", "examples": ["203.0.113.7", "2001:db8::7"]}),
]
Port = Annotated[StrictInt, Field(ge=0, le=65535)]
Url = Annotated[str, Text(1000, 0, URL)]
Reference = uuid.UUID
Metadata = dict[Annotated[str, Text(40, 1)], Annotated[str, Text(500)]]
"""Texts by name, in the sizes of Stripe's: senders have them already."""
Plain = (
    Annotated[str, StringConstraints(max_length=500), AfterValidator(_storable)]
    | StrictInt
    | StrictBool
)


class Shape(BaseModel):
    """A closed shape: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null")


class OneSubject(Shape):
    """The account or the group that something belongs to: exactly one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"account": "user-1001"}], "minProperties": 1},
    )

    account: ExternalId | None = None
    group: ExternalId | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> OneSubject:
        if (self.account is None) == (self.group is None):
            raise ValueError("name either an account or a group")
        return self


class Subject(Shape):
    """Whom a report is about: an account, a group, or an account and the group in which it happened."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"account": "user-1001"},
                {"group": "group-77"},
                {"account": "user-1001", "group": "group-77"},
            ],
            "minProperties": 1,
        },
    )

    account: ExternalId | None = Field(None, description="Who is reported.")
    group: ExternalId | None = Field(
        None,
        description="Beside an account: the group where it happened. Alone: the group is what is reported.",
    )

    @model_validator(mode="after")
    def _one_at_least(self) -> Subject:
        if self.account is None and self.group is None:
            raise ValueError("name an account, a group, or both")
        return self


class Reporter(Shape):
    """Who reported: an account of the platform, the source's own reference to a person or ticket, or both.

    Both are kept and shown; both mean the same person. What the account sent is told apart by `account` alone.
    """

    account: ExternalId | None = Field(None, description="The reporter's account on the platform.")
    ref: Short = Field("", description="Your own reference to the same person, such as a ticket.")


_SURFACE = {
    "type": "string",
    "examples": ["reported_message", "profile_photo"],
    "description": "Where on the platform it stood. `GET /vocabulary` lists what this installation knows.",
}
SentSurface = Annotated[
    Literal[
        Surface.PROFILE_PHOTO,
        Surface.PROFILE_NAME,
        Surface.PROFILE_TEXT,
        Surface.GROUP_PHOTO,
        Surface.GROUP_NAME,
        Surface.GROUP_DESCRIPTION,
        Surface.REPORTED_MESSAGE,
        Surface.INVITE_LINK,
    ],
    WithJsonSchema(_SURFACE),
]
"""Every surface that a platform has. What a reporter wrote is the report's own. An open word in the document: there will be more."""


class Content(Shape):
    """What an item consists of: text, or one file sent before (``media``) or along (``file``), with its caption."""

    external_id: Short = Field("", description="Your id of the message, photo or text.")
    surface: SentSurface = Field(description="Where on the platform it stood.")
    text: Body | None = Field(
        None, description="Its words. Beside `media` or `file`: the caption, of the same message."
    )
    media: Reference | None = Field(None, description="`id` of an earlier `POST /media`.")
    file: Annotated[str, Text(100, 1)] | None = Field(
        None, description="Multipart only: name of the part that holds the file."
    )
    name: Name = Field("", description="The file's name on the platform.")
    source_url: Annotated[str, Text(2000)] = ""
    sender: ExternalId | None = Field(None, description="The account that sent or set it.")
    uploaded_ip: Ip | None = None
    uploaded_port: Port | None = None
    content_at: Instant | None = Field(None, description="When it was sent or set.")
    is_public: StrictBool | None = Field(None, description="Whether the public could see it.")

    @model_validator(mode="after")
    def _one_content(self) -> Content:
        if self.media is not None and self.file is not None:
            raise ValueError("give one file: media or file, not both")
        if self._is_empty() and self._needs_content():
            raise ValueError("give text, media or file; text beside a file is its caption")
        if self.text is not None and not self.text.strip():
            raise ValueError("the text is empty")
        return self

    def _is_empty(self) -> bool:
        return self.text is None and self.media is None and self.file is None

    def _needs_content(self) -> bool:
        return True


class ItemPayload(Content):
    """One piece of content in a report: what is reported, or what helps to understand it.

    A message of a conversation says its place there. What is not sent is listed with the reason instead of its
    content, so that nobody reads the rest as if nothing had been there.
    """

    role: Literal[ItemRole.REPORTED, ItemRole.CONTEXT] | None = Field(
        None,
        description="`context` is shown beside what is `reported` and is never ordered removed. Left out: what "
        "the reporter's own account sent about another one is context, everything else is reported.",
    )
    conversation: OwnId | None = Field(
        None,
        description="Your id of the chat. Messages of one chat are shown together, also those of a later report.",
        examples=["chat-5"],
    )
    position: Annotated[StrictInt, Field(ge=0, le=LAST_POSITION)] | None = Field(
        None,
        description="Its place in the conversation, counted by one for each message. It settles the order, whatever "
        "the order of the list and the times say; a number that is left out is shown as not sent.",
    )
    reply_to: OwnId | None = Field(
        None, description="Your id (`external_id`) of the message that it answers, sent or not."
    )
    group: ExternalId | None = Field(
        None, description="The group in which it was written, if it was in one."
    )
    is_edited: StrictBool | None = Field(
        None,
        description="Whether its sender changed it. Send an earlier wording as an item of its own.",
    )
    edited_at: Instant | None = Field(None, description="When it was changed last.")
    is_deleted: StrictBool | None = Field(None, description="Whether its sender deleted it.")
    deleted_at: Instant | None = Field(None, description="When its sender deleted it.")
    not_sent: Annotated[str, Text(64, 1, REASON)] | None = Field(
        None,
        description="Instead of content: why it is not here, such as `encrypted`, `deleted`, `expired`, `withheld` "
        "or `too_large`. Any code of your own is shown as it is.",
        examples=["encrypted"],
    )

    @model_validator(mode="after")
    def _marks(self) -> ItemPayload:
        if self.not_sent is not None and not self._is_empty():
            raise ValueError("what is not_sent has no text, media or file")
        for name in ("edited", "deleted"):
            at, said = getattr(self, f"{name}_at"), getattr(self, f"is_{name}")
            if said is False and at is not None:
                raise ValueError(f"is_{name} is false, and {name}_at says when")
        return self

    def _needs_content(self) -> bool:
        return self.not_sent is None


class ReportPayload(Shape):
    """Somebody's claim about an account or a group."""

    external_id: Short = Field(
        "", description="Your id of the report. Given twice, the second is 409."
    )
    subject: Subject
    reporter: Reporter = Field(default_factory=Reporter)
    reason: ReasonCode = Field(
        description="The reporter's reason code, lower case.", examples=["grooming"]
    )
    description: Body = ""
    occurred_at: Instant | None = None
    metadata: Metadata = Field(
        default_factory=dict,
        max_length=MAX_METADATA,
        description="What you want to find again with the report: texts by name. It is shown to staff as yours, answered "
        "as it came, decides nothing and never leaves with an order or a package.",
        examples=[{"ticket": "T-4711"}],
    )
    items: list[ItemPayload] = Field(default_factory=list, max_length=MAX_ITEMS)


_ABOUT_ACCOUNTS = {Surface.PROFILE_PHOTO, Surface.PROFILE_NAME, Surface.PROFILE_TEXT}
_ABOUT_GROUPS = {Surface.GROUP_PHOTO, Surface.GROUP_NAME, Surface.GROUP_DESCRIPTION}


class ScanPayload(Content):
    """One profile or group photo, name or description to be scanned. Nobody reported it."""

    surface: Annotated[
        Literal[
            Surface.PROFILE_PHOTO,
            Surface.PROFILE_NAME,
            Surface.PROFILE_TEXT,
            Surface.GROUP_PHOTO,
            Surface.GROUP_NAME,
            Surface.GROUP_DESCRIPTION,
            Surface.INVITE_LINK,
        ],
        WithJsonSchema(_SURFACE),
    ]
    subject: OneSubject

    @model_validator(mode="after")
    def _surface_of_subject(self) -> ScanPayload:
        if self.surface in _ABOUT_ACCOUNTS and self.subject.account is None:
            raise ValueError(f"a {self.surface.label.lower()} belongs to an account")
        if self.surface in _ABOUT_GROUPS and self.subject.group is None:
            raise ValueError(f"a {self.surface.label.lower()} belongs to a group")
        return self


class Identifier(Shape):
    """A phone number, e-mail address, device or profile address."""

    kind: IdentifierKind
    value: Annotated[str, Text(500, 1)]
    detail: dict[Annotated[str, Text(100, 1)], Plain] = Field(
        default_factory=dict, max_length=50, description="For a device: model, system, …"
    )
    verified: StrictBool | None = None
    first_seen_at: Instant | None = None
    last_seen_at: Instant | None = None


class IpUse(Shape):
    """One use of an IP address. The port matters: carriers put many people behind one address."""

    kind: Annotated[str, Text(24, 1)] = Field(
        examples=["login"], description="registration, login, upload, …"
    )
    ip: Ip
    port: Port | None = None
    at: Instant
    user_agent: Annotated[str, Text(500)] = ""


Status = Annotated[PlatformStatus, WithJsonSchema({"type": "string", "examples": ["active"]})]
"""An open word in the document: there may be more."""


class Telling(Shape):
    """When something told was so."""

    as_of: Instant | None = Field(
        None,
        description="When this was so on your side. Of what is told of one thing the newest wins, in whatever order it "
        "arrives; what is older changes nothing and is answered with `stale`. Left out: now.",
    )


class Scanned(Telling):
    """Names and texts that are looked at when they change."""

    scan: StrictBool = Field(
        default=True,
        description="Scan names and texts that changed, as `POST /scans` would. What did not change is never scanned again.",
    )


class AccountPayload(Scanned):
    """What a referral will need about an account.

    Members that are left out stay as they are. ``identifiers`` and ``ip_events`` are added to what is
    known; nothing known is removed, because an address that was given up is still evidence.
    """

    username: Short | None = None
    display_name: Name | None = None
    profile_text: Body | None = None
    profile_url: Url | None = None
    country: Annotated[str, Text(2, 0, COUNTRY)] | None = Field(
        None, description="ISO 3166-1 alpha-2"
    )
    language: Annotated[str, Text(16)] | None = None
    joined_at: Instant | None = None
    platform_status: Status | None = Field(
        None, description=f"One of {', '.join(PlatformStatus.values)}."
    )
    identifiers: list[Identifier] = Field(default_factory=list, max_length=MAX_IDENTIFIERS)
    ip_events: list[IpUse] = Field(default_factory=list, max_length=MAX_IP_EVENTS)


class GroupPayload(Scanned):
    """What a referral will need about a group. Members that are left out stay as they are."""

    name: Name | None = None
    description: Body | None = None
    invite_link: Annotated[str, Text(1000)] | None = None
    member_count: Annotated[StrictInt, Field(ge=0, le=2_000_000_000)] | None = None
    created_on_platform_at: Instant | None = None
    platform_status: Status | None = Field(
        None, description=f"One of {', '.join(PlatformStatus.values)}."
    )


class MembershipPayload(Telling):
    """An account's place in a group; ``left_at`` says that it left. What is left out stays as it is.

    Whoever is named again after leaving has come back: the earlier stay is kept beside the new one.
    """

    account: ExternalId
    role: Literal["owner", "admin", "member"] | None = Field(
        None, description="Left out of a member who is new: `member`."
    )
    joined_at: Instant | None = None
    left_at: Instant | None = None

    @model_validator(mode="after")
    def _left_after_joining(self) -> MembershipPayload:
        if self.joined_at and self.left_at and self.left_at < self.joined_at:
            raise ValueError("left_at lies before joined_at")
        return self


class MembersPayload(Shape):
    """Members to add or change. Those not listed stay as they are."""

    members: list[MembershipPayload] = Field(min_length=1, max_length=MAX_MEMBERS)


class AccountLine(AccountPayload):
    type: Literal["account"]
    external_id: ExternalId


class GroupLine(GroupPayload):
    type: Literal["group"]
    external_id: ExternalId


class MembershipLine(MembershipPayload):
    type: Literal["membership"]
    group: ExternalId


class ReportLine(ReportPayload):
    type: Literal["report"]


class ScanLine(ScanPayload):
    type: Literal["scan"]


LINES: dict[str, type[Shape]] = {
    "report": ReportLine,
    "account": AccountLine,
    "group": GroupLine,
    "membership": MembershipLine,
    "scan": ScanLine,
}
