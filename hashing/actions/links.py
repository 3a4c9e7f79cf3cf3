"""Links found on outside listings: importing, withdrawing, and telling the groups that they lead to."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import BinaryIO
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit, vault
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from core.jobs import enqueue
from core.leases import kept, lease_after
from core.models import Blob
from hashing.link_files import LONGEST_PLACE, LinkProblem, LinkRow, read_links
from hashing.models import LinkImport, LinkImportState, ListedLink, StagedLink
from reports.actions import note_changes
from reports.models import GroupLink, Source

__all__ = [
    "add_links",
    "ask_link_import",
    "begin_link_import",
    "fail_link_import",
    "finish_link_import",
    "keep_link_import",
    "redo_link_import",
    "undo_link_import",
    "waiting_link_imports",
]

MOST_ATTEMPTS = 4
PROBLEMS_KEPT = 100


def check_place(place: str) -> str:
    """Return a place as it is kept. Raises Invalid for none, or one that is too long."""
    said = " ".join(place.split())
    if not said:
        raise Invalid({"place": ["Say where the links were found, such as a site's name."]})
    if len(said) > LONGEST_PLACE:
        raise Invalid({"place": [f"A place has at most {LONGEST_PLACE} characters."]})
    return said


@transaction.atomic
def ask_link_import(
    blob: Blob,
    *,
    place: str,
    file_name: str = "",
    skip_bad_rows: bool = False,
    actor: Actor | Person,
) -> LinkImport:
    """Have a worker read a stored file of links. All or nothing, unless ``skip_bad_rows``.

    Raises Invalid for an empty file or no place. Can be undone by ``undo_link_import``.
    """
    require(actor, Permission.HASHING_LINKS_IMPORT)
    where = check_place(place)
    if blob.size == 0:
        raise Invalid({"file": ["The file is empty (0 bytes)."]})
    link_import = LinkImport.objects.create(
        place=where,
        file_name=file_name[:400],
        imported_by=actor if isinstance(actor, User) else None,
        blob=vault.hold(blob),
        skip_bad_rows=skip_bad_rows,
    )
    audit.record(
        AuditEvent.LINKS_ASKED,
        actor=actor,
        subject=link_import,
        sha256=blob.sha256,
        size=blob.size,
    )
    enqueue("read_links", link_import.pk)
    return link_import


@transaction.atomic
def add_links(
    rows: Iterable[LinkRow], *, place: str, source: Source, actor: Actor | Person
) -> LinkImport:
    """Take links that a source sent, at once. Safe to repeat: one that is known in its place is not added.

    Raises Invalid without a place. Can be undone by ``undo_link_import``.
    """
    require(actor, Permission.HASHING_LINKS_IMPORT)
    link_import = LinkImport.objects.create(
        place=check_place(place), source=source, state=LinkImportState.DONE, ended_at=Now()
    )
    _stage(rows, link_import)
    return _settle(link_import, actor)


def waiting_link_imports() -> QuerySet[LinkImport]:
    """Return the imports that are due: not begun, or begun by a worker that never came back."""
    return LinkImport.objects.filter(state=LinkImportState.WAITING, due_at__lte=Now()).order_by(
        "due_at"
    )


@transaction.atomic
def begin_link_import(link_import: LinkImport) -> LinkImport | None:
    """Take up an import; None if there is nothing to do, or it was given up just now."""
    taken = (
        LinkImport.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        .select_related("blob")
        .filter(pk=link_import.pk, state=LinkImportState.WAITING, due_at__lte=Now())
        .first()
    )
    if taken is None:
        return None
    if taken.attempts >= MOST_ATTEMPTS:
        fail_link_import(
            taken, problem=f"Reading it began {taken.attempts} times and never came to an end."
        )
        return None
    taken.attempts += 1
    LinkImport.objects.filter(pk=taken.pk).update(
        attempts=taken.attempts, due_at=Now() + lease_after(taken.attempts - 1)
    )
    return taken


def keep_link_import(link_import: LinkImport) -> AbstractContextManager[None]:
    """Keep an import that was taken up from others while the block reads it and its process lives."""
    rows = LinkImport.objects.filter(
        pk=link_import.pk, state=LinkImportState.WAITING, attempts=link_import.attempts
    )
    return kept(rows, field="due_at")


@transaction.atomic
def finish_link_import(
    link_import: LinkImport, stream: BinaryIO, *, actor: Actor = audit.SYSTEM
) -> LinkImport | None:
    """Read a file and keep its links, all in one transaction. None when somebody else has done so.

    With a bad row nothing is kept, unless it was asked for. Raises ValueError for what is no file of links.
    """
    known = (
        LinkImport.objects.select_for_update(no_key=True)
        .filter(pk=link_import.pk, state=LinkImportState.WAITING)
        .first()
    )
    if known is None:
        return None
    problems: list[LinkProblem] = []

    def good() -> Iterable[LinkRow]:
        for each in read_links(stream):
            if isinstance(each, LinkRow):
                yield each
                continue
            known.refused += 1
            if len(problems) < PROBLEMS_KEPT:
                problems.append(each)

    kept = _stage(good(), known)
    known.rows = kept + known.refused
    known.problems = [{"row": each.number, "reason": each.reason} for each in problems]
    known.ended_at = timezone.now()
    known.blob = None
    if not known.rows:
        raise ValueError("The file holds no links.")
    if known.refused and (not known.skip_bad_rows or not kept):
        known.state = LinkImportState.REFUSED
        StagedLink.objects.filter(link_import=known).delete()
        known.save()
        _note(known, actor)
        return known
    known.state = LinkImportState.DONE
    known.save()
    return _settle(known, actor)


@transaction.atomic
def fail_link_import(link_import: LinkImport, *, problem: str, actor: Actor = audit.SYSTEM) -> None:
    """End an import whose file cannot be read, with the reason. Nothing of it counts."""
    ended = LinkImport.objects.filter(pk=link_import.pk, state=LinkImportState.WAITING).update(
        state=LinkImportState.FAILED, problem=problem[:300], blob=None, ended_at=Now()
    )
    if ended:
        _note(LinkImport.objects.get(pk=link_import.pk), actor)


def undo_link_import(link_import: LinkImport, *, actor: Actor | Person) -> int:
    """Withdraw the links that an import added; return how many. Can be undone by ``redo_link_import``."""
    require(actor, Permission.HASHING_LINKS_IMPORT)
    return _switch(link_import, LinkImportState.DONE, LinkImportState.UNDONE, actor)


def redo_link_import(link_import: LinkImport, *, actor: Actor | Person) -> int:
    """Let the links of an import count again; return how many. Can be undone by ``undo_link_import``."""
    require(actor, Permission.HASHING_LINKS_IMPORT)
    return _switch(link_import, LinkImportState.UNDONE, LinkImportState.DONE, actor)


@transaction.atomic
def _switch(
    link_import: LinkImport,
    before: LinkImportState,
    after: LinkImportState,
    actor: Actor | Person,
) -> int:
    known = LinkImport.objects.select_for_update(no_key=True).get(pk=link_import.pk)
    if known.state != before:
        raise Refused(
            f"This import is “{known.get_state_display()}”, so this cannot be done.", code="state"
        )
    is_undo = after == LinkImportState.UNDONE
    count = ListedLink.objects.filter(link_import=known, withdrawn_at__isnull=is_undo).update(
        withdrawn_at=Now() if is_undo else None
    )
    LinkImport.objects.filter(pk=known.pk).update(state=after)
    note_changes(groups=_groups_of(known))
    audit.record(
        AuditEvent.LINKS_SWITCHED, actor=actor, subject=known, state=after.value, links=count
    )
    return count


def _stage(rows: Iterable[LinkRow], link_import: LinkImport) -> int:
    """Copy rows beside the table, in this transaction; return how many."""
    count = 0
    now = timezone.now()
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY hashing_stagedlink (link_import_id, key, link, place, seen_at) FROM STDIN"
        ) as copy,
    ):
        for row in rows:
            place = row.place or link_import.place
            copy.write_row((link_import.pk, row.key, row.link, place, row.seen_at or now))
            count += 1
    return count


def _settle(link_import: LinkImport, actor: Actor | Person) -> LinkImport:
    """Let what was staged count, and tell the groups."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT (key, place)) FROM hashing_stagedlink "
            "WHERE link_import_id = %s",
            [link_import.pk],
        )
        rows, pairs = cursor.fetchone()
        # In the order of their keys: two imports with the same links never wait for each other in a circle.
        cursor.execute(
            "INSERT INTO hashing_listedlink (key, link, place, link_import_id, seen_at) "
            "SELECT DISTINCT ON (key, place) key, link, place, link_import_id, seen_at "
            "FROM hashing_stagedlink WHERE link_import_id = %s ORDER BY key, place, seen_at "
            "ON CONFLICT (key, place) DO UPDATE SET withdrawn_at = NULL, "
            "link_import_id = EXCLUDED.link_import_id, seen_at = EXCLUDED.seen_at "
            "WHERE hashing_listedlink.withdrawn_at IS NOT NULL",
            [link_import.pk],
        )
        added = cursor.rowcount
    StagedLink.objects.filter(link_import=link_import).delete()
    groups = _groups_of(link_import)
    note_changes(groups=groups)
    LinkImport.objects.filter(pk=link_import.pk).update(
        rows=rows + link_import.refused, added=added, known=pairs - added, groups=len(groups)
    )
    link_import.refresh_from_db()
    _note(link_import, actor)
    enqueue("compute_risk", 0)
    return link_import


def _groups_of(link_import: LinkImport) -> list[UUID]:
    keys = ListedLink.objects.filter(link_import=link_import).values("key")
    return list(GroupLink.objects.filter(key__in=keys).values_list("group", flat=True).distinct())


def _note(link_import: LinkImport, actor: Actor | Person) -> None:
    audit.record(
        AuditEvent.LINKS_IMPORTED,
        actor=actor,
        subject=link_import,
        state=link_import.state,
        rows=link_import.rows,
        added=link_import.added,
        refused=link_import.refused,
        groups=link_import.groups,
    )
