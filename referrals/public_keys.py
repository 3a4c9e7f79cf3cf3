"""Public keys of agencies: which lines are one, and the fingerprint by which people compare them."""

from __future__ import annotations

import hashlib

import pyrage

from core.errors import Invalid

FINGERPRINT_DIGITS = 32
"""Hex digits, 128 bit of a SHA-256: out of reach of a second key made to fit, and short enough to be read out."""


def fingerprint_of(key: str) -> str:
    """Return the fingerprint of a public key: the first 32 hex digits of its SHA-256.

    An SSH key counts without its comment. With stock tools: ``key=$(age-keygen -y key.txt) && printf %s "$key" |
    sha256sum``, or ``key=$(cut -d' ' -f1,2 key.pub) && printf %s "$key" | sha256sum``.
    """
    bare = " ".join(key.split()[:2])
    return hashlib.sha256(bare.encode()).hexdigest()[:FINGERPRINT_DIGITS]


def spoken_digits(said: str) -> str:
    """Return a fingerprint as typed by a person without what groups it, in lower case."""
    return "".join(said.split()).replace("-", "").replace(":", "").lower()


def read_keys(text: str) -> list[str]:
    """Return the public keys in ``text``, one a line. Raises Invalid naming the bad line.

    Accepted are age X25519 keys (``age1…``) and ``ssh-ed25519`` keys. A secret key pasted by mistake
    is refused in its own words and never stored.
    """
    keys, problems = [], []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if _is_secret(line):
            problems.append(
                f"Line {number} is a secret key. Ask the agency for its public key only, and tell "
                "them that this one is no longer secret."
            )
            continue
        if not line or line.startswith("#"):
            continue
        if not _is_public_key(line):
            problems.append(f"Line {number} is not an age (age1…) or ssh-ed25519 public key.")
            continue
        if line not in keys:
            keys.append(line)
    if problems:
        raise Invalid({"keys": problems})
    return keys


def without_secret_keys(text: str) -> str:
    """Return ``text`` as it may be shown again: if a secret key is in it, only the public keys.

    The lines below a private key's first line look like nothing in particular, hence the rest goes too.
    """
    lines = [line.strip() for line in text.splitlines()]
    if not any(_is_secret(line) for line in lines):
        return text
    return "\n".join(line for line in lines if _is_public_key(line))


def _is_secret(line: str) -> bool:
    return any(mark in line.upper() for mark in ("AGE-SECRET-KEY-", "AGE-PLUGIN-", "PRIVATE KEY"))


def _is_public_key(line: str) -> bool:
    kinds = {"age1": pyrage.x25519.Recipient, "ssh-ed25519 ": pyrage.ssh.Recipient}
    kind = next((kind for start, kind in kinds.items() if line.startswith(start)), None)
    if kind is None:
        return False
    try:
        kind.from_str(line)
    except pyrage.RecipientError:
        return False
    return True
