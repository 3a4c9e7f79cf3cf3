"""Opening, confirming and ending sessions; counting wrong passwords and codes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.db.models.functions import Now

from accounts import attempts
from accounts.actions.locking import count_failure, lock_person
from accounts.actions.second_factor import matches_code
from accounts.attempts import Attempt
from accounts.models import SignIn, User
from core import audit
from core.audit import Actor
from core.audit_events import AuditEvent

SIGN_IN_KEPT = timedelta(days=90)
"""How long a sign-in is kept after its end; the audit log keeps that it was."""


def try_password(email: str, *, password: str, attempt: Attempt) -> User | None:
    """Return the active person whose e-mail and password these are, else None.

    The answer and its time are the same for an unknown e-mail, a wrong password and a deactivated account: a
    password is hashed in every case, and nothing else is slow. ``attempt`` pays for the guess; what it paid is
    given back by a full sign-in alone, so knowing the password buys no more guesses at the code. Raises
    TooOften, alike for every e-mail.
    """
    attempt.take_password()
    email = email.strip().lower()
    person = User.objects.filter(email=email).first()
    found = authenticate(None, email=email, password=password)
    if person is not None and found is not None:
        return person
    attempt.failed()
    if person is None:
        audit.record(AuditEvent.SIGN_IN_FAILED, actor=None, reason="unknown")
    elif person.is_active:
        count_failure(person, AuditEvent.SIGN_IN_FAILED)
    else:
        audit.record(AuditEvent.SIGN_IN_FAILED, actor=None, subject=person, reason="inactive")
    return None


def try_code(user: User, *, code: str, attempt: Attempt) -> bool:
    """Return whether ``code`` is the person's current TOTP code or an unused recovery code.

    A code that was accepted is used up. Raises TooOften when ``attempt`` may not guess now.
    """
    attempt.take_code()
    with transaction.atomic():
        user = lock_person(user)
        if not user.is_active:
            audit.record(
                AuditEvent.SECOND_FACTOR_FAILED, actor=None, subject=user, reason="inactive"
            )
            return False
        if matches_code(user, code):
            return True
        attempt.failed()
        count_failure(user, AuditEvent.SECOND_FACTOR_FAILED)
        return False


@transaction.atomic
def open_sign_in(
    user: User, *, second_factor: bool, ip: str | None = None, user_agent: str = ""
) -> SignIn:
    """Open a session for a person who has proved who they are, and forget their failures."""
    user = lock_person(user)
    User.objects.filter(pk=user.pk).update(failed_sign_ins=0)
    sign_in = SignIn.objects.create(
        user=user,
        second_factor_at=Now() if second_factor else None,
        ip=ip,
        user_agent=user_agent[:200],
    )
    audit.record(AuditEvent.SIGNED_IN, actor=user, subject=user, second_factor=second_factor)
    return sign_in


def mark_seen(sign_in: SignIn) -> None:
    """Note that somebody used the session. Not audited: it says nothing but that requests came."""
    SignIn.objects.filter(pk=sign_in.pk, ended_at=None).update(last_seen_at=Now())


@transaction.atomic
def confirm(sign_in: SignIn, *, actor: User, password: str = "", code: str = "") -> bool:
    """Note that the person at the keyboard proved again who they are, with password or code.

    Returns whether the proof was right. Wrong ones use up the session's own budget: what strangers do at the
    sign-in page cannot get in the way of somebody at work. Raises TooOften.
    """
    attempts.take_proof(sign_in)
    actor = lock_person(actor)
    if code:
        is_right = matches_code(actor, code)
    else:
        is_right = bool(password) and actor.check_password(password)
    if not is_right:
        count_failure(actor, AuditEvent.CONFIRMATION_FAILED)
        return False
    attempts.proved(sign_in)
    SignIn.objects.filter(pk=sign_in.pk, ended_at=None).update(
        confirmed_at=Now(), **({"second_factor_at": Now()} if code else {})
    )
    audit.record(
        AuditEvent.CONFIRMED, actor=actor, subject=actor, by="code" if code else "password"
    )
    return True


@transaction.atomic
def end_sign_in(sign_in: SignIn, *, because: SignIn.Ended, actor: User) -> None:
    """End one session. Ending an ended one changes nothing."""
    if _end(SignIn.objects.filter(pk=sign_in.pk), because):
        audit.record(AuditEvent.SIGNED_OUT, actor=actor, subject=actor, because=because.value)


@transaction.atomic
def end_other_sign_ins(
    person: User, *, because: SignIn.Ended, actor: User | Actor, keep: SignIn | None = None
) -> int:
    """End every session of ``person`` but ``keep``; return how many. They stop at the next request."""
    others = SignIn.objects.filter(user=person)
    if keep is not None:
        others = others.exclude(pk=keep.pk)
    if count := _end(others, because):
        audit.record(
            AuditEvent.SIGN_INS_ENDED,
            actor=actor,
            subject=person,
            because=because.value,
            count=count,
        )
    return count


def _end(sign_ins: QuerySet[SignIn], because: SignIn.Ended) -> int:
    return sign_ins.filter(ended_at=None).update(ended_at=Now(), ended_because=because.value)


def forget_old_sign_ins() -> int:
    """Delete sign-ins that ended or were last used ``SIGN_IN_KEPT`` ago; return how many.

    One that was never ended belongs to a browser that did not come back: its session ran out long ago.
    Rows that others refer to stay (a look at an original names the session it was taken in). Not
    audited: the log says when each began and how it ended.
    """
    long_ago = Now() - SIGN_IN_KEPT
    old = SignIn.objects.filter(
        Q(ended_at__lt=long_ago) | Q(ended_at=None, last_seen_at__lt=long_ago)
    )
    # Rooms above refer to sign-ins; which ones is for them to know.
    for relation in SignIn._meta.get_fields(include_hidden=True):  # noqa: SLF001
        if isinstance(relation, ForeignObjectRel) and not relation.many_to_many:
            referring: Any = relation.related_model
            rows = referring.objects.filter(**{relation.field.name: OuterRef("pk")})
            old = old.exclude(Exists(rows))
    return old.delete()[0]
