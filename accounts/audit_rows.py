"""Whether people are who the log says: name and address, role, and whether the account is open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from accounts.models import User
from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry


def identity_of(person: User) -> str:
    """Return what the log keeps of a person's name and e-mail address."""
    names = ("id", "pseudonym", "name", "email")
    return digest({name: getattr(person, name) for name in names})


def _people(case: Any | None) -> QuerySet[User]:
    # Who works on a case is in its lines; what the people are concerns the whole installation.
    return User.objects.all() if case is None else User.objects.none()


def _compare_person(person: User, lines: Sequence[AuditEntry]) -> Iterator[str]:
    role: Any = None
    identity: Any = None
    is_active = True
    for line in lines:
        if line.event in {AuditEvent.PERSON_CREATED, AuditEvent.PERSON_RENAMED}:
            identity = line.data.get("identity")
            role = line.data.get("role", role)
        elif line.event == AuditEvent.PERSON_ROLE_CHANGED:
            role = line.data.get("new")
        else:
            is_active = line.event == AuditEvent.PERSON_REACTIVATED
    if role != person.role:
        yield f"Person {person}: the role is not the one that the log says"
    if identity != identity_of(person):
        yield f"Person {person}: name or e-mail address is not the one that the log says"
    if is_active != person.is_active:
        yield f"Person {person}: whether the account is open is not what the log says"


_CREATED = frozenset({AuditEvent.PERSON_CREATED})
KINDS = [
    Kind(
        "people",
        User,
        _CREATED,
        _CREATED
        | {
            AuditEvent.PERSON_RENAMED,
            AuditEvent.PERSON_ROLE_CHANGED,
            AuditEvent.PERSON_DEACTIVATED,
            AuditEvent.PERSON_REACTIVATED,
        },
        _people,
        _compare_person,
        lambda line: f"Person {line.subject_id}: the row is gone",
    ),
]
