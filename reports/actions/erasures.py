"""Erasing what the platform told of an account or a group that nobody ever reported.

What is evidence stays until a person or a period says otherwise; the request waits, and is seen to wait.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from core import audit
from core.audit import Actor, AuditEvent
from core.errors import Refused
from reports.actions.chains import intake_chain
from reports.actions.subjects import note_changes
from reports.audit_directory import ACCOUNT_FIELDS, GROUP_FIELDS
from reports.audit_erasures import asked_digest
from reports.erasures import Erasure, ErasureState
from reports.models import Account, AccountIdentifier, Group, GroupLink, IpEvent, Membership, Source

NEEDED, SCANNED, MEMBERSHIPS, UNKNOWN, LOG = "needed", "scanned", "memberships", "unknown", "log"
"""Codes of what is kept."""


class OtherErasure(Refused):
    """The source asked for another erasure under this id."""

    def __init__(self, standing: Erasure) -> None:
        super().__init__(
            "You asked for another erasure with this external_id.",
            code="duplicate_external_id",
            members={"existing": {"id": str(standing.pk)}},
        )


def needed(*, accounts: Collection[UUID] = (), groups: Collection[UUID] = ()) -> set[UUID]:
    """Return those that were ever named in a report, a case or a referral (``HOLDFAST_SUBJECTS_NEEDED``)."""
    found: set[UUID] = set()
    for path in settings.HOLDFAST_SUBJECTS_NEEDED:
        found |= import_string(path)(accounts=accounts, groups=groups)
    return found


@transaction.atomic
def ask_erasure(
    source: Source,
    *,
    account: str | None,
    group: str | None,
    reason: str,
    external_id: str,
    requested_at: datetime,
    actor: Actor,
) -> Erasure:
    """Record a request and carry it out at once where nothing speaks against it. The same id again returns the same.

    A report that is committed makes the request wait. One that is still being taken comes after: it finds what is left, and
    names the account all the same, whose row is never removed. Raises OtherErasure. Cannot be undone.
    """
    if not source.is_own_platform:
        raise Refused(
            "Only a source that an administrator marked as the platform's own may have something erased.",
            code="not_own_platform",
            status=403,
        )
    kind, named = ("account", account) if account is not None else ("group", group or "")
    model: type[Account | Group] = Account if kind == "account" else Group
    # FOR UPDATE: a report's foreign key is checked when it commits, and waits for the end of this.
    subject = model.objects.select_for_update().filter(external_id=named).first()
    asked: dict[str, Any] = {"kind": kind, "subject_id": named, "reason": reason}
    try:
        with transaction.atomic():
            erasure = Erasure.objects.create(
                source=source,
                external_id=external_id,
                requested_at=requested_at,
                **asked,
                **({kind: subject} if subject is not None else {}),
            )
    except IntegrityError:
        standing = Erasure.objects.get(source=source, external_id=external_id)
        if any(getattr(standing, name) != value for name, value in asked.items()):
            raise OtherErasure(standing) from None
        return standing
    erasure.refresh_from_db()  # As a later look has it.
    audit.record(
        AuditEvent.ERASURE_ASKED,
        actor=actor,
        subject=erasure,
        chain=intake_chain(source),
        source=source.pk,
        account=erasure.account_id,
        group=erasure.group_id,
        facts=asked_digest(erasure),
    )
    if subject is None:
        return _done(erasure, {}, [UNKNOWN])
    if needed(**{f"{kind}s": [subject.pk]}):
        erasure.kept = [NEEDED, LOG]
        erasure.save(update_fields=["kept"])
        return erasure
    return _carry_out(erasure, subject, actor=actor)


def _carry_out(erasure: Erasure, subject: Account | Group, *, actor: Actor) -> Erasure:
    """Erase the facts of a held subject that nobody needs. The database checks the same (migration 0018 of moderation)."""
    Erasure.objects.filter(pk=erasure.pk).update(state=ErasureState.CARRYING_OUT)
    kept = [LOG]
    places = Membership.objects.filter(**{erasure.kind: subject})
    if isinstance(subject, Account):
        groups = set(places.values_list("group", flat=True))
        standing = places.filter(group__in=needed(groups=groups))
        erased = {
            "identifiers": AccountIdentifier.objects.filter(account=subject).delete()[0],
            "ip_events": IpEvent.objects.filter(account=subject).delete()[0],
        }
        fields: tuple[str, ...] = ACCOUNT_FIELDS
        note_changes(accounts=[subject], groups=sorted(groups))
        event = AuditEvent.ACCOUNT_ERASED
    else:
        members = set(places.values_list("account", flat=True))
        standing = places.filter(account__in=needed(accounts=members))
        erased = {"invite_links": GroupLink.objects.filter(group=subject).delete()[0]}
        fields = GROUP_FIELDS
        note_changes(groups=[subject], accounts=sorted(members))
        event = AuditEvent.GROUP_ERASED
    staying = set(standing.values_list("pk", flat=True))
    if staying:
        kept.append(MEMBERSHIPS)
    if subject.items.exists():
        kept.append(SCANNED)
    erased["memberships"] = places.exclude(pk__in=staying).delete()[0]
    fresh = type(subject)()
    told = [name for name in fields if getattr(subject, name) != getattr(fresh, name)]
    for name in fields:
        setattr(subject, name, getattr(fresh, name))
    subject.updated_at = Now()  # The database's clock.
    subject.told_digest = ""  # The same line told again says something again.
    subject.facts = {}
    subject.save(update_fields=[*fields, "facts", "told_digest", "updated_at"])
    erased["facts"] = len(told)
    audit.record(
        event,
        actor=actor,
        subject=subject,
        chain=intake_chain(erasure.source),
        erasure=erasure.pk,
        erased=erased,
        fields=told,
    )
    return _done(erasure, erased, kept)


def _done(erasure: Erasure, erased: dict[str, int], kept: list[str]) -> Erasure:
    Erasure.objects.filter(pk=erasure.pk).update(
        state=ErasureState.DONE, done_at=Now(), erased=erased, kept=kept
    )
    erasure.refresh_from_db()
    return erasure
