"""What people change about themselves."""

from __future__ import annotations

from django.db import transaction

from accounts import attempts
from accounts.actions.locking import count_failure, lock_person
from accounts.actions.sign_ins import end_other_sign_ins
from accounts.audit_rows import identity_of
from accounts.guards import require
from accounts.models import SignIn, User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent


@transaction.atomic
def rename(user: User, *, name: str, actor: User) -> User:
    """Change the name colleagues see. The pseudonym stays. Can be undone by changing it back."""
    require(actor, Permission.OWN_ACCOUNT)
    user = lock_person(user)
    user.name = name.strip()
    user.save(update_fields=["name"])
    audit.record(AuditEvent.PERSON_RENAMED, actor=actor, subject=user, identity=identity_of(user))
    return user


@transaction.atomic
def change_password(user: User, *, current: str, new: str, actor: User, keep: SignIn) -> bool:
    """Change the password and end every session but ``keep``; return whether ``current`` was right.

    A wrong current password uses up the budget of the session ``keep``. Can be undone by changing it again.
    Raises TooOften.
    """
    require(actor, Permission.OWN_ACCOUNT)
    attempts.take_proof(keep)
    user = lock_person(user)
    if not user.check_password(current):
        count_failure(user, AuditEvent.CONFIRMATION_FAILED)
        return False
    user.set_password(new)
    user.save(update_fields=["password"])
    end_other_sign_ins(user, because=SignIn.Ended.PASSWORD_CHANGED, actor=actor, keep=keep)
    audit.record(AuditEvent.PASSWORD_CHANGED, actor=actor, subject=user)
    return True


@transaction.atomic
def set_theme(user: User, *, theme: str, actor: User) -> None:
    """Remember light, dark or system colours. Not audited: it concerns nobody else."""
    require(actor, Permission.OWN_ACCOUNT)
    User.objects.filter(pk=user.pk).update(theme=theme)


@transaction.atomic
def set_keys_enabled(user: User, *, enabled: bool, actor: User) -> None:
    """Switch single-key shortcuts on or off (WCAG 2.1.4). Not audited: it concerns nobody else."""
    require(actor, Permission.OWN_ACCOUNT)
    User.objects.filter(pk=user.pk).update(keys_enabled=enabled)
