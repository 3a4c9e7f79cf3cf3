"""Accounts and groups as others refer to them: found by the platform's id, made without details where nobody told of them yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar
from uuid import UUID

from core import bulk
from core.ids import rising_id
from reports.links import NotALink, link_key
from reports.models import Account, Group, GroupLink, SubjectChange

S = TypeVar("S", Account, Group)


def stub_accounts(external_ids: Iterable[str]) -> dict[str, Account]:
    """Return accounts by external id; those nobody told us about yet are created without details.

    A report must not be refused because the platform's directory is late. Ids are inserted in order,
    so that two transactions that name the same accounts never wait for each other in a circle.
    """
    return _stubs(Account, external_ids)


def stub_groups(external_ids: Iterable[str]) -> dict[str, Group]:
    """Return groups by external id, as ``stub_accounts`` does with accounts."""
    return _stubs(Group, external_ids)


def stub_group(external_id: str) -> Group:
    """Return a group by external id, created without details if it is new."""
    return stub_groups([external_id])[external_id]


def account_keys(external_ids: Iterable[str]) -> dict[str, UUID]:
    """Return the keys of accounts by external id; made without details as by ``stub_accounts``, and cheaper to read."""
    return _keys(Account, external_ids)


def group_keys(external_ids: Iterable[str]) -> dict[str, UUID]:
    """Return the keys of groups by external id, as ``account_keys``."""
    return _keys(Group, external_ids)


def _keys(model: type[S], external_ids: Iterable[str]) -> dict[str, UUID]:
    wanted = set(external_ids)
    if not wanted:
        return {}
    rows = model._default_manager.filter(external_id__in=sorted(wanted))  # noqa: SLF001 — Django's own name
    known = dict(rows.values_list("external_id", "pk"))
    missing = wanted - known.keys()
    return known | {name: row.pk for name, row in _stubs(model, missing).items()}


def _stubs(model: type[S], external_ids: Iterable[str]) -> dict[str, S]:
    wanted = sorted(set(external_ids))
    if not wanted:
        return {}
    rows = model._default_manager  # noqa: SLF001 — Django's own name for it
    known = {row.external_id: row for row in rows.filter(external_id__in=wanted)}
    missing = [external_id for external_id in wanted if external_id not in known]
    if missing:
        new = [model(id=rising_id(), external_id=external_id) for external_id in missing]
        known |= {row.external_id: row for row in bulk.insert(new, unless_there=True)}
    if late := [external_id for external_id in wanted if external_id not in known]:
        known |= {row.external_id: row for row in rows.filter(external_id__in=late)}
    return known


def note_changes(
    *, accounts: Iterable[Account | UUID] = (), groups: Iterable[Group | UUID] = ()
) -> None:
    """Note that something was learnt about accounts and groups, in the caller's transaction; wakes nobody.

    Whoever rates them (``hashing.jobs.compute_risk``) is woken by the sweep, a few seconds later and for many at once.
    What belongs to practice is never rated.
    """
    rows = [SubjectChange(account_id=_key(each)) for each in accounts if not _is_practice(each)]
    rows += [SubjectChange(group_id=_key(each)) for each in groups if not _is_practice(each)]
    for start in range(0, len(rows), 5000):
        bulk.insert(rows[start : start + 5000])


def keep_links(links: Iterable[tuple[UUID, str]]) -> None:
    """Remember that links led into groups, named by their keys. A text that is no link is passed over."""
    rows = []
    for group, link in links:
        try:
            rows.append(GroupLink(group_id=group, key=link_key(link), link=link.strip()))
        except NotALink:
            continue
    # In order: two transactions that name the same links never wait for each other in a circle.
    rows.sort(key=lambda row: (row.key, row.group_id))
    if rows:
        GroupLink.objects.bulk_create(rows, ignore_conflicts=True)


def _is_practice(row: Account | Group | UUID) -> bool:
    return not isinstance(row, UUID) and row.is_practice


def _key(row: Account | Group | UUID) -> UUID:
    return row if isinstance(row, UUID) else row.pk
