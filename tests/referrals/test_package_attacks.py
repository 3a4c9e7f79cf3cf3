"""Every attack on a package that the verifier must refuse, and the stock tool that notices it too."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from referrals import bag, package
from referrals.custody import chain
from referrals.sshsig import SigningKey
from referrals.verifier import verify_package as verifier
from tests.referrals.sealing import (
    AGENCY,
    BAGGED_AT,
    DOMAIN,
    ID,
    KEY,
    NAMESPACE,
    PRINCIPAL,
    STRANGER,
    Opened,
    check_tar,
    raw_tar,
    run_script,
    signers,
    spec,
    tar_of,
    with_entry,
)


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


# --- A genuine package ---------------------------------------------------------------------------


def test_a_genuine_package_passes_every_stock_tool_and_our_script(
    tmp_path: Path, age_command: str
) -> None:
    built = package.build_package(spec(), tmp_path / f"{ID}.tar.age")
    key = tmp_path / "agency.key"
    key.write_text(f"{AGENCY}\n")
    sealed = tmp_path / built.file_name

    subprocess.run(
        [age_command, "-d", "-i", str(key), "-o", "p.tar", str(sealed)], cwd=tmp_path, check=True
    )
    subprocess.run(["tar", "-xf", "p.tar"], cwd=tmp_path, check=True)
    folder = tmp_path / ID
    assert sha512sum(folder)
    assert bagit(folder)
    assert ssh_keygen(folder)
    assert file_count(folder)

    answer = run_script(
        sealed, "--identity", str(key), "--expect-recipient", "example state police"
    )
    assert answer.code == 1
    assert set(answer.open_points) == {"time", "registry"}
    assert run_script(folder).code == 1
    assert run_script(tmp_path / "p.tar").code == 1


def test_the_recipe_in_the_readme_works_as_printed(tmp_path: Path, age_command: str) -> None:
    package.build_package(spec(), tmp_path / f"{ID}.tar.age")
    (tmp_path / "our-agency.key").write_text(f"{AGENCY}\n")
    (tmp_path / "allowed_signers").write_text(signers())
    readme = Opened.of().files["data/README.txt"].decode()
    block = readme.split('write "shasum -a 256" and "shasum -a 512"):\n\n')[1].split("\n\n")[0]
    lines = [line.strip() for line in block.splitlines()]
    assert len(lines) == 5
    subprocess.run(
        ["bash", "-c", "set -e\n" + "\n".join(lines)],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env={"PATH": f"{Path(age_command).parent}:/usr/local/bin:/usr/bin:/bin"},
    )


# --- The first list: attacks that were tried with stock tools --------------------------------------


def test_one_flipped_bit_of_the_ciphertext_is_refused(tmp_path: Path, age_command: str) -> None:
    package.build_package(spec(), tmp_path / f"{ID}.tar.age")
    sealed, key = tmp_path / f"{ID}.tar.age", tmp_path / "agency.key"
    key.write_text(f"{AGENCY}\n")
    data = bytearray(sealed.read_bytes())
    data[len(data) // 2] ^= 1
    sealed.write_bytes(data)

    assert not stock(tmp_path, age_command, "-d", "-i", str(key), "-o", "x", str(sealed))
    assert "transport" in run_script(sealed, "--identity", str(key)).failures
    (tmp_path / f"{ID}.tar.age.sha256").unlink()
    assert "decryption" in run_script(sealed, "--identity", str(key)).failures


def test_the_last_chunk_cut_off_the_ciphertext_is_refused(tmp_path: Path, age_command: str) -> None:
    package.build_package(spec(), tmp_path / f"{ID}.tar.age")
    sealed, key = tmp_path / f"{ID}.tar.age", tmp_path / "agency.key"
    key.write_text(f"{AGENCY}\n")
    (tmp_path / f"{ID}.tar.age.sha256").unlink()
    sealed.write_bytes(sealed.read_bytes()[:-1])

    assert not stock(tmp_path, age_command, "-d", "-i", str(key), "-o", "x", str(sealed))
    assert "decryption" in run_script(sealed, "--identity", str(key)).failures


def test_a_strangers_key_opens_nothing(tmp_path: Path, age_command: str) -> None:
    package.build_package(spec(), tmp_path / f"{ID}.tar.age")
    sealed, key = tmp_path / f"{ID}.tar.age", tmp_path / "stranger.key"
    key.write_text(f"{pyrage.x25519.Identity.generate()}\n")

    assert not stock(tmp_path, age_command, "-d", "-i", str(key), "-o", "x", str(sealed))
    assert "decryption" in run_script(sealed, "--identity", str(key)).failures
    assert "decryption" in run_script(sealed).failures


def test_one_flipped_byte_of_an_exhibit_is_refused(tmp_path: Path) -> None:
    attack = Opened.of().change("data/media/EX-0001.bin", lambda data: data[:-1] + b"X")
    path = attack.write(tmp_path)

    assert not sha512sum(tmp_path / ID)
    assert not bagit(tmp_path / ID)
    assert "EX-0001.bin was changed" in run_script(path).failures["manifests"]


def test_a_removed_exhibit_is_refused(tmp_path: Path) -> None:
    attack = Opened.of()
    del attack.files["data/media/EX-0002.bin"]
    path = attack.write(tmp_path)

    assert not sha512sum(tmp_path / ID)
    assert not bagit(tmp_path / ID)
    assert run_script(path).code == 2


def test_a_swapped_exhibit_with_rebuilt_manifests_fails_the_signature_alone(
    tmp_path: Path,
) -> None:
    attack = Opened.of()
    other = b"another picture altogether"
    attack.change("data/media/EX-0001.bin", lambda _data: other)

    def relabel(document: dict) -> None:
        document["exhibits"][0] |= {
            "size": len(other),
            "sha256": hashlib.sha256(other).hexdigest(),
            "sha512": hashlib.sha512(other).hexdigest(),
        }

    path = attack.edit_json("data/metadata/exhibits.json", relabel).remanifest().write(tmp_path)

    assert sha512sum(tmp_path / ID)
    assert bagit(tmp_path / ID)
    assert not ssh_keygen(tmp_path / ID)
    assert "does not match" in run_script(path).failures["signature"]
    assert "does not match" in run_script(path, "--no-ssh-keygen").failures["signature"]


def test_a_planted_file_is_refused_although_sha512sum_does_not_notice(tmp_path: Path) -> None:
    attack = Opened.of()
    attack.files["data/media/EX-0003.bin"] = b""
    path = attack.write(tmp_path)

    assert sha512sum(tmp_path / ID)
    assert not bagit(tmp_path / ID)
    assert not file_count(tmp_path / ID)
    assert run_script(path).code == 2
    assert run_script(tmp_path / ID).code == 2


def test_a_planted_file_that_the_oxum_counts_is_refused_by_the_manifests(tmp_path: Path) -> None:
    attack = Opened.of()
    manifests = {name: data for name, data in attack.files.items() if name.startswith("manifest")}
    attack.files["data/media/EX-0003.bin"] = b"planted"
    attack.remanifest()
    attack.files |= manifests
    assert "it was added" in check_tar(_retag(attack).sign().tar(), tmp_path).failures["manifests"]


def test_an_edited_custody_line_is_refused_by_the_chain(tmp_path: Path) -> None:
    attack = Opened.of().change(
        "data/custody/audit.jsonl",
        lambda data: data.replace(b'"seq": 3', b'"seq": 3, "event": "forged"', 1),
    )
    answer = check_tar(attack.remanifest().sign().tar(), tmp_path)
    assert answer.failures == {"custody": "Custody line 3 was changed, removed or inserted."}


def test_a_bag_addressed_to_another_agency_is_refused(tmp_path: Path) -> None:
    attack = Opened.of().change(
        "bag-info.txt", lambda data: data.replace(b"Example State Police", b"Another Agency")
    )
    path = attack.write(tmp_path)
    assert not sha512sum(tmp_path / ID)
    assert not bagit(tmp_path / ID)
    assert "bag-info.txt was changed" in run_script(path).failures["manifests"]

    rebuilt = tmp_path / "rebuilt"
    rebuilt.mkdir()
    path = attack.remanifest().write(rebuilt)
    assert sha512sum(rebuilt / ID)
    assert not ssh_keygen(rebuilt / ID)
    assert "signature" in run_script(path).failures


def test_a_package_made_for_somebody_else_is_refused(tmp_path: Path) -> None:
    answer = check_tar(tar_of(), tmp_path, "--expect-recipient", "Another Agency")
    assert "made for Example State Police, Unit 4" in answer.failures["recipient"]


def test_no_signature_is_red_although_bagit_says_valid(tmp_path: Path) -> None:
    attack = Opened.of()
    del attack.files[bag.SIGNATURE]
    path = attack.write(tmp_path)

    assert bagit(tmp_path / ID)
    assert sha512sum(tmp_path / ID)
    assert not ssh_keygen(tmp_path / ID)
    assert "not signed" in run_script(path).failures["signature"]


# --- The second list: the archive ------------------------------------------------------------------


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "name",
    [
        f"{ID}/../escaped.txt",
        f"{ID}/data/../../escaped.txt",
        "/etc/escaped.txt",
        "../escaped.txt",
        f"{ID}/data//x.txt",
        f"{ID}/data/./x.txt",
        f"{ID}/data/a\\..\\b.txt",
        f"{ID}/data/C:x.txt",
        f"{ID}/data/.hidden",
        f"{ID}/data/naïve.txt",
        f"{ID}/data/space name.txt",
        f"{ID}/data/\u202etxt.exe",
        f"{ID}/data/line\nbreak",
    ],
)
def test_an_entry_with_a_dangerous_name_is_refused(name: str, tmp_path: Path) -> None:
    answer = check_tar(with_entry(_entry(name), b"x"), tmp_path)
    assert set(answer.failures) == {"names"}
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (b"S", "an unknown kind"),
        (b"7", "an unknown kind"),
    ],
)
def test_links_devices_and_pipes_are_refused(kind: bytes, said: str, tmp_path: Path) -> None:
    entry = _entry(f"{ID}/data/media/EX-0009.bin", kind, "/etc/passwd")
    assert said in check_tar(with_entry(entry), tmp_path).failures["archive"]


def test_a_link_in_an_unpacked_package_is_refused(tmp_path: Path) -> None:
    Opened.of().write(tmp_path)
    target = tmp_path / ID / "data" / "media" / "EX-0002.bin"
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    assert "link or device" in run_script(tmp_path / ID).failures["archive"]


@pytest.mark.parametrize("name", [f"{ID}/data/README.txt", f"{ID}/data/readme.TXT", f"{ID}/DATA/x"])
def test_duplicate_and_case_colliding_names_are_refused(name: str, tmp_path: Path) -> None:
    answer = check_tar(with_entry(_entry(name), b"x"), tmp_path)
    assert answer.code == 2
    assert set(answer.failures) <= {"names", "files"}


def test_a_second_top_folder_is_refused(tmp_path: Path) -> None:
    answer = check_tar(with_entry(_entry("ESC-2026-000124-r1/data/x.txt"), b"x"), tmp_path)
    assert "more than one top folder" in answer.failures["names"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_huge_path_name_is_refused(form: int, tmp_path: Path) -> None:
    data = raw_tar([(_entry(f"{ID}/data/" + "a/" * 5000 + "b"), b"x")], form=form)
    assert check_tar(data, tmp_path).code == 2


def test_an_extended_header_of_gigabytes_is_refused_without_reading_it() -> None:
    header = _entry("pax", tarfile.XHDTYPE)
    header.size = 7 << 30
    stream = _Counting(header.tobuf(tarfile.USTAR_FORMAT), filler=7 << 30)
    with pytest.raises(verifier.Refused, match="extended header"):
        list(verifier.tar_members(stream))
    assert stream.served <= 4096


@pytest.mark.parametrize(
    "wrap",
    [
        gzip.compress,
        lambda data: _zip(data),  # noqa: PLW0108 -- defined below
        lambda data: b"",
        lambda data: b"\0" * 20000,
        lambda data: data[: len(data) // 2],
        lambda data: data + b"hidden after the end",
        lambda data: data + bytes(4 << 20),
    ],
    ids=["gzip", "zip", "empty", "zeros", "cut", "trailing", "padding without end"],
)
def test_anything_but_one_plain_tar_is_refused(
    wrap: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    assert check_tar(wrap(tar_of()), tmp_path).code == 2


def _zip(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p.tar", data)
    return out.getvalue()


class _Counting(io.RawIOBase):
    """A stream that ends in zeros and counts what was taken from it."""

    def __init__(self, data: bytes, *, filler: int) -> None:
        self._data, self._filler, self.served = io.BytesIO(data), filler, 0

    def read(self, size: int = -1) -> bytes:
        data = self._data.read(size)
        if not data and self._filler:
            data = bytes(min(size, self._filler))
            self._filler -= len(data)
        self.served += len(data)
        return data


def test_an_archive_beyond_its_payload_oxum_is_stopped_at_the_stated_size() -> None:
    genuine = tar_of()
    end = genuine.index(f"{ID}/data/media/EX-0001.bin".encode())
    bomb = _entry(f"{ID}/data/media/EX-0001.bin")
    bomb.size = 1 << 40
    stream = _Counting(genuine[:end] + bomb.tobuf(tarfile.PAX_FORMAT), filler=1 << 40)
    with pytest.raises(verifier.Refused, match="holds more than bag-info"):
        verifier.Content().read(verifier.tar_members(stream))
    assert stream.served < len(genuine) + (1 << 20)


def test_an_archive_of_endless_entries_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "MOST_ENTRIES", 50)
    data = raw_tar(
        [(_entry(f"{ID}/d{number}", tarfile.DIRTYPE), b"") for number in range(60)], form=2
    )
    with pytest.raises(verifier.Refused, match="more than 50 entries"):
        verifier.Content().read(verifier.tar_members(io.BytesIO(data)))


def test_payload_before_bag_info_is_refused(tmp_path: Path) -> None:
    data = raw_tar([(_entry(f"{ID}/data/x.txt"), b"x")], form=tarfile.PAX_FORMAT)
    assert "begin with bag-info" in check_tar(data, tmp_path).failures["size"]


# --- The second list: the bag ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "data/../../x", "data\\x"])
@pytest.mark.parametrize(
    "manifest", ["manifest-sha512.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"]
)
def test_a_manifest_that_points_outside_is_refused(
    name: str, manifest: str, tmp_path: Path
) -> None:
    digest = "0" * (128 if "512" in manifest else 64)
    attack = Opened.of().change(manifest, lambda data: data + f"{digest}  {name}\n".encode())
    answer = check_tar(_retag(attack).sign().tar(), tmp_path)
    assert set(answer.failures) == {"manifests"}


def _retag(attack: Opened) -> Opened:
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


def test_a_fetch_list_is_refused(tmp_path: Path) -> None:
    attack = Opened.of()
    attack.files["fetch.txt"] = b"https://fetch.example/x 1 data/x\n"
    assert "fetch.txt" in check_tar(attack.tar(), tmp_path).failures["files"]


@pytest.mark.parametrize("path", ["README", "note.txt", "signatures/extra.sig", "meta/x.txt"])
def test_an_unknown_file_outside_of_data_is_refused(path: str, tmp_path: Path) -> None:
    attack = Opened.of()
    attack.files[path] = b"x"
    tar = attack.write(tmp_path)
    assert bagit(tmp_path / ID)  # the standard allows it; we do not
    assert "is not a file that a package has" in run_script(tar).failures["files"]


def test_an_empty_extra_folder_is_refused(tmp_path: Path) -> None:
    answer = check_tar(with_entry(_entry(f"{ID}/data/empty", tarfile.DIRTYPE)), tmp_path)
    assert "does not belong" in answer.failures["files"]


# --- The second list: signature, key and time --------------------------------------------------------


def test_a_signature_for_another_purpose_is_refused(tmp_path: Path) -> None:
    path = Opened.of().sign(namespace=f"file@{DOMAIN}").write(tmp_path)
    assert not ssh_keygen(tmp_path / ID)
    assert "another purpose" in run_script(path).failures["signature"]


def test_a_key_that_may_not_sign_packages_is_refused(tmp_path: Path) -> None:
    path = Opened.of().write(tmp_path)
    text = signers(namespaces=(f"custody-root@{DOMAIN}",))
    assert not ssh_keygen(tmp_path / ID, text)
    assert "not allowed to sign" in run_script(path, signers_text=text).failures["signature"]


def test_a_signature_in_the_namespace_of_another_domain_is_refused(tmp_path: Path) -> None:
    attack = Opened.of().change(
        "bag-info.txt",
        lambda data: data.replace(NAMESPACE.encode(), b"escalation-package@x.example"),
    )
    attack.remanifest().sign(namespace="escalation-package@x.example")
    text = signers(namespaces=("escalation-package@x.example", NAMESPACE))
    answer = check_tar(attack.tar(), tmp_path, signers_text=text)
    assert "does not belong to packages@x.example" in answer.failures["signature"]


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = Opened.of().sign(STRANGER).write(tmp_path)
    assert not ssh_keygen(tmp_path / ID)
    assert "unknown" in run_script(path).failures["signature"]


def test_an_empty_list_of_signers_is_refused(tmp_path: Path) -> None:
    assert "unknown" in check_tar(tar_of(), tmp_path, signers_text="").failures["signature"]


@pytest.mark.parametrize(
    ("first", "last"),
    [(date(2026, 3, 10), None), (date(2025, 1, 1), date(2026, 2, 20))],
    ids=["key not yet valid", "key no longer valid"],
)
def test_a_signature_outside_the_dates_of_its_key_is_refused(
    first: date, last: date | None, tmp_path: Path
) -> None:
    text = signers(valid_after=first, valid_before=last)
    answer = check_tar(tar_of(), tmp_path, signers_text=text)
    assert "outside the dates" in answer.failures["signature"]


def test_a_key_that_has_ended_since_gives_amber(tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    text = signers(
        valid_after=(long_ago - timedelta(days=30)).date(),
        valid_before=(long_ago + timedelta(days=30)).date(),
    )
    made = spec(bagged_at=long_ago)
    answer = check_tar(tar_of(made), tmp_path, signers_text=text)
    assert answer.code == 1
    assert "not any more" in answer.open_points["signature"]


def test_a_package_from_the_future_is_refused(tmp_path: Path) -> None:
    made = spec(bagged_at=datetime.now(UTC) + timedelta(days=30))
    assert "future" in check_tar(tar_of(made), tmp_path).failures["signature"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"\xff" + data,
        lambda data: data.replace(b"BEGIN SSH", b"BEGIN PGP"),
        lambda data: data[: len(data) // 2],
        lambda data: data + data,
        lambda data: data.replace(b"U1NIU0lH", b"AAAAAAAA"),
    ],
    ids=["empty", "prefixed", "pgp", "cut", "twice", "magic"],
)
def test_a_damaged_signature_file_is_refused(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    attack = Opened.of().change(bag.SIGNATURE, damage)
    assert set(check_tar(attack.tar(), tmp_path).failures) == {"signature"}


# --- The second list: identity, replay, custody ------------------------------------------------------


def test_a_renamed_folder_is_refused(tmp_path: Path) -> None:
    attack = Opened.of()
    attack.top = "ESC-2026-000999-r1"
    assert "bag-info.txt says" in check_tar(attack.tar(), tmp_path).failures["identity"]


@pytest.mark.parametrize(
    "path",
    ["data/metadata/exhibits.json", "data/metadata/accounts.json", "data/legal/basis.json"],
)
def test_a_document_of_another_package_is_refused_even_when_signed(
    path: str, tmp_path: Path
) -> None:
    attack = Opened.of().edit_json(path, lambda found: found.update(package="ESC-2026-000124-r1"))
    answer = check_tar(attack.remanifest().sign().tar(), tmp_path)
    assert path in answer.failures["identity"]


def test_a_case_graph_of_another_package_is_refused_even_when_signed(tmp_path: Path) -> None:
    def rename(graph: dict) -> None:
        graph["@graph"][0]["uco-core:name"] = "ESC-2026-000124-r1"

    attack = Opened.of().edit_json("data/metadata/case.jsonld", rename)
    answer = check_tar(attack.remanifest().sign().tar(), tmp_path)
    assert "case.jsonld" in answer.failures["identity"]


def test_a_bag_info_of_another_package_is_refused_even_when_signed(tmp_path: Path) -> None:
    attack = Opened.of().change(
        "bag-info.txt", lambda data: data.replace(ID.encode(), b"ESC-2026-000124-r1")
    )
    assert "identity" in check_tar(attack.remanifest().sign().tar(), tmp_path).failures


def test_exhibits_that_describe_other_files_are_refused_even_when_signed(tmp_path: Path) -> None:
    def swap(document: dict) -> None:
        first, second = document["exhibits"]
        first["id"], second["id"] = second["id"], first["id"]

    attack = Opened.of().edit_json("data/metadata/exhibits.json", swap)
    assert "exhibits" in check_tar(attack.remanifest().sign().tar(), tmp_path).failures


def test_the_first_revision_replayed_after_the_second_is_refused_with_our_list(
    tmp_path: Path,
) -> None:
    first = package.write_package(spec(), io.BytesIO())
    second_spec = spec(revision=2, supersedes=ID)
    second = package.write_package(second_spec, io.BytesIO())
    listed = tmp_path / "registry.json"

    def publish(*built: package.BuiltPackage) -> str:
        issued = [
            package.IssuedPackage(one.package_id, one.tagmanifest_sha512, BAGGED_AT)
            for one in built
        ]
        listed.write_bytes(package.registry(issued, organisation="Harbour", issued_at=BAGGED_AT))
        return str(listed)

    latest = publish(first)
    assert "registry" not in check_tar(tar_of(), tmp_path, "--latest-registry", latest).open_points
    latest = publish(first, second)
    answer = check_tar(tar_of(), tmp_path, "--latest-registry", latest)
    assert "replaced by ESC-2026-000123-r2" in answer.failures["registry"]
    answer = check_tar(tar_of(second_spec), tmp_path, "--latest-registry", latest)
    assert answer.code == 1
    assert set(answer.open_points) == {"time"}
    offline = check_tar(tar_of(), tmp_path)
    assert offline.code == 1
    assert "newer revision" in offline.open_points["registry"]


def test_a_package_that_was_never_issued_is_refused_with_our_list(tmp_path: Path) -> None:
    listed = tmp_path / "registry.json"
    other = package.IssuedPackage("ESC-2026-000001-r1", "0" * 128, BAGGED_AT)
    listed.write_bytes(package.registry([other], organisation="Harbour", issued_at=BAGGED_AT))
    answer = check_tar(tar_of(), tmp_path, "--latest-registry", str(listed))
    assert "not in the list" in answer.failures["registry"]

    same_name = package.IssuedPackage(ID, "0" * 128, BAGGED_AT)
    listed.write_bytes(package.registry([same_name], organisation="Harbour", issued_at=BAGGED_AT))
    answer = check_tar(tar_of(), tmp_path, "--latest-registry", str(listed))
    assert "another content" in answer.failures["registry"]

    before = BAGGED_AT - timedelta(days=1)
    listed.write_bytes(package.registry([other], organisation="Harbour", issued_at=before))
    answer = check_tar(tar_of(), tmp_path, "--latest-registry", str(listed))
    assert "older than the package" in answer.open_points["registry"]


def test_a_custody_log_cut_off_at_the_end_is_refused_even_when_signed(tmp_path: Path) -> None:
    def shorter(data: bytes) -> bytes:
        return b"".join(data.splitlines(keepends=True)[:-1])

    attack = Opened.of().change("data/custody/audit.jsonl", shorter)
    answer = check_tar(attack.remanifest().sign().tar(), tmp_path)
    assert "cut off at line 6" in answer.failures["custody"]

    attack.change("data/custody/audit.chain", shorter)
    answer = check_tar(attack.remanifest().sign().tar(), tmp_path)
    assert "does not end where its proof says" in answer.failures["custody"]

    def cover_up(proof: dict) -> None:
        proof["head"] = list(
            chain(attack.files["data/custody/audit.jsonl"].decode().split("\n")[:-1])
        )[-1]
        proof["lines"] -= 1
        proof["leaf"] = f"{proof['case']} {proof['head']}"

    attack.edit_json("data/custody/inclusion.json", cover_up)
    answer = check_tar(attack.remanifest().sign().tar(), tmp_path)
    assert "proof that the custody log is complete" in answer.failures["custody"]


def test_a_custody_line_of_another_case_is_refused_even_when_signed(tmp_path: Path) -> None:
    attack = Opened.of()
    lines = attack.files["data/custody/audit.jsonl"].decode().split("\n")[:-1]
    lines[2] = lines[2].replace("case:7", "case:8")
    attack.files["data/custody/audit.jsonl"] = "".join(f"{line}\n" for line in lines).encode()
    hashes = "".join(f"{value}\n" for value in chain(lines)).encode()
    attack.files["data/custody/audit.chain"] = hashes
    answer = check_tar(attack.remanifest().sign().tar(), tmp_path)
    assert "Custody line 3 belongs to another case" in answer.failures["custody"]


def test_the_signed_root_of_the_custody_tree_is_checked(tmp_path: Path) -> None:
    from referrals.custody import root_statement

    log = spec().custody
    statement = root_statement(log.inclusion).encode()
    good = KEY.sign(statement, namespace=f"custody-root@{DOMAIN}")
    answer = check_tar(tar_of(spec(custody_root_signature=good)), tmp_path)
    assert answer.code == 1
    for bad in (
        KEY.sign(b"custody-tree 1 0 x\n", namespace=f"custody-root@{DOMAIN}"),
        KEY.sign(statement, namespace=NAMESPACE),
        STRANGER.sign(statement, namespace=f"custody-root@{DOMAIN}"),
    ):
        answer = check_tar(tar_of(spec(custody_root_signature=bad)), tmp_path)
        assert "custody-root" in answer.failures


# --- The trusted time --------------------------------------------------------------------------------


class Authority:
    """A throw-away time authority on this machine, made with openssl."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tsa.cnf").write_text(
            "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN=Test time\n"
            "[v3]\nextendedKeyUsage=critical,timeStamping\nbasicConstraints=CA:TRUE\n"
            "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\ndefault_policy=1.2.3.4\n"
            "digests=sha256,sha512\nsigner_digest=sha256\nsigner_cert=tsa.pem\nsigner_key=tsa.key\n"
            "certs=tsa.pem\nclock_precision_digits=0\n"
        )
        (folder / "serial").write_text("01\n")
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key"),
            *("-out", "tsa.pem", "-days", "30", "-config", "tsa.cnf"),
        )
        self.ca = str(folder / "tsa.pem")

    def __call__(self, data: bytes) -> bytes:
        (self.folder / "data").write_bytes(data)
        self._openssl("ts", "-query", "-data", "data", "-sha512", "-cert", "-out", "query")
        self._openssl(
            *("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply"),
        )
        return (self.folder / "reply").read_bytes()

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "authority"
    folder.mkdir()
    return Authority(folder)


def test_a_package_with_trusted_time_and_our_list_is_green(
    authority: Authority, tmp_path: Path
) -> None:
    made = spec(timestamp=authority)
    built = package.write_package(made, io.BytesIO())
    listed = tmp_path / "registry.json"
    issued = package.IssuedPackage(ID, built.tagmanifest_sha512, BAGGED_AT)
    listed.write_bytes(package.registry([issued], organisation="Harbour", issued_at=BAGGED_AT))
    answer = check_tar(
        *(tar_of(made), tmp_path, "--tsa-ca", authority.ca, "--latest-registry", str(listed))
    )
    assert answer.failures == {}
    assert answer.open_points == {}
    assert answer.code == 0
    unchecked = check_tar(tar_of(made), tmp_path)
    assert "was not checked" in unchecked.open_points["time"]


def test_a_time_token_of_another_package_is_refused(authority: Authority, tmp_path: Path) -> None:
    attack = Opened.of(spec(timestamp=authority))
    attack.files[bag.TIMESTAMP] = authority(b"the signature of another package")
    answer = check_tar(attack.tar(), tmp_path, "--tsa-ca", authority.ca)
    assert "does not belong" in answer.failures["time"]


def test_a_time_token_older_than_the_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(hours=20)
    line = signers().replace('valid-after="20251231"', f'valid-after="{soon:%Y%m%d%H%M}Z"')
    made = spec(bagged_at=soon + timedelta(hours=1), timestamp=authority)
    answer = check_tar(tar_of(made), tmp_path, "--tsa-ca", authority.ca, signers_text=line)
    assert "outside the dates of the signing key" in answer.failures["time"]


# --- Whatever else ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "data/metadata/exhibits.json",
        "data/metadata/case.jsonld",
        "data/custody/inclusion.json",
        "data/custody/audit.jsonl",
        "data/custody/audit.chain",
    ],
)
@pytest.mark.parametrize(
    "content",
    [b"", b"[]\n", b"{}\n", b"null\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"exhibits": 3}\n'],
    ids=["empty", "list", "object", "null", "deep", "not text", "number"],
)
def test_a_malformed_document_is_refused_and_never_a_crash(
    path: str, content: bytes, tmp_path: Path
) -> None:
    attack = Opened.of()
    attack.files[path] = content
    attack.remanifest().sign()
    target = tmp_path / "p.tar"
    target.write_bytes(attack.tar())
    options = verifier.Options(allowed_signers=signers(), use_ssh_keygen=False)
    assert verifier.verify(str(target), options).verdict == verifier.RED


GENUINE = tar_of(spec(exhibits=(), conversations=()))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.integers(0, len(GENUINE) - 1), flip=st.integers(1, 255))
def test_no_single_changed_byte_of_a_package_survives(
    position: int, flip: int, tmp_path: Path
) -> None:
    data = bytearray(GENUINE)
    data[position] ^= flip
    target = tmp_path / "p.tar"
    target.write_bytes(data)
    options = verifier.Options(allowed_signers=signers(), use_ssh_keygen=False)
    assert verifier.verify(str(target), options).verdict == verifier.RED


def test_the_package_that_those_bytes_come_from_is_not_red(tmp_path: Path) -> None:
    target = tmp_path / "p.tar"
    target.write_bytes(GENUINE)
    options = verifier.Options(allowed_signers=signers(), use_ssh_keygen=False)
    assert verifier.verify(str(target), options).verdict == verifier.AMBER


def test_the_verifiers_answer_holds_no_hostile_text(tmp_path: Path) -> None:
    answer = check_tar(with_entry(_entry(f"{ID}/data/\x1b[2J\u202ex"), b"x"), tmp_path)
    assert "\x1b" not in json.dumps(answer.report, ensure_ascii=False)
    assert "\u202e" not in json.dumps(answer.report, ensure_ascii=False)


def test_a_key_of_the_same_name_from_a_stranger_does_not_shadow_ours(tmp_path: Path) -> None:
    both = signers(STRANGER) + signers(KEY)
    assert check_tar(tar_of(), tmp_path, signers_text=both).code == 1
    forged = Opened.of().sign(SigningKey.generate(PRINCIPAL)).tar()
    assert check_tar(forged, tmp_path, signers_text=both).code == 2
