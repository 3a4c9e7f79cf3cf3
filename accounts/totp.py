"""The one place that touches allauth's inside: codes of authenticator apps and recovery codes.

allauth keeps the rows (``allauth.mfa.models.Authenticator``) and knows their format, but offers what reads and
writes it only to its own pages, in modules named ``internal``. Holdfast does not mount those pages: a code must be
used up in the transaction that records the sign-in, and a used one must be known by its time step and not by a
cache that may be wiped. So what is needed of those modules is named here and nowhere else (tests/architecture.py);
tests/accounts/test_totp.py fails when an update of the library moves one of them or makes it say something else.
"""

from __future__ import annotations

from allauth.core.internal.cryptokit import compare_user_code, normalize_user_code
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)

__all__ = [
    "TOTP",
    "RecoveryCodes",
    "code_of_step",
    "matching_step",
    "new_secret",
    "normal",
]

STEP_SECONDS = 30
"""RFC 6238 §4.1: the default time step, which every authenticator app uses."""


def new_secret() -> str:
    """Return a new random secret of 160 bits, in base 32 (RFC 4226 §4 asks for 128 at least)."""
    return generate_totp_secret()


def code_of_step(secret: str, step: int) -> str:
    """Return the six digits of a time step, which is the Unix time divided by ``STEP_SECONDS``."""
    return format_hotp_value(hotp_value(secret, step))


def matching_step(secret: str, code: str, *, after: int = -1) -> int | None:
    """Return the time step near now whose code this is, later than ``after``, else None.

    RFC 6238 §5.2: a code must not be accepted a second time; comparing steps does that without a cache
    that could be wiped.
    """
    for step in yield_hotp_counters_from_time():
        if step > after and compare_user_code(actual=code, expected=code_of_step(secret, step)):
            return step
    return None


def normal(code: str) -> str:
    """Return a code without the spaces and dashes that people type, in lower case."""
    return normalize_user_code(code)
