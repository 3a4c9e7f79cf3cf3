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
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from reports.choices import IdentifierKind, ItemRole, Surface

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
class _Text(GroupedMetadata):
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
ExternalId = Annotated[str, _Text(200, 1, EXTERNAL_ID)]
Short = Annotated[str, _Text(200)]
Name = Annotated[str, _Text(400)]
Body = Annotated[str, _Text(MAX_TEXT)]
Ip = Annotated[
    str,
    AfterValidator(_ip),
    WithJsonSchema({"type": "string", "examples": ["203.0.113.7", "2001:db8::7"]}),
]
Port = Annotated[StrictInt, Field(ge=0, le=65535)]
Url = Annotated[str, _Text(1000, 0, URL)]
Reference = uuid.UUID
Metadata = dict[Annotated[str, _Text(40, 1)], Annotated[str, _Text(500)]]
"""Texts by name, in the sizes of Stripe's: senders have them already."""
Plain = (
    Annotated[str, StringConstraints(max_length=500), AfterValidator(_storable)]
    | StrictInt
    | StrictBool
)


class Shape(BaseModel):
    """A closed shape: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null")


class Subject(Shape):
    """The account or the group that something is about: exactly one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"account": "user-1001"}], "minProperties": 1},
    )

    account: ExternalId | None = None
    group: ExternalId | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Subject:
        if (self.account is None) == (self.group is None):
            raise ValueError("name either an account or a group")
        return self


class Reporter(Shape):
    """Who reported: an account of the platform, or the source's own reference to a person."""

    account: ExternalId | None = None
    ref: Short = ""


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
    """What an item consists of: text, or one file sent before (``media``) or along (``file``)."""

    external_id: Short = Field("", description="Your id of the message, photo or text.")
    surface: SentSurface = Field(description="Where on the platform it stood.")
    text: Body | None = None
    media: Reference | None = Field(None, description="`id` of an earlier `POST /media`.")
    file: Annotated[str, _Text(100, 1)] | None = Field(
        None, description="Multipart only: name of the part that holds the file."
    )
    name: Name = Field("", description="The file's name on the platform.")
    source_url: Annotated[str, _Text(2000)] = ""
    sender: ExternalId | None = Field(None, description="The account that sent or set it.")
    uploaded_ip: Ip | None = None
    uploaded_port: Port | None = None
    content_at: Instant | None = Field(None, description="When it was sent or set.")
    is_public: StrictBool | None = Field(None, description="Whether the public could see it.")

    @model_validator(mode="after")
    def _one_content(self) -> Content:
        if sum(value is not None for value in (self.text, self.media, self.file)) != 1:
            raise ValueError("give exactly one of text, media and file")
        if self.text is not None and not self.text.strip():
            raise ValueError("the text is empty")
        return self


class ItemPayload(Content):
    """One piece of content in a report: what is reported, or what helps to understand it."""

    role: Literal[ItemRole.REPORTED, ItemRole.CONTEXT] | None = Field(
        None,
        description="`context` is shown beside what is `reported` and is never ordered removed. Left out: what "
        "the reporter's own account sent about another one is context, everything else is reported.",
    )


class ReportPayload(Shape):
    """Somebody's claim about an account or a group."""

    external_id: Short = Field(
        "", description="Your id of the report. Given twice, the second is 409."
    )
    subject: Subject
    reporter: Reporter = Field(default_factory=Reporter)
    reason: Annotated[str, _Text(64, 1, REASON)] = Field(
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
    subject: Subject

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
    value: Annotated[str, _Text(500, 1)]
    detail: dict[Annotated[str, _Text(100, 1)], Plain] = Field(
        default_factory=dict, max_length=50, description="For a device: model, system, …"
    )
    verified: StrictBool | None = None
    first_seen_at: Instant | None = None
    last_seen_at: Instant | None = None


class IpUse(Shape):
    """One use of an IP address. The port matters: carriers put many people behind one address."""

    kind: Annotated[str, _Text(24, 1)] = Field(
        examples=["login"], description="registration, login, upload, …"
    )
    ip: Ip
    port: Port | None = None
    at: Instant
    user_agent: Annotated[str, _Text(500)] = ""


class AccountPayload(Shape):
    """What a referral will need about an account.

    Members that are left out stay as they are. ``identifiers`` and ``ip_events`` are added to what is
    known; nothing known is removed, because an address that was given up is still evidence.
    """

    username: Short | None = None
    display_name: Name | None = None
    profile_text: Body | None = None
    profile_url: Url | None = None
    country: Annotated[str, _Text(2, 0, COUNTRY)] | None = Field(
        None, description="ISO 3166-1 alpha-2"
    )
    language: Annotated[str, _Text(16)] | None = None
    joined_at: Instant | None = None
    platform_status: Annotated[str, _Text(24)] | None = Field(None, examples=["active"])
    identifiers: list[Identifier] = Field(default_factory=list, max_length=MAX_IDENTIFIERS)
    ip_events: list[IpUse] = Field(default_factory=list, max_length=MAX_IP_EVENTS)


class GroupPayload(Shape):
    """What a referral will need about a group. Members that are left out stay as they are."""

    name: Name | None = None
    description: Body | None = None
    invite_link: Annotated[str, _Text(1000)] | None = None
    member_count: Annotated[StrictInt, Field(ge=0, le=2_000_000_000)] | None = None
    created_on_platform_at: Instant | None = None
    platform_status: Annotated[str, _Text(24)] | None = None


class MembershipPayload(Shape):
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


def field_errors(invalid: ValidationError) -> dict[str, list[str]]:
    """Return the sentences of a failed check by field, as ``items.0.text``.

    The sender's values are not repeated: they may be evidence, and the answer may be logged.
    """
    errors: dict[str, list[str]] = {}
    for found in invalid.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in found["loc"])
        errors.setdefault(field, []).append(sentence_of(found))
    return errors


_PATTERNS = {
    EXTERNAL_ID: "May not begin or end with a blank, nor hold a line break.",
    REASON: "Use a code of lower-case letters, digits, _ . : and -, such as grooming.",
    COUNTRY: "Use the two capital letters of ISO 3166-1, or nothing.",
    URL: "Must be an address that begins with http:// or https://, without blanks.",
}
_ENUM = {
    f"{choices.__name__}.{member.name}": str(member.value)
    for choices in (IdentifierKind, ItemRole, Surface)
    for member in choices
}


def sentence_of(found: Any) -> str:
    """Return one of pydantic's faults in the sender's words: what may be sent, never how it is called in here."""
    context = found.get("ctx", {})
    match found["type"]:
        case "enum" | "literal_error":
            said = [each.strip("'") for each in re.split(r",\s|\sor\s", context["expected"])]
            return f"Must be one of {', '.join(_ENUM.get(one, one) for one in said)}."
        case "extra_forbidden":
            return "Holdfast knows no member of this name."
        case "missing":
            return "Is missing."
        case "model_type" | "model_attributes_type" | "dict_type":
            return "Must be an object."
        case "list_type":
            return "Must be a list."
        case "string_type":
            return "Must be a text."
        case "string_pattern_mismatch" if context["pattern"] in _PATTERNS:
            return _PATTERNS[context["pattern"]]
        case _:
            return str(found["msg"].removeprefix("Value error, "))
