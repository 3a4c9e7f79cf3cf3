"""Asking about files without making a case: nothing stays but a line in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit, vault
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid
from core.jobs import enqueue
from core.leases import kept, lease_after
from core.media_types import HEAD_BYTES, kind_of
from core.models import Blob
from core.uploads import VaultUpload
from hashing.models import FileLookup, LookupState
from reports.actions.uploads import clean_name
from reports.models import ItemKind, Source

__all__ = [
    "LOOKUP_LIFE",
    "ask_about_files",
    "begin_answer",
    "begin_lookup",
    "end_lookup",
    "forget_lookups",
    "keep_lookup",
    "record_match",
    "waiting_lookups",
]

LOOKUP_LIFE = timedelta(minutes=10)
"""How long an answer can be fetched."""

MOST_ATTEMPTS = 3


def ask_about_files(
    files: Sequence[VaultUpload],
    *,
    asked_for: Source | User,
    actor: Actor | Person,
    surface: str = "",
    with_matches: bool = True,
) -> list[FileLookup]:
    """Have files hashed and compared by a worker, without an item, a report or a case.

    The answers can be fetched for ten minutes; the files are destroyed as soon as there is one. Raises
    Invalid for an empty file. Cannot be undone, and leaves nothing to undo.
    """
    require(actor, Permission.HASHING_LISTS_VIEW)
    empty = [file.name or "file" for file in files if file.blob.size == 0]
    if empty:
        raise Invalid({"file": [f"“{name}” is empty (0 bytes)." for name in empty]})
    kinds = []
    for file in files:  # Outside the transaction: storage may be slow.
        with vault.open(file.blob) as stream:
            kinds.append(ItemKind(kind_of(stream.read(HEAD_BYTES))))
    with transaction.atomic():
        rows = []
        for file, kind in zip(files, kinds, strict=True):
            blob = vault.hold(file.blob)
            rows.append(
                FileLookup.objects.create(
                    blob=blob,
                    blob_staged_at=blob.staged_at,
                    name=clean_name(file.name or ""),
                    kind=kind,
                    surface=surface,
                    with_matches=with_matches,
                    source=asked_for if isinstance(asked_for, Source) else None,
                    asked_by=asked_for if isinstance(asked_for, User) else None,
                    expires_at=Now() + LOOKUP_LIFE,
                )
            )
        audit.record(
            AuditEvent.FILES_LOOKED_UP,
            actor=actor,
            subject=asked_for,
            files=[file.blob.sha256 for file in files],
            with_matches=with_matches,
        )
        for row in rows:
            enqueue("look_up", row.pk)
    return rows


def record_match(
    *, digests: int, texts: int, found: int, asked_for: Source | User, actor: Actor | Person
) -> None:
    """Note that somebody compared digests or texts with the lists. Their values are not kept."""
    require(actor, Permission.HASHING_LISTS_VIEW)
    audit.record(
        AuditEvent.VALUES_LOOKED_UP,
        actor=actor,
        subject=asked_for,
        digests=digests,
        texts=texts,
        found=found,
    )


def waiting_lookups() -> QuerySet[FileLookup]:
    """Return the lookups that are due: not begun, or begun by a worker that never came back."""
    return FileLookup.objects.filter(
        state=LookupState.WAITING, due_at__lte=Now(), expires_at__gt=Now()
    ).order_by("due_at")


@transaction.atomic
def begin_lookup(lookup: FileLookup) -> FileLookup | None:
    """Take up a lookup; None if it is answered, in work, expired, or was given up just now."""
    taken = (
        FileLookup.objects.select_for_update(no_key=True, of=("self",))
        .select_related("blob")
        .filter(pk=lookup.pk, state=LookupState.WAITING, due_at__lte=Now(), expires_at__gt=Now())
        .first()
    )
    if taken is None:
        return None
    if taken.attempts >= MOST_ATTEMPTS:
        end_lookup(
            taken, problem=f"Looking at it began {taken.attempts} times and never came to an end."
        )
        return None
    FileLookup.objects.filter(pk=taken.pk).update(
        attempts=taken.attempts + 1, due_at=Now() + lease_after(taken.attempts)
    )
    taken.attempts += 1
    return taken


def keep_lookup(lookup: FileLookup) -> AbstractContextManager[None]:
    """Keep a lookup that was taken up from others while the block answers it and its process lives."""
    rows = FileLookup.objects.filter(
        pk=lookup.pk, state=LookupState.WAITING, attempts=lookup.attempts
    )
    return kept(rows, field="due_at")


def begin_answer(lookup: FileLookup, *, result: dict[str, Any]) -> None:
    """Keep what is known so far, for an asker who can wait no longer. ``end_lookup`` replaces it; safe to repeat."""
    FileLookup.objects.filter(
        pk=lookup.pk, state=LookupState.WAITING, attempts=lookup.attempts
    ).update(result=result)


@transaction.atomic
def end_lookup(
    lookup: FileLookup, *, result: dict[str, Any] | None = None, problem: str = ""
) -> FileLookup:
    """Record what was found, or why it could not be looked at, and let go of the file.

    With a problem, what ``begin_answer`` kept stays: the exact digests are right whatever happened afterwards.

    The first answer stands. Cannot be undone: the file is destroyed unless somebody sent the same
    bytes meanwhile or refers to them.
    """
    lookup = FileLookup.objects.select_for_update(no_key=True, of=("self",)).get(pk=lookup.pk)
    if lookup.state != LookupState.WAITING:
        return lookup
    blob_id = lookup.blob_id
    lookup.state = LookupState.DONE if result is not None else LookupState.FAILED
    lookup.problem, lookup.blob = problem[:300], None
    lookup.result = result if result is not None else lookup.result
    lookup.save(update_fields=["state", "result", "problem", "blob"])
    if blob_id is not None:
        _let_go(blob_id, lookup)
    return lookup


def _let_go(blob_id: Any, lookup: FileLookup) -> None:
    # Under the blob's lock: a report that is about to refer to it has marked it as fresh, or waits for us
    # and is told that the file is gone.
    blob = Blob.objects.select_for_update().filter(pk=blob_id, destroyed_at=None).first()
    if blob is None or blob.staged_at != lookup.blob_staged_at:
        return
    if FileLookup.objects.filter(blob=blob).exists():
        return
    if vault.unreferenced().filter(pk=blob.pk).exists():
        vault.destroy(blob, reason="asked about without a case", actor=audit.SYSTEM)


def forget_lookups(*, limit: int = 500) -> int:
    """Delete answers that were there long enough, and lookups that nobody waits for; return how many."""
    with transaction.atomic():
        over = list(
            FileLookup.objects.select_for_update(skip_locked=True)
            .filter(expires_at__lt=Now())
            .order_by("expires_at")[:limit]
        )
        FileLookup.objects.filter(pk__in=[each.pk for each in over]).delete()
        for lookup in over:
            if lookup.blob_id is not None:
                _let_go(lookup.blob_id, lookup)
    return len(over)
