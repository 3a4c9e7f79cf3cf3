"""Row locks and counters shared by the verbs: one row at a time, one change of the roster at a time."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import F

from accounts.models import User
from core import audit
from core.audit_events import AuditEvent


def lock_person(person: User) -> User:
    """Return the person's row, locked until the transaction ends."""
    return User.objects.select_for_update().get(pk=person.pk)


def lock_roster() -> None:
    """Let one transaction at a time change who exists and who administrates.

    Two administrators who deactivate each other, or two accepted invitations that want the next
    pseudonym, would each look at the state before the other's change.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('accounts.roster'))")


@transaction.atomic
def count_failure(person: User, event: AuditEvent) -> None:
    """Count a wrong password or code, for administrators to see, and audit it.

    The row is not locked: a flood of strangers' guesses must not make the person's own requests wait.
    """
    User.objects.filter(pk=person.pk).update(failed_sign_ins=F("failed_sign_ins") + 1)
    audit.record(event, actor=None, subject=person)
