"""Forged packages as an agency might be sent them: sealed for its key, with a checksum that fits.

A forger knows the agency's public key, every package that was sent before and all of our published files, and has no
signing key of ours. Each forgery changes a folder that holds a genuine package as an officer keeps it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyrage

from referrals import bag, package
from referrals.recipe import recipe
from tests.referrals.sealing import (
    AGENCY,
    ID,
    KEY,
    NAMESPACE,
    PRINCIPAL,
    SCRIPT,
    STRANGER,
    Opened,
    entry,
    raw_tar,
    signers,
    spec,
    tar_of,
    with_entry,
)

SEALED = f"{ID}.tar.age"
OTHER = "ESC-2026-000124"
PICTURE = "data/media/EX-0001.bin"
TAGS = "tagmanifest-sha512.txt"
Forge = Callable[[Path], object]


def prepared(folder: Path, description: package.PackageSpec | None = None) -> Path:
    """Fill ``folder`` as an officer would: the package, its checksum, our keys and the agency's."""
    package.build_package(description or spec(), folder / SEALED)
    (folder / "our-agency.key").write_text(f"{AGENCY}\n")
    (folder / "allowed_signers").write_text(signers())
    return folder


def checksum(folder: Path, name: str = SEALED) -> None:
    """Make the checksum beside the package fit."""
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / f"{SEALED}.sha256").write_text(f"{digest}  {SEALED}\n")


def seal(folder: Path, tar: bytes) -> None:
    """Encrypt for the agency, as anybody can who has its public key, and make the checksum anew."""
    (folder / SEALED).write_bytes(pyrage.encrypt(tar, [AGENCY.to_public()]))
    checksum(folder)


def other() -> Opened:
    """Another package that we signed."""
    return Opened.of(spec(reference=OTHER))


def renamed(attack: Opened) -> Opened:
    """Put it into a folder of this package's name."""
    attack.top = ID
    return attack


def changed(path: str, data: bytes = b"forged\n", *, remanifest: bool = False) -> Forge:
    """A file of the package is replaced, or added when there was none."""

    def forge(folder: Path) -> None:
        attack = Opened.of()
        attack.files[path] = data
        seal(folder, (attack.remanifest() if remanifest else attack).tar())

    return forge


def removed(path: str, *, remanifest: bool = False) -> Forge:
    def forge(folder: Path) -> None:
        attack = Opened.of()
        del attack.files[path]
        seal(folder, (attack.remanifest() if remanifest else attack).tar())

    return forge


def added(
    name: str, data: bytes = b"planted\n", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> Forge:
    """One more entry at the end of the genuine archive."""
    return lambda folder: seal(folder, with_entry(entry(name, kind, link), data))


def _signed_by_a_stranger(folder: Path) -> None:
    attack = Opened.of().change(PICTURE, lambda data: data[:-1] + b"X")
    seal(folder, attack.remanifest().sign(STRANGER).tar())


def _own_signers_inside(folder: Path) -> None:
    """A package of a stranger whose archive puts the stranger's key over the officer's file."""
    attack = Opened.of().change(PICTURE, lambda data: data[:-1] + b"X").remanifest().sign(STRANGER)
    bare = attack.tar().rstrip(b"\0")
    theirs = raw_tar([(entry("allowed_signers"), signers(STRANGER).encode())])
    seal(folder, bare + bytes(-len(bare) % 512) + theirs)


def _old_folder_there(folder: Path) -> None:
    """A genuine package was unpacked here before; what is sent now unpacks to somewhere else."""
    (folder / "p.tar").write_bytes(tar_of())
    subprocess.run(["tar", "-xf", "p.tar"], cwd=folder, check=True)
    attack = Opened.of()
    attack.top = "elsewhere"
    seal(folder, attack.tar())


def _signature_of_another(folder: Path) -> None:
    attack = Opened.of()
    attack.files[bag.SIGNATURE] = other().files[bag.SIGNATURE]
    seal(folder, attack.tar())


def _whole_other(folder: Path) -> None:
    seal(folder, other().tar())


def _whole_other_renamed(folder: Path) -> None:
    seal(folder, renamed(other()).tar())


def _signature_bit(folder: Path) -> None:
    attack = Opened.of()
    lines = attack.files[bag.SIGNATURE].split(b"\n")
    lines[2] = lines[2][:10] + (b"A" if lines[2][10:11] != b"A" else b"B") + lines[2][11:]
    attack.files[bag.SIGNATURE] = b"\n".join(lines)
    seal(folder, attack.tar())


def _other_purpose(folder: Path) -> None:
    """A signature of ours that was made for something else."""
    seal(folder, Opened.of().sign(KEY, "audit-anchor@holdfast.example").tar())


def _cut(folder: Path) -> None:
    data = tar_of()
    seal(folder, data[: len(data) // 2])


def _ciphertext_cut(folder: Path) -> None:
    sealed = folder / SEALED
    sealed.write_bytes(sealed.read_bytes()[:-20])
    checksum(folder)


def _checksum_kept(folder: Path) -> None:
    """Changed, and the checksum that came before it is the genuine one."""
    genuine = (folder / f"{SEALED}.sha256").read_bytes()
    changed(PICTURE, remanifest=True)(folder)
    (folder / f"{SEALED}.sha256").write_bytes(genuine)


def _manifest_line_removed(folder: Path) -> None:
    attack = Opened.of()
    del attack.files[PICTURE]
    lines = attack.files["manifest-sha512.txt"].splitlines(keepends=True)
    attack.files["manifest-sha512.txt"] = b"".join(
        line for line in lines if PICTURE.encode() not in line
    )
    seal(folder, attack.tar())


def _signers_of_a_stranger(folder: Path) -> None:
    """Not a forged package: an officer holds other keys than the sender's."""
    (folder / "allowed_signers").write_text(signers(STRANGER))


FORGERIES: dict[str, Forge] = {
    "a stranger's keys in allowed_signers": _signers_of_a_stranger,
    "a replaced file": changed(PICTURE),
    "a replaced file with new manifests": changed(PICTURE, remanifest=True),
    "a replaced file with new manifests and a stranger's signature": _signed_by_a_stranger,
    "a stranger's package that brings its own allowed_signers": _own_signers_inside,
    "a removed file": removed(PICTURE),
    "a removed file with new manifests": removed(PICTURE, remanifest=True),
    "a removed file and its line in the manifest": _manifest_line_removed,
    "an added file": added(f"{ID}/data/media/EX-0099.bin"),
    "an added file with new manifests": changed("data/media/EX-0099.bin", remanifest=True),
    "an added file outside of data": added(f"{ID}/OPEN-ME.txt"),
    "a list of files to fetch": added(f"{ID}/fetch.txt"),
    "an added link": added(f"{ID}/data/media/EX-0099.bin", b"", tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link to the officer's key": added(
        f"{ID}/data/media/EX-0099.bin", b"", tarfile.LNKTYPE, "our-agency.key"
    ),
    "a name that leads out of the folder": added(f"{ID}/data/../../escaped.txt"),
    "an absolute name": added("/tmp/holdfast-escaped.txt"),
    "a name beside the folder": added("escaped.txt"),
    "a changed signature": _signature_bit,
    "no signature": removed(bag.SIGNATURE),
    "a signature for another purpose": _other_purpose,
    "another package's signature": _signature_of_another,
    "another package under this name": _whole_other,
    "another package in a folder of this name": _whole_other_renamed,
    "a folder of another name beside an older one": _old_folder_there,
    "an edited manifest": changed("manifest-sha512.txt"),
    "an edited second manifest": changed("manifest-sha256.txt"),
    "an edited list of manifests": changed(TAGS),
    "an edited second list of manifests": changed("tagmanifest-sha256.txt"),
    "an edited bag-info": changed("bag-info.txt", b"Recipient: Another Agency\n"),
    "half of an archive": _cut,
    "no archive at all": lambda folder: seal(folder, b""),
    "an empty archive": lambda folder: seal(folder, bytes(10240)),
    "a cut ciphertext": _ciphertext_cut,
    "a changed package beside the genuine checksum": _checksum_kept,
}


def steps(*, timestamped: bool = False) -> str:
    """The recipe for the package in the folder."""
    return recipe(ID, principal=PRINCIPAL, namespace=NAMESPACE, timestamped=timestamped)


def followed(
    folder: Path, text: str, *, path: str, shell: str = "sh"
) -> subprocess.CompletedProcess[str]:
    """Run a recipe as a script in ``folder`` with the programs of ``path``."""
    (folder / "VERIFY.txt").write_text(text)
    return subprocess.run(
        [shutil.which(shell) or shell, "VERIFY.txt"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={"PATH": path, "LC_ALL": "C"},
    )


def asked(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run the officers' script over the encrypted file."""
    return subprocess.run(
        [
            *(python, "-I", "-S", str(SCRIPT), SEALED, "--json"),
            *("--allowed-signers", "allowed_signers", "--identity", "our-agency.key"),
        ],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
