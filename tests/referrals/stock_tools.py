"""The tools that an officer has without us, asked for a yes or a no."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from referrals import bag
from tests.referrals.sealing import NAMESPACE, PRINCIPAL, signers


def stock(folder: Path, *command: str, stdin: bytes | None = None) -> bool:
    """Whether a stock command succeeds inside the unpacked package."""
    return (
        subprocess.run(
            command, cwd=folder, input=stdin, capture_output=True, check=False, timeout=60
        ).returncode
        == 0
    )


def sha512sum(folder: Path) -> bool:
    program = ("sha512sum", "--quiet") if sys.platform != "darwin" else ("shasum", "-a", "512")
    return stock(folder, *program, "-c", "tagmanifest-sha512.txt") and stock(
        folder, *program, "-c", "manifest-sha512.txt"
    )


def bagit(folder: Path) -> bool:
    return stock(folder, sys.executable, "-W", "ignore", "-m", "bagit", "--validate", ".")


def ssh_keygen(folder: Path, signers_text: str | None = None) -> bool:
    allowed = folder.parent / "allowed_signers"
    allowed.write_text(signers() if signers_text is None else signers_text)
    return stock(
        folder,
        *("ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", PRINCIPAL),
        *("-n", NAMESPACE, "-s", bag.SIGNATURE),
        stdin=(folder / "tagmanifest-sha512.txt").read_bytes(),
    )


def file_count(folder: Path) -> bool:
    files = sum(1 for path in (folder / "data").rglob("*") if path.is_file())
    return files == len((folder / "manifest-sha512.txt").read_text().splitlines())
