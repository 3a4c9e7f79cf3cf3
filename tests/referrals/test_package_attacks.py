"""The attacks on a package that stock tools were tried on: who notices which, and that we always do."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pyrage

from referrals import bag, package
from tests.referrals.sealing import (
    AGENCY,
    ID,
    Opened,
    check_tar,
    retag,
    run_script,
    spec,
    tar_of,
)
from tests.referrals.stock_tools import bagit, file_count, sha512sum, ssh_keygen, stock


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
    assert answer.code == 3
    assert set(answer.open_points) == {"time", "registry"}
    assert run_script(folder).code == 3
    assert run_script(tmp_path / "p.tar").code == 3


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
    assert "it was added" in check_tar(retag(attack).sign().tar(), tmp_path).failures["manifests"]


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
