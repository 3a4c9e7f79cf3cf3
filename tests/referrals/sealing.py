"""A synthetic package for tests, and the tools to tamper with it as an attacker would."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage

from referrals import bag, package
from referrals.custody import CustodyLog, chain, prove_inclusion
from referrals.sshsig import SigningKey, allowed_signers_line

SCRIPT = Path(__file__).resolve().parents[2] / "referrals" / "verifier" / "verify_package.py"
DOMAIN = "holdfast.example"
NAMESPACE = f"escalation-package@{DOMAIN}"
PRINCIPAL = f"packages@{DOMAIN}"
BAGGED_AT = datetime(2026, 3, 2, 14, 5, 9, tzinfo=UTC)
ID = "ESC-2026-000123-r1"
CASE = "case:7"
KEY = SigningKey.generate(PRINCIPAL)
STRANGER = SigningKey.generate(PRINCIPAL)
AGENCY = pyrage.x25519.Identity.generate()
ESCROW = pyrage.x25519.Identity.generate()
PICTURE = b"a drawn picture, one\n" * 3000
NOTE = b"a drawn picture, two\n" * 40


def exhibit(number: int, content: bytes, **more: Any) -> package.Exhibit:
    """An exhibit over bytes in memory, with the digests that belong to them."""
    facts: dict[str, Any] = {
        "id": f"EX-{number:04d}",
        "original_name": f"drawing-{number}.png",
        "media_type": "image/png",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "open": lambda: io.BytesIO(content),
    }
    return package.Exhibit(**(facts | more))


def custody(events: int = 6) -> CustodyLog:
    """A custody log whose head stands in a tree of eleven cases."""
    lines = tuple(
        json.dumps({"chain": CASE, "event": "case.opened", "seq": seq}, sort_keys=True)
        for seq in range(1, events + 1)
    )
    heads = [(f"case:{number}", f"{number:064x}") for number in range(10) if number != 7]
    heads.insert(4, (CASE, list(chain(lines))[-1]))
    return CustodyLog(lines, prove_inclusion(heads, CASE, built_at=BAGGED_AT))


def spec(**changes: Any) -> package.PackageSpec:
    """A complete description; `changes` replace whole fields."""
    seen = package.Reveal(
        id="rv-1",
        person="R-17",
        purpose="confirm the match",
        opened_at=BAGGED_AT - timedelta(hours=3),
        served_at=BAGGED_AT - timedelta(hours=3),
        closed_at=BAGGED_AT - timedelta(hours=3) + timedelta(seconds=11.5),
        shown_seconds=11.5,
        painted_ms=11_500,
    )
    facts: dict[str, Any] = {
        "reference": "ESC-2026-000123",
        "revision": 1,
        "organisation": package.Organisation(
            "Harbour Messenger", DOMAIN, "Legal desk", f"desk@{DOMAIN}"
        ),
        "recipient": package.Recipient(
            "Unit 4", "Example State Police", (str(AGENCY.to_public()),), "US"
        ),
        "legal_basis": package.LegalBasis(
            "18 U.S.C. 2258A(a)", drafted_by="L-01", approved_by="L-02", approved_at=BAGGED_AT
        ),
        "bagged_at": BAGGED_AT,
        "case": package.CaseFacts(
            id="C-7",
            category="Suspected abuse imagery",
            severity="4 of 5",
            subject="Account Blue Lantern",
            opened_at=BAGGED_AT - timedelta(days=2),
            decided_at=BAGGED_AT - timedelta(hours=1),
            outcome="Violation confirmed",
            policy="Suspected abuse imagery, version 3",
            decided_by="R-17",
            narrative="Two reports named the profile photo.\n\nA reviewer confirmed the match.",
        ),
        "exhibits": (exhibit(1, PICTURE, reveals=(seen,)), exhibit(2, NOTE)),
        "accounts": (package.Account("acc-1", "suspect", display_name="Blue Lantern"),),
        "reports": (
            package.Report("R-000001", "Members", "User reports", "csam", BAGGED_AT, about="acc-1"),
        ),
        "groups": (package.Group("grp-1", "Lanterns"),),
        "conversations": (
            package.Conversation(
                "cv-1",
                "Direct chat",
                (
                    package.Message(
                        "m-1", "acc-1", BAGGED_AT, "markerword-alpha", ("EX-0002",), True
                    ),
                    package.Message("m-2", "acc-2", BAGGED_AT, '=HYPERLINK("x")'),
                ),
            ),
        ),
        "custody": custody(),
        "signer": KEY,
        "escrow": str(ESCROW.to_public()),
    }
    return package.PackageSpec(**(facts | changes))


def tar_of(description: package.PackageSpec | None = None) -> bytes:
    """The tar of a package, before encryption."""
    return b"".join(package.tar_package(description or spec()))


@dataclass
class Opened:
    """The files of a package, to be changed and packed again."""

    files: dict[str, bytes]
    top: str = ID

    @classmethod
    def of(cls, description: package.PackageSpec | None = None) -> Opened:
        with tarfile.open(fileobj=io.BytesIO(tar_of(description))) as archive:
            members = archive.getmembers()
            files = {
                member.name.split("/", 1)[1]: archive.extractfile(member).read()
                for member in members
                if member.isfile()
            }
            return cls(files, members[0].name)

    def change(self, path: str, edit: Callable[[bytes], bytes]) -> Opened:
        """Replace a file's content by what `edit` makes of it, which must differ."""
        changed = edit(self.files[path])
        assert changed != self.files[path]
        self.files[path] = changed
        return self

    def edit_json(self, path: str, edit: Callable[[Any], None]) -> Opened:
        """Change a JSON document in place."""

        def rewritten(data: bytes) -> bytes:
            document = json.loads(data)
            edit(document)
            return json.dumps(document, indent=2, sort_keys=True).encode()

        return self.change(path, rewritten)

    def remanifest(self) -> Opened:
        """Rebuild Payload-Oxum and every manifest, so that the bag is valid again."""
        manifest = bag.Manifest()
        for path, content in self.files.items():
            if path.startswith("data/"):
                manifest.add_bytes(path, content)
        info = [
            tuple(line.split(": ", 1))
            for line in self.files["bag-info.txt"].decode().splitlines()
            if not line.startswith("Payload-Oxum")
        ]
        self.files |= bag.tag_files(info, manifest)  # type: ignore[arg-type]
        return self

    def sign(self, key: SigningKey = KEY, namespace: str = NAMESPACE) -> Opened:
        """Sign again, as only the holder of the key can."""
        signed = self.files["tagmanifest-sha512.txt"]
        self.files[bag.SIGNATURE] = key.sign(signed, namespace=namespace).encode()
        return self

    def tar(self) -> bytes:
        """Pack as the builder does, whatever the names are."""
        return b"".join(
            bag.tar_stream(
                self.top, [bag.Entry.of_bytes(path, data) for path, data in self.files.items()]
            )
        )

    def write(self, folder: Path) -> Path:
        """Write the tar, and the unpacked package beside it for stock tools; give the tar."""
        path = folder / "p.tar"
        path.write_bytes(self.tar())
        subprocess.run(["tar", "-xf", str(path), "-C", str(folder)], check=True)
        return path


def raw_tar(members: Iterable[tuple[tarfile.TarInfo, bytes]], *, form: int = 1) -> bytes:
    """A tar with exactly these entries, made by the standard library (form 1 is GNU, 2 is PAX)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, content in members:
            info.size = len(content) if info.isreg() else info.size
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def with_entry(info: tarfile.TarInfo, content: bytes = b"") -> bytes:
    """A genuine package with one more entry at the end of its tar."""
    genuine = tar_of().rstrip(b"\0")
    genuine += bytes(-len(genuine) % 512)
    whole = (genuine + raw_tar([(info, content)], form=tarfile.PAX_FORMAT)).rstrip(b"\0")
    return whole + bytes(-len(whole) % 512 + 1024)


def signers(
    key: SigningKey = KEY,
    *,
    namespaces: tuple[str, ...] = (NAMESPACE, f"custody-root@{DOMAIN}"),
    valid_after: date = date(2026, 1, 1),
    valid_before: date | None = None,
) -> str:
    """An allowed_signers file."""
    return allowed_signers_line(
        PRINCIPAL,
        key.public_key,
        namespaces=namespaces,
        valid_after=valid_after,
        valid_before=valid_before,
    )


@dataclass
class Answer:
    """What the officers' script said."""

    code: int
    report: dict[str, Any]

    @property
    def failures(self) -> dict[str, str]:
        return self._sentences("red")

    @property
    def open_points(self) -> dict[str, str]:
        return self._sentences("amber")

    def _sentences(self, result: str) -> dict[str, str]:
        return {
            check["check"]: check["sentence"]
            for check in self.report["checks"]
            if check["result"] == result
        }


def run_script(path: Path, *arguments: str, signers_text: str | None = None) -> Answer:
    """Run the script as an officer does: plain Python, no packages, no project."""
    allowed = path.parent / "allowed_signers"
    allowed.write_text(signers() if signers_text is None else signers_text)
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(path), "--json"]
    result = subprocess.run(
        [*command, "--allowed-signers", str(allowed), *arguments],
        capture_output=True,
        check=False,
        cwd=path.parent,
        text=True,
        timeout=60,
    )
    assert result.stderr == ""
    answer = Answer(result.returncode, json.loads(result.stdout))
    assert {"green": 0, "amber": 3, "red": 2}[answer.report["verdict"]] == answer.code
    return answer


def check_tar(
    data: bytes, folder: Path, *arguments: str, signers_text: str | None = None
) -> Answer:
    """Run the script over the bytes of a tar."""
    path = folder / "checked.tar"
    path.write_bytes(data)
    return run_script(path, *arguments, signers_text=signers_text)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """One entry of a tar."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.mode = bag.DIRECTORY_MODE if kind == tarfile.DIRTYPE else bag.FILE_MODE
    return info


def retag(attack: Opened) -> Opened:
    """Make the tag manifests fit again, keeping what an attacker appended to one of them."""
    tags = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt", "manifest-sha512.txt")
    for name in ("sha256", "sha512"):
        path = f"tagmanifest-{name}.txt"
        kept = [
            line
            for line in attack.files[path].decode().splitlines()
            if line.split("  ")[1] not in tags
        ]
        rows = [f"{hashlib.new(name, attack.files[tag]).hexdigest()}  {tag}" for tag in tags]
        attack.files[path] = "".join(f"{line}\n" for line in [*rows, *kept]).encode()
    return attack
