"""What the platform tells about accounts, groups and memberships.

Nothing that is known is removed by these verbs: an e-mail address that was given up is still evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from core import audit
from core.audit import Actor, AuditEvent
from core.errors import Refused
from reports.actions.submissions import intake_chain
from reports.audit_directory import ACCOUNT_FIELDS, GROUP_FIELDS, identifier_digest, ip_digest
from reports.links import NotALink, link_key
from reports.models import (
    Account,
    AccountIdentifier,
    Group,
    GroupLink,
    IpEvent,
    Membership,
    Source,
    SubjectChange,
)
from reports.payloads import (
    AccountPayload,
    GroupPayload,
    Identifier,
    IpUse,
    MembershipPayload,
    MembersPayload,
)
from reports.stays import MEMBER, Told, stay_meant


def stub_accounts(external_ids: Iterable[str]) -> dict[str, Account]:
    """Return accounts by external id; those nobody told us about yet are created without details.

    A report must not be refused because the platform's directory is late. Ids are inserted in order,
    so that two transactions that name the same accounts never wait for each other in a circle.
    """
    wanted = sorted(set(external_ids))
    known = {a.external_id: a for a in Account.objects.filter(external_id__in=wanted)}
    missing = [external_id for external_id in wanted if external_id not in known]
    if missing:
        Account.objects.bulk_create(
            [Account(external_id=external_id) for external_id in missing], ignore_conflicts=True
        )
        known |= {a.external_id: a for a in Account.objects.filter(external_id__in=missing)}
    return known


def stub_group(external_id: str) -> Group:
    """Return a group by external id, created without details if it is new."""
    return stub_groups([external_id])[external_id]


def stub_groups(external_ids: Iterable[str]) -> dict[str, Group]:
    """Return groups by external id, as ``stub_accounts`` does with accounts."""
    wanted = sorted(set(external_ids))
    if not wanted:
        return {}
    known = {g.external_id: g for g in Group.objects.filter(external_id__in=wanted)}
    missing = [external_id for external_id in wanted if external_id not in known]
    if missing:
        Group.objects.bulk_create(
            [Group(external_id=external_id) for external_id in missing], ignore_conflicts=True
        )
        known |= {g.external_id: g for g in Group.objects.filter(external_id__in=missing)}
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
    SubjectChange.objects.bulk_create(rows, batch_size=5000)


def keep_link(group: Group, link: str) -> None:
    """Remember that a link led into a group. A text that is no link is passed over, and so is a group of practice."""
    if group.is_practice:
        return
    try:
        key = link_key(link)
    except NotALink:
        return
    GroupLink.objects.bulk_create(
        [GroupLink(group=group, key=key, link=link.strip())], ignore_conflicts=True
    )


def _is_practice(row: Account | Group | UUID) -> bool:
    return not isinstance(row, UUID) and row.is_practice


def _key(row: Account | Group | UUID) -> UUID:
    return row if isinstance(row, UUID) else row.pk


@transaction.atomic
def upsert_account(
    source: Source, external_id: str, *, payload: AccountPayload, actor: Actor
) -> Account:
    """Create or complete an account. Members left out stay; identifiers and IP events are added.

    Cannot be undone, only corrected by another call.
    """
    _check_own_platform(source)
    stub_accounts([external_id])
    # FOR NO KEY UPDATE: a report that refers to the account meanwhile does not wait.
    account = Account.objects.select_for_update(no_key=True).get(external_id=external_id)
    changed = _change(account, payload, ACCOUNT_FIELDS)
    added, differing, identifiers = _add_identifiers(account, payload.identifiers)
    events = _add_ip_events(account, payload.ip_events)
    if changed or added or events:
        note_changes(accounts=[account])
    audit.record(
        AuditEvent.ACCOUNT_UPSERTED,
        actor=actor,
        subject=account,
        chain=intake_chain(source),
        source=source.pk,
        changed=changed,
        identifiers=added,
        identifiers_changed=differing,
        identifier_facts={str(row.pk): identifier_digest(row) for row in identifiers},
        ip_events=len(events),
        ip_facts=ip_digest(events) if events else None,
    )
    return account


@transaction.atomic
def upsert_group(source: Source, external_id: str, *, payload: GroupPayload, actor: Actor) -> Group:
    """Create or complete a group. Members left out stay. Can be corrected by another call."""
    _check_own_platform(source)
    stub_group(external_id)
    group = Group.objects.select_for_update(no_key=True).get(external_id=external_id)
    changed = _change(group, payload, GROUP_FIELDS)
    if "invite_link" in changed:
        keep_link(group, group.invite_link)
    if changed:
        note_changes(groups=[group])
    audit.record(
        AuditEvent.GROUP_UPSERTED,
        actor=actor,
        subject=group,
        chain=intake_chain(source),
        source=source.pk,
        changed=changed,
    )
    return group


@transaction.atomic
def upsert_memberships(
    source: Source,
    external_id: str,
    *,
    members: list[MembershipPayload] | MembersPayload,
    actor: Actor,
) -> int:
    """Add or change members of a group; return how many accounts were named. Others stay as they are.

    What is left out of a member stays too; whoever comes back gets another stay (``reports.stays``). Unknown accounts
    and an unknown group are created without details. Of an account named twice each mention counts, in their order.
    """
    _check_own_platform(source)
    listed = members.members if isinstance(members, MembersPayload) else members
    stub_group(external_id)
    accounts = stub_accounts(member.account for member in listed)
    group = Group.objects.select_for_update(no_key=True).get(external_id=external_id)
    stays: dict[UUID, list[Membership]] = {account.pk: [] for account in accounts.values()}
    for row in Membership.objects.filter(group=group, account__in=list(stays)).order_by("pk"):
        stays[row.account_id].append(row)
    changed: dict[str, dict[str, list[Any]]] = {}
    new: list[Membership] = []
    touched: dict[int, Membership] = {}
    for member in listed:
        account = accounts[member.account]
        told = Told(member.role, member.joined_at, member.left_at)
        stay = stay_meant(stays[account.pk], told)
        if stay is None:
            stay = Membership(
                account=account,
                group=group,
                role=told.role or MEMBER,
                joined_at=told.joined_at,
                left_at=told.left_at,
            )
            stays[account.pk].append(stay)
            new.append(stay)
            continue
        for field in ("role", "joined_at", "left_at"):
            value, before = getattr(told, field), getattr(stay, field)
            if value is None or value == before:
                continue
            setattr(stay, field, value)
            if stay.pk is not None:
                fields = changed.setdefault(str(account.pk), {})
                fields[field] = [fields.get(field, [before])[0], value]
                touched[stay.pk] = stay
    for row in touched.values():
        row.updated_at = Now()
    Membership.objects.bulk_update(
        touched.values(), ["role", "joined_at", "left_at", "updated_at"], batch_size=1000
    )
    Membership.objects.bulk_create(new, batch_size=1000)
    if touched or new:
        note_changes(groups=[group])
    audit.record(
        AuditEvent.MEMBERS_UPSERTED,
        actor=actor,
        subject=group,
        chain=intake_chain(source),
        source=source.pk,
        members=len(accounts),
        new=len(new),
        changed=changed,
    )
    return len(accounts)


def _check_own_platform(source: Source) -> None:
    """Refuse whoever does not speak for the platform: the directory is what the platform says of itself.

    What others say of an account stands in their reports, with their name.
    """
    if not source.is_own_platform:
        raise Refused(
            "Only a source that an administrator marked as the platform's own may describe accounts, "
            "groups and memberships. Say what you know in a report.",
            code="not_own_platform",
            status=403,
        )


def _change(row: Account | Group, payload: Any, fields: tuple[str, ...]) -> dict[str, list[Any]]:
    """Set what is told and differs; return old and new value of each field, for the log."""
    changed: dict[str, list[Any]] = {}
    for field in fields:
        value, before = getattr(payload, field), getattr(row, field)
        if value is not None and value != before:
            setattr(row, field, value)
            changed[field] = [before, value]
    row.updated_at = Now()
    row.save(update_fields=[*changed, "updated_at"])
    return changed


def _add_identifiers(
    account: Account, told: list[Identifier]
) -> tuple[int, dict[str, dict[str, list[Any]]], list[AccountIdentifier]]:
    """Add what is new; return how many, old and new values of those that were known, and all rows told of."""
    if not told:
        return 0, {}, []
    known = {(i.kind, i.value): i for i in account.identifiers.all()}
    new: dict[tuple[str, str], AccountIdentifier] = {}
    changed: dict[tuple[str, str], AccountIdentifier] = {}
    before: dict[int, dict[str, Any]] = {}
    for one in told:
        key = (one.kind.value, one.value)
        row = known.get(key) or new.get(key)
        if row is None:
            row = AccountIdentifier(account=account, kind=one.kind.value, value=one.value)
            new[key] = row
        elif key in known:
            changed[key] = row
            before.setdefault(row.pk, _facts_of(row))
        row.detail = row.detail | one.detail
        row.verified = one.verified if one.verified is not None else row.verified
        row.first_seen_at = _earliest(row.first_seen_at, one.first_seen_at)
        row.last_seen_at = _latest(row.last_seen_at, one.last_seen_at)
    AccountIdentifier.objects.bulk_create(new.values())
    AccountIdentifier.objects.bulk_update(
        changed.values(), ["detail", "verified", "first_seen_at", "last_seen_at"]
    )
    differing = {
        str(row.pk): {
            field: [before[row.pk][field], value]
            for field, value in _facts_of(row).items()
            if before[row.pk][field] != value
        }
        for row in changed.values()
    }
    differing = {pk: fields for pk, fields in differing.items() if fields}
    return len(new), differing, [*new.values(), *changed.values()]


def _facts_of(row: AccountIdentifier) -> dict[str, Any]:
    return {
        "detail": row.detail,
        "verified": row.verified,
        "first_seen_at": row.first_seen_at,
        "last_seen_at": row.last_seen_at,
    }


def _add_ip_events(account: Account, told: list[IpUse]) -> list[IpEvent]:
    """Add what is new and return it. Whoever adds holds the account's row, so later rows have higher keys."""
    if not told:
        return []
    newest = account.ip_events.aggregate(pk=Max("pk"))["pk"] or 0
    IpEvent.objects.bulk_create(
        [
            IpEvent(
                account=account,
                kind=use.kind,
                ip=use.ip,
                port=use.port,
                at=use.at,
                user_agent=use.user_agent,
            )
            for use in told
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
    return list(account.ip_events.filter(pk__gt=newest).order_by("pk"))


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other
