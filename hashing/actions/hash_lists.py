"""Hash lists and their entries. Every change raises the list's version: look-ups notice it at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import BinaryIO

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.text import slugify

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from hashing import csv_lists, list_files
from hashing.csv_lists import Problem
from hashing.models import Category, HashEntry, HashImport, HashList

__all__ = [
    "MOST_ROWS",
    "MOST_ROWS_IN_A_PAGE",
    "ImportResult",
    "add_entry",
    "change_hash_list",
    "content_changed",
    "create_hash_list",
    "import_csv",
    "raise_version",
    "record_list_export",
    "record_search",
    "restore_entry",
    "retire_entry",
]

MOST_ROWS = 1_000_000
"""Rows of one import: larger lists are imported in parts."""

MOST_ROWS_IN_A_PAGE = 200_000
"""Rows that a browser waits for; ``manage.py import_hashes`` takes more."""

_BATCH = 5000
_SETTINGS = (
    "name",
    "category",
    "origin",
    "description",
    "pdq_threshold",
    "phash_threshold",
    "dhash_threshold",
    "whash_threshold",
    "video_compared_percent",
    "video_query_percent",
    "video_run_seconds",
    "flood_percent",
    "is_negative",
    "is_active",
)
HIGHEST_PDQ_THRESHOLD = 128
HIGHEST_PHASH_THRESHOLD = 32


@dataclass(frozen=True)
class ImportResult:
    """What an import came to. When ``is_done`` is false nothing was kept.

    ``known`` entries were on the list already (``retired`` of them stay retired), ``duplicates`` stood in the
    file before; ``problems`` are the first 200 of ``refused`` rows; ``ignored`` columns were not read.
    """

    is_done: bool
    rows: int
    added: int
    known: int
    retired: int
    duplicates: int
    refused: int
    problems: tuple[Problem, ...]
    ignored: tuple[str, ...] = ()


@transaction.atomic
def create_hash_list(
    *,
    name: str,
    category: str,
    actor: Actor | Person,
    slug: str = "",
    origin: str = "",
    description: str = "",
    pdq_threshold: int = 31,
    phash_threshold: int = 8,
) -> HashList:
    """Create an empty list in force. Raises Invalid. Can be undone by switching it off."""
    require(actor, Permission.HASHING_LISTS_EDIT)
    slug = slug or slugify(name)[:50]
    hash_list = HashList(
        slug=slug,
        name=name.strip(),
        category=category,
        origin=origin,
        description=description,
        pdq_threshold=pdq_threshold,
        phash_threshold=phash_threshold,
    )
    _check(hash_list)
    if not slug:
        raise Invalid({"name": ["Use at least one Latin letter or digit in the name."]})
    try:
        with transaction.atomic():
            hash_list.save(force_insert=True)
    except IntegrityError:
        raise Invalid({"name": ["There is a list of this name already."]}) from None
    audit.record(
        AuditEvent.HASH_LIST_CREATED,
        actor=actor,
        subject=hash_list,
        slug=slug,
        category=category,
        pdq_threshold=pdq_threshold,
        phash_threshold=phash_threshold,
    )
    hash_list.refresh_from_db()
    return hash_list


@transaction.atomic
def change_hash_list(
    hash_list: HashList, *, actor: Actor | Person, **changes: str | int | bool
) -> HashList:
    """Change name, category, origin, description, thresholds or whether the list is in force.

    Findings made before keep what they rest on. Raises Invalid. Can be undone by another change.
    """
    require(actor, Permission.HASHING_LISTS_EDIT)
    if unknown := set(changes) - set(_SETTINGS):
        raise TypeError(f"a hash list has no setting {min(unknown)!r}")
    hash_list = HashList.objects.select_for_update(no_key=True).get(pk=hash_list.pk)
    before = {key: getattr(hash_list, key) for key in changes}
    changed = {key: value for key, value in changes.items() if before[key] != value}
    if not changed:
        return hash_list
    for key, value in changed.items():
        setattr(hash_list, key, value)
    _check(hash_list)
    hash_list.updated_at = Now()
    hash_list.save()
    if {"category", "is_negative"} & set(changed):
        # What two people let act was a list of this category.
        content_changed(hash_list, what="changed what the list is for", by=actor, ends=True)
    else:
        raise_version(hash_list)
    audit.record(
        AuditEvent.HASH_LIST_CHANGED,
        actor=actor,
        subject=hash_list,
        version=hash_list.version,
        changes={key: [before[key], value] for key, value in changed.items()},
    )
    hash_list.refresh_from_db()
    return hash_list


def import_csv(
    hash_list: HashList,
    stream: BinaryIO,
    *,
    actor: Actor | Person,
    file_name: str = "",
    skip_bad_rows: bool = False,
    most_rows: int = MOST_ROWS,
) -> ImportResult:
    """Add the entries of a file, of whatever form ``list_files`` reads, to a list.

    A row that is marked as retired comes in retired, with its time and reason. All or nothing: with one bad row nothing is kept and every problem is named, unless
    ``skip_bad_rows``. An entry that was retired stays retired: somebody took it off for a reason. Raises
    Invalid when the file is not readable at all. Can be undone by retiring the entries.
    """
    require(actor, Permission.HASHING_LISTS_EDIT)
    try:
        parsed = list_files.parse(stream, most_rows=most_rows, now=timezone.now())
    except ValueError as unreadable:
        raise Invalid({"file": [str(unreadable)]}) from None
    total = len(parsed.rows) + parsed.refused + parsed.duplicates
    problems = tuple(parsed.problems)
    if parsed.refused and (not skip_bad_rows or not parsed.rows):
        return ImportResult(
            is_done=False,
            rows=total,
            added=0,
            known=0,
            retired=0,
            duplicates=parsed.duplicates,
            refused=parsed.refused,
            problems=problems,
            ignored=parsed.ignored,
        )
    person = actor if isinstance(actor, User) else None
    with transaction.atomic():
        hash_list = HashList.objects.select_for_update(no_key=True).get(pk=hash_list.pk)
        before = HashEntry.objects.filter(hash_list=hash_list).count()
        known_import = HashImport.objects.create(
            hash_list=hash_list,
            file_name=file_name[:400],
            rows=total,
            refused=parsed.refused,
            duplicates=parsed.duplicates,
            problems=[{"row": each.number, "reason": each.reason} for each in problems],
            ignored_columns=list(parsed.ignored),
            imported_by=person,
        )
        rows = iter(parsed.rows)
        while batch := list(itertools.islice(rows, _BATCH)):
            HashEntry.objects.bulk_create(
                [
                    HashEntry(
                        hash_list=hash_list,
                        algorithm=row.algorithm,
                        value=row.value,
                        note=row.note,
                        retired_at=row.retired_at,
                        retired_reason=row.retired_reason,
                        imported_in=known_import,
                        added_by=person,
                        # The list is locked: what the trigger would look up for each row.
                        list_version=hash_list.version,
                    )
                    for row in batch
                ],
                ignore_conflicts=True,
            )
        added = HashEntry.objects.filter(hash_list=hash_list).count() - before
        known = len(parsed.rows) - added
        retired = _count_retired(hash_list, parsed.rows) if known else 0
        known_import.added, known_import.known = added, known
        known_import.save(update_fields=["added", "known"])
        if added:
            content_changed(hash_list, what="imported entries", by=actor)
        audit.record(
            AuditEvent.HASH_LIST_IMPORTED,
            actor=actor,
            subject=hash_list,
            file_import=known_import.pk,
            version=hash_list.version,
            rows=total,
            added=added,
            known=known,
            refused=parsed.refused,
            duplicates=parsed.duplicates,
        )
    return ImportResult(
        is_done=True,
        rows=total,
        added=added,
        known=known,
        retired=retired,
        duplicates=parsed.duplicates,
        refused=parsed.refused,
        problems=problems,
        ignored=parsed.ignored,
    )


@transaction.atomic
def add_entry(
    hash_list: HashList, *, algorithm: str, value: str, actor: Actor | Person, note: str = ""
) -> HashEntry:
    """Put one digest on a list. Raises Invalid, or Refused when it stands there already.

    Can be undone by ``retire_entry``.
    """
    require(actor, Permission.HASHING_LISTS_EDIT)
    return put_entry(hash_list, algorithm=algorithm, value=value, note=note, actor=actor)


@transaction.atomic
def put_entry(
    hash_list: HashList, *, algorithm: str, value: str, actor: Actor | Person, note: str = ""
) -> HashEntry:
    """Do what ``add_entry`` does for a verb that asked its own permission. Undone by ``retire_entry``."""
    try:
        algorithm, value = csv_lists.normalised(algorithm, value)
        csv_lists.check_listable(algorithm, value)
    except ValueError as problem:
        raise Invalid({"value": [str(problem)]}) from None
    if len(note) > csv_lists.NOTE_LENGTH:
        raise Invalid({"note": [f"Use at most {csv_lists.NOTE_LENGTH} characters."]})
    hash_list = HashList.objects.select_for_update(no_key=True).get(pk=hash_list.pk)
    standing = HashEntry.objects.filter(
        hash_list=hash_list, algorithm=algorithm, value=value
    ).first()
    if standing is not None:
        if standing.retired_at is None:
            raise Refused("This digest is on the list already.", code="known_entry")
        raise Refused(
            "This digest was on the list and was retired. Restore that entry instead.",
            code="retired_entry",
        )
    entry = HashEntry.objects.create(
        hash_list=hash_list,
        algorithm=algorithm,
        value=value,
        note=note,
        added_by=actor if isinstance(actor, User) else None,
    )
    content_changed(hash_list, what="added an entry", by=actor)
    audit.record(
        AuditEvent.HASH_ENTRY_ADDED,
        actor=actor,
        subject=entry,
        hash_list=hash_list,
        version=hash_list.version,
        algorithm=algorithm,
        value=value,
    )
    return entry


@transaction.atomic
def retire_entry(entry: HashEntry, *, reason: str, actor: Actor | Person) -> HashEntry:
    """Take an entry out of force; it matches nothing from the next item on. The row stays.

    Raises Invalid without a reason, Refused when it is retired already. Can be undone by
    ``restore_entry``; flags that rest on it stay.
    """
    require(actor, Permission.HASHING_LISTS_EDIT)
    reason = reason.strip()
    if not reason:
        raise Invalid({"reason": ["Say why the entry is taken off the list."]})
    if len(reason) > csv_lists.NOTE_LENGTH:
        raise Invalid({"reason": [f"Use at most {csv_lists.NOTE_LENGTH} characters."]})
    hash_list, entry = _locked(entry)
    if entry.retired_at is not None:
        raise Refused("This entry is retired already.", code="retired")
    HashEntry.objects.filter(pk=entry.pk).update(
        retired_at=Now(),
        retired_reason=reason,
        retired_by=actor if isinstance(actor, User) else None,
    )
    raise_version(hash_list)
    audit.record(
        AuditEvent.HASH_ENTRY_RETIRED,
        actor=actor,
        subject=entry,
        hash_list=hash_list,
        version=hash_list.version,
        reason=reason,
    )
    entry.refresh_from_db()
    return entry


@transaction.atomic
def restore_entry(entry: HashEntry, *, actor: Actor | Person) -> HashEntry:
    """Put a retired entry in force again. Raises Refused when it is. Can be undone by retiring it."""
    require(actor, Permission.HASHING_LISTS_EDIT)
    hash_list, entry = _locked(entry)
    if entry.retired_at is None:
        raise Refused("This entry is in force.", code="in_force")
    before = entry.retired_reason
    HashEntry.objects.filter(pk=entry.pk).update(
        retired_at=None, retired_reason="", retired_by=None
    )
    content_changed(hash_list, what="restored an entry", by=actor)
    audit.record(
        AuditEvent.HASH_ENTRY_RESTORED,
        actor=actor,
        subject=entry,
        hash_list=hash_list,
        version=hash_list.version,
        was_retired_because=before,
    )
    entry.refresh_from_db()
    return entry


def record_search(*, query: str, found: int, actor: Actor | Person) -> None:
    """Note that somebody looked up a digest on the lists."""
    require(actor, Permission.HASHING_LISTS_VIEW)
    audit.record(AuditEvent.HASH_LISTS_SEARCHED, actor=actor, query=query[:64], found=found)


def record_list_export(hash_list: HashList, *, form: str, actor: Actor | Person) -> None:
    """Note that somebody takes a whole list out of the house."""
    require(actor, Permission.HASHING_LISTS_EDIT)
    audit.record(
        AuditEvent.HASH_LIST_EXPORTED,
        actor=actor,
        subject=hash_list,
        version=hash_list.version,
        form=form,
    )


def _locked(entry: HashEntry) -> tuple[HashList, HashEntry]:
    # The list before its entry, as in every other action: two of them never wait for each other.
    hash_list = HashList.objects.select_for_update(no_key=True).get(pk=entry.hash_list_id)
    return hash_list, HashEntry.objects.select_for_update(no_key=True, of=("self",)).get(
        pk=entry.pk
    )


def raise_version(hash_list: HashList) -> None:
    """Let every worker see that the list changed. The caller holds the list's row lock."""
    HashList.objects.filter(pk=hash_list.pk).update(version=F("version") + 1, updated_at=Now())
    hash_list.refresh_from_db(fields=["version", "updated_at"])


def content_changed(
    hash_list: HashList, *, what: str, by: Actor | Person | None, ends: bool = False
) -> None:
    """Raise the version because more may match from now on than two people saw. The caller holds the lock.

    A request that a list acts automatically is dropped: it was made for the list as it stood. With ``ends`` the
    approval itself is: what was approved is not the same thing any more. Otherwise what was approved goes on to
    act, and what is new waits for a request of its own (``automatic_version``).
    """
    raise_version(hash_list)
    person = by if isinstance(by, User) else None
    hash_list.refresh_from_db()
    asked = hash_list.automatic_request_by
    hash_list.content_by = person or hash_list.content_by
    hash_list.renewal_asked_by = None
    if asked or (ends and hash_list.acts_automatically):
        who = person.pseudonym if person else "The server"
        dropped = "approval" if ends and hash_list.acts_automatically else "request"
        hash_list.request_ended = f"The {dropped} was dropped: {who} {what} after it."
        audit.record(
            AuditEvent.HASH_LIST_SWITCHED,
            actor=by if by is not None else audit.SYSTEM,
            subject=hash_list,
            change=f"automatic_{dropped}_dropped",
            reason=hash_list.request_ended,
        )
    if ends or not hash_list.acts_automatically:
        hash_list.acts_automatically = False
        hash_list.automatic_asked_by = hash_list.automatic_approved_by = None
    if ends:
        hash_list.automatic_version = 0
    hash_list.save(
        update_fields=[
            "content_by",
            "renewal_asked_by",
            "request_ended",
            "acts_automatically",
            "automatic_asked_by",
            "automatic_approved_by",
            "automatic_version",
        ]
    )


def _count_retired(hash_list: HashList, rows: list[csv_lists.Row]) -> int:
    # Values of SHA-256 and PDQ look alike; only with its algorithm is one an entry.
    read = {(row.algorithm, row.value) for row in rows}
    retired = HashEntry.objects.filter(hash_list=hash_list, retired_at__isnull=False)
    return sum(pair in read for pair in retired.values_list("algorithm", "value").iterator())


def _check(hash_list: HashList) -> None:
    errors: dict[str, list[str]] = {}
    if not hash_list.name:
        errors["name"] = ["Give the list a name."]
    elif len(hash_list.name) > 120:
        errors["name"] = ["Use at most 120 characters."]
    if hash_list.category not in Category.values:
        errors["category"] = ["Choose a category."]
    if not 0 <= hash_list.pdq_threshold <= HIGHEST_PDQ_THRESHOLD:
        errors["pdq_threshold"] = [f"Use a number from 0 to {HIGHEST_PDQ_THRESHOLD}."]
    if not 0 <= hash_list.phash_threshold <= HIGHEST_PHASH_THRESHOLD:
        errors["phash_threshold"] = [f"Use a number from 0 to {HIGHEST_PHASH_THRESHOLD}."]
    for name in ("dhash_threshold", "whash_threshold"):
        if not 0 <= getattr(hash_list, name) <= HIGHEST_PHASH_THRESHOLD:
            errors[name] = [f"Use a number from 0 to {HIGHEST_PHASH_THRESHOLD}."]
    for name, lowest, highest in (
        ("video_compared_percent", 10, 100),
        ("video_query_percent", 10, 100),
        ("video_run_seconds", 2, 3600),
        ("flood_percent", 1, 100),
    ):
        if not lowest <= getattr(hash_list, name) <= highest:
            errors[name] = [f"Use a number from {lowest} to {highest}."]
    if len(hash_list.origin) > 200:
        errors["origin"] = ["Use at most 200 characters."]
    if errors:
        raise Invalid(errors)
