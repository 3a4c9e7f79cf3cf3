"""The key ring and sealing."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from core import crypto


def test_a_sealed_secret_opens_in_its_context_only() -> None:
    sealed = crypto.seal(b"totp secret", "totp:1")
    assert crypto.unseal(sealed, "totp:1") == b"totp secret"
    assert b"totp secret" not in sealed
    with pytest.raises(crypto.Unsealable):
        crypto.unseal(sealed, "totp:2")


def test_a_changed_seal_does_not_open() -> None:
    sealed = crypto.seal(b"secret", "x")
    for position in range(len(sealed)):
        broken = bytearray(sealed)
        broken[position] ^= 1
        with pytest.raises(crypto.Unsealable):
            crypto.unseal(bytes(broken), "x")


def test_the_same_secret_never_seals_to_the_same_bytes() -> None:
    assert crypto.seal(b"secret", "x") != crypto.seal(b"secret", "x")


def test_old_seals_open_after_a_new_key_and_new_ones_use_it() -> None:
    before = crypto.seal(b"secret", "x")
    name = crypto.add_master_key()
    assert crypto.unseal(before, "x") == b"secret"
    assert crypto.sealed_with(crypto.seal(b"secret", "x")) == name != crypto.sealed_with(before)


def test_the_ring_is_private_and_never_overwritten(settings: Any) -> None:
    path = Path(settings.HOLDFAST_KEYRING)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    assert crypto.init_key_ring() is None
    assert path.read_bytes() == before
    for mode in (0o640, 0o660, 0o604, 0o644):
        path.chmod(mode)
        assert not crypto.ring_is_private()


def test_a_group_may_read_what_root_put_there(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As secrets are mounted. The tests may run as root or not: both are told to the function."""
    path = Path(settings.HOLDFAST_KEYRING)
    real = path.stat()

    def owned(by: int, mode: int) -> None:
        fields = list(real)
        fields[0], fields[4] = 0o100000 | mode, by
        monkeypatch.setattr(Path, "stat", lambda self, **_: os.stat_result(fields))

    monkeypatch.setattr(os, "geteuid", lambda: 998)
    for mode, is_private in ((0o440, True), (0o640, True), (0o660, False), (0o444, False)):
        owned(0, mode)
        assert crypto.ring_is_private() is is_private
    owned(998, 0o640)
    assert not crypto.ring_is_private()


def test_keys_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = base64.b64encode(bytes(32)).decode(), base64.b64encode(b"1" * 32).decode()
    monkeypatch.setenv("HOLDFAST_MASTER_KEYS", f"new:{two}, old:{one}")
    assert crypto.key_ring().current == "new"
    assert crypto.sealed_with(crypto.seal(b"s", "x")) == "new"
    with pytest.raises(crypto.KeyRingError, match="HOLDFAST_MASTER_KEYS"):
        crypto.add_master_key()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        json.dumps({"current": "a", "keys": {}}),
        json.dumps({"current": "a", "keys": {"a": "short"}}),
        json.dumps({"current": "a", "keys": {"a": base64.b64encode(b"short").decode()}}),
    ],
)
def test_a_broken_ring_is_refused_in_words(content: str, settings: Any) -> None:
    path = Path(settings.HOLDFAST_KEYRING)
    path.write_text(content)
    with pytest.raises(crypto.KeyRingError, match="key"):
        crypto.key_ring()


def test_a_missing_ring_names_the_command(settings: Any) -> None:
    os.remove(settings.HOLDFAST_KEYRING)  # noqa: PTH107
    with pytest.raises(crypto.KeyRingError, match="init_keys"):
        crypto.seal(b"s", "x")


def test_a_value_sealed_by_a_lost_key_says_which(settings: Any) -> None:
    sealed = crypto.seal(b"secret", "x")
    Path(settings.HOLDFAST_KEYRING).unlink()
    ring = Path(settings.HOLDFAST_KEYRING)
    ring.write_text(
        json.dumps({"current": "k2", "keys": {"k2": base64.b64encode(bytes(32)).decode()}})
    )
    with pytest.raises(crypto.Unsealable, match=crypto.sealed_with(sealed)):
        crypto.unseal(sealed, "x")
