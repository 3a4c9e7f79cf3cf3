"""The legal desk, its browsers, and the keys that the package worker signs with."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import User
from tests.casework import Casework
from tests.cast import signed_in
from tests.referrals.desk import Desk


@pytest.fixture
def signing(tmp_path: Path, settings: Any) -> Path:
    """Make the signing key, allowed_signers and the escrow key, as an operator does."""
    folder = tmp_path / "keys"
    call_command("init_signing", dir=str(folder), stdout=io.StringIO())
    settings.HOLDFAST_SIGNING_KEY_FILE = str(folder / "signing_key")
    settings.HOLDFAST_ALLOWED_SIGNERS_FILE = str(folder / "allowed_signers")
    settings.HOLDFAST_ESCROW_RECIPIENT_FILE = str(folder / "escrow.recipient")
    return folder


@pytest.fixture
def desk(casework: Casework, reviewer: User, legal: User, legal2: User) -> Desk:
    """Return the legal desk."""
    return Desk(casework, reviewer, legal, legal2)


@pytest.fixture
def author(desk: Desk) -> Client:
    """Return the browser of the colleague who drafts."""
    return signed_in(Client(), desk.author)


@pytest.fixture
def second(desk: Desk) -> Client:
    """Return the browser of the colleague who approves."""
    return signed_in(Client(), desk.second)
