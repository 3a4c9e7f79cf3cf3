"""OpenSSH signatures over files (SSHSIG) with Ed25519, and the keys that make them.

The format is OpenSSH's `PROTOCOL.sshsig`: the signer signs
``"SSHSIG" ‖ string(namespace) ‖ string("") ‖ string("sha512") ‖ string(SHA512(message))``,
where ``string`` is a 32-bit big-endian length followed by the bytes. What this module writes
is accepted by the stock ``ssh-keygen -Y verify``, which ships with Windows, macOS and Linux.

Values in, values out: nothing here reads a file, a clock or a setting.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAGIC = b"SSHSIG"
VERSION = 1
KEY_TYPE = b"ssh-ed25519"
HASH_NAME = b"sha512"
_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_END = "-----END SSH SIGNATURE-----"
_PRINCIPAL = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+")
_NAMESPACE = re.compile(r"[A-Za-z0-9._+@-]{1,200}")


class SignatureRefused(ValueError):
    """A signature or key that this module does not accept; the message says why."""


@dataclass(frozen=True, slots=True)
class ParsedSignature:
    """The fields of one armoured signature, before anything is verified."""

    public_key: bytes  # 32 raw bytes
    namespace: str
    signature: bytes  # 64 raw bytes


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key and the principal (``packages@example.org``) it signs as.

    It is one implementation of `referrals.package.Signer`; a deployment that keeps its key in an
    agent or a hardware module provides another one with the same two fields and `sign`.
    """

    principal: str
    private_key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        _check_principal(self.principal)

    def __repr__(self) -> str:
        return f"SigningKey({self.principal!r})"

    @classmethod
    def generate(cls, principal: str) -> SigningKey:
        """A new random key."""
        return cls(principal, Ed25519PrivateKey.generate())

    @classmethod
    def from_openssh(cls, text: bytes, *, principal: str) -> SigningKey:
        """Read a private key as ``ssh-keygen`` writes it, without a passphrase.

        A key behind a passphrase belongs into an agent or a signing command, since a worker has
        nobody to ask. Raises `SignatureRefused` for anything but a readable Ed25519 key.
        """
        try:
            key = serialization.load_ssh_private_key(text, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SignatureRefused(
                "The signing key is not a readable OpenSSH key without a passphrase."
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SignatureRefused("The signing key must be an Ed25519 key.")
        return cls(principal, key)

    def to_openssh(self) -> bytes:
        """The private key in OpenSSH's format, in clear: store it readable by one account only."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )

    @property
    def public_key(self) -> str:
        """``ssh-ed25519 AAAA…`` without a comment."""
        return (
            self.private_key.public_key()
            .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            .decode("ascii")
        )

    def sign(self, message: bytes, *, namespace: str) -> str:
        """The armoured signature of `message` for `namespace`. Deterministic (RFC 8032)."""
        _check_namespace(namespace)
        raw_key = self.private_key.public_key().public_bytes_raw()
        signature = self.private_key.sign(signed_bytes(message, namespace))
        blob = b"".join(
            (
                MAGIC,
                VERSION.to_bytes(4, "big"),
                _string(_string(KEY_TYPE) + _string(raw_key)),
                _string(namespace.encode("ascii")),
                _string(b""),
                _string(HASH_NAME),
                _string(_string(KEY_TYPE) + _string(signature)),
            )
        )
        text = base64.b64encode(blob).decode("ascii")
        lines = [text[start : start + 70] for start in range(0, len(text), 70)]
        return "\n".join([_BEGIN, *lines, _END, ""])


def armoured_size(namespace: str) -> int:
    """Bytes of an armoured Ed25519 signature for this namespace; all of them are equally long."""
    text = _text_size(namespace)
    return len(_BEGIN) + 1 + text + -(-text // 70) + len(_END) + 1


def armoured_lines(namespace: str) -> tuple[int, int]:
    """Lines of such a signature, and how long its last line of base64 is. Those before it have 70 characters."""
    before, last = divmod(_text_size(namespace) - 1, 70)
    return before + 3, last + 1


def _text_size(namespace: str) -> int:
    blob = 10 + 4 + 51 + 4 + len(namespace) + 4 + 4 + len(HASH_NAME) + 4 + 83
    return -(-blob // 3) * 4


def signed_bytes(message: bytes, namespace: str) -> bytes:
    """The bytes that Ed25519 really signs for this message and namespace."""
    return b"".join(
        (
            MAGIC,
            _string(namespace.encode("ascii")),
            _string(b""),
            _string(HASH_NAME),
            _string(hashlib.sha512(message).digest()),
        )
    )


def parse(armoured: str) -> ParsedSignature:
    """Take an armoured signature apart. Raises `SignatureRefused`."""
    lines = [line.strip() for line in armoured.strip().splitlines()]
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise SignatureRefused("This is not an SSH signature.")
    try:
        blob = base64.b64decode("".join(lines[1:-1]), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureRefused("The signature is not valid base64.") from error
    if blob[:6] != MAGIC or blob[6:10] != VERSION.to_bytes(4, "big"):
        raise SignatureRefused("The signature has an unknown version.")
    key, namespace, reserved, hash_name, signature = _strings(blob[10:], 5)
    if reserved:
        raise SignatureRefused("The signature has an unknown reserved field.")
    if hash_name != HASH_NAME:
        raise SignatureRefused("The signature was not made with SHA-512.")
    raw_key = _typed(key, 32, "key")
    raw_signature = _typed(signature, 64, "signature")
    return ParsedSignature(raw_key, namespace.decode("utf-8", "replace"), raw_signature)


def verify(armoured: str, message: bytes, *, namespace: str, public_key: str) -> None:
    """Raise `SignatureRefused` unless `public_key` signed `message` for `namespace`."""
    parsed = parse(armoured)
    if parsed.namespace != namespace:
        raise SignatureRefused(f"The signature was made for {parsed.namespace!r}.")
    if parsed.public_key != raw_public_key(public_key):
        raise SignatureRefused("The signature was made with another key.")
    try:
        Ed25519PublicKey.from_public_bytes(parsed.public_key).verify(
            parsed.signature, signed_bytes(message, namespace)
        )
    except InvalidSignature as error:
        raise SignatureRefused("The signature does not match the content.") from error


def raw_public_key(line: str) -> bytes:
    """The 32 bytes of an ``ssh-ed25519 AAAA… [comment]`` line. Raises `SignatureRefused`."""
    fields = line.split()
    if len(fields) < 2 or fields[0] != KEY_TYPE.decode():
        raise SignatureRefused("The public key must be an ssh-ed25519 key.")
    try:
        return _typed(base64.b64decode(fields[1], validate=True), 32, "key")
    except (binascii.Error, ValueError) as error:
        raise SignatureRefused("The public key is not readable.") from error


def allowed_signers_line(
    principal: str,
    public_key: str,
    *,
    namespaces: Iterable[str],
    valid_after: date,
    valid_before: date | None = None,
) -> str:
    """One line of an ``allowed_signers`` file (see ssh-keygen(1)), newline included.

    `valid_after` is the first day of use and `valid_before` the last one. OpenSSH reads a date
    without a zone in the verifier's own zone, and only OpenSSH 9.1 and later understand a zone;
    so plain dates are written, widened by one day at both ends: a package signed on the first day
    then verifies everywhere on Earth, with every OpenSSH since 8.7.
    """
    _check_principal(principal)
    names = list(namespaces)
    if not names:
        # Without the option OpenSSH accepts the key for every purpose.
        raise SignatureRefused("A signing key needs at least one namespace.")
    for name in names:
        _check_namespace(name)
    raw_public_key(public_key)
    options = [
        f'namespaces="{",".join(names)}"',
        f'valid-after="{valid_after - timedelta(days=1):%Y%m%d}"',
    ]
    if valid_before is not None:
        if valid_before < valid_after:
            raise SignatureRefused("The last day of a key cannot come before its first day.")
        options.append(f'valid-before="{valid_before + timedelta(days=2):%Y%m%d}"')
    kind, encoded = public_key.split()[:2]
    return f"{principal} {','.join(options)} {kind} {encoded}\n"


def _check_principal(principal: str) -> None:
    if not _PRINCIPAL.fullmatch(principal):
        raise SignatureRefused("A signing principal looks like packages@example.org.")


def _check_namespace(namespace: str) -> None:
    if not _NAMESPACE.fullmatch(namespace):
        raise SignatureRefused("A namespace looks like escalation-package@example.org.")


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _strings(data: bytes, count: int) -> list[bytes]:
    """Exactly `count` length-prefixed strings that fill `data`."""
    found = []
    position = 0
    for _ in range(count):
        length = int.from_bytes(data[position : position + 4], "big")
        position += 4
        if position + length > len(data):
            raise SignatureRefused("The signature is cut off.")
        found.append(data[position : position + length])
        position += length
    if position != len(data):
        raise SignatureRefused("The signature has bytes after its end.")
    return found


def _typed(blob: bytes, length: int, what: str) -> bytes:
    kind, value = _strings(blob, 2)
    if kind != KEY_TYPE or len(value) != length:
        raise SignatureRefused(f"The {what} is not an Ed25519 {what}.")
    return value
