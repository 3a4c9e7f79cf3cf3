"""Imports of hash lists of any size: read by a job, put in force in one statement, undone as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit, vault
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from core.jobs import enqueue
from core.leases import LEASE, kept
from core.models import Blob
from hashing.actions.hash_lists import content_changed, raise_version
from hashing.csv_lists import PROBLEMS_KEPT, Problem, Row
from hashing.models import HashEntry, HashImport, HashList, ImportState, StagedRow

__all__ = [
    "ask_import",
    "begin_import",
    "cancel_import",
    "fail_import",
    "finish_import",
    "keep_import",
    "redo_import",
    "stage_rows",
    "undo_import",
    "waiting_imports",
]

MOST_ATTEMPTS = 4
UNDONE = "The import was undone."
_LIVE = (ImportState.WAITING, ImportState.READING)


@transaction.atomic
def ask_import(
    hash_list: HashList,
    blob: Blob,
    *,
    actor: Actor | Person,
    file_name: str = "",
    skip_bad_rows: bool = False,
) -> HashImport:
    """Have a worker read a stored file into a list. All or nothing, unless ``skip_bad_rows``.

    Raises Invalid for an empty file. Can be undone by ``cancel_import`` while it is read, by ``undo_import`` after.
    """
    require(actor, Permission.HASHING_LISTS_EDIT)
    if blob.size == 0:
        raise Invalid({"file": ["The file is empty (0 bytes)."]})
    file_import = HashImport.objects.create(
        hash_list=hash_list,
        file_name=file_name[:400],
        imported_by=actor if isinstance(actor, User) else None,
        state=ImportState.WAITING,
        skip_bad_rows=skip_bad_rows,
        blob=vault.hold(blob),
        size=blob.size,
    )
    audit.record(
        AuditEvent.HASH_IMPORT_ASKED,
        actor=actor,
        subject=file_import,
        hash_list=hash_list,
        sha256=blob.sha256,
        size=blob.size,
    )
    enqueue("read_import", file_import.pk)
    return file_import


def waiting_imports() -> QuerySet[HashImport]:
    """Return the imports that are due: not begun, or begun by a worker that never came back."""
    return HashImport.objects.filter(
        state__in=[*_LIVE, ImportState.WRITING], due_at__lte=Now()
    ).order_by("due_at")


@transaction.atomic
def begin_import(file_import: HashImport) -> HashImport | None:
    """Take up an import from its beginning; None if there is nothing to do, or it was given up just now."""
    taken = (
        HashImport.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        .select_related("blob", "hash_list")
        .filter(pk=file_import.pk, state__in=[*_LIVE, ImportState.WRITING], due_at__lte=Now())
        .first()
    )
    if taken is None:
        return None
    StagedRow.objects.filter(file_import=taken).delete()
    if taken.attempts >= MOST_ATTEMPTS:
        fail_import(
            taken, problem=f"Reading it began {taken.attempts} times and never came to an end."
        )
        return None
    taken.state, taken.attempts = ImportState.READING, taken.attempts + 1
    taken.rows = taken.refused = taken.read_bytes = 0
    taken.problems = []
    HashImport.objects.filter(pk=taken.pk).update(
        state=taken.state,
        attempts=taken.attempts,
        rows=0,
        refused=0,
        read_bytes=0,
        problems=[],
        began_at=Now(),
        due_at=Now() + LEASE,
    )
    return taken


def keep_import(file_import: HashImport) -> AbstractContextManager[None]:
    """Keep an import that was taken up from others while the block reads it and its process lives.

    While its rows are written to the list its own lock keeps it.
    """
    rows = HashImport.objects.filter(
        pk=file_import.pk,
        state__in=[ImportState.READING, ImportState.WRITING],
        attempts=file_import.attempts,
    )
    return kept(rows, field="due_at")


@transaction.atomic
def stage_rows(
    file_import: HashImport,
    rows: Sequence[Row],
    problems: Sequence[Problem],
    *,
    read_bytes: int,
    ignored: Sequence[str] = (),
) -> bool:
    """Keep the next rows of an import beside the list; return False when it was cancelled or taken by others."""
    known = (
        HashImport.objects.select_for_update(no_key=True)
        .filter(pk=file_import.pk, state=ImportState.READING, attempts=file_import.attempts)
        .first()
    )
    if known is None:
        return False
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY hashing_stagedrow (file_import_id, algorithm, value, note, retired_at, "
            "retired_reason) FROM STDIN"
        ) as copy,
    ):
        for row in rows:
            copy.write_row(
                (
                    file_import.pk,
                    row.algorithm,
                    row.value,
                    row.note,
                    row.retired_at,
                    row.retired_reason,
                )
            )
    room = PROBLEMS_KEPT - len(known.problems)
    kept = [{"row": each.number, "reason": each.reason} for each in problems[: max(room, 0)]]
    HashImport.objects.filter(pk=known.pk).update(
        rows=F("rows") + len(rows) + len(problems),
        refused=F("refused") + len(problems),
        problems=[*known.problems, *kept],
        ignored_columns=list(ignored),
        read_bytes=read_bytes,
        due_at=Now() + LEASE,
    )
    return True


def finish_import(file_import: HashImport, *, actor: Actor = audit.SYSTEM) -> HashImport | None:
    """Put everything that was staged in force at once, or refuse it for its bad rows.

    An entry that was retired stays retired: somebody took it off for a reason. Returns None when the
    import was cancelled meanwhile. Can be undone by ``undo_import``.
    """
    with transaction.atomic():
        taken = HashImport.objects.filter(
            pk=file_import.pk, state=ImportState.READING, attempts=file_import.attempts
        ).update(state=ImportState.WRITING, due_at=Now() + LEASE)
    if not taken:
        return None
    with transaction.atomic():
        hash_list = HashList.objects.select_for_update(no_key=True).get(pk=file_import.hash_list_id)
        known = HashImport.objects.select_for_update(no_key=True).get(pk=file_import.pk)
        good = known.rows - known.refused
        if known.refused and (not known.skip_bad_rows or not good):
            return _end(known, ImportState.REFUSED, actor, hash_list)
        if not good:
            known.problem = "The file holds no rows."
            return _end(known, ImportState.FAILED, actor, hash_list)
        content_changed(hash_list, what="imported entries", by=known.imported_by or actor)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO hashing_hashentry (hash_list_id, algorithm, value, note, "
                "imported_in_id, added_by_id, list_version, retired_at, retired_reason) "
                "SELECT DISTINCT ON (algorithm, value) %s, algorithm, value, note, %s, %s, %s, "
                "retired_at, retired_reason "
                "FROM hashing_stagedrow WHERE file_import_id = %s "
                "ORDER BY algorithm, value, id ON CONFLICT DO NOTHING",
                [
                    hash_list.pk,
                    known.pk,
                    known.imported_by_id,
                    hash_list.version,
                    known.pk,
                ],
            )
            known.added = cursor.rowcount
            cursor.execute(
                "SELECT count(*) FROM (SELECT DISTINCT algorithm, value FROM hashing_stagedrow "
                "WHERE file_import_id = %s) AS pairs",
                [known.pk],
            )
            pairs = int(cursor.fetchone()[0])
        known.duplicates, known.known = good - pairs, pairs - known.added
        return _end(known, ImportState.DONE, actor, hash_list)


def _end(
    known: HashImport, state: ImportState, actor: Actor | Person, hash_list: HashList
) -> HashImport:
    known.state, known.blob = state, None
    known.ended_at = Now()
    known.save()
    StagedRow.objects.filter(file_import=known).delete()
    audit.record(
        AuditEvent.HASH_LIST_IMPORTED,
        actor=actor,
        subject=hash_list,
        file_import=known.pk,
        state=state.value,
        version=hash_list.version,
        rows=known.rows,
        added=known.added,
        known=known.known,
        refused=known.refused,
        duplicates=known.duplicates,
    )
    known.refresh_from_db()
    return known


@transaction.atomic
def fail_import(
    file_import: HashImport, *, problem: str, actor: Actor = audit.SYSTEM
) -> HashImport:
    """End an import whose file cannot be read, with the reason. Nothing of it counts. Cannot be undone."""
    known = HashImport.objects.select_for_update(no_key=True).get(pk=file_import.pk)
    if known.state not in {*_LIVE, ImportState.WRITING}:
        return known
    known.problem = problem[:300]
    return _end(known, ImportState.FAILED, actor, known.hash_list)


@transaction.atomic
def cancel_import(file_import: HashImport, *, actor: Actor | Person) -> HashImport:
    """Stop an import that is waiting or read. Raises Refused later. Cannot be undone; send the file again."""
    require(actor, Permission.HASHING_LISTS_EDIT)
    known = HashImport.objects.select_for_update(no_key=True).get(pk=file_import.pk)
    if known.state not in _LIVE:
        raise Refused("This import cannot be cancelled any more.", code="not_waiting")
    return _end(known, ImportState.CANCELLED, actor, known.hash_list)


def undo_import(file_import: HashImport, *, actor: Actor | Person) -> int:
    """Retire what an import added and is still in force; return how many. Can be undone by ``redo_import``.

    Raises Refused when it is not in force.
    """
    require(actor, Permission.HASHING_LISTS_EDIT)
    return _switch(
        file_import,
        from_state=ImportState.DONE,
        to=ImportState.UNDONE,
        entries={"retired_at": None},
        change={"retired_at": Now(), "retired_reason": UNDONE},
        actor=actor,
    )


def redo_import(file_import: HashImport, *, actor: Actor | Person) -> int:
    """Restore what ``undo_import`` retired; return how many. Can be undone by ``undo_import``."""
    require(actor, Permission.HASHING_LISTS_EDIT)
    return _switch(
        file_import,
        from_state=ImportState.UNDONE,
        to=ImportState.DONE,
        entries={"retired_at__isnull": False, "retired_reason": UNDONE},
        change={"retired_at": None, "retired_reason": "", "retired_by": None},
        actor=actor,
    )


@transaction.atomic
def _switch(
    file_import: HashImport,
    *,
    from_state: ImportState,
    to: ImportState,
    entries: dict[str, Any],
    change: dict[str, Any],
    actor: Actor | Person,
) -> int:
    hash_list = HashList.objects.select_for_update(no_key=True).get(pk=file_import.hash_list_id)
    known = HashImport.objects.select_for_update(no_key=True).get(pk=file_import.pk)
    if known.state != from_state:
        raise Refused(
            f"This import is “{known.get_state_display()}”, so this cannot be done.", code="state"
        )
    if to == ImportState.DONE:
        content_changed(hash_list, what="redid an import", by=actor)
    else:
        raise_version(hash_list)
    if "retired_at" in change and change["retired_at"] is not None:
        change["retired_by"] = actor if isinstance(actor, User) else None
    count = HashEntry.objects.filter(imported_in=known, **entries).update(**change)
    HashImport.objects.filter(pk=known.pk).update(state=to)
    audit.record(
        AuditEvent.HASH_IMPORT_SWITCHED,
        actor=actor,
        subject=known,
        hash_list=hash_list,
        version=hash_list.version,
        state=to.value,
        entries=count,
    )
    return count
