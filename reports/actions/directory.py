"""What the platform tells about accounts, groups and memberships.

Nothing that is known is removed by these verbs: an e-mail address that was given up is still evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from core import bulk
from core.audit import Actor, AuditEvent
from core.ids import rising_id
from reports.actions.chains import record_intake
from reports.actions.describing import (
    Description,
    Known,
    check_own_platform,
    database_now,
    locked,
    upsert_accounts,
    upsert_groups,
)
from reports.actions.subjects import note_changes, stub_accounts
from reports.facts import clock_ahead, told_at
from reports.models import Account, Group, Membership, Source
from reports.payloads import AccountPayload, GroupPayload, MembershipPayload, MembersPayload
from reports.stays import MEMBER, Told, stay_meant

_FACTS = ("role", "joined_at", "left_at")


def upsert_account(
    source: Source, external_id: str, *, payload: AccountPayload, actor: Actor
) -> Account:
    """Create or complete one account (``upsert_accounts``)."""
    return describe_account(source, external_id, payload=payload, actor=actor).row


def upsert_group(source: Source, external_id: str, *, payload: GroupPayload, actor: Actor) -> Group:
    """Create or complete one group (``upsert_groups``)."""
    return describe_group(source, external_id, payload=payload, actor=actor).row


def describe_account(
    source: Source, external_id: str, *, payload: AccountPayload, actor: Actor
) -> Known[Account]:
    """Create or complete one account, and return what that came to."""
    return upsert_accounts(source, [Description(external_id, payload)], actor=actor)[0]


def describe_group(
    source: Source, external_id: str, *, payload: GroupPayload, actor: Actor
) -> Known[Group]:
    """Create or complete one group, and return what that came to."""
    return upsert_groups(source, [Description(external_id, payload)], actor=actor)[0]


def upsert_memberships(
    source: Source,
    external_id: str,
    *,
    members: list[MembershipPayload] | MembersPayload,
    actor: Actor,
) -> list[Member]:
    """Add or change members of one group; return what became of each (``upsert_members``)."""
    listed = members.members if isinstance(members, MembersPayload) else members
    return upsert_members(source, [(external_id, member) for member in listed], actor=actor)


@dataclass(slots=True)
class Member:
    """What became of what was told of one member."""

    is_changed: bool = False
    is_stale: bool = False
    clock_ahead: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Changes:
    """What was told of the members of one group."""

    named: set[UUID] = field(default_factory=set)
    new: list[Membership] = field(default_factory=list)
    changed: dict[str, dict[str, list[Any]]] = field(default_factory=dict)


@transaction.atomic
def upsert_members(
    source: Source, told: Sequence[tuple[str, MembershipPayload]], *, actor: Actor
) -> list[Member]:
    """Add or change members of groups; return for each what became of it. Others stay as they are.

    What is left out of a member stays too; whoever comes back gets another stay (``reports.stays``). Unknown accounts
    and groups are created without details. Of an account named twice each mention counts, in their order. What is older
    (``as_of``) than what is known of this account in this group changes nothing.
    """
    check_own_platform(source)
    now = database_now()
    accounts = stub_accounts(member.account for _, member in told)
    groups = _locked_groups({external_id for external_id, _ in told})
    pairs = {(groups[group].pk, accounts[member.account].pk) for group, member in told}
    stays: dict[tuple[UUID, UUID], list[Membership]] = defaultdict(list)
    for row in _stays(sorted(pairs)):
        stays[row.group_id, row.account_id].append(row)
    changes: dict[str, _Changes] = defaultdict(_Changes)
    touched: dict[int, Membership] = {}
    confirmed: dict[int, Membership] = {}
    result = []
    for external_id, member in told:
        account, group, own = accounts[member.account], groups[external_id], changes[external_id]
        own.named.add(account.pk)
        said, at = Told(member.role, member.joined_at, member.left_at), told_at(member.as_of, now)
        outcome = Member(clock_ahead=clock_ahead(member, now))
        result.append(outcome)
        known = [s.as_of for s in stays[group.pk, account.pk] if s.as_of is not None]
        if member.as_of is not None and known and at < max(known):
            outcome.is_stale = True
            continue
        stay = stay_meant(stays[group.pk, account.pk], said)
        if stay is None:
            stay = Membership(
                account=account,
                group=group,
                role=said.role or MEMBER,
                joined_at=said.joined_at,
                left_at=said.left_at,
                source=source,
                as_of=at,
            )
            stays[group.pk, account.pk].append(stay)
            own.new.append(stay)
            outcome.is_changed = True
            continue
        differing = _differing(stay, said)
        outcome.is_changed = bool(differing)
        if member.as_of is not None and (stay.as_of is None or at > stay.as_of):
            stay.as_of = at
            if stay.pk is not None:
                confirmed[stay.pk] = stay
        if differing and stay.pk is not None:
            stay.source, stay.as_of = source, at
        for name, (before, value) in differing.items():
            setattr(stay, name, value)
            if stay.pk is not None:
                fields = own.changed.setdefault(str(account.pk), {})
                fields[name] = [fields.get(name, [before])[0], value]
                touched[stay.pk] = stay
    bulk.update(list(touched.values()), [*_FACTS, "source", "as_of"], now="updated_at")
    bulk.update([row for pk, row in confirmed.items() if pk not in touched], ["as_of"])
    bulk.insert([row for own in changes.values() for row in own.new])
    about = [(groups[name], own) for name, own in changes.items() if own.new or own.changed]
    note_changes(groups=[group for group, _ in about])
    record_intake(
        (AuditEvent.MEMBERS_UPSERTED, AuditEvent.MEMBERSHIPS_UPSERTED),
        source,
        [
            (
                group,
                {
                    "members": len(own.named),
                    "new": len(own.new),
                    "joined": [
                        [row.account_id, row.role, row.joined_at, row.left_at] for row in own.new
                    ],
                    "changed": own.changed,
                },
            )
            for group, own in about
        ],
        actor=actor,
    )
    return result


def _differing(stay: Membership, said: Told) -> dict[str, list[Any]]:
    return {
        name: [getattr(stay, name), value]
        for name in _FACTS
        if (value := getattr(said, name)) is not None and value != getattr(stay, name)
    }


def _locked_groups(external_ids: Iterable[str]) -> dict[str, Group]:
    found, missing = locked(Group, external_ids)
    if missing:
        new = [Group(id=rising_id(), external_id=each) for each in sorted(missing)]
        found |= {row.external_id: row for row in bulk.insert(new, unless_there=True)}
        if late := missing - set(found):  # Somebody else made them at this moment.
            found |= locked(Group, late)[0]
    return found


def _stays(pairs: Sequence[tuple[UUID, UUID]]) -> Iterable[Membership]:
    if not pairs:
        return ()
    return Membership.objects.raw(
        "SELECT m.* FROM reports_membership m JOIN unnest(%s::uuid[], %s::uuid[]) AS t(group_id, account_id)"
        " ON (m.group_id, m.account_id) = (t.group_id, t.account_id) ORDER BY m.id",
        [list(column) for column in zip(*pairs, strict=True)],
    )
