"""SSHSIG: what we sign, stock ssh-keygen verifies, and the other way round."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referrals import sshsig
from referrals.sshsig import SignatureRefused, SigningKey, allowed_signers_line
from referrals.verifier import verify_package as verifier
from tests.referrals.sealing import KEY, NAMESPACE, PRINCIPAL, STRANGER

# RFC 8032, section 7.1: secret key is not needed; public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def test_stock_ssh_keygen_accepts_our_signature(tmp_path: Path) -> None:
    message = b"tag manifest\n"
    (tmp_path / "sig").write_text(KEY.sign(message, namespace=NAMESPACE))
    line = allowed_signers_line(
        PRINCIPAL, KEY.public_key, namespaces=[NAMESPACE], valid_after=date(2026, 1, 1)
    )
    (tmp_path / "allowed").write_text(line)
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", PRINCIPAL, "-n", NAMESPACE]
    result = subprocess.run(
        [*command, "-s", "sig"], input=message, cwd=tmp_path, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr
    changed = subprocess.run(
        [*command, "-s", "sig"], input=b"other", cwd=tmp_path, capture_output=True, check=False
    )
    assert changed.returncode != 0


def test_we_accept_what_stock_ssh_keygen_signs_with_our_key_file(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY.to_openssh())
    key_file.chmod(0o600)
    (tmp_path / "message").write_bytes(b"hello")
    subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", str(key_file), "-n", NAMESPACE, "message"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    armoured = (tmp_path / "message.sig").read_text()
    sshsig.verify(armoured, b"hello", namespace=NAMESPACE, public_key=KEY.public_key)
    assert armoured == KEY.sign(b"hello", namespace=NAMESPACE)


def test_a_key_survives_its_file() -> None:
    again = SigningKey.from_openssh(KEY.to_openssh(), principal=PRINCIPAL)
    assert again.public_key == KEY.public_key


def test_a_key_behind_a_passphrase_is_refused_with_the_reason(tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret words", "-f", str(tmp_path / "key")],
        check=True,
    )
    for text in ((tmp_path / "key").read_bytes(), b"", b"not a key"):
        with pytest.raises(SignatureRefused, match="without a passphrase"):
            SigningKey.from_openssh(text, principal=PRINCIPAL)


def test_a_private_key_is_never_shown() -> None:
    assert repr(KEY) == f"SigningKey('{PRINCIPAL}')"


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "key")], check=True
    )
    with pytest.raises(SignatureRefused, match="Ed25519"):
        SigningKey.from_openssh((tmp_path / "key").read_bytes(), principal=PRINCIPAL)
    with pytest.raises(SignatureRefused):
        sshsig.raw_public_key((tmp_path / "key.pub").read_text())


def test_another_message_namespace_or_key_is_refused() -> None:
    armoured = KEY.sign(b"message", namespace=NAMESPACE)
    sshsig.verify(armoured, b"message", namespace=NAMESPACE, public_key=KEY.public_key)
    with pytest.raises(SignatureRefused, match="does not match"):
        sshsig.verify(armoured, b"massage", namespace=NAMESPACE, public_key=KEY.public_key)
    with pytest.raises(SignatureRefused, match="made for"):
        sshsig.verify(armoured, b"message", namespace="file", public_key=KEY.public_key)
    with pytest.raises(SignatureRefused, match="another key"):
        sshsig.verify(armoured, b"message", namespace=NAMESPACE, public_key=STRANGER.public_key)


@pytest.mark.parametrize("names", [[], ["with space"], ['quote"'], ["a,b"], ["line\nbreak"], [""]])
def test_an_allowed_signers_line_cannot_be_broken_out_of(names: list[str]) -> None:
    with pytest.raises(SignatureRefused):
        allowed_signers_line(
            PRINCIPAL, KEY.public_key, namespaces=names, valid_after=date(2026, 1, 1)
        )


def test_an_allowed_signers_line_names_purpose_and_dates() -> None:
    line = allowed_signers_line(
        PRINCIPAL,
        f"{KEY.public_key} a comment",
        namespaces=[NAMESPACE, "custody-root@holdfast.example"],
        valid_after=date(2026, 1, 1),
        valid_before=date(2026, 12, 31),
    )
    assert line == (
        f'{PRINCIPAL} namespaces="{NAMESPACE},custody-root@holdfast.example",'
        f'valid-after="20251231",valid-before="20270102" {KEY.public_key}\n'
    )
    with pytest.raises(SignatureRefused, match="last day"):
        allowed_signers_line(
            PRINCIPAL,
            KEY.public_key,
            namespaces=[NAMESPACE],
            valid_after=date(2026, 1, 2),
            valid_before=date(2026, 1, 1),
        )


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_the_built_in_ed25519_agrees_with_rfc_8032(key: str, message: str, signature: str) -> None:
    data = [bytes.fromhex(text) for text in (key, message, signature)]
    assert verifier.ed25519_verify(*data)
    assert not verifier.ed25519_verify(data[0], data[1] + b"x", data[2])
    for position in (0, 31, 32, 63):
        wrong = bytearray(data[2])
        wrong[position] ^= 1
        assert not verifier.ed25519_verify(data[0], data[1], bytes(wrong))


def test_the_built_in_ed25519_refuses_keys_and_signatures_that_prove_nothing() -> None:
    key, message, signature = (bytes.fromhex(text) for text in RFC_8032[1])
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signature[32:], "little") + order
    assert not verifier.ed25519_verify(key, message, signature[:32] + scalar.to_bytes(32, "little"))
    identity = (1).to_bytes(32, "little")
    assert not verifier.ed25519_verify(identity, b"anything", identity + bytes(32))
    assert not verifier.ed25519_verify(b"\xff" * 32, message, signature)
    assert not verifier.ed25519_verify(key[:31], message, signature)


@given(message=st.binary(max_size=300), flip=st.integers(0, 511))
def test_the_built_in_ed25519_agrees_with_the_library(message: bytes, flip: int) -> None:
    raw = sshsig.raw_public_key(KEY.public_key)
    signature = bytearray(KEY.private_key.sign(message))
    assert verifier.ed25519_verify(raw, message, bytes(signature))
    signature[flip // 8] ^= 1 << flip % 8
    assert not verifier.ed25519_verify(raw, message, bytes(signature))


@given(st.text(max_size=400))
def test_any_text_is_refused_as_a_signature(text: str) -> None:
    with pytest.raises(SignatureRefused):
        sshsig.parse(text)
    with pytest.raises(SignatureRefused):
        sshsig.parse(f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n")


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("{who} {key}", 1),
        ('{who} namespaces="a,b" {key}', 1),
        ('"{who},other@x.example" namespaces="a",valid-after="20260101Z" {key} comment', 1),
        ('{who} cert-authority,namespaces="a" {key}', 0),
        ('{who} valid-after="yesterday" {key}', 0),
        ("# {who} {key}", 0),
        ("{who} ssh-rsa AAAA", 0),
        ("{key}", 0),
        ("", 0),
    ],
)
def test_lines_of_allowed_signers_are_read_as_openssh_reads_them(line: str, count: int) -> None:
    text = line.format(who=PRINCIPAL, key=KEY.public_key)
    assert len(verifier.allowed_keys(text)) == count
