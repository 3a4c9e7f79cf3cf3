"""Whether referrals and packages are what the custody log says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry
from referrals.models import INCIDENT, Package, Recipient, RecipientKey, Referral, ReferralAccount


def content_digest(referral: Referral) -> str:
    """Return the digest of everything that an approver approves: words, exhibits, accounts, agency, keys."""
    names = (
        "recipient_id",
        "legal_basis",
        "incident_type",
        "incident_at",
        "narrative",
        "urgency_reason",
        "include_messages",
        "correction_reason",
        "approved_keys",
    )
    facts: dict[str, Any] = {name: getattr(referral, name) for name in names}
    facts |= {
        f"{name}_said": said for name in INCIDENT if (said := _said_by(referral, f"{name}_set"))
    }
    exhibits = referral.exhibits.order_by("position", "pk")
    facts["exhibits"] = [
        [row.item_id, row.position, row.is_included, row.relevance, row.note, row.left_out_reason]
        for row in exhibits
    ]
    accounts = referral.named_accounts.order_by("position", "pk")
    facts["accounts"] = [
        [row.account_id, row.role, row.is_included, row.position, *_said_by(row, "role_set")]
        for row in accounts
    ]
    return digest(facts)


def _said_by(row: ReferralAccount | Referral, what: str) -> list[Any]:
    """Return who said it when (``what`` is as in ``role_set_by``). Before that was kept, approvals had nothing of it."""
    person = getattr(row, f"{what}_by_id")
    return [] if person is None else [person, getattr(row, f"{what}_at")]


_OPENED = frozenset({AuditEvent.REFERRAL_OPENED, AuditEvent.REFERRAL_REVISED})
_BACK = frozenset({AuditEvent.REFERRAL_WITHDRAWN, AuditEvent.REFERRAL_RETURNED})
_SEALED = frozenset({AuditEvent.PACKAGE_SEALED})


def _referrals(case: Any | None) -> QuerySet[Referral]:
    rows = Referral.objects.select_related("case")
    return rows if case is None else rows.filter(case=case)


def _compare_referral(referral: Referral, lines: Sequence[AuditEntry]) -> Iterator[str]:
    asked: AuditEntry | None = None
    approved: AuditEntry | None = None
    for line in lines:
        if line.event == AuditEvent.REFERRAL_APPROVAL_REQUESTED:
            asked, approved = line, None
        elif line.event in _BACK:
            asked = approved = None
        elif line.event == AuditEvent.REFERRAL_APPROVED:
            approved = line
    if lines[0].actor_id != _key(referral.drafted_by_id):
        yield f"Referral {referral}: it names another author than the log"
    if lines[0].chain != f"case:{referral.case_id}":
        yield f"Referral {referral}: it belongs to another case"
    if _who(asked) != _key(referral.requested_by_id):
        yield f"Referral {referral}: another person asked for approval than the log says"
    if _who(approved) != _key(referral.approved_by_id):
        yield f"Referral {referral}: its approval is not what the log says"
    elif approved is not None and approved.data.get("content") != content_digest(referral):
        yield f"Referral {referral}: it is not what was approved"


def _who(line: AuditEntry | None) -> str:
    return "" if line is None else line.actor_id


def _key(value: Any) -> str:
    return "" if value is None else str(value)


def _keys(case: Any | None) -> QuerySet[RecipientKey]:
    rows = RecipientKey.objects.select_related("recipient")
    return rows if case is None else rows.filter(recipient__referrals__case=case).distinct()


def _compare_key(key: RecipientKey, lines: Sequence[AuditEntry]) -> Iterator[str]:
    by_event = {line.event: line for line in lines}
    said = lines[0].data
    name = f"Public key {key.fingerprint[:9]} of {key.recipient}"
    if (said.get("key"), said.get("fingerprint")) != (key.text, key.fingerprint):
        yield f"{name}: it is not the key that was entered"
    if said.get("recipient") != str(key.recipient_id):
        yield f"{name}: it belongs to another agency"
    if lines[0].actor_id != _key(key.entered_by_id):
        yield f"{name}: another person entered it than the log says"
    if _who(by_event.get(AuditEvent.RECIPIENT_KEY_CONFIRMED)) != _key(key.confirmed_by_id):
        yield f"{name}: its confirmation is not what the log says"
    if _who(by_event.get(AuditEvent.RECIPIENT_KEY_WITHDRAWN)) != _key(key.ended_by_id):
        yield f"{name}: its withdrawal is not what the log says"


IDENTITY = ("name", "unit", "country", "contact")
"""What says which agency it is, and so whose a confirmed key is."""


def _recipients(case: Any | None) -> QuerySet[Recipient]:
    rows = Recipient.objects.all()
    return rows if case is None else rows.filter(referrals__case=case).distinct()


def _compare_recipient(recipient: Recipient, lines: Sequence[AuditEntry]) -> Iterator[str]:
    told = {"is_active": True} | lines[0].data.get("details", {})
    for line in lines[1:]:
        told |= line.data.get("after", {})
    wrong = [
        name for name in (*IDENTITY, "is_active") if told.get(name) != getattr(recipient, name)
    ]
    if wrong:
        yield f"Agency {recipient}: its {', '.join(wrong)} is not what the log says"


def _packages(case: Any | None) -> QuerySet[Package]:
    rows = Package.objects.select_related("referral")
    return rows if case is None else rows.filter(referral__case=case)


_TOLD = ("sha256", "tar_sha256", "tagmanifest_sha512", "size", "custody_head", "exhibit_count")


def facts_of_package(package: Package) -> dict[str, Any]:
    """Return what the line of a sealed package says of it."""
    return {"package": package.file_name} | {name: getattr(package, name) for name in _TOLD}


def _compare_package(package: Package, lines: Sequence[AuditEntry]) -> Iterator[str]:
    said = lines[0].data
    wrong = [name for name, value in facts_of_package(package).items() if said.get(name) != value]
    if wrong:
        yield f"Package {package.file_name}: its {', '.join(wrong)} is not what was sealed"
    if lines[0].chain != f"case:{package.referral.case_id}":
        yield f"Package {package.file_name}: it belongs to another case"


_ENTERED = frozenset({AuditEvent.RECIPIENT_KEY_ENTERED})
_ADDED = frozenset({AuditEvent.RECIPIENT_CREATED})
KINDS = [
    Kind(
        "agencies",
        Recipient,
        _ADDED,
        _ADDED | {AuditEvent.RECIPIENT_CHANGED},
        _recipients,
        _compare_recipient,
        lambda line: f"Agency {line.subject_id}: its row is gone",
    ),
    Kind(
        "public keys",
        RecipientKey,
        _ENTERED,
        _ENTERED | {AuditEvent.RECIPIENT_KEY_CONFIRMED, AuditEvent.RECIPIENT_KEY_WITHDRAWN},
        _keys,
        _compare_key,
        lambda line: f"Public key {str(line.data.get('fingerprint'))[:9]}: its row is gone",
    ),
    Kind(
        "referrals",
        Referral,
        _OPENED,
        _OPENED | _BACK | {AuditEvent.REFERRAL_APPROVAL_REQUESTED, AuditEvent.REFERRAL_APPROVED},
        _referrals,
        _compare_referral,
        lambda line: f"Referral {line.data.get('referral')}: its row is gone",
    ),
    Kind(
        "packages",
        Package,
        _SEALED,
        _SEALED,
        _packages,
        _compare_package,
        lambda line: f"Package {line.data.get('package')}: its row is gone",
    ),
]
