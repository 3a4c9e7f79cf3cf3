"""Signatures and time tokens that prove something, but not what they should."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from referrals import bag, package
from tests.referrals.sealing import (
    BAGGED_AT,
    DOMAIN,
    ID,
    NAMESPACE,
    STRANGER,
    Opened,
    check_tar,
    run_script,
    signers,
    spec,
    tar_of,
)
from tests.referrals.stock_tools import ssh_keygen


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
    assert answer.code == 3
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
