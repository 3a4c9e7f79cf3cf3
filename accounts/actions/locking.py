"""Locks and counters shared by the verbs: one row at a time, one change of the roster at a time."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from accounts.models import User
from core import audit
from core.audit_events import AuditEvent

FAILURES_BEFORE_LOCK = 5
FIRST_LOCK = timedelta(minutes=15)
LONGEST_LOCK = timedelta(hours=24)


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


def is_locked(person: User) -> bool:
    """Return whether the account is locked at this moment, by the database's clock."""
    return User.objects.filter(pk=person.pk, locked_until__gt=Now()).exists()


def lock_time(failures: int) -> timedelta | None:
    """Return how long the ``failures``-th failure in a row locks the account, or None.

    Every fifth failure locks: 15 minutes, then 30, 60, … at most a day. Failures during a lock are not
    counted, so nobody can keep a colleague out for ever with one request a minute.
    """
    if failures == 0 or failures % FAILURES_BEFORE_LOCK:
        return None
    doublings = min(failures // FAILURES_BEFORE_LOCK - 1, 10)
    return min(FIRST_LOCK * 2**doublings, LONGEST_LOCK)


def count_failure(person: User, event: AuditEvent) -> None:
    """Count a wrong password or code of a locked row, lock the account when it is time, and audit it."""
    person.failed_sign_ins += 1
    locked_for = lock_time(person.failed_sign_ins)
    User.objects.filter(pk=person.pk).update(
        failed_sign_ins=person.failed_sign_ins,
        **({"locked_until": Now() + locked_for} if locked_for else {}),
    )
    audit.record(event, actor=None, subject=person, failures=person.failed_sign_ins)
    if locked_for:
        audit.record(
            AuditEvent.PERSON_LOCKED,
            actor=None,
            subject=person,
            minutes=int(locked_for.total_seconds() // 60),
        )
