"""Groups: what they are and were called, the links that led into them, and who was in them when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Case, F, Q, QuerySet, When

from referrals import package
from referrals.describing.history import History, earlier_roles
from referrals.models import Referral
from reports.models import Group, Item, Membership, Report


def groups_of(referral: Referral, accounts: Iterable[UUID] | QuerySet[Any]) -> QuerySet[Group]:
    """Return the groups to describe: the case's own first, then those that its accounts are or were in, or where it happened."""
    case = referral.case
    places = Membership.objects.filter(account__in=accounts).values("group")
    items = Item.objects.filter(case_items__case=case)
    named = Q(pk__in=items.exclude(group=None).values("group"))
    # Where it was written, and where a report says that it happened.
    named |= Q(pk__in=items.exclude(in_group=None).values("in_group"))
    reports = Report.objects.filter(case_reports__case=case).exclude(in_group=None)
    named |= Q(pk__in=reports.values("in_group"))
    return Group.objects.filter(Q(pk=case.group_id) | Q(pk__in=places) | named).order_by(
        Case(When(pk=case.group_id, then=0), default=1), "external_id"
    )


def describe_groups(referral: Referral, accounts: Iterable[UUID]) -> list[package.Group]:
    """Return the groups, the one that the case is about with its members."""
    return [
        _group(group, with_members=group.pk == referral.case.group_id)
        for group in groups_of(referral, accounts)
    ]


def _group(group: Group, *, with_members: bool) -> package.Group:
    links = [
        package.Link(row.link, row.first_seen_at, row.link == group.invite_link)
        for row in group.links.order_by("first_seen_at", "pk")
    ]
    if group.invite_link and not any(link.is_present for link in links):
        links.append(package.Link(group.invite_link, is_present=True))
    return package.Group(
        platform_id=group.external_id,
        name=group.name,
        description=group.description,
        member_count=group.member_count,
        created_at=group.created_on_platform_at,
        platform_status=group.platform_status,
        first_seen_at=group.first_seen_at,
        links=tuple(links),
        members=_members(group) if with_members else None,
        earlier=History(group).earlier(),
    )


def _members(group: Group) -> tuple[package.Membership, ...]:
    """Return everybody who is or was in it: present ones first, owners and admins before members."""
    roles = earlier_roles(group)
    ranks = {"owner": 0, "admin": 1}
    rows = group.memberships.select_related("account").order_by(
        F("joined_at").asc(nulls_last=True), "account__external_id"
    )
    ordered = sorted(rows, key=lambda row: (row.left_at is not None, ranks.get(row.role, 2)))
    return tuple(
        package.Membership(
            group_id=group.external_id,
            account_id=row.account.external_id,
            name=row.account.display_name or row.account.username,
            role=row.role,
            joined_at=row.joined_at,
            left_at=row.left_at,
            earlier=roles.get(str(row.account_id), ()),
        )
        for row in ordered
    )
