"""Loads text rules for people whose role may see them, and their lines for those who may read them.

Seeing a list is not reading it: what a *restricted* list looks for is opened only for people who are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.forms import Form
from django.http import Http404
from django.shortcuts import get_object_or_404
from guardian.shortcuts import get_objects_for_user, get_users_with_perms

from accounts.models import User
from accounts.permissions import ROLE_PERMISSIONS, Permission
from hashing.live import live_flags
from hashing.models import Flag, FlagKind, Term, TermChange, TermList
from hashing.rule_lines import Rule
from hashing.sealing import ListSeal
from hashing.term_versions import Changed, difference, rules_before
from reports.models import Surface

__all__ = [
    "TermRow",
    "changes_of",
    "compare_versions",
    "find_term_list_for",
    "flags_of_terms",
    "get_readable_list_for",
    "get_reader",
    "get_term_list_for",
    "is_long",
    "lines_at",
    "may_read",
    "people_who_could_read",
    "readers_of",
    "rules_of",
    "suppressed_count",
    "surface_names",
    "term_lists_for",
    "terms_as_text",
    "terms_page",
    "unread_lists_for",
    "version_of",
]

RULES_A_PAGE = 50
MOST_IN_EDITOR = 5_000
"""Rules that a page still edits as text; a longer list is imported and exported."""


@dataclass(frozen=True)
class TermRow:
    """A rule of a list as it is shown."""

    id: int
    rule: Rule


def term_lists_for(user: User) -> QuerySet[TermList]:
    """Return every list with ``term_count``, or none for who may not see rules."""
    if not user.may(Permission.HASHING_RULES_VIEW):
        return TermList.objects.none()
    in_force = Count("terms", filter=Q(terms__retired_at=None))
    flagged = Exists(Flag.objects.filter(term_list=OuterRef("pk"), superseded_at=None))
    return TermList.objects.annotate(term_count=in_force, has_flags=flagged).order_by("name")


def get_term_list_for(user: User, id: UUID) -> TermList:
    """Return one list. Raises Http404."""
    return get_object_or_404(term_lists_for(user), pk=id)


def get_readable_list_for(user: User, id: UUID) -> TermList:
    """Return a list that the person may read. Raises Http404, and PermissionDenied where it is restricted."""
    term_list = get_term_list_for(user, id)
    if not may_read(user, term_list):
        raise PermissionDenied("What this list looks for is shown to named people only.")
    return term_list


def may_read(user: User, term_list: TermList) -> bool:
    """Return whether the person may read what the list looks for."""
    if not user.may(Permission.HASHING_RULES_VIEW):
        return False
    return not term_list.is_restricted or _granted(user).filter(pk=term_list.pk).exists()


def unread_lists_for(user: User) -> set[UUID]:
    """Return the restricted lists that the person may not read."""
    restricted = TermList.objects.filter(is_restricted=True)
    return set(restricted.exclude(pk__in=_granted(user).values("pk")).values_list("pk", flat=True))


def readers_of(term_list: TermList) -> list[User]:
    """Return the people who are named as readers of a restricted list."""
    people = get_users_with_perms(
        term_list, only_with_perms_in=["read_terms"], with_group_users=False
    )
    return sorted(people, key=lambda person: person.pseudonym)


def people_who_could_read(term_list: TermList) -> list[User]:
    """Return people whose role sees rules and who are not named yet."""
    roles = [role for role, may in ROLE_PERMISSIONS.items() if Permission.HASHING_RULES_VIEW in may]
    named = [person.pk for person in readers_of(term_list)]
    people = User.objects.filter(role__in=roles, is_active=True).exclude(pk__in=named)
    return list(people.order_by("pseudonym"))


def get_reader(form: Form) -> User:
    """Return the person that a form names. Raises Http404."""
    if not form.is_valid():
        raise Http404
    return get_object_or_404(User, pk=form.cleaned_data["person"])


def is_long(term_list: TermList) -> bool:
    """Return whether a list has more rules than a page edits as text."""
    return term_list.terms.filter(retired_at=None).count() > MOST_IN_EDITOR


def changes_of(term_list: TermList) -> QuerySet[TermChange]:
    """Return the versions of a list, newest first."""
    return term_list.changes.select_related("changed_by").order_by("-version")


def flags_of_terms(term_list: TermList) -> QuerySet[Flag]:
    """Return the findings that rest on a list, newest first."""
    return (
        live_flags().filter(term_list=term_list, kind=FlagKind.TERM_MATCH).order_by("-created_at")
    )


def suppressed_count(term_list: TermList) -> int:
    """Return how often an item held only what an allowed phrase excuses."""
    return live_flags().filter(term_list=term_list, kind=FlagKind.NOTE).count()


def terms_page(
    term_list: TermList, number: object, *, search: str = ""
) -> tuple[Page[Any], list[TermRow]]:
    """Return a page, and its rules in the order in which they came. A search opens every rule of the list."""
    rows = term_list.terms.filter(retired_at=None).order_by("pk")
    seal = ListSeal(term_list)
    if search:
        wanted = search.casefold()
        found = [row for row in _opened(rows, seal) if wanted in row.rule.line.casefold()]
        matching = Paginator(found, RULES_A_PAGE).get_page(str(number or 1))
        return matching, list(matching.object_list)
    page = Paginator(rows, RULES_A_PAGE).get_page(str(number or 1))
    return page, list(_opened(page.object_list, seal))


def rules_of(term_list: TermList) -> list[Rule]:
    """Return the rules in force, in the order in which they came."""
    rows = term_list.terms.filter(retired_at=None).order_by("pk")
    return [row.rule for row in _opened(rows, ListSeal(term_list))]


def terms_as_text(term_list: TermList) -> str:
    """Return the rules in force one a line, each with its note after a tab."""
    return "\n".join(rule.line for rule in rules_of(term_list))


def lines_at(term_list: TermList, version: int) -> list[Rule]:
    """Return the rules as they were at a version. Raises Http404 for a version that never was."""
    if version == 0:
        return []  # Before the first version there was nothing.
    if not 1 <= version <= term_list.version:
        raise Http404
    seal = ListSeal(term_list)
    now = [rule.line for rule in rules_of(term_list)]
    changes = term_list.changes.filter(version__gt=version).order_by("-version")
    return rules_before(now, [seal.lines_of(change) for change in changes])


def compare_versions(term_list: TermList, older: int, newer: int) -> Changed:
    """Return what changed between two versions. Raises Http404."""
    return difference(lines_at(term_list, older), lines_at(term_list, newer))


def version_of(term_list: TermList) -> int:
    """Return the version that the list has at this moment."""
    return TermList.objects.values_list("version", flat=True).get(pk=term_list.pk)


def surface_names(term_list: TermList) -> list[str]:
    """Return where the list looks, in words; empty is everywhere."""
    return [Surface(value).label for value in term_list.surfaces if value in Surface.values]


def find_term_list_for(user: User, slug: str) -> TermList | None:
    """Return a list by its short name, or None."""
    return term_lists_for(user).filter(slug=slug).first()


def _granted(user: User) -> QuerySet[TermList]:
    return get_objects_for_user(
        user,
        "hashing.read_terms",
        klass=TermList,
        use_groups=False,
        with_superuser=False,
        accept_global_perms=False,
    )


def _opened(rows: Iterable[Term], seal: ListSeal) -> Iterator[TermRow]:
    for row in rows:
        yield TermRow(row.pk, seal.rule(row))
