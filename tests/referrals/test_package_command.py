"""`manage.py verify_package`: the officers' script with our own list of issued packages."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.referrals.sealing import ID, Opened, signers, tar_of


def run(path: Path, *arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    code: object = 0
    try:
        call_command("verify_package", str(path), *arguments, stdout=out)
    except SystemExit as done:
        code = done.code
    assert isinstance(code, int)
    return code, out.getvalue()


@pytest.mark.django_db
def test_a_package_that_this_installation_never_issued_is_red(tmp_path: Path) -> None:
    path, keys = tmp_path / "p.tar", tmp_path / "allowed_signers"
    path.write_bytes(tar_of())
    keys.write_text(signers())
    code, text = run(path, "--allowed-signers", str(keys))
    assert code == 2
    assert f"{ID} is not in the list of issued packages" in text
    code, text = run(path, "--allowed-signers", str(keys), "--json")
    assert code == 2
    red = [check["check"] for check in json.loads(text)["checks"] if check["result"] == "red"]
    assert red == ["registry"]


@pytest.mark.django_db
def test_a_tampered_package_is_red_for_its_own_reason(tmp_path: Path) -> None:
    path, keys = tmp_path / "p.tar", tmp_path / "allowed_signers"
    attack = Opened.of().change("data/media/EX-0001.bin", lambda data: data[:-1] + b"X")
    path.write_bytes(attack.tar())
    keys.write_text(signers())
    code, text = run(path, "--allowed-signers", str(keys))
    assert code == 2
    assert "data/media/EX-0001.bin was changed" in text


def test_missing_keys_are_named_plainly(tmp_path: Path) -> None:
    path = tmp_path / "p.tar"
    path.write_bytes(tar_of())
    with pytest.raises(CommandError, match="signing keys cannot be read") as caught:
        call_command("verify_package", str(path), "--allowed-signers", str(tmp_path / "none"))
    assert caught.value.returncode == 2
