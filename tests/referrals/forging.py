"""Forged packages as an agency might be sent them: sealed for its key, with a checksum that fits.

A forger knows the agency's public key, every package that was sent before and all of our published files, and has no
signing key of ours. Each forgery changes a folder that holds a genuine package as an officer keeps it.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
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
)

SEALED = f"{ID}.tar.age"
OTHER = "ESC-2026-000124"
PICTURE = "data/media/EX-0001.bin"
TAGS = "tagmanifest-sha512.txt"
NOTHING = hashlib.sha256(b"").hexdigest()
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

    def forge(folder: Path) -> None:
        info = entry(name, kind, link)
        info.size = len(data) if info.isreg() else 0
        seal(folder, _packed([*_entries(), (info, data)]))

    return forge


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


def _entries() -> list[tuple[tarfile.TarInfo, bytes]]:
    """Every entry of the genuine archive with its bytes."""
    with tarfile.open(fileobj=io.BytesIO(tar_of())) as archive:
        return [
            (member, archive.extractfile(member).read() if member.isfile() else b"")
            for member in archive.getmembers()
        ]


def _packed(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Pack as the builder does, as far as these entries allow, with two zero blocks at the end."""
    tar = raw_tar(entries, form=tarfile.PAX_FORMAT).rstrip(b"\0")
    return tar + bytes(-len(tar) % 512 + 1024)


def _at(entries: list[tuple[tarfile.TarInfo, bytes]], path: str) -> int:
    return [info.name for info, _content in entries].index(f"{ID}/{path}")


def twice(path: str, *, first: bool, name: str = "") -> Forge:
    """A forged copy of a file stands before or behind the genuine one, as that name or another."""

    def forge(folder: Path) -> None:
        entries = _entries()
        place = _at(entries, path)
        planted = copy.copy(entries[place][0])
        planted.name = name or planted.name
        entries.insert(place if first else len(entries), (planted, b"forged\n"))
        seal(folder, _packed(entries))

    return forge


def restated(change: Callable[[tarfile.TarInfo], object], path: str = "") -> Forge:
    """What the headers say of one file, or of everything, is changed, and not one byte of a file."""

    def forge(folder: Path) -> None:
        entries = _entries()
        for info, _content in entries:
            if not path or info.name == f"{ID}/{path}":
                change(info)
        seal(folder, _packed(entries))

    return forge


def behind(rest: Callable[[], bytes]) -> Forge:
    """Something stands behind the end of the genuine archive, where no reader looks."""
    return lambda folder: seal(folder, tar_of() + rest())


def patched(path: str, *places: tuple[int, bytes]) -> Forge:
    """Bytes of one header, or just behind it, are overwritten, and its checksum fits again."""

    def forge(folder: Path) -> None:
        tar = bytearray(tar_of())
        with tarfile.open(fileobj=io.BytesIO(bytes(tar))) as archive:
            member = archive.getmember(f"{ID}/{path}")
        for offset, data in places:
            tar[member.offset + offset : member.offset + offset + len(data)] = data
        header = bytearray(tar[member.offset : member.offset + 512])
        header[148:156] = b" " * 8
        tar[member.offset + 148 : member.offset + 156] = b"%06o\0 " % sum(header)
        seal(folder, bytes(tar))

    return forge


def _text_in_padding(folder: Path) -> None:
    """The bytes that fill a file's last block up are not zero."""
    entries = _entries()
    size = len(entries[_at(entries, PICTURE)][1])
    patched(PICTURE, (512 + size, b"forged note"))(folder)


def _linked_to_its_double(folder: Path) -> None:
    """A file becomes a hard link to a second, unlisted copy of its own bytes."""
    entries = _entries()
    place = _at(entries, PICTURE)
    genuine, content = entries[place]
    double = copy.copy(genuine)
    double.name = f"{ID}/data/media/EX-0000.bin"
    entries[place] = (entry(genuine.name, tarfile.LNKTYPE, double.name), b"")
    entries.insert(place, (double, content))
    seal(folder, _packed(entries))


def edited(path: str, edit: Callable[[bytes], bytes]) -> Forge:
    """A file's bytes are edited, and no manifest knows of it."""
    return lambda folder: seal(folder, Opened.of().change(path, edit).tar())


def _double_line(path: str) -> Forge:
    """A manifest names a file twice."""

    def forge(folder: Path) -> None:
        attack = Opened.of()
        attack.files[path] += attack.files[path].splitlines(keepends=True)[0]
        seal(folder, attack.tar())

    return forge


def _only_sha256(folder: Path) -> None:
    attack = Opened.of()
    for path in ("manifest-sha512.txt", TAGS, bag.SIGNATURE):
        del attack.files[path]
    seal(folder, attack.tar())


def _other_order(folder: Path) -> None:
    entries = _entries()
    place = _at(entries, PICTURE)
    entries.append(entries.pop(place))
    seal(folder, _packed(entries))


def _without_folders(folder: Path) -> None:
    seal(folder, _packed([each for each in _entries() if each[0].isfile()]))


def _sparse(folder: Path) -> None:
    """A PAX header makes a reader unpack the same bytes from a map of holes."""
    entries = _entries()
    info, content = entries[_at(entries, PICTURE)]
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(len(content)),
        "GNU.sparse.numblocks": "1",
        "GNU.sparse.map": f"0,{len(content)}",
    }
    seal(folder, _packed(entries))


def sum_line(line: str) -> Forge:
    """The checksum beside the genuine package says something else."""
    return lambda folder: (folder / f"{SEALED}.sha256").write_text(line)


def _two_sums(folder: Path) -> None:
    with (folder / f"{SEALED}.sha256").open("a") as stream:
        stream.write(f"{NOTHING}  /dev/null\n")


def _pax(**headers: str) -> Callable[[tarfile.TarInfo], object]:
    return lambda info: setattr(info, "pax_headers", headers)


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
    "a checksum that names another file": sum_line(f"{NOTHING}  /dev/null\n"),
    "a checksum of two files": _two_sums,
    "an empty checksum": sum_line(""),
    "a forged file before the genuine one": twice(PICTURE, first=True),
    "a forged file behind the genuine one": twice(PICTURE, first=False),
    "a forged file in other case before the genuine one": twice(
        PICTURE, first=True, name=f"{ID}/data/media/ex-0001.bin"
    ),
    "a forged file with a double slash": twice(
        PICTURE, first=True, name=f"{ID}//data/media/EX-0001.bin"
    ),
    "a forged file through a point": twice(
        PICTURE, first=True, name=f"{ID}/./data/media/EX-0001.bin"
    ),
    "an added empty folder": added(f"{ID}/data/SECRET-DIR", b"", tarfile.DIRTYPE),
    "an added folder of GNU tar": added(f"{ID}/data/SECRET-DIR", b"", b"D"),
    "an archive without its folders": _without_folders,
    "an archive in another order": _other_order,
    "a name with a line break": added(f"{ID}/data/a\n{ID}/data/b"),
    "a name that begins with a hyphen": added(f"{ID}/data/-rf"),
    "a name that ends with a space": added(f"{ID}/data/media/EX-0001.bin "),
    "an added device": added(f"{ID}/data/zero", b"", tarfile.CHRTYPE),
    "an added pipe": added(f"{ID}/data/pipe", b"", tarfile.FIFOTYPE),
    "an added contiguous file": added(f"{ID}/data/evil.txt", b"x", tarfile.CONTTYPE),
    "a label of a volume": added("SECRET-LABEL", b"", b"V"),
    "a file that goes on from another volume": added(f"{ID}/data/evil.txt", b"", b"M"),
    "an entry of a kind that does not exist": added(f"{ID}/data/evil.txt", b"", b"Z"),
    "a hard link in place of a file": _linked_to_its_double,
    "a sparse file": _sparse,
    "a header that says another name": restated(_pax(path=f"{ID}/data/escaped.txt"), PICTURE),
    "a header that says the same name": restated(_pax(path=f"{ID}/{PICTURE}"), PICTURE),
    "a header with a comment": restated(_pax(comment="forged note"), PICTURE),
    "rights of everybody, setuid too": restated(lambda info: setattr(info, "mode", 0o7777)),
    "a file that can be run": restated(lambda info: setattr(info, "mode", 0o755), PICTURE),
    "an owner by number": restated(lambda info: setattr(info, "uid", 501), PICTURE),
    "an owner by name": restated(lambda info: setattr(info, "uname", "forged"), PICTURE),
    "a group by name": restated(lambda info: setattr(info, "gname", "forged"), PICTURE),
    "a file with a date": restated(lambda info: setattr(info, "mtime", 1_700_000_000), PICTURE),
    "text behind a name": patched(PICTURE, (60, b"forged note")),
    "a target of a link in a file's header": patched(PICTURE, (157, b"forged note")),
    "text at the end of a header": patched(PICTURE, (500, b"forged note")),
    "text in the padding of a file": _text_in_padding,
    "a second archive behind the end": behind(
        lambda: raw_tar([(entry(f"{ID}/data/evil.txt"), b"x")])
    ),
    "a whole second package behind the end": behind(lambda: other().tar()),
    "blocks of zeros behind the end": behind(lambda: bytes(10240)),
    "text behind the end": behind(lambda: b"forged note"),
    "a compressed archive": lambda folder: seal(folder, gzip.compress(tar_of())),
    "a compressed archive with a second member": lambda folder: seal(
        folder, gzip.compress(tar_of()) + gzip.compress(b"forged note")
    ),
    "a compressed member behind the end": behind(lambda: gzip.compress(b"forged note")),
    "text behind the signature": edited(bag.SIGNATURE, lambda data: data + b"forged note\n"),
    "a second signature behind the signature": edited(
        bag.SIGNATURE,
        lambda data: data + b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
    ),
    "a line end of the signature in another shape": edited(
        bag.SIGNATURE, lambda data: data[:30] + data[30:].replace(b"\n", b" ", 1)
    ),
    "another byte for the signature's last line end": edited(
        bag.SIGNATURE, lambda data: data[:-1] + b"X"
    ),
    "text before the signature": edited(bag.SIGNATURE, lambda data: b"forged note\n" + data),
    "a manifest with a line twice": _double_line("manifest-sha512.txt"),
    "a list of manifests with a line twice": _double_line("tagmanifest-sha256.txt"),
    "no list of manifests": removed(TAGS),
    "no second list of manifests": removed("tagmanifest-sha256.txt"),
    "no second manifest": removed("manifest-sha256.txt"),
    "manifests of SHA-256 alone": _only_sha256,
    "a token of a time that was never asked for": changed(bag.TIMESTAMP, b"forged note"),
}


ONLY_THE_SCRIPT: dict[str, Forge] = {
    # An owner and a group are written without their zeros, and as many letters stand behind the name.
    "text in the place of a number's zeros": patched(
        PICTURE, (60, b"forged note!"), (108, (b"0" + bytes(7)) * 2)
    ),
    "a date within 1970": restated(lambda info: setattr(info, "mtime", 86_400), PICTURE),
}
"""Changes that the recipe cannot see; not a byte of a file is another (`docs/legal.md` says so)."""


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
