"""Invitations: a link that is shown once, works once and runs out after three days."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts.actions.locking import lock_roster
from accounts.actions.people import TAKEN, create_person
from accounts.guards import require
from accounts.models import Invitation, User
from accounts.permissions import Permission, Role
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused

INVITATION_LIFE = timedelta(hours=72)


def hash_token(token: str) -> str:
    """Return what is stored of a token. It has 256 random bits, so a plain SHA-256 cannot be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def invite(*, email: str, name: str, role: Role, actor: User) -> tuple[Invitation, str]:
    """Invite a person and return the invitation with its token, which is not stored.

    Can be undone by ``revoke_invitation``. Raises Invalid when the address has an account or an open
    invitation. Administrators are invited by a request that another one confirms (``actions.requests``).
    """
    require(actor, Permission.PEOPLE_MANAGE)
    if role == Role.ADMINISTRATOR:
        raise Refused(
            "Another administrator has to confirm who becomes one.", code="second_administrator"
        )
    return create_invitation(email=email, name=name, role=role, actor=actor)


def create_invitation(*, email: str, name: str, role: Role, actor: User) -> tuple[Invitation, str]:
    """Create an invitation in the caller's transaction. A step of verbs that ask for the second person."""
    require(actor, Permission.PEOPLE_MANAGE)
    lock_roster()
    email = email.strip().lower()
    if User.objects.filter(email=email).exists():
        raise Invalid({"email": [TAKEN]})
    open_ones = Invitation.objects.filter(email__iexact=email, accepted_at=None, revoked_at=None)
    if open_ones.filter(expires_at__gt=Now()).exists():
        raise Invalid(
            {"email": ["This address already has an open invitation. Revoke it to send another."]}
        )
    open_ones.update(revoked_at=Now())  # Only ones that ran out are left.
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        token_hash=hash_token(token),
        email=email,
        name=name.strip(),
        role=role.value,
        invited_by=actor,
        expires_at=Now() + INVITATION_LIFE,
    )
    invitation.refresh_from_db()
    audit.record(AuditEvent.INVITATION_CREATED, actor=actor, subject=invitation, role=role.value)
    return invitation, token


def find_invitation(token: str) -> Invitation | None:
    """Return the invitation that ``token`` opens now, or None if it is used, revoked or run out.

    One that would make an administrator opens only once another administrator confirmed it.
    """
    found = Invitation.objects.filter(
        token_hash=hash_token(token), accepted_at=None, revoked_at=None, expires_at__gt=Now()
    ).first()
    if found is None or found.role != Role.ADMINISTRATOR:
        return found
    return found if found.requests.filter(confirmed_at__isnull=False).exists() else None


def waits_for_confirmation(token: str) -> bool:
    """Return whether ``token`` would make an administrator as soon as another one confirms it."""
    open_ones = Invitation.objects.filter(
        token_hash=hash_token(token), accepted_at=None, revoked_at=None, expires_at__gt=Now()
    )
    return open_ones.exists() and find_invitation(token) is None


@transaction.atomic
def revoke_invitation(invitation: Invitation, *, actor: User) -> Invitation:
    """Make an invitation's link useless. Cannot be undone; invite again instead."""
    require(actor, Permission.PEOPLE_MANAGE)
    invitation = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if invitation.accepted_at is not None:
        raise Refused("The invitation was already accepted.", code="already_accepted")
    if invitation.revoked_at is not None:
        raise Refused("The invitation was already revoked.", code="already_revoked")
    invitation.revoked_at = Now()
    invitation.save(update_fields=["revoked_at"])
    audit.record(AuditEvent.INVITATION_REVOKED, actor=actor, subject=invitation)
    return invitation


@transaction.atomic
def accept_invitation(token: str, *, name: str, password: str) -> User:
    """Create the invited person's account. The link is used up. Cannot be undone.

    Raises Refused when the link does not work (any more).
    """
    lock_roster()
    invitation = find_invitation(token)
    if invitation is None:
        raise Refused(
            "This invitation does not work any more. Ask your administrator for a new one.",
            code="invitation_closed",
        )
    person = create_person(
        email=invitation.email, name=name, role=Role(invitation.role), password=password
    )
    invitation.accepted_at = Now()
    invitation.accepted_by = person
    invitation.save(update_fields=["accepted_at", "accepted_by"])
    audit.record(AuditEvent.INVITATION_ACCEPTED, actor=person, subject=invitation)
    return person
