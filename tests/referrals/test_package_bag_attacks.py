"""Bags that the standard accepts and we do not: strangers, wrong names, replays, cut logs."""

from __future__ import annotations

import io
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest

from referrals import package
from referrals.custody import chain
from tests.referrals.sealing import (
    BAGGED_AT,
    DOMAIN,
    ID,
    KEY,
    NAMESPACE,
    STRANGER,
    Opened,
    check_tar,
    entry,
    retag,
    run_script,
    spec,
    tar_of,
    with_entry,
)
from tests.referrals.stock_tools import bagit


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "data/../../x", "data\\x"])
@pytest.mark.parametrize(
    "manifest", ["manifest-sha512.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"]
)
def test_a_manifest_that_points_outside_is_refused(
    name: str, manifest: str, tmp_path: Path
) -> None:
    digest = "0" * (128 if "512" in manifest else 64)
    attack = Opened.of().change(manifest, lambda data: data + f"{digest}  {name}\n".encode())
    answer = check_tar(retag(attack).sign().tar(), tmp_path)
    assert set(answer.failures) == {"manifests"}


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
    answer = check_tar(with_entry(entry(f"{ID}/data/empty", tarfile.DIRTYPE)), tmp_path)
    assert "does not belong" in answer.failures["files"]


def test_a_renamed_folder_is_refused(tmp_path: Path) -> None:
    attack = Opened.of()
    attack.top = "ESC-2026-000999-r1"
    assert "bag-info.txt says" in check_tar(attack.tar(), tmp_path).failures["identity"]


@pytest.mark.parametrize(
    "path",
    [
        "data/metadata/exhibits.json",
        "data/metadata/case.json",
        "data/metadata/reports.json",
        "data/metadata/accounts.json",
        "data/metadata/groups.json",
        "data/legal/basis.json",
    ],
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
    assert answer.code == 3
    assert set(answer.open_points) == {"time"}
    offline = check_tar(tar_of(), tmp_path)
    assert offline.code == 3
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
    assert answer.code == 3
    for bad in (
        KEY.sign(b"custody-tree 1 0 x\n", namespace=f"custody-root@{DOMAIN}"),
        KEY.sign(statement, namespace=NAMESPACE),
        STRANGER.sign(statement, namespace=f"custody-root@{DOMAIN}"),
    ):
        answer = check_tar(tar_of(spec(custody_root_signature=bad)), tmp_path)
        assert "custody-root" in answer.failures
