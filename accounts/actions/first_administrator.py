"""The first account of an empty installation: a token from the machine itself, good for one use."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts.actions.invitations import hash_token
from accounts.actions.locking import lock_roster
from accounts.actions.people import create_person
from accounts.models import SetUpLink, User
from accounts.permissions import Role
from core import audit
from core.audit_events import AuditEvent
from core.errors import Refused

SET_UP_LIFE = timedelta(hours=24)
SET_UP_DONE = "This installation already has an administrator."


@transaction.atomic
def issue_set_up_link() -> str:
    """Return a token for ``/set-up/``; earlier ones stop working. Raises Refused when people exist."""
    lock_roster()
    if User.objects.exists():
        raise Refused(SET_UP_DONE, code="set_up_done")
    SetUpLink.objects.filter(used_at=None).update(expires_at=Now())
    token = secrets.token_urlsafe(32)
    link = SetUpLink.objects.create(token_hash=hash_token(token), expires_at=Now() + SET_UP_LIFE)
    audit.record(AuditEvent.SET_UP_LINK_ISSUED, actor=None, subject=link)
    return token


@transaction.atomic
def create_first_administrator(token: str, *, email: str, name: str, password: str) -> User:
    """Create the first administrator. Cannot be undone.

    Works only while there is no account at all; the roster lock lets one of two people who press the
    button together win. Raises Refused for a wrong, used or old token and when people exist.
    """
    lock_roster()
    if User.objects.exists():
        raise Refused(SET_UP_DONE, code="set_up_done")
    if not is_set_up_token(token):
        raise Refused(
            "This set-up link does not work. Print a new one on the machine with "
            "“python manage.py first_admin_link”.",
            code="set_up_token",
        )
    SetUpLink.objects.filter(token_hash=hash_token(token)).update(used_at=Now())
    return create_person(email=email, name=name, role=Role.ADMINISTRATOR, password=password)


def is_set_up_open() -> bool:
    """Return whether somebody with a token can create the first administrator now."""
    return not User.objects.exists()


def is_set_up_token(token: str) -> bool:
    """Return whether ``token`` opens the set-up page now: nobody exists and the token is fresh."""
    return (
        not User.objects.exists()
        and SetUpLink.objects.filter(
            token_hash=hash_token(token), used_at=None, expires_at__gt=Now()
        ).exists()
    )
