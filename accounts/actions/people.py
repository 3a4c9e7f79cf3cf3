"""What administrators do with accounts. None of it opens a case to anybody."""

from __future__ import annotations

import re

from django.db import transaction
from django.db.models.functions import Now

from accounts.actions.locking import lock_person, lock_roster
from accounts.actions.second_factor import remove_all
from accounts.actions.sign_ins import end_other_sign_ins
from accounts.audit_rows import identity_of
from accounts.guards import require
from accounts.models import PasswordLink, SignIn, User
from accounts.permissions import Permission, Role
from core import audit
from core.audit import Actor
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused

PSEUDONYM_LETTER: dict[Role, str] = {
    Role.REVIEWER: "R",
    Role.LEAD: "L",
    Role.POLICY_ADMIN: "P",
    Role.LEGAL: "C",  # counsel
    Role.AUDITOR: "U",  # aUditor: A is taken
    Role.ADMINISTRATOR: "A",
}
"""First letter of a pseudonym. It tells the role a person started with and stays for good, because
audit entries and packages already carry it."""

TAKEN = "There is already an account with this e-mail address."


@transaction.atomic
def create_person(
    *, email: str, name: str, role: Role, password: str, actor: User | None = None
) -> User:
    """Create an account and give it the next pseudonym of its role (R-17).

    ``actor`` is None when the person creates the own account from a link or the system loads samples.
    Can be undone by ``deactivate``; accounts are never deleted, because decisions point at them.
    Raises Invalid when the e-mail address is taken.
    """
    if actor is not None:
        require(actor, Permission.PEOPLE_MANAGE)
    lock_roster()
    email = email.strip().lower()
    if User.objects.filter(email=email).exists():
        raise Invalid({"email": [TAKEN]})
    person = User(email=email, name=name.strip(), role=role.value, pseudonym=_next_pseudonym(role))
    person.set_password(password)
    person.save(force_insert=True)
    audit.record(
        AuditEvent.PERSON_CREATED,
        actor=actor or person,
        subject=person,
        role=role.value,
        identity=identity_of(person),
    )
    return person


def _next_pseudonym(role: Role) -> str:
    letter = PSEUDONYM_LETTER[role]
    taken = User.objects.filter(pseudonym__startswith=f"{letter}-").values_list(
        "pseudonym", flat=True
    )
    numbers = [int(m[1]) for p in taken if (m := re.fullmatch(rf"{letter}-(\d+)", p))]
    return f"{letter}-{max(numbers, default=0) + 1}"


@transaction.atomic
def change_role(person: User, *, role: Role, actor: User) -> User:
    """Give a person another role and end their sessions. Can be undone by changing it back.

    Administrators are made by a request that another one confirms (``actions.requests``).
    """
    require(actor, Permission.PEOPLE_MANAGE)
    person = lock_for_change(person, verb="change your own role", actor=actor)
    if role == Role.ADMINISTRATOR:
        raise Refused(
            "Another administrator has to confirm who becomes one.", code="second_administrator"
        )
    if person.role == role.value:
        raise Refused("The person already has this role.", code="same_role")
    _keep_an_administrator(person)
    return set_role(person, role=role, actor=actor)


def set_role(person: User, *, role: Role, actor: User | Actor) -> User:
    """Change the role of a locked row. A step of verbs that ask for the second person."""
    require(actor, Permission.PEOPLE_MANAGE)
    old, person.role = person.role, role.value
    person.save(update_fields=["role"])
    end_other_sign_ins(person, because=SignIn.Ended.ROLE_CHANGED, actor=actor)
    audit.record(
        AuditEvent.PERSON_ROLE_CHANGED, actor=actor, subject=person, old=old, new=person.role
    )
    return person


@transaction.atomic
def deactivate(person: User, *, actor: User) -> User:
    """Close an account; its sessions and password links end at once. Can be undone by ``reactivate``."""
    require(actor, Permission.PEOPLE_MANAGE)
    person = lock_for_change(person, verb="deactivate your own account", actor=actor)
    if not person.is_active:
        raise Refused("The account is already deactivated.", code="already_inactive")
    _keep_an_administrator(person)
    person.is_active = False
    person.deactivated_at = Now()
    person.save(update_fields=["is_active", "deactivated_at"])
    end_password_links(person)
    end_other_sign_ins(person, because=SignIn.Ended.DEACTIVATED, actor=actor)
    audit.record(AuditEvent.PERSON_DEACTIVATED, actor=actor, subject=person)
    person.refresh_from_db()
    return person


@transaction.atomic
def reactivate(person: User, *, actor: User) -> User:
    """Open a deactivated account again. Can be undone by ``deactivate``."""
    require(actor, Permission.PEOPLE_MANAGE)
    person = lock_for_change(person, verb="reactivate your own account", actor=actor)
    if person.is_active:
        raise Refused("The account is already active.", code="already_active")
    person.is_active = True
    person.deactivated_at = None
    person.failed_sign_ins = 0
    person.save(update_fields=["is_active", "deactivated_at", "failed_sign_ins"])
    audit.record(AuditEvent.PERSON_REACTIVATED, actor=actor, subject=person)
    return person


@transaction.atomic
def unlock(person: User, *, actor: User | Actor) -> User:
    """Let unknown browsers try the account again at once: failures are counted anew.

    Cannot be undone, and need not be.
    """
    require(actor, Permission.PEOPLE_MANAGE)
    person = lock_for_change(person, verb="unlock your own account", actor=actor)
    person.failed_sign_ins = 0
    person.attempts_epoch += 1
    person.save(update_fields=["failed_sign_ins", "attempts_epoch"])
    audit.record(AuditEvent.PERSON_UNLOCKED, actor=actor, subject=person)
    return person


def reset_second_factor(person: User, *, actor: User | Actor) -> User:
    """Remove authenticator and recovery codes of a locked row and end the person's sessions and password links.

    Part of ``actions.requests.confirm_request``: with the password, whoever signs in first sets up the new
    device, so it takes two administrators. A password that came by a link, with which nobody has signed in with the
    second factor since, ends too: one administrator alone made that link, and may have used it. Cannot be undone.
    """
    require(actor, Permission.PEOPLE_MANAGE)
    is_unproven = _password_is_unproven(person)
    if not remove_all(person):
        raise Refused("There is no second factor to reset.", code="no_second_factor")
    end_password_links(person)
    if is_unproven:
        person.set_unusable_password()
        person.save(update_fields=["password"])
    end_other_sign_ins(person, because=SignIn.Ended.SECOND_FACTOR_RESET, actor=actor)
    audit.record(
        AuditEvent.SECOND_FACTOR_RESET, actor=actor, subject=person, password_ended=is_unproven
    )
    return person


def end_password_links(person: User) -> None:
    """Make every link void that would set a new password. A step of verbs that record what they did."""
    PasswordLink.objects.filter(user=person, used_at=None).update(expires_at=Now())


def _password_is_unproven(person: User) -> bool:
    """Return whether the password came by a link and nobody proved the second factor in a session since."""
    newest = person.password_links.filter(used_at__isnull=False).order_by("-used_at").first()
    if newest is None:
        return False
    return not SignIn.objects.filter(user=person, second_factor_at__gt=newest.used_at).exists()


def lock_for_change(person: User, *, verb: str, actor: User | Actor) -> User:
    """Lock the roster, then the row. An administrator's own account is another administrator's task."""
    if isinstance(actor, User) and person.pk == actor.pk:
        raise Refused(f"You cannot {verb}. Ask another administrator.", code="own_account")
    lock_roster()
    return lock_person(person)


def _keep_an_administrator(person: User) -> None:
    if person.role != Role.ADMINISTRATOR or not person.is_active:
        return
    others = User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).exclude(pk=person.pk)
    if not others.exists():
        raise Refused(
            "This is the last active administrator. Make somebody else administrator first.",
            code="last_administrator",
        )
