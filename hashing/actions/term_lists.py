"""Term lists. Every change is a new version that says what was added, what was removed and by whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.text import slugify

from accounts.models import User
from core import audit
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from hashing.folding import fold
from hashing.models import Category, Term, TermChange, TermList
from reports.models import Surface

__all__ = ["MOST_TERMS", "change_term_list", "create_term_list", "parse_terms", "set_terms"]

MOST_TERMS = 20_000
_LONGEST_TERM = 200
_LONGEST_FOLDED = 400
_LONGEST_NOTE = 500
_SETTINGS = ("name", "category", "description", "surfaces", "is_active")


@transaction.atomic
def create_term_list(
    *,
    name: str,
    category: str,
    actor: Actor | Person,
    slug: str = "",
    description: str = "",
    surfaces: Iterable[str] = (),
    terms: str | Iterable[str] = (),
) -> TermList:
    """Create a list in force, with its first terms. Raises Invalid. Can be undone by switching it off."""
    slug = slug or slugify(name)[:50]
    term_list = TermList(
        slug=slug,
        name=name.strip(),
        category=category,
        description=description,
        surfaces=sorted(set(surfaces)),
    )
    _check(term_list)
    if not slug:
        raise Invalid({"name": ["Use at least one Latin letter or digit in the name."]})
    wanted = parse_terms(terms)
    try:
        with transaction.atomic():
            term_list.save(force_insert=True)
    except IntegrityError:
        raise Invalid({"name": ["There is a list of this name already."]}) from None
    Term.objects.bulk_create(
        [
            Term(term_list=term_list, text=text, folded=folded, note=note)
            for folded, (text, note) in wanted.items()
        ]
    )
    added = [text for text, _ in wanted.values()]
    _note_change(term_list, added=added, removed=[], settings={}, actor=actor)
    audit.record(
        AuditEvent.TERM_LIST_CREATED,
        actor=actor,
        subject=term_list,
        slug=slug,
        category=category,
        terms=len(added),
    )
    term_list.refresh_from_db()
    return term_list


@transaction.atomic
def change_term_list(term_list: TermList, *, actor: Actor | Person, **changes: Any) -> TermList:
    """Change name, category, description, surfaces or whether the list is in force: a new version.

    Raises Invalid. Can be undone by another change.
    """
    if unknown := set(changes) - set(_SETTINGS):
        raise TypeError(f"a term list has no setting {min(unknown)!r}")
    if "surfaces" in changes:
        changes["surfaces"] = sorted(set(changes["surfaces"]))
    term_list = TermList.objects.select_for_update(no_key=True).get(pk=term_list.pk)
    before = {key: getattr(term_list, key) for key in changes}
    changed = {key: [before[key], value] for key, value in changes.items() if before[key] != value}
    if not changed:
        return term_list
    for key, (_, value) in changed.items():
        setattr(term_list, key, value)
    _check(term_list)
    _next_version(term_list)
    _note_change(term_list, added=[], removed=[], settings=changed, actor=actor)
    audit.record(
        AuditEvent.TERM_LIST_CHANGED,
        actor=actor,
        subject=term_list,
        version=term_list.version,
        changed=sorted(changed),
    )
    return term_list


@transaction.atomic
def set_terms(
    term_list: TermList,
    terms: str | Iterable[str],
    *,
    actor: Actor | Person,
    version: int | None = None,
) -> TermList:
    """Make ``terms`` the terms of a list: one a line, with a note after a tab if there is one.

    Terms that are not named are retired; their rows stay for the flags that rest on them. Raises
    Invalid naming each bad line, and Refused when ``version`` is no longer the list's: somebody else
    changed it meanwhile. Can be undone by setting the terms of the version before.
    """
    wanted = parse_terms(terms)
    term_list = TermList.objects.select_for_update(no_key=True).get(pk=term_list.pk)
    if version is not None and version != term_list.version:
        raise Refused(
            f"Somebody changed this list meanwhile: it is now version {term_list.version}. "
            "Your text is still here; compare it before you save.",
            code="list_changed",
        )
    rows = {term.folded: term for term in term_list.terms.all()}
    added, removed, rewritten = [], [], []
    for folded, (text, note) in wanted.items():
        row = rows.get(folded)
        if row is None:
            added.append(Term(term_list=term_list, text=text, folded=folded, note=note))
        elif row.retired_at is not None:
            row.retired_at, row.text, row.note = None, text, note
            rewritten.append(row)
            added.append(row)
        elif (row.text, row.note) != (text, note):
            row.text, row.note = text, note
            rewritten.append(row)
    gone = [row for key, row in rows.items() if key not in wanted and row.retired_at is None]
    removed = [row.text for row in gone]
    if not (added or removed or rewritten):
        return term_list
    Term.objects.bulk_create([row for row in added if row.pk is None])
    Term.objects.bulk_update(rewritten, ["text", "note", "retired_at"], batch_size=1000)
    Term.objects.filter(pk__in=[row.pk for row in gone]).update(retired_at=Now())
    _next_version(term_list)
    _note_change(
        term_list, added=[row.text for row in added], removed=removed, settings={}, actor=actor
    )
    audit.record(
        AuditEvent.TERM_LIST_CHANGED,
        actor=actor,
        subject=term_list,
        version=term_list.version,
        added=len(added),
        removed=len(removed),
        rewritten=len(rewritten),
    )
    return term_list


def parse_terms(terms: str | Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return terms by their folded form, each with its text and note. Raises Invalid by line number.

    Blank lines are skipped; of two lines that fold to the same the first stands.
    """
    lines = terms.splitlines() if isinstance(terms, str) else terms
    found: dict[str, tuple[str, str]] = {}
    problems = []
    for number, line in enumerate(lines, start=1):
        text, _, note = line.partition("\t")
        text, note = " ".join(text.split()), note.strip()
        if not text:
            continue
        folded = fold(text).text
        if not folded.strip():
            problems.append(f"Line {number} holds only invisible characters.")
        elif len(text) > _LONGEST_TERM or len(folded) > _LONGEST_FOLDED:
            problems.append(f"Line {number} is longer than {_LONGEST_TERM} characters.")
        elif not any(char.isalnum() for char in folded):
            problems.append(f"Line {number} holds no letter and no digit.")
        elif len(note) > _LONGEST_NOTE:
            problems.append(f"The note on line {number} is longer than {_LONGEST_NOTE} characters.")
        elif "\x00" in line:
            problems.append(f"Line {number} holds a zero byte.")
        else:
            found.setdefault(folded, (text, note))
    if len(found) > MOST_TERMS:
        problems.append(f"A list holds at most {MOST_TERMS:,} terms.")
    if problems:
        raise Invalid({"terms": problems[:50]})
    return found


def _next_version(term_list: TermList) -> None:
    term_list.version += 1
    term_list.updated_at = Now()
    term_list.save()
    term_list.refresh_from_db()


def _note_change(
    term_list: TermList,
    *,
    added: list[str],
    removed: list[str],
    settings: dict[str, Any],
    actor: Actor | Person,
) -> None:
    TermChange.objects.create(
        term_list=term_list,
        version=term_list.version,
        added=added,
        removed=removed,
        settings=settings,
        changed_by=actor if isinstance(actor, User) else None,
    )


def _check(term_list: TermList) -> None:
    errors: dict[str, list[str]] = {}
    if not term_list.name:
        errors["name"] = ["Give the list a name."]
    elif len(term_list.name) > 120:
        errors["name"] = ["Use at most 120 characters."]
    if term_list.category not in Category.values:
        errors["category"] = ["Choose a category."]
    if not set(term_list.surfaces) <= set(Surface.values):
        errors["surfaces"] = ["Choose surfaces from the list."]
    if errors:
        raise Invalid(errors)
