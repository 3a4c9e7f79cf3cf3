"""Lists of text rules. Every change is a new version that says what changed and by whom, and can be brought back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.text import slugify
from guardian.shortcuts import assign_perm, get_users_with_perms, remove_perm

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from hashing.folding import steps_of
from hashing.models import Category, Term, TermChange, TermList
from hashing.rule_files import MOST_TERMS, parse_terms
from hashing.rule_lines import Rule
from hashing.sealing import Lines, ListSeal, legacy_rule, new_list_key, resealed_list_key
from hashing.term_versions import rules_before
from reports.models import Surface

__all__ = [
    "MOST_TERMS",
    "add_terms",
    "change_term_list",
    "create_term_list",
    "grant_terms",
    "parse_terms",
    "record_export",
    "reseal_secrets",
    "restore_terms",
    "revoke_terms",
    "seal_terms",
    "set_terms",
    "unsealed_term_lists",
]

READ_TERMS = "hashing.read_terms"
_SETTINGS = (
    "name",
    "category",
    "description",
    "surfaces",
    "steps",
    "score",
    "is_restricted",
    "is_active",
)


@transaction.atomic
def create_term_list(
    *,
    name: str,
    category: str,
    actor: Actor | Person,
    slug: str = "",
    description: str = "",
    surfaces: Iterable[str] = (),
    steps: Iterable[str] = ("case", "gaps"),
    score: float = 0.6,
    is_restricted: bool = False,
    terms: str | Iterable[str] = (),
) -> TermList:
    """Create a list in force, with its first rules. Who creates a restricted list may read it.

    Raises Invalid. Can be undone by switching it off.
    """
    require(actor, Permission.HASHING_RULES_EDIT)
    slug = slug or slugify(name)[:50]
    term_list = TermList(
        slug=slug,
        name=name.strip(),
        category=category,
        description=description,
        surfaces=sorted(set(surfaces)),
        steps=sorted(set(steps)),
        score=score,
        is_restricted=is_restricted,
    )
    term_list.sealed_key = new_list_key(term_list)
    _check(term_list)
    if not slug:
        raise Invalid({"name": ["Use at least one Latin letter or digit in the name."]})
    wanted = parse_terms(terms)
    try:
        with transaction.atomic():
            term_list.save(force_insert=True)
    except IntegrityError:
        raise Invalid({"name": ["There is a list of this name already."]}) from None
    seal = ListSeal(term_list)
    Term.objects.bulk_create([_row(term_list, seal, rule) for rule in wanted.values()])
    lines = Lines(added=[rule.line for rule in wanted.values()])
    _note_change(term_list, seal, lines, settings={}, actor=actor)
    audit.record(
        AuditEvent.TERM_LIST_CREATED,
        actor=actor,
        subject=term_list,
        slug=slug,
        category=category,
        terms=len(wanted),
        is_restricted=is_restricted,
    )
    _let_read(term_list, actor)
    term_list.refresh_from_db()
    return term_list


@transaction.atomic
def change_term_list(term_list: TermList, *, actor: Actor | Person, **changes: Any) -> TermList:
    """Change what a list is, where and how it looks, who reads it, or whether it is in force: a new version.

    Raises Invalid. Can be undone by another change.
    """
    require(actor, Permission.HASHING_RULES_EDIT)
    if unknown := set(changes) - set(_SETTINGS):
        raise TypeError(f"a term list has no setting {min(unknown)!r}")
    for name in {"surfaces", "steps"} & set(changes):
        changes[name] = sorted(set(changes[name]))
    term_list = _locked(term_list)
    before = {key: getattr(term_list, key) for key in changes}
    changed = {key: [before[key], value] for key, value in changes.items() if before[key] != value}
    if not changed:
        return term_list
    for key, (_, value) in changed.items():
        setattr(term_list, key, value)
    _check(term_list)
    _next_version(term_list)
    _note_change(term_list, ListSeal(term_list), Lines(), settings=changed, actor=actor)
    if "is_restricted" in changed and term_list.is_restricted:
        _let_read(term_list, actor)
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
    """Make ``terms`` the rules of a list: one a line, with a note after a tab if there is one.

    Rules that are not named are retired; their rows stay for the flags that rest on them. Raises
    Invalid naming each bad line, and Refused when ``version`` is no longer the list's: somebody else
    changed it meanwhile. Can be undone by ``restore_terms``.
    """
    require(actor, Permission.HASHING_RULES_EDIT)
    wanted = parse_terms(terms)
    term_list = _locked(term_list)
    _check_version(term_list, version)
    return _replace(term_list, wanted.values(), actor=actor)


@transaction.atomic
def add_terms(
    term_list: TermList,
    terms: str | Iterable[str],
    *,
    actor: Actor | Person,
    version: int | None = None,
) -> TermList:
    """Add rules to a list and keep those it has. Raises as ``set_terms``. Can be undone by ``restore_terms``."""
    require(actor, Permission.HASHING_RULES_EDIT)
    wanted = parse_terms(terms)
    term_list = _locked(term_list)
    _check_version(term_list, version)
    seal = ListSeal(term_list)
    standing = [seal.rule(term) for term in term_list.terms.filter(retired_at=None)]
    together = {rule.identity: rule for rule in [*standing, *wanted.values()]}
    if len(together) > MOST_TERMS:
        raise Invalid({"terms": [f"A list holds at most {MOST_TERMS:,} rules."]})
    return _replace(term_list, together.values(), actor=actor)


@transaction.atomic
def restore_terms(term_list: TermList, *, version: int, actor: Actor | Person) -> TermList:
    """Bring back the rules of an earlier version, as a new one; settings stay. Raises Refused, Invalid.

    Can be undone by restoring the version before.
    """
    require(actor, Permission.HASHING_RULES_EDIT)
    term_list = _locked(term_list)
    if not 1 <= version < term_list.version:
        raise Refused(
            f"Version {version} is not an earlier one: the list is at {term_list.version}.",
            code="no_such_version",
        )
    seal = ListSeal(term_list)
    changes = term_list.changes.filter(version__gt=version).order_by("-version")
    now = [seal.line(term) for term in term_list.terms.filter(retired_at=None)]
    rules = rules_before(now, [seal.lines_of(change) for change in changes])
    return _replace(term_list, rules, actor=actor, restored_version=version)


@transaction.atomic
def grant_terms(term_list: TermList, *, to: User, actor: Actor | Person) -> None:
    """Let a person read what a restricted list looks for. Twice is once. Can be undone by ``revoke_terms``."""
    require(actor, Permission.HASHING_RULES_EDIT)
    if not to.is_active or not to.may(Permission.HASHING_RULES_VIEW):
        raise Invalid({"person": [f"The role of {to.pseudonym} does not see text rules."]})
    if to.has_perm(READ_TERMS, term_list):
        return
    assign_perm(READ_TERMS, to, term_list)
    audit.record(AuditEvent.TERM_LIST_GRANTED, actor=actor, subject=term_list, person=to.pk)


@transaction.atomic
def revoke_terms(term_list: TermList, *, of: User, actor: Actor | Person) -> None:
    """Hide from a person what a restricted list looks for. Raises Refused for the last who can read it.

    Can be undone by ``grant_terms``.
    """
    require(actor, Permission.HASHING_RULES_EDIT)
    term_list = _locked(term_list)
    readers = get_users_with_perms(
        term_list, only_with_perms_in=["read_terms"], with_group_users=False
    )
    if of not in readers:
        return
    if len(readers) == 1:
        raise Refused("This is the last person who can read the list.", code="last_reader")
    remove_perm(READ_TERMS, of, term_list)
    audit.record(AuditEvent.TERM_LIST_REVOKED, actor=actor, subject=term_list, person=of.pk)


def record_export(term_list: TermList, *, actor: Person) -> None:
    """Note that somebody took a copy of what a list looks for. Cannot be undone."""
    require(actor, Permission.HASHING_RULES_EDIT)
    audit.record(
        AuditEvent.TERM_LIST_EXPORTED, actor=actor, subject=term_list, version=term_list.version
    )


def unsealed_term_lists() -> list[TermList]:
    """Return the lists that still have rules in clear, from before lists were sealed."""
    waiting = Term.objects.filter(sealed=None).values("term_list")
    changes = TermChange.objects.filter(sealed=None).values("term_list")
    return list(TermList.objects.filter(pk__in=waiting.union(changes)).order_by("slug"))


@transaction.atomic
def seal_terms(term_list: TermList) -> int:
    """Seal what a list still holds in clear; return how many rules that were. Safe to repeat.

    Not audited: nothing that anybody sees changes. Cannot be undone.
    """
    return _seal_all(TermList.objects.select_for_update(no_key=True).get(pk=term_list.pk))


def reseal_secrets() -> int:
    """Seal every list's key with the current master key. Returns how many. Safe to repeat."""
    done = 0
    for pk in list(TermList.objects.filter(sealed_key__isnull=False).values_list("pk", flat=True)):
        with transaction.atomic():
            term_list = TermList.objects.select_for_update().get(pk=pk)
            term_list.sealed_key = resealed_list_key(term_list)
            term_list.save(update_fields=["sealed_key"])
            done += 1
    return done


def _locked(term_list: TermList) -> TermList:
    """Return the list, locked, with nothing in clear."""
    locked = TermList.objects.select_for_update(no_key=True).get(pk=term_list.pk)
    _seal_all(locked)
    return locked


def _seal_all(term_list: TermList) -> int:
    if term_list.sealed_key is None:
        term_list.sealed_key = new_list_key(term_list)
        term_list.save(update_fields=["sealed_key"])
    rows = list(term_list.terms.filter(sealed=None))
    changes = list(term_list.changes.filter(sealed=None))
    if not rows and not changes:
        return 0
    seal = ListSeal(term_list)
    for row in rows:
        row.digest, row.sealed = seal.seal_rule(legacy_rule(row.text, row.note))
        row.text = row.folded = row.note = ""
    Term.objects.bulk_update(rows, ["digest", "sealed", "text", "folded", "note"], batch_size=1000)
    for change in changes:
        lines = seal.lines_of(change)
        change.added_count, change.removed_count = len(lines.added), len(lines.removed)
        change.sealed = seal.seal_change(change.version, lines)
        change.added = change.removed = []
    TermChange.objects.bulk_update(
        changes, ["sealed", "added", "removed", "added_count", "removed_count"], batch_size=100
    )
    return len(rows)


def _check_version(term_list: TermList, version: int | None) -> None:
    if version is not None and version != term_list.version:
        raise Refused(
            f"Somebody changed this list meanwhile: it is now version {term_list.version}. "
            "Your text is still here; compare it before you save.",
            code="list_changed",
        )


def _replace(
    term_list: TermList,
    rules: Iterable[Rule],
    *,
    actor: Actor | Person,
    restored_version: int | None = None,
) -> TermList:
    """Make ``rules`` those of a locked list, if they differ, and write the version."""
    seal = ListSeal(term_list)
    rows = {term.digest: term for term in term_list.terms.all()}
    wanted = {seal.digest(rule): rule for rule in rules}
    new: list[Term] = []
    changed: list[Term] = []
    added: list[str] = []
    rewritten: list[tuple[str, str]] = []
    for digest, rule in wanted.items():
        row = rows.get(digest)
        if row is None:
            new.append(_row(term_list, seal, rule))
            added.append(rule.line)
            continue
        before = seal.line(row)
        if row.retired_at is None and before == rule.line:
            continue
        if row.retired_at is not None:
            added.append(rule.line)
        else:
            rewritten.append((before, rule.line))
        _, row.sealed = seal.seal_rule(rule)
        row.retired_at = None
        changed.append(row)
    gone = [row for key, row in rows.items() if key not in wanted and row.retired_at is None]
    if not (new or changed or gone):
        return term_list
    lines = Lines(added, [seal.line(row) for row in gone], rewritten)
    Term.objects.bulk_create(new, batch_size=5000)
    Term.objects.bulk_update(changed, ["sealed", "retired_at"], batch_size=1000)
    Term.objects.filter(pk__in=[row.pk for row in gone]).update(retired_at=Now())
    _next_version(term_list)
    _note_change(
        term_list, seal, lines, settings={}, actor=actor, restored_version=restored_version
    )
    audit.record(
        AuditEvent.TERM_LIST_CHANGED,
        actor=actor,
        subject=term_list,
        version=term_list.version,
        added=len(added),
        removed=len(gone),
        rewritten=len(rewritten),
        restored_version=restored_version,
    )
    return term_list


def _row(term_list: TermList, seal: ListSeal, rule: Rule) -> Term:
    digest, sealed = seal.seal_rule(rule)
    return Term(term_list=term_list, digest=digest, sealed=sealed)


def _let_read(term_list: TermList, actor: Actor | Person) -> None:
    # Nobody would be able to grant reading otherwise: who may grant has to read.
    if term_list.is_restricted and isinstance(actor, User):
        assign_perm(READ_TERMS, actor, term_list)


def _next_version(term_list: TermList) -> None:
    term_list.version += 1
    term_list.updated_at = Now()
    term_list.save()
    term_list.refresh_from_db()


def _note_change(
    term_list: TermList,
    seal: ListSeal,
    lines: Lines,
    *,
    settings: dict[str, Any],
    actor: Actor | Person,
    restored_version: int | None = None,
) -> None:
    TermChange.objects.create(
        term_list=term_list,
        version=term_list.version,
        sealed=seal.seal_change(term_list.version, lines),
        added_count=len(lines.added),
        removed_count=len(lines.removed),
        rewritten_count=len(lines.rewritten),
        settings=settings,
        restored_version=restored_version,
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
    try:
        steps_of(term_list.steps)
    except ValueError:
        errors["steps"] = ["Choose steps from the list."]
    if not 0.0 < term_list.score <= 1.0:
        errors["score"] = ["A score is above 0 and at most 1."]
    if errors:
        raise Invalid(errors)
