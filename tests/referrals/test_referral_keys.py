"""The keys of an installation: made once, changed without making old packages look forged."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
from django.core.management import call_command

from referrals import jobs
from tests.referrals import stock_tools
from tests.referrals.desk import Desk


def make(folder: Path) -> None:
    call_command("init_signing", dir=str(folder), stdout=io.StringIO())


def test_secrets_are_readable_by_their_owner_alone_and_kept_on_a_second_run(signing: Path) -> None:
    kept = {path.name: path.read_bytes() for path in signing.iterdir()}
    assert set(kept) == {"signing_key", "allowed_signers", "escrow.agekey", "escrow.recipient"}
    for name in ("signing_key", "escrow.agekey"):
        assert stat.S_IMODE((signing / name).stat().st_mode) == 0o600
    make(signing)
    assert {path.name: path.read_bytes() for path in signing.iterdir()} == kept


def test_the_escrow_identity_can_leave_the_machine(signing: Path) -> None:
    (signing / "escrow.agekey").unlink()
    make(signing)
    assert not (signing / "escrow.agekey").exists()
    assert jobs.escrow_recipient().startswith("age1")


@pytest.mark.django_db
def test_after_a_change_of_the_signing_key_old_and_new_packages_hold(
    desk: Desk, signing: Path, tmp_path: Path, age_command: str
) -> None:
    folders = [tmp_path / name for name in ("old", "new")]
    for number, folder in enumerate(folders):
        folder.mkdir()
        if number:
            (signing / "signing_key").unlink()
            make(signing)
        bag = desk.opened(desk.sealed(), folder, age_command)
        assert stock_tools.ssh_keygen(bag, (signing / "allowed_signers").read_text())
    lines = (signing / "allowed_signers").read_text().splitlines()
    assert len(lines) == 2
    (old,) = [path for path in folders[0].iterdir() if path.is_dir()]
    assert stock_tools.ssh_keygen(old, "\n".join(lines) + "\n")
    assert not stock_tools.ssh_keygen(old, f"{lines[1]}\n")  # The first key signed it.
