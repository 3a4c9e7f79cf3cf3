"""The frozen description of one package: everything that goes in, and what makes it impossible."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol

from moderation.viewing import Look, Seen, most_seen, seen_in_words
from referrals.custody import CustodyLog
from referrals.package.messages import NOWHERE, Conversation, Place
from referrals.package.refusals import PackageRefused

REFERENCE = re.compile(r"ESC-\d{4}-\d{6}")
EXHIBIT_ID = re.compile(r"EX-\d{4,6}")
ROLES = ("suspect", "victim", "recipient", "reporter", "witness", "not said")


def signature_namespace(domain: str) -> str:
    """The namespace of package signatures of an organisation."""
    return f"escalation-package@{domain}"


class Signer(Protocol):
    """Whoever signs packages. `sshsig.SigningKey` is one; a signing command or HSM is another."""

    @property
    def principal(self) -> str:
        """``packages@<our domain>``; its domain must be the organisation's."""

    @property
    def public_key(self) -> str:
        """``ssh-ed25519 AAAA…``"""

    def sign(self, message: bytes, *, namespace: str) -> str:
        """An armoured SSHSIG over `message`."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who sends the package. `domain` names the signing namespace."""

    name: str
    domain: str  # example.org
    contact_name: str
    contact_email: str
    contact_phone: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """The one agency that may open the package."""

    name: str  # unit or officer
    agency: str
    age_recipients: tuple[str, ...]  # age1… or ssh-ed25519 …; at least one
    country: str = ""

    @property
    def label(self) -> str:
        """What bag-info says under ``Recipient``."""
        return self.agency if self.name in ("", self.agency) else f"{self.agency}, {self.name}"


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """Why this is sent. `summary` is one line and stands in bag-info as well."""

    summary: str  # "18 U.S.C. 2258A(a): report of apparent abuse"
    statutes: tuple[str, ...] = ()
    authority: str = ""  # who approved it on which ground, in words
    approved_by: str = ""  # pseudonym
    approved_at: datetime | None = None
    drafted_by: str = ""  # pseudonym; must differ from approved_by


@dataclass(frozen=True, slots=True)
class Reveal:
    """One time a person was shown the original. From the reveal log, never from a form."""

    id: str
    person: str  # pseudonym
    purpose: str
    opened_at: datetime
    served_at: datetime | None = None  # when the bytes left the server; None: never fetched
    closed_at: datetime | None = (
        None  # when the look ended; None: not before the approval, nothing of it counts
    )
    shown_seconds: float | None = None  # None: the browser never reported back
    whole: bool = True  # False: only a part of a long file was served
    painted_ms: int = 0  # in the window, the cover off; only what was over before the approval
    played: tuple[tuple[int, int], ...] = ()  # of a film, in ms
    film_ms: int = 0  # as the scan measured it; 0: nobody but the page did


@dataclass(frozen=True, slots=True)
class Finding:
    """One automated finding on an exhibit, in words."""

    detector: str
    summary: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Appearance:
    """Where else the bytes of an exhibit stood: under another report, another id or another account."""

    item_id: str
    original_name: str = ""
    platform_id: str = ""
    surface: str = ""
    role: str = ""
    account_id: str = ""
    group_id: str = ""
    report: str = ""
    source: str = ""
    source_url: str = ""
    uploaded_at: datetime | None = None
    upload_ip: str = ""
    upload_port: int | None = None
    is_public: bool | None = None
    received_at: datetime | None = None
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One original, how to read it, and what is known about it.

    `open` returns a fresh binary stream of the original from its first byte each time it is
    called (it is called twice); the stream is closed here. `VaultDamage` from it is told as
    `ExhibitUnreadable`; any other exception passes through the build unchanged. `sha256`, `md5`
    (hexadecimal) and `size` are what the vault recorded at receipt.
    """

    id: str  # EX-0001
    original_name: str
    # As its sender declared it; without a word of the sender, application/octet-stream.
    media_type: str
    size: int
    sha256: str
    md5: str
    open: Callable[[], BinaryIO]
    item_id: str = ""
    platform_id: str = ""  # the platform's own id of the photo, message or file
    surface: str = ""  # profile photo, reported message, …
    role: str = ""  # reported, or context of what was
    account_id: str = ""  # platform id of the account that sent it, or that it belongs to
    group_id: str = ""  # platform id of the group that it stood in
    report: str = ""  # R-000047; nothing for what was found by scanning
    source: str = ""  # who told us of it
    source_url: str = ""
    uploaded_at: datetime | None = None  # when it was sent or set on the platform
    upload_ip: str = ""
    upload_port: int | None = None
    is_public: bool | None = None  # None: nobody said
    received_at: datetime | None = None  # by us
    is_animation: bool = (
        False  # a picture that moves, or may: how much of it was seen is not measured
    )
    is_sound: bool = False  # heard, not seen; nobody measures how long it is
    relevance: str = ""
    annotations: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    reveals: tuple[Reveal, ...] = ()
    also: tuple[Appearance, ...] = ()
    place: Place = NOWHERE
    # What its bytes are, such as “PNG picture”; empty: nothing that we know.
    recognised_as: str = ""

    @property
    def looks(self) -> list[Look]:
        """The looks at it, as far as anything was fetched."""
        return [
            Look(
                person=reveal.person,
                opened_at=reveal.opened_at,
                span=(reveal.served_at, reveal.closed_at) if reveal.closed_at else None,
                painted_ms=reveal.painted_ms,
                is_film=reveal.film_ms > 0 or self.is_sound or self.media_type.startswith("video/"),
                played=reveal.played,
                film_ms=reveal.film_ms,
                is_animation=self.is_animation,
                is_sound=self.is_sound,
            )
            for reveal in self.reveals
            if reveal.served_at is not None
        ]

    @property
    def was_viewed(self) -> bool:
        """Whether the log of reveals shows that one person had all of it on the screen, not in part."""
        return most_seen(self.looks) == Seen.VIEWED

    @property
    def viewed(self) -> str:
        """What was seen and by whom, in the words of the case page."""
        return seen_in_words(self.looks)


@dataclass(frozen=True, slots=True)
class NetworkEvent:
    """An IP event of an account."""

    at: datetime
    ip: str
    port: int | None = None
    kind: str = ""  # login, upload, registration
    device: str = ""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a field said before it was changed, and when we learnt of the change."""

    field: str
    value: str
    until: datetime
    is_shortened: bool = False  # the log keeps the beginning of a long text only


@dataclass(frozen=True, slots=True)
class Identifier:
    """A telephone number, e-mail address, device, profile address or anything else that names an account."""

    kind: str
    value: str
    detail: Mapping[str, object] = field(default_factory=dict)
    verified: bool | None = None  # None: the platform did not say
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """An account's place in a group, now or once: whoever has left is no member."""

    group_id: str
    account_id: str
    name: str  # of the group among an account's places, of the account among a group's members
    role: str
    joined_at: datetime | None = None
    left_at: datetime | None = None
    earlier: tuple[Earlier, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the platform, as the platform described it."""

    platform_id: str
    role: str  # one of ROLES: the part that a person at the sender said it plays
    role_said_by: str = ""  # pseudonym
    role_said_at: datetime | None = None
    username: str = ""
    display_name: str = ""
    profile_text: str = ""
    profile_url: str = ""
    country: str = ""
    language: str = ""
    platform_status: str = ""
    joined_at: datetime | None = None  # the platform
    first_seen_at: datetime | None = None  # by us
    identifiers: tuple[Identifier, ...] = ()
    memberships: tuple[Membership, ...] = ()
    network: tuple[NetworkEvent, ...] = ()
    earlier: tuple[Earlier, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """An invite link that led into a group at some time."""

    link: str
    first_seen_at: datetime | None = None
    is_present: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """One group of the platform, as it is now, and what it was called before.

    `members` is None for a group that the case is not about: its members are left out.
    """

    platform_id: str
    name: str = ""
    description: str = ""
    member_count: int | None = None
    created_at: datetime | None = None  # on the platform
    platform_status: str = ""
    first_seen_at: datetime | None = None  # by us
    links: tuple[Link, ...] = ()
    members: tuple[Membership, ...] | None = None
    earlier: tuple[Earlier, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One report of the case: a claim of somebody, as it came."""

    number: str  # R-000047
    source: str
    source_kind: str
    reason: str  # the reporter's code
    received_at: datetime  # by us
    occurred_at: datetime | None = None  # what it is about, as the report says
    external_id: str = ""  # the source's own id
    reporter_account: str = ""  # platform id
    reporter_ref: str = ""  # the source's own reference to a person
    entered_by: str = ""  # pseudonym, for a report that staff typed in
    description: str = ""
    about: str = ""  # platform id of the account or group
    in_group: str = ""  # platform id of the group where it happened, of a report about an account
    about_then: Mapping[str, str] = field(default_factory=dict)  # what it was called when it came


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of the summary's timeline."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What the summary says about the case. Every text is plain and may be hostile."""

    id: str  # our case reference
    category: str
    severity: str
    subject: str  # the account or group, in words
    opened_at: datetime
    decided_at: datetime
    outcome: str
    policy: str  # name and version
    decided_by: str  # pseudonym
    narrative: str  # paragraphs separated by blank lines
    incident_type: str = ""
    incident_type_said_by: str = ""  # pseudonym
    incident_type_said_at: datetime | None = None
    incident_at: datetime | None = None
    incident_at_said_by: str = ""  # pseudonym
    incident_at_said_at: datetime | None = None
    subject_when_opened: Mapping[str, str] = field(default_factory=dict)
    messages_included: bool = True
    enforcements: tuple[str, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """Everything that goes into one package. Same description, same tar bytes."""

    reference: str  # ESC-2026-000123
    revision: int  # 1, 2, …
    organisation: Organisation
    recipient: Recipient
    legal_basis: LegalBasis
    bagged_at: datetime  # given, never read from a clock: a rebuild must repeat it
    case: CaseFacts
    exhibits: tuple[Exhibit, ...]
    accounts: tuple[Account, ...]
    conversations: tuple[Conversation, ...]
    custody: CustodyLog
    signer: Signer
    escrow: str  # our own age recipient
    reports: tuple[Report, ...] = ()
    groups: tuple[Group, ...] = ()
    left_out: tuple[str, ...] = ()  # sentences: what is known of the case and not in the package
    supersedes: str = ""  # ESC-2026-000123-r1 when this is -r2
    anchor: Mapping[str, str] | None = None  # the signed statement that fixes the custody tree
    custody_root_signature: str = ""  # SSHSIG over custody.root_statement, if the tree is signed
    timestamp: Callable[[bytes], bytes] | None = None  # signature file → RFC 3161 response

    @property
    def package_id(self) -> str:
        return f"{self.reference}-r{self.revision}"

    @property
    def file_name(self) -> str:
        return f"{self.package_id}.tar.age"

    @property
    def namespace(self) -> str:
        return signature_namespace(self.organisation.domain)


@dataclass(frozen=True, slots=True)
class BuiltPackage:
    """What was built. The digests go into the referral's row and into the registry."""

    package_id: str
    file_name: str
    size: int  # of the encrypted file
    sha256: str  # of the encrypted file
    tar_size: int
    tar_sha256: str  # repeats at every build from the same description
    tagmanifest_sha512: str  # SHA-512 of tagmanifest-sha512.txt: what the signature covers
    signature: str  # armoured
    exhibit_digests: tuple[tuple[str, str], ...]  # (exhibit id, sha256) as found

    @property
    def sha256_line(self) -> str:
        """The content of ``<file name>.sha256``, for ``sha256sum -c``."""
        return f"{self.sha256}  {self.file_name}\n"


@dataclass(frozen=True, slots=True)
class Original:
    """An exhibit with the digests that pass one found."""

    exhibit: Exhibit
    path: str  # inside the bag
    sha1: str
    sha256: str
    sha512: str


def check(spec: PackageSpec) -> None:
    """Raise `PackageRefused` with every reason why this description cannot become a package."""
    problems = list(_problems(spec))
    if problems:
        raise PackageRefused(" ".join(problems))
    spec.custody.check()


def _problems(spec: PackageSpec) -> Iterator[str]:
    if not REFERENCE.fullmatch(spec.reference):
        yield "A reference looks like ESC-2026-000123."
    if not 1 <= spec.revision <= 999:
        yield "A revision is a number from 1 to 999."
    previous = f"{spec.reference}-r{spec.revision - 1}"
    if spec.revision > 1 and spec.supersedes != previous:
        yield f"Revision {spec.revision} must say that it supersedes {previous}."
    if spec.revision == 1 and spec.supersedes:
        yield "A first revision supersedes nothing."
    if spec.bagged_at.tzinfo is None:
        yield "The bagging date needs a time zone."
    if not spec.recipient.label.strip():
        yield "The recipient has no name."
    if not spec.recipient.age_recipients:
        yield "The recipient has no age key."
    if not spec.escrow:
        yield "The escrow key is missing."
    if not spec.legal_basis.summary.strip():
        yield "The legal basis is missing."
    basis = spec.legal_basis
    if basis.approved_by and basis.approved_by == basis.drafted_by:
        yield "The approver must not be the author."
    if spec.signer.principal.partition("@")[2] != spec.organisation.domain:
        yield "The signing key does not belong to the organisation's domain."
    ids = [exhibit.id for exhibit in spec.exhibits]
    if len(set(ids)) != len(ids):
        yield "Two exhibits have the same number."
    for exhibit in spec.exhibits:
        if not EXHIBIT_ID.fullmatch(exhibit.id):
            yield f"An exhibit number looks like EX-0001, not {exhibit.id!r}."
        if exhibit.size < 0:
            yield f"Exhibit {exhibit.id} has no size."
    for account in spec.accounts:
        if account.role not in ROLES:
            yield f"An account's role is one of {', '.join(ROLES)}."
    for conversation in spec.conversations:
        for message in conversation.messages:
            unknown = set(message.exhibits).difference(ids)
            if unknown:
                yield f"Message {message.id} names exhibits that are not in the package."
