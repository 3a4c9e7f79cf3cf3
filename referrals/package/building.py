"""From a description to the sealed file, in two passes over the originals."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyrage

from core.errors import VaultDamage
from referrals import bag, payload, sshsig
from referrals.custody import utc_text
from referrals.package.description import BuiltPackage, Exhibit, Original, PackageSpec, check
from referrals.package.refusals import ExhibitDamaged, ExhibitUnreadable, PackageRefused
from referrals.summary import summary_pdf

CHUNK = 1 << 20


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


def _prepare(spec: PackageSpec) -> tuple[dict[str, bytes], list[bag.Entry]]:
    """Pass one and everything that is small: the signed tag files, and what goes into the tar."""
    check(spec)
    originals = [_inspect(exhibit) for exhibit in spec.exhibits]
    documents = payload.documents(spec, originals)
    documents["data/summary.pdf"] = summary_pdf(spec)
    documents[bag.CONTENTS] = _contents(spec, documents)
    tags = _tag_files(spec, documents, originals)
    return tags, _entries(spec, documents, tags)


def _contents(spec: PackageSpec, documents: dict[str, bytes]) -> bytes:
    """All names of the archive, so that the signature also covers folders and how often a name comes."""
    media = (_media_path(exhibit) for exhibit in spec.exhibits)
    signed = (bag.SIGNATURE, bag.TIMESTAMP) if spec.timestamp else (bag.SIGNATURE,)
    paths = (*documents, bag.CONTENTS, *media, *bag.TAG_FILES, *signed)
    return bag.contents(spec.package_id, paths)


def _media_path(exhibit: Exhibit) -> str:
    return f"data/media/{exhibit.id}.bin"


def _inspect(exhibit: Exhibit) -> Original:
    """Pass one: read the original once and compare it with what was received."""
    sha1 = hashlib.sha1(usedforsecurity=False)
    sha512 = hashlib.sha512()
    for chunk in _read_checked(exhibit):
        sha1.update(chunk)
        sha512.update(chunk)
    return Original(
        exhibit=exhibit,
        path=_media_path(exhibit),
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
    except VaultDamage as damage:
        # Everything else passes: a database that restarts is not a damaged exhibit.
        raise ExhibitUnreadable(exhibit.id, exhibit.original_name, damage.reason) from damage


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
    if len(armoured) != sshsig.armoured_size(spec.namespace):
        # The recipe compares the length, since ssh-keygen does not say what else a file holds.
        raise PackageRefused("The signer returned more than an armoured signature of 70 columns.")
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
        path=_media_path(exhibit),
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
