"""A rotated master key: everything sealed before opens with the new key alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import call_command

from accounts.actions.second_factor import matches_code
from accounts.models import User
from core import crypto, vault
from core.audit import SYSTEM
from core.crypto import KeyRingError, Unsealable
from moderation import actions
from moderation.actions.deliveries import secrets_of
from tests.cast import code_for


@pytest.fixture
def own_ring(tmp_path: Path, settings: LazySettings) -> Path:
    """Return a key ring of this test's own, so that other tests keep theirs."""
    settings.HOLDFAST_KEYRING = tmp_path / "masterkeys.json"
    crypto.init_key_ring()
    return tmp_path / "masterkeys.json"


def test_after_rotation_the_new_key_alone_opens_media_codes_and_webhook_secrets(
    own_ring: Path, reviewer: User, settings: LazySettings
) -> None:
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = True
    blob = vault.store_bytes(b"a drawn picture")
    endpoint, secret = actions.create_endpoint(
        name="Platform", url="http://127.0.0.1:9/", verbs=[], actor=SYSTEM
    )
    old = crypto.key_ring().current
    call_command("rotate_master_key")
    ring = json.loads(own_ring.read_text())
    assert ring["current"] != old
    del ring["keys"][old]
    own_ring.write_text(json.dumps(ring))
    with pytest.raises(KeyRingError):
        crypto.key_ring().key(old)

    blob.refresh_from_db()
    endpoint.refresh_from_db()
    assert vault.read(blob, 100) == b"a drawn picture"
    assert secrets_of(endpoint) == [secret]
    assert matches_code(reviewer, code_for(reviewer))


def test_without_resealing_a_removed_key_is_missed(own_ring: Path, settings: LazySettings) -> None:
    """The counterpart: what the rotation does is needed, and its absence is told in words."""
    sealed = crypto.seal(b"secret", "test")
    old = crypto.key_ring().current
    crypto.add_master_key()
    ring = json.loads(own_ring.read_text())
    del ring["keys"][old]
    own_ring.write_text(json.dumps(ring))
    with pytest.raises(Unsealable, match=old):
        crypto.unseal(sealed, "test")
