"""What one administrator alone may not do to an account: asked by one, confirmed by another.

Resetting a second factor, a new password for somebody who has no second factor, and making an administrator would
each let one administrator act as somebody else, or as two. So each is a request that another administrator
confirms. On the machine itself, which knows every key anyway, ``manage.py confirm_request`` and ``recover_person``
do it; that is how an installation with one administrator goes on. Every step is in the audit log, and the
person carries the mark of it for thirty days (``User.after_reset``).
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts.actions import invitations, password_links, people
from accounts.actions.locking import lock_person, lock_roster
from accounts.actions.second_factor import has_totp
from accounts.actions.sign_ins import end_other_sign_ins
from accounts.guards import require
from accounts.models import AccountRequest, Invitation, SignIn, User
from accounts.permissions import Permission, Role
from core import audit
from core.audit import Actor
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused

REQUEST_LIFE = timedelta(hours=72)
SHORTEST_REASON = 10
Kind = AccountRequest.Kind


@transaction.atomic
def ask_for(
    kind: AccountRequest.Kind, person: User, *, reason: str, actor: User | Actor
) -> AccountRequest:
    """Ask another administrator to confirm ``kind`` for ``person``. Can be undone by ``cancel_request``.

    ``actor`` is the system on the machine itself. ``reason`` says how the asker made sure that the person wants it;
    Invalid without one. Refused when it makes no sense now, or waits already.
    """
    require(actor, Permission.PEOPLE_MANAGE)
    person = people.lock_for_change(person, verb="ask this for yourself", actor=actor)
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise Invalid({"reason": ["Say in a few words how you made sure that they want it."]})
    if not person.is_active:
        raise Refused("The account is deactivated. Reactivate it first.", code="inactive")
    if kind is Kind.SECOND_FACTOR and not has_totp(person):
        raise Refused("There is no second factor to reset.", code="no_second_factor")
    if kind is Kind.ADMINISTRATOR and person.role == Role.ADMINISTRATOR:
        raise Refused("The person already has this role.", code="same_role")
    return _open(kind, person=person, invitation=None, reason=reason, actor=actor)


@transaction.atomic
def invite_administrator(
    *, email: str, name: str, reason: str, actor: User
) -> tuple[Invitation, str]:
    """Invite an administrator; the link works once another one confirmed. Undone by ``revoke_invitation``."""
    require(actor, Permission.PEOPLE_MANAGE)
    if len(reason.strip()) < SHORTEST_REASON:
        raise Invalid({"reason": ["Say in a few words why they become administrator."]})
    invitation, token = invitations.create_invitation(
        email=email, name=name, role=Role.ADMINISTRATOR, actor=actor
    )
    _open(Kind.INVITATION, person=None, invitation=invitation, reason=reason.strip(), actor=actor)
    return invitation, token


def _open(
    kind: AccountRequest.Kind,
    *,
    person: User | None,
    invitation: Invitation | None,
    reason: str,
    actor: User | Actor,
) -> AccountRequest:
    waiting = AccountRequest.objects.filter(
        kind=kind, person=person, invitation=invitation, confirmed_at=None, closed_at=None
    )
    if waiting.filter(expires_at__gt=Now()).exists():
        raise Refused("This waits for another administrator already.", code="already_requested")
    waiting.update(closed_at=Now())  # Only ones that ran out are left.
    request = AccountRequest.objects.create(
        kind=kind.value,
        person=person,
        invitation=invitation,
        reason=reason,
        requested_by=actor if isinstance(actor, User) else None,
        expires_at=Now() + REQUEST_LIFE,
    )
    request.refresh_from_db()
    audit.record(
        AuditEvent.ACCOUNT_REQUESTED,
        actor=actor,
        subject=person or invitation,
        request=request.pk,
        kind=kind.value,
    )
    return request


def _lock_waiting(asked: AccountRequest) -> AccountRequest:
    lock_roster()
    found = (
        AccountRequest.objects.select_for_update(of=["self"])
        .select_related("person", "invitation", "requested_by")
        .get(pk=asked.pk)
    )
    is_over = not AccountRequest.objects.filter(pk=found.pk, expires_at__gt=Now()).exists()
    is_over = is_over or bool(found.invitation and found.invitation.revoked_at)
    if found.confirmed_at is not None or found.closed_at is not None or is_over:
        raise Refused(
            "This request is over: it was confirmed, cancelled or ran out after three days.",
            code="request_closed",
        )
    return found


@transaction.atomic
def confirm_request(asked: AccountRequest, *, actor: User | Actor) -> tuple[AccountRequest, str]:
    """Confirm a request of another administrator and carry it out. Cannot be undone.

    ``actor`` is the system on the machine itself. Returns the request and, for a password link, its token, which is
    not stored. Refused for whoever asked, for the person concerned, and when the request is over.
    """
    require(actor, Permission.PEOPLE_MANAGE)
    asked = _lock_waiting(asked)
    if isinstance(actor, User) and actor.pk in {asked.requested_by_id, asked.person_id}:
        raise Refused(
            "You asked for this, or it concerns you: another administrator has to confirm it.",
            code="second_administrator",
        )
    AccountRequest.objects.filter(pk=asked.pk).update(
        confirmed_by=actor if isinstance(actor, User) else None, confirmed_at=Now()
    )
    subject = asked.person or asked.invitation
    audit.record(
        AuditEvent.ACCOUNT_REQUEST_CONFIRMED,
        actor=actor,
        subject=subject,
        request=asked.pk,
        kind=asked.kind,
        requested_by=asked.requested_by_id,
    )
    token = ""
    person = asked.person
    if person is not None:
        person = lock_person(person)
        if asked.kind in {Kind.SECOND_FACTOR, Kind.PASSWORD_LINK}:
            User.objects.filter(pk=person.pk).update(recovered_at=Now())
        if asked.kind == Kind.SECOND_FACTOR:
            people.reset_second_factor(person, actor=actor)
        elif asked.kind == Kind.PASSWORD_LINK:
            end_other_sign_ins(person, because=SignIn.Ended.RECOVERED, actor=actor)
            token = password_links.create_link(person, actor=actor)
        elif asked.kind == Kind.ADMINISTRATOR:
            people.set_role(person, role=Role.ADMINISTRATOR, actor=actor)
    asked.refresh_from_db()
    return asked, token


@transaction.atomic
def cancel_request(asked: AccountRequest, *, actor: User) -> AccountRequest:
    """Close a request unconfirmed, by whoever asked or any other administrator. Ask again to undo it."""
    require(actor, Permission.PEOPLE_MANAGE)
    asked = _lock_waiting(asked)
    AccountRequest.objects.filter(pk=asked.pk).update(closed_at=Now(), closed_by=actor)
    audit.record(
        AuditEvent.ACCOUNT_REQUEST_CANCELLED,
        actor=actor,
        subject=asked.person or asked.invitation,
        request=asked.pk,
        kind=asked.kind,
    )
    asked.refresh_from_db()
    return asked
