#!/usr/bin/env python3
"""Verify an escalation package, offline, with nothing but Python 3.9 or later.

    python3 verify_package.py PACKAGE --allowed-signers FILE
        [--identity KEY] [--latest-registry FILE] [--expect-recipient TEXT]
        [--tsa-ca FILE] [--extract-to DIR] [--json]

PACKAGE is the encrypted file (.tar.age, with --identity and the age command), the tar, or the
unpacked folder. Nothing is unpacked to check it: files are hashed as they pass.

The answer, and the exit code:
    green  0   every check passed
    amber  3   all bytes and the signature hold, but something could not be checked
               (no trusted time, no list of issued packages, a key that is valid only by date)
    red    2   anything else. A package without a signature is red.
A Python that cannot run this script ends with 1: that is no answer, and never a good one.

Fetch this script and the allowed_signers file from the sender's published page or from your agency
record. What arrives together with a package can be no more trustworthy than the package.

How it works. A package is a BagIt 1.0 bag (RFC 8493). signatures/tagmanifest-sha512.txt.sig signs
tagmanifest-sha512.txt, which fixes every manifest and bag-info.txt, which fix every file. BagIt
alone would accept unlisted tag files, a fetch list, and a bag whose signature was removed; this
script does not. Ed25519 is verified by the code below (RFC 8032), and by ssh-keygen as well when it
is installed; both must agree. The archive is read by the code below too, because a general tar
reader accepts links, devices and other things that a package never holds.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import calendar
import fnmatch
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

GREEN, AMBER, RED = "green", "amber", "red"
EXIT_CODES = {GREEN: 0, AMBER: 3, RED: 2}

BLOCK = 512
CHUNK = 1 << 20
MOST_ENTRIES = 200_000
LONGEST_PATH = 220
LARGEST_TAG_FILE = 64 << 20  # bytes; manifests, bag-info and signatures
LARGEST_DOCUMENT = 256 << 20  # bytes; JSON and custody files that are read as a whole
LARGEST_TOGETHER = 512 << 20  # bytes; all of these

SIGNATURE = "signatures/tagmanifest-sha512.txt.sig"
TIMESTAMP = "signatures/tagmanifest-sha512.txt.sig.tsr"
TAG_FILES = (
    "bag-info.txt",
    "bagit.txt",
    "manifest-sha256.txt",
    "manifest-sha512.txt",
    "tagmanifest-sha256.txt",
    "tagmanifest-sha512.txt",
)
ALLOWED_OUTSIDE_DATA = frozenset((*TAG_FILES, SIGNATURE, TIMESTAMP))
EXHIBITS = "data/metadata/exhibits.json"
NAMING_DOCUMENTS = (
    EXHIBITS,
    "data/metadata/case.json",
    "data/metadata/reports.json",
    "data/metadata/accounts.json",
    "data/metadata/groups.json",
    "data/legal/basis.json",
)
CONTENTS = "data/documentation/contents.txt"
CASE_GRAPH = "data/metadata/case.jsonld"
CUSTODY_LINES = "data/custody/audit.jsonl"
CUSTODY_CHAIN = "data/custody/audit.chain"
INCLUSION = "data/custody/inclusion.json"
REQUIRED = (
    "data/README.txt",
    "data/summary.pdf",
    EXHIBITS,
    CASE_GRAPH,
    CUSTODY_LINES,
    CUSTODY_CHAIN,
    INCLUSION,
    "data/legal/basis.json",
    CONTENTS,
)
KEPT = frozenset((*REQUIRED[2:], *NAMING_DOCUMENTS))
PACKAGE_ID = re.compile(r"(ESC-[0-9]{4}-[0-9]{6})-r([1-9][0-9]{0,2})")
COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
DIGEST_LINE = re.compile(r"([0-9a-f]{64}|[0-9a-f]{128})  (\S+)")


class Refused(Exception):
    """A check failed; the text is the sentence for the officer."""

    def __init__(self, check: str, sentence: str) -> None:
        super().__init__(sentence)
        self.check = check
        self.sentence = sentence


class Finding(NamedTuple):
    """One check: its short name, green, amber or red, and a plain sentence."""

    check: str
    result: str
    sentence: str


class Report:
    """All findings about one package."""

    def __init__(self, package: str = "") -> None:
        self.package = package
        self.findings: list[Finding] = []

    def add(self, check: str, result: str, sentence: str) -> None:
        self.findings.append(Finding(check, result, sentence))

    @property
    def verdict(self) -> str:
        """The worst finding. Nothing checked is red."""
        results = {finding.result for finding in self.findings}
        if not results or RED in results:
            return RED
        return AMBER if AMBER in results else GREEN

    @property
    def summary(self) -> str:
        """One sentence."""
        name = self.package or "This file"
        if self.verdict == GREEN:
            return f"{name} is complete, unchanged and signed by the sender. Every check passed."
        open_points = [f.sentence for f in self.findings if f.result == AMBER]
        if self.verdict == AMBER:
            return (
                f"{name} is complete, unchanged and signed by the sender. "
                f"{len(open_points)} point(s) could not be checked; see below."
            )
        return f"{name} must not be relied on. {self.failures[0] if self.failures else ''}".strip()

    @property
    def failures(self) -> list[str]:
        return [finding.sentence for finding in self.findings if finding.result == RED]

    def as_dict(self) -> dict[str, Any]:
        return {
            "package": self.package,
            "verdict": self.verdict,
            "summary": self.summary,
            "checks": [finding._asdict() for finding in self.findings],
        }


class Options(NamedTuple):
    """What the officer gave besides the package."""

    allowed_signers: str = ""  # the text of the file
    registry: dict[str, Any] | None = None
    expect_recipient: str = ""
    identity: str = ""  # path of an age key
    tsa_ca: str = ""  # path of the time authority's certificates
    extract_to: str = ""
    use_ssh_keygen: bool = True
    now: float = 0.0  # seconds since 1970; 0 means the clock of this machine


class Found(NamedTuple):
    """A file that passed by."""

    size: int
    sha256: str
    sha512: str


# --- Reading a package: a folder, a tar, or an age file ------------------------------------------


class Member(NamedTuple):
    """One entry. `read` gives the file's bytes in chunks and must be used up before the next."""

    path: str  # with the top folder
    is_folder: bool
    size: int
    read: Callable[[], Iterator[bytes]]


def tar_members(stream: BinaryIO) -> Iterator[Member]:
    """The entries of a tar, read strictly: regular files and folders, nothing else.

    Each header must be the very bytes that the sender writes for this name, size and kind: no
    owner, no time, no other rights, no extended headers, nothing behind a name. Compressed
    archives are refused, so nothing here can unpack to more than was read.
    """
    seen = 0
    while True:
        header = _exactly(stream, BLOCK)
        if header == bytes(BLOCK):
            break
        seen += 1
        if seen > MOST_ENTRIES:
            raise Refused("archive", f"The archive holds more than {MOST_ENTRIES} entries.")
        if header[257:263] not in (b"ustar\0", b"ustar "):
            raise Refused("archive", "This is not an uncompressed tar archive of a package.")
        kind = header[156:157]
        path = header[:100].split(b"\0", 1)[0].decode("utf-8", "replace")
        if kind in (b"x", b"g", b"L", b"K"):
            raise Refused("archive", "The archive has an extended header, which no package has.")
        if kind not in (b"0", b"5"):
            raise Refused(
                "archive",
                f"The archive holds {_kind(kind)} ({_shown(path)}). "
                "A package holds only files and folders.",
            )
        size = _number(header[124:136])
        is_folder = kind == b"5"
        if is_folder and size:
            raise Refused("archive", f"The folder {_shown(path)} claims to have content.")
        if header != _header(header[:100].split(b"\0", 1)[0], size, is_folder=is_folder):
            raise Refused(
                "archive",
                f"The archive says more of {_shown(path)} than its name and size (an owner, rights, "
                "a time or hidden bytes). A package never does.",
            )
        body = _Body(stream, size)
        yield Member(path[:-1] if is_folder else path, is_folder, size, body.chunks)
        body.skip()
        if any(_exactly(stream, -size % BLOCK)):
            raise Refused("archive", "The archive hides bytes between its files.")
    if stream.read(BLOCK + 1) != bytes(BLOCK):
        raise Refused("archive", "The archive does not end where a package ends.")


class _Body:
    """The bytes of one tar entry."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def chunks(self) -> Iterator[bytes]:
        while self._left:
            data = self._stream.read(min(CHUNK, self._left))
            if not data:
                raise Refused("archive", "The archive is cut off.")
            self._left -= len(data)
            yield data

    def skip(self) -> None:
        for _ in self.chunks():
            pass


def folder_members(top: str) -> Iterator[Member]:
    """The entries of an unpacked package, sorted, never following a link."""
    name = os.path.basename(os.path.abspath(top))
    yield Member(name, True, 0, lambda: iter(()))
    waiting = [("", top)]
    seen = 0
    while waiting:
        relative, folder = waiting.pop()
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            seen += 1
            if seen > MOST_ENTRIES:
                raise Refused("archive", f"The folder holds more than {MOST_ENTRIES} entries.")
            path = f"{relative}{entry.name}"
            about = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(about.st_mode):
                yield Member(f"{name}/{path}", True, 0, lambda: iter(()))
                waiting.append((f"{path}/", entry.path))
            elif stat.S_ISREG(about.st_mode):
                reader = _FileReader(entry.path)
                yield Member(f"{name}/{path}", False, about.st_size, reader.chunks)
            else:
                raise Refused(
                    "archive",
                    f"The folder holds a link or device ({_shown(path)}). "
                    "A package holds only files and folders.",
                )


class _FileReader:
    def __init__(self, path: str) -> None:
        self._path = path

    def chunks(self) -> Iterator[bytes]:
        with open(self._path, "rb") as stream:
            while True:
                data = stream.read(CHUNK)
                if not data:
                    return
                yield data


def _header(name: bytes, size: int, *, is_folder: bool) -> bytes:
    """The one header that a package has for this entry (POSIX ustar)."""
    header = b"".join(
        (
            name.ljust(100, b"\0"),
            b"0000755\0" if is_folder else b"0000644\0",
            b"0000000\0" * 2,
            b"%011o\0" % size if size < 1 << 33 else b"\x80" + size.to_bytes(11, "big"),
            b"%011o\0" % 0,
            b" " * 8,
            b"5" if is_folder else b"0",
            bytes(100),
            b"ustar\x0000",
            bytes(BLOCK - 265),
        )
    )
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def _number(field: bytes) -> int:
    """Octal digits; for a file of 8 GiB and more 128 and eleven bytes, as every tar reads it."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    text = field.split(b"\0", 1)[0].strip()
    if not re.fullmatch(rb"[0-7]{0,12}", text):
        raise Refused("archive", "The archive has a header that a package never has.")
    return int(text or b"0", 8)


def _kind(kind: bytes) -> str:
    names = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device"}
    names[b"6"] = "a pipe"
    return names.get(kind, "an entry of an unknown kind")


def _exactly(stream: BinaryIO, size: int) -> bytes:
    parts = []
    while size:
        data = stream.read(size)
        if not data:
            raise Refused("archive", "The archive is cut off.")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _shown(text: str) -> str:
    """A hostile name, safe to print and not too long."""
    clean = "".join(c if c.isprintable() and c.isascii() else "?" for c in text)
    return clean if len(clean) <= 80 else f"{clean[:77]}..."


# --- Pass over the content -----------------------------------------------------------------------


class Content:
    """What one pass over a package leaves: digests of every file, and the small files' bytes."""

    def __init__(self) -> None:
        self.top = ""
        self.files: dict[str, Found] = {}
        self.folders: list[str] = []
        self.names: list[str] = []  # as tar -tf writes them
        self.kept: dict[str, bytes] = {}
        self._spellings: dict[str, str] = {}
        self._kept_bytes = 0
        self._payload = 0
        self._limit: tuple[int, int] | None = None

    def read(self, members: Iterator[Member]) -> None:
        """Hash everything that passes. Raises `Refused` at the first thing no package has."""
        for member in members:
            path = self._inner_path(member)
            self.names.append(f"{member.path}/" if member.is_folder else member.path)
            if not path or member.is_folder:
                if path:
                    self.folders.append(path)
                continue
            if not path.startswith("data/") and path not in ALLOWED_OUTSIDE_DATA:
                self._refuse_stranger(path)
            if path.startswith("data/"):
                self._admit_payload(member.size, path)
            self.files[path] = self._take(path, member)
            if path == "bag-info.txt":
                self._limit = stated_oxum(self.kept[path])

    def _inner_path(self, member: Member) -> str:
        parts = member.path.split("/")
        if len(member.path) > LONGEST_PATH:
            raise Refused("names", f"A path is longer than {LONGEST_PATH} characters.")
        for part in parts:
            if not COMPONENT.fullmatch(part):
                raise Refused("names", f"The name {_shown(member.path)} is not one a package has.")
        if not self.top:
            self.top = parts[0]
        if parts[0] != self.top or (len(parts) == 1 and not member.is_folder):
            raise Refused("names", "The archive holds more than one top folder.")
        folded = member.path.lower()
        if folded in self._spellings:
            raise Refused(
                "names",
                f"The name {_shown(member.path)} appears twice, or differs only in case.",
            )
        self._spellings[folded] = member.path
        return "/".join(parts[1:])

    def _refuse_stranger(self, path: str) -> None:
        if path == "fetch.txt":
            raise Refused("files", "The package asks to download files (fetch.txt).")
        raise Refused("files", f"{_shown(path)} is not a file that a package has.")

    def _admit_payload(self, size: int, path: str) -> None:
        if self._limit is None:
            if "bag-info.txt" in self.files:
                raise Refused("size", "bag-info.txt does not state the size (Payload-Oxum).")
            raise Refused("size", "The archive does not begin with bag-info.txt, as packages do.")
        self._payload += size
        count = sum(1 for name in self.files if name.startswith("data/")) + 1
        if self._payload > self._limit[0] or count > self._limit[1]:
            raise Refused(
                "size",
                "The archive holds more than bag-info.txt states "
                f"({self._limit[0]} bytes in {self._limit[1]} files); stopped at {_shown(path)}.",
            )

    def _take(self, path: str, member: Member) -> Found:
        sha256, sha512 = hashlib.sha256(), hashlib.sha512()
        keep = path in KEPT or not path.startswith("data/")
        if keep:
            most = LARGEST_DOCUMENT if path in KEPT else LARGEST_TAG_FILE
            self._kept_bytes += member.size
            if member.size > most or self._kept_bytes > LARGEST_TOGETHER:
                raise Refused("size", f"{_shown(path)} is too large to be what it says.")
        parts = []
        size = 0
        for chunk in member.read():
            size += len(chunk)
            if size > member.size:
                raise Refused("size", f"{_shown(path)} grew while it was read.")
            sha256.update(chunk)
            sha512.update(chunk)
            if keep:
                parts.append(chunk)
        if keep:
            self.kept[path] = b"".join(parts)
        return Found(size, sha256.hexdigest(), sha512.hexdigest())


def stated_oxum(bag_info: bytes) -> tuple[int, int] | None:
    """Payload-Oxum as (bytes, files)."""
    values = [value for label, value in headers(bag_info) if label == "Payload-Oxum"]
    match = re.fullmatch(r"([0-9]{1,18})\.([0-9]{1,9})", values[0]) if len(values) == 1 else None
    return (int(match.group(1)), int(match.group(2))) if match else None


def headers(bag_info: bytes) -> list[tuple[str, str]]:
    """The ``Label: value`` lines of bag-info.txt."""
    try:
        text = bag_info.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("bag-info", "bag-info.txt is not UTF-8 text.") from None
    found = []
    for line in text.split("\n"):
        if not line:
            continue
        label, separator, value = line.partition(": ")
        if not separator or not re.fullmatch("[A-Za-z-]+", label):
            raise Refused("bag-info", "bag-info.txt has a line that is not 'Label: value'.")
        found.append((label, value.strip()))
    return found


# --- The checks ----------------------------------------------------------------------------------


def verify(path: str, options: Options) -> Report:
    """Check one package. Never raises for a bad package: the report says what is wrong."""
    report = Report(_id_from_name(path))
    try:
        _verify(path, options, report)
    except Refused as refusal:
        report.add(refusal.check, RED, refusal.sentence)
    except (OSError, MemoryError) as error:
        report.add("reading", RED, f"The package could not be read ({error}).")
    except Exception:  # noqa: BLE001 — a document of such an odd shape is not ours, whatever it is
        report.add("content", RED, "A document in the package does not have the expected form.")
    return report


def _verify(path: str, options: Options, report: Report) -> None:
    _check_sha256_file(path, report)
    content = Content()
    with _Opened(path, options) as members:
        content.read(members)
    report.package = content.top
    report.add("archive", GREEN, "The package holds only plain files under one folder.")
    info = _check_structure(content, report)
    _check_manifests(content, report)
    namespace_domain = _check_signature(content, info, options, report)
    _check_identity(content, info, path, report)
    _check_contents(content, is_unpacked=os.path.isdir(path))
    _check_exhibits(content, report)
    _check_custody(content, namespace_domain, options, report)
    _check_recipient(info, options, report)
    _check_registry(content, options, report)
    if options.extract_to:
        _extract(path, options, content, report)


class _Opened:
    """The members of a folder, a tar or an age file, closing what was opened."""

    def __init__(self, path: str, options: Options) -> None:
        self._path, self._options = path, options
        self._file: BinaryIO | None = None
        self._age: subprocess.Popen[bytes] | None = None
        self._errors: BinaryIO | None = None

    def __enter__(self) -> Iterator[Member]:
        if os.path.isdir(self._path):
            return folder_members(self._path)
        with open(self._path, "rb") as stream:
            beginning = stream.read(64)
        if beginning.startswith((b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED")):
            return self._decrypted()
        self._file = open(self._path, "rb")
        return tar_members(self._file)

    def _decrypted(self) -> Iterator[Member]:
        if not self._options.identity:
            raise Refused("decryption", "The package is encrypted; give your key with --identity.")
        command = shutil.which("age")
        if command is None:
            raise Refused(
                "decryption",
                "The age command is not installed. Install it, or decrypt the file elsewhere "
                "and give the tar.",
            )
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in __exit__
        # The file name is given as standard input, so that no name can be read as an option.
        with open(self._path, "rb") as source:
            self._age = subprocess.Popen(
                [command, "-d", "-i", self._options.identity],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        return self._until_age_agrees(self._age.stdout)

    def _until_age_agrees(self, stream: Any) -> Iterator[Member]:
        """age hands out what it has authenticated so far: a bad end shows only in its exit code."""
        yield from tar_members(stream)
        self._ask_age()

    def _ask_age(self) -> None:
        if self._age is None or self._age.stdout is None:
            return
        self._age.stdout.close()
        # A broken pipe (-13) is our own doing, when a check stopped the reading.
        if self._age.wait() not in (0, -13):
            raise Refused(
                "decryption",
                "age could not decrypt the package: it is damaged, or not meant for this key.",
            )

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        try:
            if isinstance(error, Refused) and error.check != "decryption":
                self._ask_age()  # an archive that is cut off is often age's refusal
        finally:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._age is not None:
            if self._age.stdout is not None:
                self._age.stdout.close()
            if self._age.poll() is None:
                self._age.kill()
            self._age.wait()
        if self._errors is not None:
            self._errors.close()


def _check_sha256_file(path: str, report: Report) -> None:
    """The line that came along with the encrypted file, if it did."""
    if not os.path.isfile(f"{path}.sha256"):
        return
    with open(f"{path}.sha256", "rb") as stream:
        line = stream.read(4096)
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    # Exactly this line: sha256sum -c would be content with one that names another file.
    if line != f"{digest.hexdigest()}  {os.path.basename(path)}\n".encode():
        raise Refused("transport", "The file is not the one its .sha256 line describes.")
    report.add("transport", GREEN, "The file is the one its .sha256 line describes.")


def _check_structure(content: Content, report: Report) -> dict[str, str]:
    """Bag declaration, closed list of files, Payload-Oxum; gives bag-info back."""
    for path in (*TAG_FILES, *REQUIRED):
        if path not in content.files:
            raise Refused("files", f"{path} is missing.")
    wanted = {"/".join(p.split("/")[:n]) for p in content.files for n in range(1, p.count("/") + 1)}
    for folder in content.folders:
        if folder not in wanted and folder != "signatures":
            raise Refused("files", f"The folder {_shown(folder)} is empty or does not belong.")
    if content.kept["bagit.txt"] != (b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"):
        raise Refused("files", "bagit.txt does not declare BagIt 1.0.")
    pairs = headers(content.kept["bag-info.txt"])
    info: dict[str, str] = {}
    for label, value in pairs:
        if label in info and label != "Recipient-Key":
            raise Refused("bag-info", f"bag-info.txt says {label} twice.")
        info[label] = value
    for label in (
        "Source-Organization",
        "External-Identifier",
        "Recipient",
        "Legal-Basis",
        "Bagging-Date",
        "Bagging-Time",
        "Payload-Oxum",
    ):
        if not info.get(label):
            raise Refused("bag-info", f"bag-info.txt does not say {label}.")
    payload = {path: found for path, found in content.files.items() if path.startswith("data/")}
    actual = (sum(found.size for found in payload.values()), len(payload))
    if stated_oxum(content.kept["bag-info.txt"]) != actual:
        raise Refused(
            "size",
            f"The package holds {actual[0]} bytes in {actual[1]} files; "
            f"bag-info.txt says {_shown(info['Payload-Oxum'])}.",
        )
    report.add("files", GREEN, "Every file belongs, and the size is the one stated.")
    return info


def _manifest(content: Content, path: str, length: int) -> dict[str, str]:
    """The lines of a manifest. Any path that could lead out of the package is refused."""
    rows: dict[str, str] = {}
    try:
        text = content.kept[path].decode("ascii")
    except UnicodeDecodeError:
        raise Refused("manifests", f"{path} has a line that no package has.") from None
    for line in text.split("\n")[:-1]:
        match = DIGEST_LINE.fullmatch(line)
        if not match or len(match.group(1)) != length:
            raise Refused("manifests", f"{path} has a line that no package has.")
        name = match.group(2)
        if not all(COMPONENT.fullmatch(part) for part in name.split("/")):
            raise Refused("manifests", f"{path} names {_shown(name)}, outside of the package.")
        if name in rows:
            raise Refused("manifests", f"{path} names {_shown(name)} twice.")
        rows[name] = match.group(1)
    if not text.endswith("\n"):
        raise Refused("manifests", f"{path} is cut off.")
    return rows


def _check_manifests(content: Content, report: Report) -> None:
    payload = {path for path in content.files if path.startswith("data/")}
    tags = {"bag-info.txt", "bagit.txt", "manifest-sha256.txt", "manifest-sha512.txt"}
    for name, length, expected in (
        ("tagmanifest-sha256.txt", 64, tags),
        ("tagmanifest-sha512.txt", 128, tags),
        ("manifest-sha256.txt", 64, payload),
        ("manifest-sha512.txt", 128, payload),
    ):
        rows = _manifest(content, name, length)
        for path in sorted(expected - set(rows)):
            raise Refused("manifests", f"{_shown(path)} is not listed in {name}: it was added.")
        for path in sorted(set(rows) - expected):
            raise Refused("manifests", f"{name} lists {_shown(path)}, which is missing.")
        for path, digest in rows.items():
            found = content.files[path]
            if digest != (found.sha256 if length == 64 else found.sha512):
                raise Refused("manifests", f"{_shown(path)} was changed: {name} differs.")
    report.add("manifests", GREEN, "Every file is listed, and every byte is the one listed.")


def _check_contents(content: Content, *, is_unpacked: bool) -> None:
    """What the sender listed, folders included, in the order of the archive."""
    found = sorted(content.names) if is_unpacked else content.names
    listed = content.kept[CONTENTS].decode("ascii", "replace").split("\n")
    if listed.pop() or (sorted(listed) if is_unpacked else listed) != found:
        raise Refused("files", "The archive does not hold what the sender listed in contents.txt.")


def _check_identity(content: Content, info: dict[str, str], path: str, report: Report) -> None:
    """One package id everywhere: the file given, folder, bag-info, every document that names it."""
    name = info["External-Identifier"]
    match = PACKAGE_ID.fullmatch(name)
    if not match:
        raise Refused("identity", "bag-info.txt does not name a package like ESC-2026-000123-r1.")
    if content.top != name:
        raise Refused(
            "identity", f"The folder is {_shown(content.top)}, but bag-info.txt says {name}."
        )
    if _id_from_name(path) not in ("", name):
        raise Refused(
            "identity", f"The file is named {_id_from_name(path)}, but it holds package {name}."
        )
    for document in NAMING_DOCUMENTS:
        if document in content.kept and _document(content, document).get("package") != name:
            raise Refused("identity", f"{document} belongs to another package than {name}.")
    graph = _document(content, CASE_GRAPH)["@graph"]
    named = [
        node.get("uco-core:name")
        for node in graph
        if node.get("@type") == "case-investigation:Investigation"
    ]
    if named != [name]:
        raise Refused("identity", f"{CASE_GRAPH} belongs to another package than {name}.")
    revision = int(match.group(2))
    replaced = f"{match.group(1)}-r{revision - 1}" if revision > 1 else ""
    if info.get("Supersedes", "") != replaced:
        raise Refused(
            "identity", f"{name} must supersede {replaced or 'nothing'}, bag-info.txt differs."
        )
    if not info["Bagging-Time"].startswith(info["Bagging-Date"]):
        raise Refused("identity", "bag-info.txt states two different dates.")
    report.add("identity", GREEN, f"Folder and documents agree that this is {name}.")


def _document(content: Content, path: str) -> dict[str, Any]:
    try:
        document = json.loads(content.kept[path].decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refused("content", f"{path} is not valid JSON.") from None
    if not isinstance(document, dict):
        raise Refused("content", f"{path} does not have the expected form.")
    return document


def _check_exhibits(content: Content, report: Report) -> None:
    """exhibits.json and data/media describe the same files."""
    listed = set()
    exhibits = _document(content, EXHIBITS)["exhibits"]
    unseen = 0
    for exhibit in exhibits:
        path = exhibit["path"]
        found = content.files.get(path)
        if path in listed or path != f"data/media/{exhibit['id']}.bin" or found is None:
            raise Refused("exhibits", f"Exhibit {_shown(str(exhibit['id']))} has no file.")
        listed.add(path)
        stated = (exhibit["size"], exhibit["sha256"], exhibit["sha512"])
        if stated != (found.size, found.sha256, found.sha512):
            raise Refused("exhibits", f"Exhibit {exhibit['id']} is not the file it describes.")
        if not isinstance(exhibit["viewed_by_a_person"], bool):
            raise Refused("exhibits", f"Exhibit {exhibit['id']} does not say if it was viewed.")
        unseen += not exhibit["viewed_by_a_person"]
    media = {path for path in content.files if path.startswith("data/media/")}
    if media != listed:
        raise Refused("exhibits", "data/media holds a file that no exhibit describes.")
    report.add(
        "exhibits",
        GREEN,
        f"All {len(listed)} exhibits are the files they describe; "
        f"{unseen} of them were not viewed by a person at the sender.",
    )


def _check_recipient(info: dict[str, str], options: Options, report: Report) -> None:
    recipient = info["Recipient"]
    if not options.expect_recipient:
        report.add("recipient", GREEN, f"The package was made for: {_shown(recipient)}.")
        return
    agency, _comma, unit = recipient.partition(", ")
    accepted = {_folded(text) for text in (recipient, agency, unit) if text}
    if _folded(options.expect_recipient) not in accepted:
        raise Refused(
            "recipient", f"The package was made for {_shown(recipient)}, not for the one expected."
        )
    report.add("recipient", GREEN, f"The package was made for {_shown(recipient)}, as expected.")


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _check_registry(content: Content, options: Options, report: Report) -> None:
    """An old revision is a perfectly signed package; only the sender's list can tell."""
    match = PACKAGE_ID.fullmatch(content.top)
    if match is None:
        raise Refused("registry", "The folder does not name a package.")
    if options.registry is None:
        report.add(
            "registry",
            AMBER,
            "It was not checked whether a newer revision exists: no list of issued packages given.",
        )
        return
    if options.registry.get("format") != "escalation-package-registry/1":
        raise Refused("registry", "The list of issued packages has an unknown format.")
    issued = options.registry["packages"]
    newest = 0
    for name in issued:
        other = PACKAGE_ID.fullmatch(name)
        if other and other.group(1) == match.group(1):
            newest = max(newest, int(other.group(2)))
    if newest > int(match.group(2)):
        raise Refused(
            "registry",
            f"{content.top} was replaced by {match.group(1)}-r{newest}. Ask for that one.",
        )
    if content.top not in issued:
        listed_at = _utc_seconds(options.registry["issued_at"])
        bagged_at = _utc_seconds(dict(headers(content.kept["bag-info.txt"]))["Bagging-Time"])
        if listed_at < bagged_at:
            report.add("registry", AMBER, "The list of issued packages is older than the package.")
            return
        raise Refused("registry", f"{content.top} is not in the list of issued packages.")
    digest = content.files["tagmanifest-sha512.txt"].sha512
    if issued[content.top]["tagmanifest_sha512"] != digest:
        raise Refused("registry", f"The {content.top} that was issued has another content.")
    report.add("registry", GREEN, "This is the newest revision that the sender issued.")


# --- Custody -------------------------------------------------------------------------------------


def _check_custody(content: Content, domain: str, options: Options, report: Report) -> None:
    """The chain, its end, and the inclusion proof."""
    lines = _text_lines(content, CUSTODY_LINES)
    hashes = _text_lines(content, CUSTODY_CHAIN)
    proof = _document(content, INCLUSION)
    current = "0" * 64
    for number in range(1, max(len(lines), len(hashes)) + 1):
        if number > len(lines) or number > len(hashes):
            raise Refused("custody", f"The custody log is cut off at line {number}.")
        current = hashlib.sha256(f"{current}\n{lines[number - 1]}".encode()).hexdigest()
        if current != hashes[number - 1]:
            raise Refused("custody", f"Custody line {number} was changed, removed or inserted.")
        entry = json.loads(lines[number - 1])
        if "chain" in entry and entry["chain"] != proof["case"]:
            raise Refused("custody", f"Custody line {number} belongs to another case.")
    if not lines or proof["head"] != current or proof["lines"] != len(lines):
        raise Refused("custody", "The custody log does not end where its proof says.")
    leaf = f"{proof['case']} {proof['head']}"
    if proof["leaf"] != leaf or not _included(leaf, proof):
        raise Refused("custody", "The proof that the custody log is complete does not hold.")
    statement = "custody-tree {} {} {}\n".format(
        proof["tree_size"], proof["root"], proof["tree_built_at"]
    )
    if proof["root_statement"] != statement:
        raise Refused("custody", "The statement about the custody tree contradicts its proof.")
    if "root_signature" in proof:
        _check_signed(
            proof["root_signature"],
            statement.encode(),
            f"custody-root@{domain}",
            _utc_seconds(proof["tree_built_at"]),
            options,
            report,
            "custody-root",
        )
    report.add("custody", GREEN, f"The custody log of {len(lines)} lines is unbroken and complete.")


def _text_lines(content: Content, path: str) -> list[str]:
    text = content.kept[path].decode("utf-8")
    if not text.endswith("\n"):
        raise Refused("custody", f"{path} is cut off.")
    return text.split("\n")[:-1]


def _included(leaf: str, proof: dict[str, Any]) -> bool:
    """RFC 9162, 2.1.3.2."""
    index, last = int(proof["index"]), int(proof["tree_size"]) - 1
    if not 0 <= index <= last:
        return False
    current = hashlib.sha256(b"\x00" + leaf.encode()).digest()
    for value in proof["proof"]:
        sibling = bytes.fromhex(value)
        if last == 0 or len(sibling) != 32:
            return False
        if index & 1 or index == last:
            current = hashlib.sha256(b"\x01" + sibling + current).digest()
            while index and not index & 1:
                index >>= 1
                last >>= 1
        else:
            current = hashlib.sha256(b"\x01" + current + sibling).digest()
        index >>= 1
        last >>= 1
    return last == 0 and current.hex() == proof["root"]


# --- Signature and time --------------------------------------------------------------------------


class AllowedKey(NamedTuple):
    """One line of allowed_signers."""

    principals: str
    key: bytes
    namespaces: str  # empty: any
    valid_after: float | None
    valid_before: float | None


def _check_signature(
    content: Content, info: dict[str, str], options: Options, report: Report
) -> str:
    """The signature over the tag manifest; gives back the sender's domain."""
    if SIGNATURE not in content.kept:
        raise Refused("signature", "The package is not signed. It cannot be told who made it.")
    signed = content.kept["tagmanifest-sha512.txt"]
    armoured = content.kept[SIGNATURE].decode("ascii", "replace")
    namespace = _sshsig(armoured).namespace
    kind, _at, domain = namespace.partition("@")
    if kind != "escalation-package" or not domain:
        raise Refused(
            "signature",
            f"The signature was made for another purpose ({_shown(namespace)}).",
        )
    if info.get("Signature-Namespace", namespace) != namespace:
        raise Refused("signature", "The signature is not in the namespace bag-info.txt names.")
    when = _utc_seconds(info["Bagging-Time"])
    key = _check_signed(armoured, signed, namespace, when, options, report, "signature")
    now = options.now or time.time()
    if when > now + 86400:
        raise Refused("signature", "The package claims to have been made in the future.")
    _check_time(content, key, when, options, report)
    return domain


def _check_signed(
    armoured: str,
    message: bytes,
    namespace: str,
    when: float,
    options: Options,
    report: Report,
    check: str,
) -> AllowedKey:
    """An SSHSIG by an allowed key, in this namespace, at a time when the key was valid."""
    parsed = _sshsig(armoured)
    if parsed.namespace != namespace:
        raise Refused(check, f"The signature was made for {_shown(parsed.namespace)}.")
    domain = namespace.partition("@")[2]
    known = [key for key in allowed_keys(options.allowed_signers) if key.key == parsed.key]
    if not known:
        raise Refused(check, "The signing key is unknown: it is not in allowed_signers.")
    known = [key for key in known if not key.namespaces or _matches(key.namespaces, namespace)]
    if not known:
        raise Refused(check, f"The signing key is not allowed to sign {_shown(namespace)}.")
    known = [key for key in known if _matches(key.principals, f"packages@{domain}")]
    if not known:
        raise Refused(check, f"The signing key does not belong to packages@{_shown(domain)}.")
    then = [key for key in known if _is_valid_at(key, when)]
    if not then:
        raise Refused(check, "The signature was made outside the dates of its key.")
    blob = b"SSHSIG" + b"".join(
        len(part).to_bytes(4, "big") + part
        for part in (
            namespace.encode("utf-8"),
            b"",
            b"sha512",
            hashlib.sha512(message).digest(),
        )
    )
    if not ed25519_verify(parsed.key, blob, parsed.signature):
        raise Refused(check, "The signature does not match: the package was changed after signing.")
    opinion = ""
    if options.use_ssh_keygen:
        opinion = _ask_ssh_keygen(armoured, message, namespace, parsed.key, domain, check)
    now = options.now or time.time()
    if not any(_is_valid_at(key, now) for key in then):
        report.add(
            check,
            AMBER,
            "The signature holds and its key was valid on the stated date, but is not any more.",
        )
    else:
        report.add(check, GREEN, f"Signed by packages@{_shown(domain)}{opinion}.")
    return then[0]


class _Signature(NamedTuple):
    key: bytes
    namespace: str
    signature: bytes


def _sshsig(armoured: str) -> _Signature:
    """Take an SSH signature apart (OpenSSH PROTOCOL.sshsig)."""
    lines = armoured.split("\n")
    if lines[0] != "-----BEGIN SSH SIGNATURE-----" or lines[-2:] != [
        "-----END SSH SIGNATURE-----",
        "",
    ]:
        raise Refused("signature", "The signature file is not an SSH signature.")
    try:
        text = "".join(lines[1:-2])
        blob = base64.b64decode(text, validate=True)
        if base64.b64encode(blob).decode("ascii") != text:  # one signature, one spelling
            raise ValueError
        if lines[1:-2] != [text[start : start + 70] for start in range(0, len(text), 70)]:
            raise ValueError
    except (binascii.Error, ValueError):
        raise Refused("signature", "The signature file is damaged.") from None
    if blob[:10] != b"SSHSIG\0\0\0\1":
        raise Refused("signature", "The signature file has an unknown version.")
    key, namespace, reserved, hash_name, signature = _ssh_strings(blob[10:], 5)
    if reserved or hash_name != b"sha512":
        raise Refused("signature", "The signature was not made with SHA-512.")
    key_kind, raw_key = _ssh_strings(key, 2)
    signature_kind, raw_signature = _ssh_strings(signature, 2)
    if key_kind != b"ssh-ed25519" or signature_kind != b"ssh-ed25519":
        raise Refused("signature", "The signature was not made with an Ed25519 key.")
    return _Signature(raw_key, namespace.decode("utf-8", "replace"), raw_signature)


def _ssh_strings(data: bytes, count: int) -> list[bytes]:
    found = []
    for _ in range(count):
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length:
            raise Refused("signature", "The signature file is cut off.")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    if data:
        raise Refused("signature", "The signature file has bytes after its end.")
    return found


def allowed_keys(text: str) -> list[AllowedKey]:
    """The Ed25519 keys of an allowed_signers file (see ssh-keygen(1)).

    A line with an option that this script does not know is left out, and so is a certificate
    authority: leaving out can only refuse more.
    """
    found = []
    for line in text.splitlines():
        match = re.fullmatch(
            r'\s*(?P<who>"[^"]+"|[^\s#"][^\s"]*)\s+(?:(?P<options>(?:[^\s"]|"[^"]*")+)\s+)?'
            r"ssh-ed25519\s+(?P<key>[A-Za-z0-9+/=]+)(?:\s.*)?",
            line,
        )
        if not match:
            continue
        options: dict[str, str] = {}
        for option in re.findall(r'(?:[^,"]|"[^"]*")+', match.group("options") or ""):
            name, _equals, value = option.partition("=")
            options[name.lower()] = value.strip('"')
        if set(options) - {"namespaces", "valid-after", "valid-before"}:
            continue
        try:
            kind, key = _ssh_strings(base64.b64decode(match.group("key"), validate=True), 2)
            after = _ssh_time(options["valid-after"]) if "valid-after" in options else None
            before = _ssh_time(options["valid-before"]) if "valid-before" in options else None
        except (Refused, ValueError):
            continue
        if kind == b"ssh-ed25519" and len(key) == 32:
            who = match.group("who").strip('"')
            found.append(AllowedKey(who, key, options.get("namespaces", ""), after, before))
    return found


def _ssh_time(text: str) -> float:
    """YYYYMMDD[HHMM[SS]][Z], read as UTC."""
    digits = text.removesuffix("Z")
    formats = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    if len(digits) not in formats or not digits.isdigit():
        raise ValueError(text)
    return float(calendar.timegm(time.strptime(digits, formats[len(digits)])))


def _is_valid_at(key: AllowedKey, moment: float) -> bool:
    return (key.valid_after is None or moment >= key.valid_after) and (
        key.valid_before is None or moment < key.valid_before
    )


def _matches(patterns: str, name: str) -> bool:
    """OpenSSH's pattern lists: commas, * and ?, and ! to exclude."""
    hit = False
    for pattern in patterns.split(","):
        if fnmatch.fnmatchcase(name, pattern.lstrip("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            hit = True
    return hit


def _ask_ssh_keygen(
    armoured: str, message: bytes, namespace: str, key: bytes, domain: str, check: str
) -> str:
    """A second opinion from OpenSSH; both must agree. Names and dates were checked above."""
    command = shutil.which("ssh-keygen")
    if command is None:
        return ""
    principal = f"packages@{domain}"
    encoded = base64.b64encode(
        b"\0\0\0\x0bssh-ed25519" + len(key).to_bytes(4, "big") + key
    ).decode()
    with tempfile.TemporaryDirectory() as folder:
        signers = os.path.join(folder, "allowed_signers")
        signature = os.path.join(folder, "signature")
        with open(signers, "w", encoding="utf-8") as stream:
            stream.write(f"{principal} ssh-ed25519 {encoded}\n")
        with open(signature, "w", encoding="ascii") as stream:
            stream.write(armoured)
        arguments = ["-Y", "verify", "-f", signers, "-I", principal, "-n", namespace]
        result = subprocess.run(
            [command, *arguments, "-s", signature],
            input=message,
            capture_output=True,
            check=False,
        )
    said = (result.stdout + result.stderr).decode("utf-8", "replace")
    if result.returncode == 0:
        return " (ssh-keygen agrees)"
    if "No user exists" in said or "nknown option" in said or "llegal option" in said:
        return " (ssh-keygen could not run here)"
    raise Refused(check, "ssh-keygen does not accept the signature.")


def _check_time(
    content: Content, key: AllowedKey, when: float, options: Options, report: Report
) -> None:
    """The time authority's token over the signature file, by openssl."""
    if TIMESTAMP not in content.kept:
        report.add("time", AMBER, "No trusted time: the date is the sender's own statement.")
        return
    if not _is_one_der_value(content.kept[TIMESTAMP]):
        raise Refused("time", "The trusted time is damaged, or something was added to it.")
    command = shutil.which("openssl")
    if command is None or not options.tsa_ca:
        report.add(
            "time",
            AMBER,
            "The trusted time was not checked: it needs openssl and --tsa-ca.",
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        token, signature = os.path.join(folder, "token"), os.path.join(folder, "signature")
        with open(token, "wb") as stream:
            stream.write(content.kept[TIMESTAMP])
        with open(signature, "wb") as stream:
            stream.write(content.kept[SIGNATURE])
        verified = subprocess.run(
            [command, "ts", "-verify", "-data", signature, "-in", token, "-CAfile", options.tsa_ca],
            capture_output=True,
            check=False,
        )
        text = subprocess.run(
            [command, "ts", "-reply", "-in", token, "-text"], capture_output=True, check=False
        ).stdout.decode("utf-8", "replace")
    if verified.returncode != 0:
        raise Refused("time", "The trusted time does not belong to this package's signature.")
    match = re.search(
        r"^Time stamp: ([A-Z][a-z]{2}) +([0-9]+) ([0-9:]{8})(?:\.[0-9]+)? ([0-9]{4}) GMT",
        text,
        re.MULTILINE,
    )
    if not match:
        raise Refused("time", "The trusted time cannot be read.")
    stamped = float(calendar.timegm(time.strptime(" ".join(match.groups()), "%b %d %H:%M:%S %Y")))
    if not _is_valid_at(key, stamped):
        raise Refused("time", "The trusted time lies outside the dates of the signing key.")
    if stamped < when - 86400:
        raise Refused("time", "The trusted time is older than the package claims to be.")
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(stamped))
    report.add("time", GREEN, f"The signature existed on {moment}, says the time authority.")


def _is_one_der_value(data: bytes) -> bool:
    """Whether this is one ASN.1 sequence from its first byte to its last; openssl ignores a rest."""
    if len(data) < 2 or data[0] != 0x30:
        return False
    if data[1] < 0x80:
        return len(data) == 2 + data[1]
    octets = data[1] & 0x7F
    return 1 <= octets <= 4 and len(data) == 2 + octets + int.from_bytes(
        data[2 : 2 + octets], "big"
    )


def _utc_seconds(text: str) -> float:
    """Seconds since 1970; packages write the fraction of a second where it is known."""
    match = re.fullmatch(r"([0-9T:-]{19})(\.[0-9]{1,9})?Z", text)
    if not match:
        raise ValueError(text)
    whole = calendar.timegm(time.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S"))
    return whole + float(match.group(2) or 0)


# --- Ed25519 (RFC 8032, section 5.1.7), for machines without ssh-keygen --------------------------
# Verification only: nothing secret is handled, so timing does not matter.

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]  # extended coordinates x, y, z, t


def ed25519_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is the holder of `key` (32 bytes) over `message`."""
    if len(key) != 32 or len(signature) != 64:
        return False
    point, commitment = _decompress(key), _decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if point is None or commitment is None or scalar >= _L:
        return False
    if _equal(_times(8, point), (0, 1, 1, 0)):  # a key of small order signs anything
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little")
    expected = _plus(commitment, _times(challenge % _L, point))
    return _equal(_times(scalar, _BASE), expected)


def _plus(a: _Point, b: _Point) -> _Point:
    left = (a[1] - a[0]) * (b[1] - b[0]) % _P
    right = (a[1] + a[0]) * (b[1] + b[0]) % _P
    both = 2 * a[3] * b[3] * _D % _P
    twice = 2 * a[2] * b[2] % _P
    e, f, g, h = right - left, twice - both, twice + both, right + left
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(scalar: int, point: _Point) -> _Point:
    result: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _plus(result, point)
        point = _plus(point, point)
        scalar >>= 1
    return result


def _equal(a: _Point, b: _Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % _P == 0 and (a[1] * b[2] - b[1] * a[2]) % _P == 0


def _decompress(data: bytes) -> _Point | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return (x, y, 1, x * y % _P)


_BASE = _decompress((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little")) or (0, 1, 1, 0)


# --- Unpacking -----------------------------------------------------------------------------------


def _extract(path: str, options: Options, content: Content, report: Report) -> None:
    """Write the files that were verified, and nothing else; compare them again while writing."""
    if report.verdict == RED or os.path.isdir(path):
        return
    os.makedirs(options.extract_to, exist_ok=True)
    top = os.path.join(options.extract_to, content.top)
    try:
        os.mkdir(top, 0o700)
    except FileExistsError:
        raise Refused("unpacking", f"Not unpacked: {_shown(top)} is already there.") from None
    try:
        with _Opened(path, options) as members:
            for member in members:
                inner = member.path.split("/", 1)[1] if "/" in member.path else ""
                if member.is_folder or not inner:
                    continue
                known = content.files.get(inner)
                if known is None or known.size != member.size:
                    raise Refused("unpacking", "The package changed while it was unpacked.")
                target = os.path.join(top, *inner.split("/"))
                os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
                digest = hashlib.sha512()
                with open(target, "xb") as stream:
                    for chunk in member.read():
                        digest.update(chunk)
                        stream.write(chunk)
                if digest.hexdigest() != known.sha512:
                    raise Refused("unpacking", "The package changed while it was unpacked.")
    except BaseException:
        shutil.rmtree(top, ignore_errors=True)
        raise
    report.add("unpacking", GREEN, f"Unpacked to {_shown(top)}.")


# --- Command line --------------------------------------------------------------------------------


def _id_from_name(path: str) -> str:
    match = PACKAGE_ID.match(os.path.basename(os.path.abspath(path)))
    return match.group() if match else ""


def as_text(report: Report) -> str:
    """The report for a terminal."""
    marks = {GREEN: "ok   ", AMBER: "open ", RED: "FAIL "}
    out = io.StringIO()
    out.write(f"{report.verdict.upper()}: {report.summary}\n\n")
    for finding in report.findings:
        out.write(f"  {marks[finding.result]} {finding.check:<13} {finding.sentence}\n")
    return out.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description="Verify an escalation package.",
        epilog="Exit code: 0 green, 3 amber, 2 red.",
    )
    parser.add_argument("package", help="the .tar.age file, the tar, or the unpacked folder")
    parser.add_argument("--allowed-signers", required=True, help="the sender's published keys")
    parser.add_argument("--identity", default="", help="your age key, for a .tar.age file")
    parser.add_argument("--latest-registry", default="", help="the sender's list of packages")
    parser.add_argument(
        "--expect-recipient", default="", help="your agency, as the sender knows it"
    )
    parser.add_argument("--tsa-ca", default="", help="certificates of the time authority")
    parser.add_argument("--extract-to", default="", help="unpack here, unless the answer is red")
    parser.add_argument("--no-ssh-keygen", action="store_true", help="use only the built-in check")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args(arguments)
    try:
        with open(given.allowed_signers, encoding="utf-8") as stream:
            signers = stream.read(1 << 20)
        registry = None
        if given.latest_registry:
            with open(given.latest_registry, encoding="utf-8") as stream:
                registry = json.load(stream)
            if not isinstance(registry, dict):
                raise ValueError("the list of issued packages is not a JSON object")
    except (OSError, ValueError) as error:
        parser.error(f"a file you gave cannot be read: {error}")
    options = Options(
        allowed_signers=signers,
        registry=registry,
        expect_recipient=given.expect_recipient,
        identity=given.identity,
        tsa_ca=given.tsa_ca,
        extract_to=given.extract_to,
        use_ssh_keygen=not given.no_ssh_keygen,
    )
    report = verify(given.package, options)
    if given.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(as_text(report), end="")
    return EXIT_CODES[report.verdict]


if __name__ == "__main__":
    sys.exit(main())
