"""Build a sealed escalation package from a frozen description.

What comes out is ``ESC-2026-000123-r1.tar.age``: a BagIt 1.0 bag (RFC 8493) in a deterministic tar,
signed (SSHSIG over ``tagmanifest-sha512.txt``), then encrypted with age to the recipient and to the
escrow key. `build_package` is the only entry point; `PackageSpec` says everything that goes in.

Two passes over the originals:

1. every original is read once and compared with its expected size, MD5 and SHA-256, while SHA-1
   and SHA-512 are computed; one wrong byte raises `ExhibitDamaged` before anything is written;
2. the tar is streamed straight into the encryption, and every original is compared again while it
   passes, so that what was signed is what was sent.

No clear byte of an original touches a disk, and memory does not grow with the exhibits: they pass
in chunks. Everything else (texts, custody lines, the summary) is held in memory.

Same description, same tar, byte for byte; only the age layer is random, as it must be.

No ORM, no clock, no settings: values in, values out.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

import pyrage

from referrals import bag, payload, sshsig
from referrals.custody import CustodyLog, utc_text
from referrals.summary import summary_pdf

REFERENCE = re.compile(r"ESC-\d{4}-\d{6}")
EXHIBIT_ID = re.compile(r"EX-\d{4,6}")
ROLES = ("suspect", "victim", "recipient", "witness", "not said")
CHUNK = 1 << 20


# --- The description -----------------------------------------------------------------------------


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
    shown_seconds: float | None = None  # None: the browser never reported back
    whole: bool = True  # False: only a part of a long file was served


@dataclass(frozen=True, slots=True)
class Finding:
    """One automated finding on an exhibit, in words."""

    detector: str
    summary: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One original, how to read it, and what is known about it.

    `open` returns a fresh binary stream of the original from its first byte each time it is
    called (it is called twice); the stream is closed here. `sha256`, `md5` (hexadecimal) and
    `size` are what the vault recorded at receipt.
    """

    id: str  # EX-0001
    original_name: str
    media_type: str
    size: int
    sha256: str
    md5: str
    open: Callable[[], BinaryIO]
    item_id: str = ""
    surface: str = ""  # profile photo, reported message, …
    account_id: str = ""  # platform id of the account it belongs to
    source_url: str = ""
    uploaded_at: datetime | None = None  # to the platform
    upload_ip: str = ""
    upload_port: int | None = None
    received_at: datetime | None = None  # by us
    relevance: str = ""
    annotations: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    reveals: tuple[Reveal, ...] = ()

    @property
    def was_viewed(self) -> bool:
        """Whether the reveal log shows that the whole original was served to a person."""
        return any(reveal.served_at is not None and reveal.whole for reveal in self.reveals)


@dataclass(frozen=True, slots=True)
class NetworkEvent:
    """An IP event of an account."""

    at: datetime
    ip: str
    port: int | None = None
    kind: str = ""  # login, upload, registration
    device: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the platform, as the platform described it."""

    platform_id: str
    role: str  # one of ROLES
    display_name: str = ""
    usernames: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    profile_urls: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    joined_at: datetime | None = None
    groups: tuple[str, ...] = ()  # "name (id), role, joined …" in words
    network: tuple[NetworkEvent, ...] = ()
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    id: str
    sender: str  # platform id of an account
    sent_at: datetime | None
    text: str
    exhibits: tuple[str, ...] = ()  # exhibit ids attached to it
    is_reported: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """Context around the reported content. One JSONL and one CSV file each."""

    id: str
    title: str
    messages: tuple[Message, ...]


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
    supersedes: str = ""  # ESC-2026-000123-r1 when this is -r2
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
class IssuedPackage:
    """One line of the registry of packages that we really sent."""

    package_id: str
    tagmanifest_sha512: str
    issued_at: datetime


# --- What can go wrong ---------------------------------------------------------------------------


class PackageRefused(ValueError):
    """The description cannot become a package; the message says what to put right."""


class ExhibitRefused(PackageRefused):
    """An original stopped the build."""

    def __init__(self, exhibit_id: str, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.exhibit_id = exhibit_id
        self.name = name


class ExhibitDamaged(ExhibitRefused):
    """An original is not what was received. `expected` and `found` are like ``sha256 12ab…``."""

    def __init__(self, exhibit_id: str, name: str, expected: str, found: str) -> None:
        super().__init__(
            exhibit_id,
            name,
            f"Exhibit {exhibit_id} is damaged: expected {expected}, found {found}.",
        )
        self.expected = expected
        self.found = found


class ExhibitUnreadable(ExhibitRefused):
    """An original could not be opened or read to its end; the cause is chained."""

    def __init__(self, exhibit_id: str, name: str) -> None:
        super().__init__(exhibit_id, name, f"Exhibit {exhibit_id} could not be read.")


# --- Building ------------------------------------------------------------------------------------


def signature_namespace(domain: str) -> str:
    """The namespace of package signatures of an organisation."""
    return f"escalation-package@{domain}"


def build_package(spec: PackageSpec, target: Path) -> BuiltPackage:
    """Write `target` and `target`.sha256; `target` must be named ``spec.file_name``.

    The file appears under its name only when it is complete and on disk; a build that fails leaves
    nothing behind. Raises `PackageRefused` (or its exhibit kinds), `OSError`.
    """
    if target.name != spec.file_name:
        raise PackageRefused(f"The package file must be named {spec.file_name}.")
    partial = target.with_name(f"{target.name}.part")
    try:
        with partial.open("wb") as stream:
            built = write_package(spec, stream)
            stream.flush()
            os.fsync(stream.fileno())
        checksum = target.with_name(f"{target.name}.sha256")
        checksum.write_text(built.sha256_line, encoding="ascii")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return built


def write_package(spec: PackageSpec, output: BinaryIO) -> BuiltPackage:
    """Stream the encrypted package into `output` (only ``write`` is used).

    If this raises, what was written so far is worthless and must be thrown away.
    """
    tags, entries = _prepare(spec)
    tar = _Measured(bag.tar_stream(spec.package_id, entries))
    sink = _MeasuredWriter(output)
    _encrypt(spec, tar, sink)
    return BuiltPackage(
        package_id=spec.package_id,
        file_name=spec.file_name,
        size=sink.size,
        sha256=sink.sha256.hexdigest(),
        tar_size=tar.size,
        tar_sha256=tar.sha256.hexdigest(),
        tagmanifest_sha512=hashlib.sha512(tags["tagmanifest-sha512.txt"]).hexdigest(),
        signature=tags[bag.SIGNATURE].decode("ascii"),
        exhibit_digests=tuple((exhibit.id, exhibit.sha256.lower()) for exhibit in spec.exhibits),
    )


def tar_package(spec: PackageSpec) -> Iterator[bytes]:
    """The tar before encryption. For tests and comparisons; never write it to a disk."""
    _tags, entries = _prepare(spec)
    return bag.tar_stream(spec.package_id, entries)


def registry(packages: list[IssuedPackage], *, organisation: str, issued_at: datetime) -> bytes:
    """The list of issued packages that a verifier compares with, so that no old revision passes.

    Publish it over HTTPS or send it with each answer; it names no case, person or content.
    """
    document = {
        "format": "escalation-package-registry/1",
        "issued_at": utc_text(issued_at),
        "organisation": organisation,
        "packages": {
            package.package_id: {
                "issued_at": utc_text(package.issued_at),
                "tagmanifest_sha512": package.tagmanifest_sha512,
            }
            for package in packages
        },
    }
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def check(spec: PackageSpec) -> None:
    """Raise `PackageRefused` with every reason why this description cannot become a package."""
    problems = list(_problems(spec))
    if problems:
        raise PackageRefused(" ".join(problems))
    spec.custody.check()


def _prepare(spec: PackageSpec) -> tuple[dict[str, bytes], list[bag.Entry]]:
    """Pass one and everything that is small: the signed tag files, and what goes into the tar."""
    check(spec)
    originals = [_inspect(exhibit) for exhibit in spec.exhibits]
    documents = payload.documents(spec, originals)
    documents["data/summary.pdf"] = summary_pdf(spec)
    tags = _tag_files(spec, documents, originals)
    return tags, _entries(spec, documents, tags)


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


@dataclass(frozen=True, slots=True)
class Original:
    """An exhibit with the digests that pass one found."""

    exhibit: Exhibit
    path: str  # inside the bag
    sha1: str
    sha256: str
    sha512: str


def _inspect(exhibit: Exhibit) -> Original:
    """Pass one: read the original once and compare it with what was received."""
    sha1 = hashlib.sha1(usedforsecurity=False)
    sha512 = hashlib.sha512()
    for chunk in _read_checked(exhibit):
        sha1.update(chunk)
        sha512.update(chunk)
    return Original(
        exhibit=exhibit,
        path=f"data/media/{exhibit.id}.bin",
        sha1=sha1.hexdigest(),
        sha256=exhibit.sha256.lower(),
        sha512=sha512.hexdigest(),
    )


def _read_checked(exhibit: Exhibit) -> Iterator[bytes]:
    """The original in chunks, compared with its size and digests while it passes.

    Raises `ExhibitDamaged` at the first byte too many or at the end. Never yields more bytes than
    the expected size, so that a tar entry cannot overrun its header.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    sha256 = hashlib.sha256()
    size = 0
    for chunk in _read(exhibit):
        size += len(chunk)
        if size > exhibit.size:
            raise ExhibitDamaged(
                exhibit.id, exhibit.original_name, f"{exhibit.size} bytes", "more bytes"
            )
        md5.update(chunk)
        sha256.update(chunk)
        yield chunk
    for expected, found in (
        (f"{exhibit.size} bytes", f"{size} bytes"),
        (f"sha256 {exhibit.sha256.lower()}", f"sha256 {sha256.hexdigest()}"),
        (f"md5 {exhibit.md5.lower()}", f"md5 {md5.hexdigest()}"),
    ):
        if expected != found:
            raise ExhibitDamaged(exhibit.id, exhibit.original_name, expected, found)


def _read(exhibit: Exhibit) -> Iterator[bytes]:
    try:
        with exhibit.open() as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except Exception as error:
        # Whatever the storage raises, the officer-to-be must learn which exhibit it was.
        raise ExhibitUnreadable(exhibit.id, exhibit.original_name) from error


def _tag_files(
    spec: PackageSpec, documents: dict[str, bytes], originals: list[Original]
) -> dict[str, bytes]:
    """The bag's tag files and the signature over the last tag manifest."""
    manifest = bag.Manifest()
    for path, content in documents.items():
        manifest.add_bytes(path, content)
    for original in originals:
        manifest.add(original.path, original.exhibit.size, original.sha256, original.sha512)
    tags = bag.tag_files(_bag_info(spec), manifest)
    signed = tags["tagmanifest-sha512.txt"]
    armoured = spec.signer.sign(signed, namespace=spec.namespace)
    try:
        sshsig.verify(armoured, signed, namespace=spec.namespace, public_key=spec.signer.public_key)
    except sshsig.SignatureRefused as error:
        raise PackageRefused(f"The signer returned a signature that does not hold. {error}") from (
            error
        )
    tags[bag.SIGNATURE] = armoured.encode("ascii")
    if spec.timestamp is not None:
        tags[bag.TIMESTAMP] = spec.timestamp(tags[bag.SIGNATURE])
    return tags


def _bag_info(spec: PackageSpec) -> list[tuple[str, str]]:
    info = [
        ("Source-Organization", spec.organisation.name),
        ("Contact-Name", spec.organisation.contact_name),
        ("Contact-Phone", spec.organisation.contact_phone),
        ("Contact-Email", spec.organisation.contact_email),
        ("External-Identifier", spec.package_id),
        ("External-Description", f"Escalation package, {len(spec.exhibits)} exhibits"),
        ("Recipient", spec.recipient.label),
        *(("Recipient-Key", key) for key in spec.recipient.age_recipients),
        ("Legal-Basis", spec.legal_basis.summary),
        ("Bagging-Date", utc_text(spec.bagged_at)[:10]),
        ("Bagging-Time", utc_text(spec.bagged_at)),
        ("Signature-Namespace", spec.namespace),
        ("Supersedes", spec.supersedes),
    ]
    return [(label, value) for label, value in info if value]


def _entries(
    spec: PackageSpec, documents: dict[str, bytes], tags: dict[str, bytes]
) -> list[bag.Entry]:
    entries = [bag.Entry.of_bytes(path, data) for path, data in (documents | tags).items()]
    entries.extend(_exhibit_entry(exhibit) for exhibit in spec.exhibits)
    return entries


def _exhibit_entry(exhibit: Exhibit) -> bag.Entry:
    return bag.Entry(
        path=f"data/media/{exhibit.id}.bin",
        size=exhibit.size,
        chunks=lambda: _read_checked(exhibit),
    )


# --- Encryption ----------------------------------------------------------------------------------


def age_recipients(spec: PackageSpec) -> list[object]:
    """The recipients' keys and the escrow key, parsed. Raises `PackageRefused`."""
    return [_age_recipient(text) for text in (*spec.recipient.age_recipients, spec.escrow)]


def _age_recipient(text: str) -> object:
    try:
        if text.startswith("ssh-"):
            return pyrage.ssh.Recipient.from_str(text)
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise PackageRefused(f"{text[:24]!r} is not an age public key.") from error


def _encrypt(spec: PackageSpec, tar: _Measured, sink: _MeasuredWriter) -> None:
    recipients = age_recipients(spec)
    try:
        pyrage.encrypt_io(tar, sink, recipients)
    except pyrage.EncryptError:
        # pyrage turns whatever the two streams raise into a text; the real thing is kept there.
        for failure in (tar.failure, sink.failure):
            if failure is not None:
                raise failure from None
        raise
    if not tar.is_finished:
        raise PackageRefused("The encryption stopped before the end of the package.")


class _Measured:
    """A readable stream over an iterator of chunks that counts and hashes what it hands out."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._pending = memoryview(b"")
        self.failure: BaseException | None = None
        self.is_finished = False
        self.size = 0
        self.sha256 = hashlib.sha256()

    def read(self, limit: int = -1) -> bytes:
        while not self._pending:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                self.is_finished = True
                return b""
            except BaseException as error:
                self.failure = error
                raise
            self.size += len(chunk)
            self.sha256.update(chunk)
            self._pending = memoryview(chunk)
        taken = self._pending if limit < 0 else self._pending[:limit]
        self._pending = self._pending[len(taken) :]
        return bytes(taken)


class _MeasuredWriter:
    """A writer that counts and hashes what goes into the encrypted file."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self.failure: BaseException | None = None
        self.size = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        try:
            self._output.write(data)
        except BaseException as error:
            self.failure = error
            raise
        self.size += len(data)
        self.sha256.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here; the owner of the output flushes it."""
