"""API keys as values: made, written, read and hashed. No database.

``hf_<prefix>_<secret>``, of a test key ``hf_test_<prefix>_<secret>``: the prefix names the key in lists and finds its row; the secret is 256 random
bits. Only SHA-256 of the secret is stored. A slow password hash would add nothing: it protects secrets
that people choose and others can guess, and nobody guesses 256 random bits, however fast the hash. It
would cost tens of milliseconds per request instead.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

LAST_USED_EVERY = timedelta(minutes=1)
"""How often it is noted that a key is used: one busy key must not mean a write per request."""

PREFIX_BYTES = 5
SECRET_BYTES = 32
_WRITTEN = re.compile(r"hf_(test_)?([0-9a-f]{10})_([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class WrittenKey:
    """A key as its holder sees it."""

    prefix: str
    secret: str
    is_test: bool = False

    def __str__(self) -> str:
        return f"hf_{'test_' if self.is_test else ''}{self.prefix}_{self.secret}"

    def __repr__(self) -> str:  # A traceback or log that prints it must not give it away.
        return f"WrittenKey({self.prefix}…)"


def new_key(*, is_test: bool = False) -> WrittenKey:
    """Return a fresh random key."""
    prefix, secret = secrets.token_hex(PREFIX_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    return WrittenKey(prefix, secret, is_test)


def read_authorization(header: str) -> WrittenKey | None:
    """Return the key in an ``Authorization`` header, or None if there is none of ours."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "bearer":
        return None
    found = _WRITTEN.fullmatch(rest.strip())
    return WrittenKey(found[2], found[3], bool(found[1])) if found else None


def hash_secret(secret: str) -> str:
    """Return the hex digest that is stored for a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret(secret: str, stored: str) -> bool:
    """Compare a secret with its stored hash in constant time."""
    return hmac.compare_digest(hash_secret(secret), stored)
