"""TOTP and recovery codes, kept by allauth's MFA rows with sealed secrets."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt, encrypt
from django.db import transaction
from django.db.models.functions import Now

from accounts import totp
from accounts.actions.locking import lock_person
from accounts.guards import require
from accounts.models import SignIn, User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused

TOTP_DIGITS = 6
WRONG_CODE = "This code does not match. Check the time of your device and take the newest code."


def has_totp(user: User) -> bool:
    """Return whether the person has set up an authenticator app."""
    return _find(user, Authenticator.Type.TOTP) is not None


def recovery_codes_left(user: User) -> int:
    """Return how many unused recovery codes the person has."""
    row = _find(user, Authenticator.Type.RECOVERY_CODES)
    return len(totp.RecoveryCodes(row).get_unused_codes()) if row else 0


def matches_code(user: User, code: str) -> bool:
    """Use up ``code`` if it is right and say so. The caller holds the lock on ``user``'s row."""
    code = totp.normal(code)
    if len(code) == TOTP_DIGITS:
        row = _find(user, Authenticator.Type.TOTP)
        if row is None:
            return False
        counter = totp.matching_step(
            decrypt(row.data["secret"]), code, after=row.data.get("last_counter", -1)
        )
        if counter is None:
            return False
        row.data["last_counter"] = counter
        row.last_used_at = Now()
        row.save(update_fields=["data", "last_used_at"])
        return True
    row = _find(user, Authenticator.Type.RECOVERY_CODES)
    if row is None or not totp.RecoveryCodes(row).validate_code(code):
        return False
    audit.record(
        AuditEvent.RECOVERY_CODE_USED, actor=user, subject=user, left=recovery_codes_left(user)
    )
    return True


@transaction.atomic
def enable_totp(
    user: User, *, secret: str, code: str, actor: User, sign_in: SignIn | None = None
) -> list[str]:
    """Set up (or replace) the authenticator app and return ten new recovery codes, shown once.

    ``code`` proves that the app holds ``secret``; a wrong one raises Invalid. The session ``sign_in``
    counts as verified from here on. Sessions of the person that
    saw no second factor end: whoever opened one with the password alone must not set up another. Can be
    undone by ``reset_second_factor``.
    """
    require(actor, Permission.OWN_ACCOUNT)
    user = lock_person(user)
    counter = totp.matching_step(secret, totp.normal(code))
    if counter is None:
        raise Invalid({"code": [WRONG_CODE]})
    replaced = remove_all(user)
    row = totp.TOTP.activate(user, secret).instance
    row.data["last_counter"] = counter
    row.save(update_fields=["data"])
    codes = totp.RecoveryCodes.activate(user).generate_codes()
    if sign_in is not None:
        SignIn.objects.filter(pk=sign_in.pk, user=user).update(second_factor_at=Now())
    weak = SignIn.objects.filter(user=user, ended_at=None, second_factor_at=None)
    ended = weak.update(ended_at=Now(), ended_because=SignIn.Ended.SECOND_FACTOR_SET_UP)
    audit.record(
        AuditEvent.SECOND_FACTOR_SET_UP,
        actor=actor,
        subject=user,
        replaced=bool(replaced),
        ended=ended,
    )
    return codes


@transaction.atomic
def new_recovery_codes(user: User, *, actor: User) -> list[str]:
    """Replace the recovery codes and return the new ones, shown once. The old ones stop working."""
    require(actor, Permission.OWN_ACCOUNT)
    user = lock_person(user)
    if not has_totp(user):
        raise Refused("Set up an authenticator app first.", code="no_second_factor")
    Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).delete()
    codes = totp.RecoveryCodes.activate(user).generate_codes()
    audit.record(AuditEvent.RECOVERY_CODES_RENEWED, actor=actor, subject=user)
    return codes


def _find(user: User, kind: Authenticator.Type) -> Authenticator | None:
    return Authenticator.objects.filter(user=user, type=kind).first()


def remove_all(user: User) -> int:
    """Delete every authenticator of a locked row and return how many; the calling verb audits it."""
    return Authenticator.objects.filter(user=user).delete()[0]


def reseal_secrets() -> int:
    """Seal every TOTP secret and recovery seed with the current master key. Returns how many.

    For ``rotate_master_key``: until it ran, the old key is needed to sign in. Safe to repeat.
    """
    done = 0
    for pk in list(Authenticator.objects.values_list("pk", flat=True)):
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            field = {Authenticator.Type.TOTP: "secret", Authenticator.Type.RECOVERY_CODES: "seed"}
            name = field.get(row.type) if row else None
            if row is None or name is None:
                continue
            row.data[name] = encrypt(decrypt(row.data[name]))
            row.save(update_fields=["data"])
            done += 1
    return done
