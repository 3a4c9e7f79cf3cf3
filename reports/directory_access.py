"""What is kept of accounts, groups and members, for the platform that told it and for pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404

from core.audit_events import AuditEvent
from core.audit_rows import lines_about
from core.errors import Refused
from reports.audit_directory import ACCOUNT_FIELDS, GROUP_FIELDS, since_erased
from reports.models import Account, ApiKey, Group, Membership, Source
from reports.practice import said

NAMES = {Account: ("username", "display_name"), Group: ("name",)}
"""Fields that people go by; what they said before is shown where the account or group is."""

MOST_IDENTIFIERS = 1000
_EVENTS = {
    Account: frozenset(
        {
            AuditEvent.ACCOUNT_UPSERTED,
            AuditEvent.ACCOUNTS_UPSERTED,
            AuditEvent.ACCOUNT_ERASED,
        }
    ),
    Group: frozenset(
        {AuditEvent.GROUP_UPSERTED, AuditEvent.GROUPS_UPSERTED, AuditEvent.GROUP_ERASED}
    ),
}


@dataclass(frozen=True, slots=True)
class EarlierName:
    """What a name said before: ``since`` is None if nobody knows from when."""

    field: str
    value: str
    since: datetime | None
    until: datetime


def earlier_names(subject: Account | Group) -> list[EarlierName]:
    """Return the names that an account or a group had before, oldest first, from the log of what was told since the last erasure."""
    model, key = type(subject), str(subject.pk)
    begun: dict[str, datetime] = {}
    found = []
    for line in since_erased(lines_about(model, [key], _EVENTS[model]).get(key, [])):
        at = line.data.get("at")
        told = datetime.fromisoformat(at) if at else line.at
        for field, (before, _) in line.data.get("changed", {}).items():
            if field in NAMES[model]:
                if before:
                    found.append(EarlierName(field, str(before), begun.get(field), told))
                begun[field] = told
    return found


def account_for(key: ApiKey, external_id: str) -> dict[str, Any]:
    """Return what is kept of an account. Raises Http404, and Refused for a source that is not the platform's own."""
    _check(key.source)
    account = Account.objects.filter(external_id=external_id).first()
    if account is None:
        raise Http404("No account of this id is known.")
    names = _sources()
    return _subject(account, ACCOUNT_FIELDS, names) | {
        "identifiers": [
            {
                "kind": row.kind,
                "value": row.value,
                "detail": row.detail,
                "verified": row.verified,
                "first_seen_at": row.first_seen_at,
                "last_seen_at": row.last_seen_at,
                "source": names.get(str(row.source_id), ""),
                "told_at": row.told_at,
            }
            for row in account.identifiers.order_by("pk")[:MOST_IDENTIFIERS]
        ],
        "ip_events": account.ip_events.count(),
    }


def group_for(key: ApiKey, external_id: str) -> dict[str, Any]:
    """Return what is kept of a group. Raises as ``account_for``."""
    return _subject(_group(key, external_id), GROUP_FIELDS, _sources())


def members_for(
    key: ApiKey, external_id: str, *, after: int, limit: int
) -> list[tuple[int, dict[str, Any]]]:
    """Return stays in a group behind the row ``after``, each with the key of its row. Raises as ``account_for``."""
    group, names = _group(key, external_id), _sources()
    rows = Membership.objects.filter(group=group, pk__gt=after).select_related("account")
    return [
        (
            row.pk,
            {
                "account": said(row.account.external_id),
                "role": row.role,
                "joined_at": row.joined_at,
                "left_at": row.left_at,
                "source": names.get(str(row.source_id), ""),
                "as_of": row.as_of,
            },
        )
        for row in rows.order_by("pk")[:limit]
    ]


def _group(key: ApiKey, external_id: str) -> Group:
    _check(key.source)
    group = Group.objects.filter(external_id=external_id).first()
    if group is None:
        raise Http404("No group of this id is known.")
    return group


def _check(source: Source) -> None:
    if not source.is_own_platform:
        raise Refused(
            "Only a source that an administrator marked as the platform's own may read what the platform told.",
            code="not_own_platform",
            status=403,
        )


def _sources() -> dict[str, str]:
    return {str(pk): slug for pk, slug in Source.objects.values_list("pk", "slug")}


def _subject(
    row: Account | Group, fields: tuple[str, ...], names: dict[str, str]
) -> dict[str, Any]:
    told = {}
    for field in fields:
        value = getattr(row, field)
        if value in (None, ""):
            continue
        fact = row.facts.get(field, [])
        told[field] = {
            "value": value.isoformat() if isinstance(value, datetime) else value,
            "source": names.get(fact[0], "") if fact else "",
            "at": fact[1] if fact else None,
            "confirmed_at": fact[2] if len(fact) > 2 else None,
        }
    return {
        "id": row.pk,
        "external_id": said(row.external_id),
        "first_seen_at": row.first_seen_at,
        "updated_at": row.updated_at,
        "fields": told,
        "earlier": [
            {"field": one.field, "value": one.value, "since": one.since, "until": one.until}
            for one in earlier_names(row)
        ],
    }
