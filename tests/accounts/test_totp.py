"""What Holdfast takes from the inside of allauth still is there and still says what it said."""

from __future__ import annotations

import base64

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt

from accounts import totp
from accounts.models import User

# RFC 6238 appendix B (SHA-1), the last six of its eight digits.
SECRET = base64.b32encode(b"12345678901234567890").decode()
VECTORS = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}


@pytest.mark.parametrize(("at", "code"), VECTORS.items())
def test_codes_are_those_of_the_standard(at: int, code: str) -> None:
    assert totp.code_of_step(SECRET, at // totp.STEP_SECONDS) == code


def test_a_code_counts_one_step_early_or_late_and_never_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 1234567890.0)
    now = 1234567890 // totp.STEP_SECONDS
    for step in (now - 1, now, now + 1):
        assert totp.matching_step(SECRET, totp.code_of_step(SECRET, step)) == step
    for step in (now - 2, now + 2):
        assert totp.matching_step(SECRET, totp.code_of_step(SECRET, step)) is None
    assert totp.matching_step(SECRET, "005924", after=now) is None
    assert totp.matching_step(SECRET, totp.normal(" 005-924 "), after=now - 1) == now


def test_secrets_are_new_and_long_enough() -> None:
    first, second = totp.new_secret(), totp.new_secret()
    assert first != second
    assert len(base64.b32decode(first)) * 8 >= 128


@pytest.mark.django_db
def test_a_kept_secret_and_recovery_codes_are_rows_with_the_fields_that_are_sealed_again(
    reviewer: User,
) -> None:
    Authenticator.objects.filter(user=reviewer).delete()
    totp.TOTP.activate(reviewer, SECRET)
    codes = totp.RecoveryCodes.activate(reviewer).generate_codes()
    app = Authenticator.objects.get(user=reviewer, type=Authenticator.Type.TOTP)
    recovery = Authenticator.objects.get(user=reviewer, type=Authenticator.Type.RECOVERY_CODES)
    assert decrypt(app.data["secret"]) == SECRET
    assert SECRET not in str(app.data)
    assert {"seed", "used_mask"} <= set(recovery.data)
    assert len(set(codes)) == 10
    kept = totp.RecoveryCodes(recovery)
    assert kept.validate_code(codes[3])
    assert not kept.validate_code(codes[3])
    assert len(kept.get_unused_codes()) == 9
