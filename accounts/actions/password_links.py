"""A way back for people who forgot the password: a link from an administrator, as no e-mail is sent."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts.actions.invitations import hash_token
from accounts.actions.locking import lock_person
from accounts.actions.people import end_password_links, lock_for_change
from accounts.actions.second_factor import has_totp
from accounts.actions.sign_ins import end_other_sign_ins
from accounts.guards import require
from accounts.models import PasswordLink, SignIn, User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor
from core.audit_events import AuditEvent
from core.errors import Refused

PASSWORD_LINK_LIFE = timedelta(hours=24)


@transaction.atomic
def issue_password_link(person: User, *, actor: User) -> str:
    """Return the token of a link with which ``person`` sets a new password; earlier links are void.

    The second factor is still asked at sign-in, so the link alone opens nothing. Refused for somebody who
    has none: whoever holds the link could set one up, so that takes two (``actions.requests``). Can be undone
    by issuing another one and keeping it.
    """
    require(actor, Permission.PEOPLE_MANAGE)
    person = lock_for_change(person, verb="make a password link for yourself", actor=actor)
    if not person.is_active:
        raise Refused("The account is deactivated. Reactivate it first.", code="inactive")
    if not has_totp(person):
        raise Refused(
            "There is no second factor that a link would leave in place, so another administrator has to "
            "confirm it.",
            code="second_administrator",
        )
    return create_link(person, actor=actor)


def create_link(person: User, *, actor: User | Actor) -> str:
    """Make a link for a locked row; earlier ones are void. A step of verbs that ask for the second person."""
    require(actor, Permission.PEOPLE_MANAGE)
    end_password_links(person)
    token = secrets.token_urlsafe(32)
    PasswordLink.objects.create(
        token_hash=hash_token(token),
        user=person,
        issued_by=actor if isinstance(actor, User) else None,
        expires_at=Now() + PASSWORD_LINK_LIFE,
    )
    audit.record(AuditEvent.PASSWORD_LINK_ISSUED, actor=actor, subject=person)
    return token


def find_password_link(token: str) -> PasswordLink | None:
    """Return the link that ``token`` opens now, or None if it is used, replaced or run out."""
    return (
        PasswordLink.objects.filter(
            token_hash=hash_token(token),
            used_at=None,
            expires_at__gt=Now(),
            user__is_active=True,
        )
        .select_related("user")
        .first()
    )


@transaction.atomic
def set_password_by_link(token: str, *, password: str) -> User:
    """Set the password of the person the link is for and end their sessions. Uses the link up.

    Raises Refused when the link does not work (any more).
    """
    link = find_password_link(token)
    if link is not None:
        person = lock_person(link.user)
        link = find_password_link(token)  # Again, now that a second use waits for the lock.
    if link is None:
        raise Refused(
            "This link does not work any more. Ask your administrator for a new one.",
            code="password_link_closed",
        )
    PasswordLink.objects.filter(pk=link.pk).update(used_at=Now())
    person.set_password(password)
    person.save(update_fields=["password"])
    end_other_sign_ins(person, because=SignIn.Ended.PASSWORD_CHANGED, actor=person)
    audit.record(AuditEvent.PASSWORD_CHANGED, actor=person, subject=person, by="link")
    return person
