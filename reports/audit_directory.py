"""Whether accounts and groups are what the platform told of them, as the log keeps it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from core.audit import plain
from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry
from reports.models import Account, AccountIdentifier, Group, IpEvent

ACCOUNT_FIELDS = (
    "username",
    "display_name",
    "profile_text",
    "profile_url",
    "country",
    "language",
    "joined_at",
    "platform_status",
)
GROUP_FIELDS = (
    "name",
    "description",
    "invite_link",
    "member_count",
    "created_on_platform_at",
    "platform_status",
)


def identifier_digest(row: AccountIdentifier) -> str:
    """Return what the log keeps of a phone number, address or device: its value only as a digest."""
    names = ("account_id", "kind", "value", "detail", "verified", "first_seen_at", "last_seen_at")
    said = {name: getattr(row, name) for name in names} | {"kind": str(row.kind)}
    # Rows from before it was kept have digests without it.
    return digest(said | ({"source_id": row.source_id} if row.source_id else {}))


def ip_digest(rows: Iterable[IpEvent]) -> str:
    """Return what the log keeps of the uses of addresses that one call told, in the order of their keys."""
    told = [
        [
            row.pk,
            str(row.account_id),
            row.kind,
            ipaddress.ip_address(row.ip).packed.hex(),
            row.port,
            row.at,
            row.user_agent,
        ]
        for row in rows
    ]
    return digest({"ip_events": told})


def _differing(
    row: Account | Group, fields: Sequence[str], lines: Sequence[AuditEntry]
) -> list[str]:
    """Return the fields that are not what the lines come to, told in their order. An erasure is where they begin anew."""
    # A row that was only named by somebody begins without details.
    fresh = type(row)()
    told = {field: plain(getattr(fresh, field)) for field in fields}
    for line in since_erased(lines):
        told |= {field: values[1] for field, values in line.data.get("changed", {}).items()}
    return [field for field in fields if told[field] != plain(getattr(row, field))]


def since_erased(lines: Sequence[AuditEntry]) -> Sequence[AuditEntry]:
    """Return the lines after the last erasure: what was told before it is rightly gone."""
    last = max((at for at, line in enumerate(lines) if line.event in _ERASED), default=-1)
    return lines[last + 1 :]


def _wrongly_told(row: Account | Group, lines: Sequence[AuditEntry]) -> list[str]:
    """Return the fields whose teller or time is not what the last line that changed them says."""
    told = {
        field: [line.data.get("source"), line.data["at"]]
        for line in since_erased(lines)
        if "at" in line.data  # Lines from before it was kept say nothing of it.
        for field in line.data.get("changed", {})
    }
    return [
        field
        for field in sorted(told.keys() | row.facts.keys())
        if told.get(field) != row.facts.get(field, [])[:2]
    ]


def _accounts(case: Any | None) -> QuerySet[Account]:
    uses = IpEvent.objects.filter(account=OuterRef("pk"))
    rows = Account.objects.annotate(has_ip_events=Exists(uses)).prefetch_related("identifiers")
    if case is None:
        return rows
    return rows.filter(pk=case.account_id)


def _compare_account(account: Account, lines: Sequence[AuditEntry]) -> Iterator[str]:
    name = f"Account {account.external_id}"
    lines = since_erased(lines)
    if wrong := _differing(account, ACCOUNT_FIELDS, lines):
        yield f"{name}: its {', '.join(wrong)} is not what the platform told"
    if wrong := _wrongly_told(account, lines):
        yield f"{name}: who told its {', '.join(wrong)}, or when, is not what the log says"
    told: dict[str, str] = {}
    for line in lines:
        told |= line.data.get("identifier_facts", {})
    for row in account.identifiers.all():
        if told.pop(str(row.pk), None) != identifier_digest(row):
            yield f"{name}: its {row.get_kind_display().lower()} {row.pk} is not what the platform told"
    for key in told:
        yield f"{name}: identifier {key} was told, and its row is gone"
    batches = [line.data for line in lines if line.data.get("ip_events")]
    if not batches and not account.has_ip_events:  # type: ignore[attr-defined]  # annotated
        return
    uses = account.ip_events.order_by("pk").iterator(chunk_size=2000)
    if any(ip_digest(islice(uses, said["ip_events"])) != said.get("ip_facts") for said in batches):
        yield f"{name}: its uses of IP addresses are not what the platform told"
    elif next(uses, None) is not None:
        yield f"{name}: it has uses of IP addresses that the log does not know"


def _groups(case: Any | None) -> QuerySet[Group]:
    rows = Group.objects.all()
    return rows if case is None else rows.filter(pk=case.group_id)


def _compare_group(group: Group, lines: Sequence[AuditEntry]) -> Iterator[str]:
    if wrong := _differing(group, GROUP_FIELDS, lines):
        yield f"Group {group.external_id}: its {', '.join(wrong)} is not what the platform told"
    if wrong := _wrongly_told(group, lines):
        yield f"Group {group.external_id}: who told its {', '.join(wrong)}, or when, is not what the log says"


_ERASED = frozenset({AuditEvent.ACCOUNT_ERASED.value, AuditEvent.GROUP_ERASED.value})
_ACCOUNT = frozenset({AuditEvent.ACCOUNT_UPSERTED, AuditEvent.ACCOUNTS_UPSERTED})
_GROUP = frozenset({AuditEvent.GROUP_UPSERTED, AuditEvent.GROUPS_UPSERTED})
KINDS = [
    Kind(
        "accounts",
        Account,
        _ACCOUNT,
        _ACCOUNT | {AuditEvent.ACCOUNT_ERASED},
        _accounts,
        _compare_account,
        lambda line: f"Account {line.subject_id}: its row is gone",
        is_silent=True,
    ),
    Kind(
        "groups",
        Group,
        _GROUP,
        _GROUP | {AuditEvent.GROUP_ERASED},
        _groups,
        _compare_group,
        lambda line: f"Group {line.subject_id}: its row is gone",
        is_silent=True,
    ),
]
