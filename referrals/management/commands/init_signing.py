"""Make the keys that seal packages: the signing key, the list of allowed signers, the escrow key."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from referrals.anchoring import namespace
from referrals.package import signature_namespace
from referrals.sshsig import SigningKey, allowed_signers_line


class Command(BaseCommand):
    help = (
        "Create the package signing key, allowed_signers and the escrow key in a folder, keeping any "
        "that exist. To change the signing key, move signing_key away first: the new one gets a line of "
        "its own in allowed_signers. Publish allowed_signers on your site and give it to each agency; "
        "keep the escrow identity (escrow.agekey) off this machine."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dir", default=str(Path(settings.VAR_DIR) / "keys"), help="Folder for the keys."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(options["dir"])
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        principal = f"packages@{settings.HOLDFAST_DOMAIN}"
        key_file = folder / "signing_key"
        if key_file.exists():
            key = SigningKey.from_openssh(key_file.read_bytes(), principal=principal)
        else:
            key = SigningKey.generate(principal)
            _write_private(key_file, key.to_openssh())
        _list_key(folder / "allowed_signers", key)
        recipient_file = folder / "escrow.recipient"
        if not recipient_file.exists():
            identity = pyrage.x25519.Identity.generate()
            _write_private(folder / "escrow.agekey", f"{identity}\n".encode())
            recipient_file.write_text(f"{identity.to_public()}\n")
        self.stdout.write(f"Signing key, allowed_signers and escrow key are in {folder}")


def _list_key(signers: Path, key: SigningKey) -> None:
    """Add the key to the public list, below the older ones: packages they signed still count."""
    listed = signers.read_text() if signers.exists() else ""
    if key.public_key.split()[1] in listed:
        return
    line = allowed_signers_line(
        key.principal,
        key.public_key,
        namespaces=[signature_namespace(settings.HOLDFAST_DOMAIN), namespace()],
        valid_after=datetime.now(UTC).date(),
        valid_before=None,
    )
    partial = signers.with_name(".allowed_signers.part")
    partial.write_text(listed + ("" if not listed or listed.endswith("\n") else "\n") + line)
    partial.replace(signers)


def _write_private(path: Path, data: bytes) -> None:
    """Write a secret that only this account can read, and never half of it."""
    partial = path.with_name(f".{path.name}.part")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
