"""The officers' script as a program: standard library only, old Pythons, plain answers."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from referrals import package
from referrals.verifier import verify_package as verifier
from tests.referrals.sealing import (
    AGENCY,
    ID,
    SCRIPT,
    Opened,
    check_tar,
    run_script,
    signers,
    spec,
    tar_of,
)

STANDARD = set(sys.stdlib_module_names)


def test_the_script_imports_nothing_but_the_standard_library_and_parses_as_python_3_9() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= STANDARD
    newer = {"UTC", "TaskGroup", "StrEnum", "batched", "ExceptionGroup", "pairwise"}
    assert not newer & {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    strict = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg in {"strict", "slots", "kw_only"}
    ]
    assert not strict


def test_the_script_answers_in_plain_sentences(tmp_path: Path) -> None:
    path = tmp_path / "p.tar"
    path.write_bytes(tar_of())
    (tmp_path / "allowed").write_text(signers())
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(path)]
    done = subprocess.run(
        [*command, "--allowed-signers", str(tmp_path / "allowed")],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 3
    first, _blank, *rest = done.stdout.splitlines()
    assert first == (
        f"AMBER: {ID} is complete, unchanged and signed by the sender. "
        "2 point(s) could not be checked; see below."
    )
    assert all(line.startswith(("  ok ", "  open ")) for line in rest)


def test_the_script_that_is_shipped_verifies_its_own_package(tmp_path: Path) -> None:
    Opened.of().write(tmp_path)
    shipped = tmp_path / ID / "data" / "documentation" / "verify_package.py"
    (tmp_path / "allowed").write_text(signers())
    done = subprocess.run(
        [
            *(sys.executable, "-I", "-S", str(shipped), str(tmp_path / ID), "--json"),
            *("--allowed-signers", str(tmp_path / "allowed")),
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 3
    assert json.loads(done.stdout)["package"] == ID


def test_the_encrypted_file_is_verified_and_unpacked_in_one_step(
    tmp_path: Path, age_command: str
) -> None:
    assert age_command
    package.build_package(spec(), tmp_path / f"{ID}.tar.age")
    key = tmp_path / "agency.key"
    key.write_text(f"{AGENCY}\n")
    out = tmp_path / "out"
    sealed = tmp_path / f"{ID}.tar.age"
    answer = run_script(sealed, "--identity", str(key), "--extract-to", str(out))
    assert answer.code == 3
    files = Opened.of().files
    written = {
        str(path.relative_to(out / ID)): path.read_bytes()
        for path in (out / ID).rglob("*")
        if path.is_file()
    }
    assert written == files
    again = run_script(sealed, "--identity", str(key), "--extract-to", str(out))
    assert "already there" in again.failures["unpacking"]


def test_nothing_is_unpacked_from_a_package_that_is_red(tmp_path: Path) -> None:
    attack = Opened.of().change("data/media/EX-0001.bin", lambda data: data[:-1] + b"X")
    answer = check_tar(attack.tar(), tmp_path, "--extract-to", str(tmp_path / "out"))
    assert answer.code == 2
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_red_and_says_so(tmp_path: Path) -> None:
    answer = run_script(tmp_path / "nothing.tar")
    assert answer.code == 2
    assert "could not be read" in answer.failures["reading"]


def test_files_that_the_officer_gave_and_that_cannot_be_read_are_usage_errors(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.tar"
    path.write_bytes(tar_of())
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "allowed").write_text(signers())
    for arguments in (
        ["--allowed-signers", str(tmp_path / "missing")],
        [
            *("--allowed-signers", str(tmp_path / "allowed")),
            *("--latest-registry", str(tmp_path / "list.json")),
        ],
        [],
    ):
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(SCRIPT), str(path), *arguments],
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text", ["{}", '{"format": "x"}', '{"format": "escalation-package-registry/1"}']
)
def test_a_list_of_packages_of_an_unknown_form_is_refused(text: str, tmp_path: Path) -> None:
    listed = tmp_path / "list.json"
    listed.write_text(text)
    assert check_tar(tar_of(), tmp_path, "--latest-registry", str(listed)).code == 2


@pytest.mark.parametrize(
    "name", ["Example State Police", "UNIT 4", "example  state police, unit 4"]
)
def test_the_expected_recipient_may_be_agency_unit_or_both(name: str, tmp_path: Path) -> None:
    assert check_tar(tar_of(), tmp_path, "--expect-recipient", name).code == 3


def test_without_ssh_keygen_and_age_the_script_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    path = tmp_path / f"{ID}.tar"
    path.write_bytes(tar_of())
    report = verifier.verify(str(path), verifier.Options(allowed_signers=signers()))
    assert report.verdict == verifier.AMBER
    package.build_package(spec(), tmp_path / f"{ID}.tar.age")
    options = verifier.Options(allowed_signers=signers(), identity="key")
    report = verifier.verify(str(tmp_path / f"{ID}.tar.age"), options)
    assert "age command is not installed" in report.failures[0]


def test_a_report_without_any_check_is_red() -> None:
    assert verifier.Report().verdict == verifier.RED


def test_the_clock_of_the_machine_decides_what_amber_says() -> None:
    made = spec()
    options = verifier.Options(
        allowed_signers=signers(valid_before=(made.bagged_at + timedelta(days=30)).date()),
        use_ssh_keygen=False,
        now=(made.bagged_at + timedelta(days=5)).timestamp(),
    )
    content = verifier.Content()
    content.read(verifier.tar_members(io.BytesIO(tar_of(made))))
    report = verifier.Report(content.top)
    info = dict(verifier.headers(content.kept["bag-info.txt"]))
    verifier._check_signature(content, info, options, report)
    assert [finding.result for finding in report.findings] == [verifier.GREEN, verifier.AMBER]
    later = options._replace(now=(made.bagged_at + timedelta(days=90)).timestamp())
    report = verifier.Report(content.top)
    verifier._check_signature(content, info, later, report)
    assert [finding.result for finding in report.findings] == [verifier.AMBER, verifier.AMBER]
