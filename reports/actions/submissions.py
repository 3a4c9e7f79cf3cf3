"""Reports and items on their way in. What these verbs return is committed and will be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from accounts.guards import require
from accounts.permissions import Permission
from core import bulk, vault
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from core.ids import rising_id
from core.jobs import enqueue
from core.models import Blob
from reports.actions.chains import record_intake
from reports.actions.scan_states import wake_scanners
from reports.actions.subjects import account_keys, group_keys, keep_links, note_changes
from reports.audit_rows import facts_of_report, receipt_of
from reports.conversations import problems_of
from reports.models import (
    Account,
    Group,
    Item,
    ItemKind,
    ItemRole,
    Report,
    RouteState,
    ScanState,
    Source,
    Surface,
    Upload,
)
from reports.payloads import Content, ItemPayload, ReportPayload, ScanPayload

if TYPE_CHECKING:
    from accounts.models import User


T = TypeVar("T", Report, Item)
Refusal = Refused | Invalid


class DuplicateReport(Refused):
    """The source already sent a report with this id. ``report`` is the one that stands."""

    def __init__(self, report: Report) -> None:
        super().__init__(
            f"A report with this external_id was already received as {report} ({report.pk}).",
            code="duplicate_external_id",
            members={"existing": {"id": str(report.pk), "number": str(report)}},
        )
        self.report = report


def submit_report(
    source: Source,
    *,
    payload: ReportPayload,
    actor: Actor | Person,
    entered_by: User | None = None,
) -> Report:
    """Take a report with its items; each item waits for its scan as a row before this returns.

    An unknown subject, reporter or sender becomes an account or group without details: a report must
    not be lost because the platform's directory is late. Raises Invalid for unknown or expired media, places in a
    conversation that are taken twice and replies to themselves,
    and DuplicateReport for an ``external_id`` that the source used before. Cannot be undone.
    """
    (report,) = submit_reports(source, [payload], actor=actor, entered_by=entered_by)
    return _taken(report)


@transaction.atomic
def submit_reports(
    source: Source,
    payloads: Sequence[ReportPayload],
    *,
    actor: Actor | Person,
    entered_by: User | None = None,
) -> list[Report | Refusal]:
    """Take several reports as ``submit_report`` does; what is refused stands in its place and hinders no other."""
    require(actor, Permission.REPORTS_CREATE)
    uploads, refused = _uploads_of(source, [{"items": payload.items} for payload in payloads])
    for at, payload in enumerate(payloads):
        if problems := problems_of(payload.items):
            refused.setdefault(at, Invalid(problems))
    taken = {at: payload for at, payload in enumerate(payloads) if at not in refused}
    accounts = account_keys(
        name
        for payload in taken.values()
        for name in (
            payload.subject.account,
            payload.reporter.account,
            *(item.sender for item in payload.items),
        )
        if name
    )
    groups = group_keys(
        name
        for payload in taken.values()
        for name in (payload.subject.group, *(item.group for item in payload.items))
        if name
    )
    reports = {}
    for (at, payload), number in zip(taken.items(), _next_numbers(len(taken)), strict=True):
        account = accounts.get(payload.subject.account or "")
        named = groups.get(payload.subject.group or "")
        reports[at] = Report(
            id=rising_id(),
            number=number,
            source=source,
            external_id=payload.external_id,
            account_id=account,
            # Beside an account, the group says where it happened.
            group_id=named if account is None else None,
            in_group_id=None if account is None else named,
            reporter_account_id=accounts.get(payload.reporter.account or ""),
            reporter_ref=payload.reporter.ref,
            reason=payload.reason,
            description=payload.description,
            occurred_at=payload.occurred_at,
            metadata=payload.metadata,
            entered_by=entered_by,
            route_state=RouteState.WAITING,
        )
    made = {report.pk for report in bulk.insert(list(reports.values()), unless_there=True)}
    refused |= _duplicates(
        source, {at: report for at, report in reports.items() if report.pk not in made}
    )
    items: dict[UUID, list[Item]] = {}
    for at, report in reports.items():
        if report.pk in made:
            items[report.pk] = _items_of(report, payloads[at], accounts, groups, uploads)
    every = [item for some in items.values() for item in some]
    _insert(every, source)
    new = [report for report in reports.values() if report.pk in made]
    for report in new:
        _remember_items(report, items[report.pk])
    if not source.is_practice:  # What belongs to practice is never rated.
        note_changes(
            accounts={report.account_id for report in new if report.account_id},
            groups={report.group_id for report in new if report.group_id},
        )
    record_intake(
        (AuditEvent.REPORT_SUBMITTED, AuditEvent.REPORTS_SUBMITTED),
        source,
        [
            (
                report,
                {
                    "number": report.number,
                    "items": [item.pk for item in items[report.pk]],
                    "blobs": sorted({str(i.blob_id) for i in items[report.pk] if i.blob_id}),
                    "facts": facts_of_report(report),
                    "contents": {str(item.pk): receipt_of(item) for item in items[report.pk]},
                },
            )
            for report in new
        ],
        actor=actor,
    )
    wake_scanners(every)
    if not all(_waiting(some) for some in items.values()):  # No scan will wake the routing.
        enqueue("route_waiting")
    return [refused.get(at) or reports[at] for at in range(len(payloads))]


def _duplicates(source: Source, turned_away: Mapping[int, Report]) -> dict[int, Refusal]:
    """Return what to say of reports whose id the source used before, or in this moment by another request."""
    if not turned_away:
        return {}
    standing = {
        report.external_id: report
        for report in Report.objects.filter(
            source=source, external_id__in={r.external_id for r in turned_away.values()} - {""}
        )
    }
    if missing := [r for r in turned_away.values() if r.external_id not in standing]:
        raise IntegrityError(f"{len(missing)} reports were turned away without a duplicate")
    return {at: DuplicateReport(standing[r.external_id]) for at, r in turned_away.items()}


def _insert(items: list[Item], source: Source) -> None:
    bulk.insert(items)
    if not_sent := [item.pk for item in items if item.kind == ItemKind.NOT_SENT]:
        Item.objects.filter(pk__in=not_sent).update(scanned_at=Now())
    keep_links(
        (item.group_id, item.text)
        for item in items
        if item.group_id is not None
        and item.surface == Surface.INVITE_LINK
        and item.text
        and not source.is_practice
    )


def _remember_items(report: Report, items: list[Item]) -> None:
    """Let ``report.items.all()`` be what was just written, as ``prefetch_related`` does: the answer needs no question."""
    rows = report.items.all()
    rows._result_cache = list(items)  # noqa: SLF001 — Django's own name
    report._prefetched_objects_cache = {"items": rows}  # type: ignore[attr-defined]  # noqa: SLF001 — Django's own name


def _waiting(items: Iterable[Item]) -> list[Item]:
    return [item for item in items if item.scan_state == ScanState.WAITING]


def _items_of(
    report: Report,
    payload: ReportPayload,
    accounts: dict[str, UUID],
    groups: dict[str, UUID],
    uploads: dict[str, Upload],
) -> list[Item]:
    items = [
        _new_item(
            content,
            accounts,
            uploads,
            source_id=report.source_id,
            report_id=report.pk,
            account_id=report.account_id,
            group_id=report.group_id,
            role=_role_of(content, payload),
            **_as_message(content, groups),
        )
        for content in payload.items
    ]
    if payload.description.strip():
        items.append(_description_item(report))
    # The items of a report share their moment of receipt. Ids that rise keep the order in which they
    # were sent: a conversation out of order reads as another conversation.
    for item, key in zip(items, sorted(item.pk for item in items), strict=True):
        item.pk = key
    return items


def submit_scan(source: Source, *, payload: ScanPayload, actor: Actor | Person) -> Item:
    """Take one photo, name or description to be scanned without a report. Cannot be undone.

    Raises Invalid for unknown or expired media.
    """
    (item,) = submit_scans(source, [payload], actor=actor)
    return _taken(item)


@transaction.atomic
def submit_scans(
    source: Source, payloads: Sequence[ScanPayload], *, actor: Actor | Person
) -> list[Item | Refusal]:
    """Take several things to be scanned; what is refused stands in its place and hinders no other."""
    require(actor, Permission.REPORTS_CREATE)
    uploads, refused = _uploads_of(source, [{"": [payload]} for payload in payloads])
    taken = {at: payload for at, payload in enumerate(payloads) if at not in refused}
    accounts = account_keys(
        name for p in taken.values() for name in (p.subject.account, p.sender) if name
    )
    groups = group_keys(p.subject.group for p in taken.values() if p.subject.group)
    items = {
        at: _new_item(
            payload,
            accounts,
            uploads,
            source_id=source.pk,
            report_id=None,
            account_id=accounts.get(payload.subject.account or ""),
            group_id=groups.get(payload.subject.group or ""),
        )
        for at, payload in taken.items()
    }
    new = list(items.values())
    _insert(new, source)
    record_intake(
        (AuditEvent.SCAN_SUBMITTED, AuditEvent.SCANS_SUBMITTED),
        source,
        [
            (item, {"surface": item.surface, "blob": item.blob_id, "content": receipt_of(item)})
            for item in new
        ],
        actor=actor,
    )
    wake_scanners(new)
    return [refused.get(at) or items[at] for at in range(len(payloads))]


def scan_texts(
    source: Source, texts: Sequence[tuple[Account | Group, Surface, str]], *, actor: Actor
) -> None:
    """Let texts of the directory be scanned, each an item as ``submit_scans`` makes them; in the caller's transaction."""
    items = [
        Item(
            id=rising_id(),
            source=source,
            account=row if isinstance(row, Account) else None,
            group=row if isinstance(row, Group) else None,
            surface=surface,
            kind=ItemKind.TEXT,
            text=text,
            scan_state=ScanState.WAITING,
        )
        for row, surface, text in texts
    ]
    bulk.insert(items)
    record_intake(
        (AuditEvent.SCAN_SUBMITTED, AuditEvent.SCANS_SUBMITTED),
        source,
        [(item, {"surface": item.surface, "content": receipt_of(item)}) for item in items],
        actor=actor,
    )
    wake_scanners(items)


def _taken(row: T | Refusal) -> T:
    if isinstance(row, Refused | Invalid):
        raise row
    return row


def _next_numbers(count: int) -> list[int]:
    # A sequence never gives the same number twice, however many write at once; a rolled-back report
    # leaves a gap, which means nothing.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval('reports_report_number') FROM generate_series(1, %s)", [count]
        )
        return [int(number) for (number,) in cursor.fetchall()]


def _uploads_of(
    source: Source, contents: Sequence[Mapping[str, Iterable[Content]]]
) -> tuple[dict[str, Upload], dict[int, Refusal]]:
    """Return the uploads that several submissions refer to, held until the transaction ends, and who is refused.

    Refused is, with Invalid naming each reference, whose upload does not exist, ran out or belongs to another source
    (which is told apart from "unknown" to nobody).
    """
    named = {
        (at, f"{where}.{index}.media" if where else "media"): content.media
        for at, submission in enumerate(contents)
        for where, some in submission.items()
        for index, content in enumerate(some)
        if content.media is not None
    }
    if not named:
        return {}, {}
    found = (
        Upload.objects.select_for_update(of=("self",), no_key=True)
        .select_related("blob")
        .filter(source=source, pk__in=set(named.values()), expires_at__gt=Now())
        .order_by("pk")
    )
    uploads = {str(upload.pk): upload for upload in found}
    errors: dict[int, dict[str, list[str]]] = {}
    for (at, field), reference in named.items():
        if str(reference) not in uploads:
            errors.setdefault(at, {})[field] = [
                "There is no upload with this id, or its 24 hours are over. Send the file again."
            ]
    refused: dict[int, Refusal] = {at: Invalid(fields) for at, fields in errors.items()}
    users: dict[Blob, set[int]] = {}
    for (at, _), reference in named.items():
        if at not in refused:
            users.setdefault(uploads[str(reference)].blob, set()).add(at)
    for blob in sorted(users, key=lambda blob: str(blob.pk)):
        try:
            vault.hold(blob)
        except Refused as gone:
            refused |= dict.fromkeys(users[blob], gone)
    return uploads, refused


def _description_item(report: Report) -> Item:
    """Return what the reporter wrote as an item, so that it is scanned like any other text.

    Its words are the reporter's, so they are the sender; the subject is the report's. Answers to the
    source leave it out, and a case holds it only where something was found in it.
    """
    return Item(
        id=rising_id(),
        source_id=report.source_id,
        report=report,
        account_id=report.account_id,
        group_id=report.group_id,
        sender_id=report.reporter_account_id,
        surface=Surface.REPORT_DESCRIPTION,
        kind=ItemKind.TEXT,
        text=report.description,
        content_at=None,
        is_public=False,
        scan_state=ScanState.WAITING,
    )


def _role_of(item: ItemPayload, report: ReportPayload) -> ItemRole:
    """Return what an item is to its report: as told, else what the reporter's own account sent is no accusation of it."""
    if item.role is not None:
        return ItemRole(item.role)
    reporter = report.reporter.account
    is_own = reporter is not None and item.sender == reporter != report.subject.account
    return ItemRole.CONTEXT if is_own else ItemRole.REPORTED


def _new_item(
    content: Content, accounts: dict[str, UUID], uploads: dict[str, Upload], **said: Any
) -> Item:
    upload = uploads.get(str(content.media)) if content.media else None
    if content.file is not None:
        raise Invalid({"file": ["Files go along only with multipart/form-data."]})
    return Item(
        **{
            "id": rising_id(),
            "sender_id": accounts.get(content.sender or ""),
            "external_id": content.external_id,
            "surface": content.surface,
            "kind": upload.kind if upload else ItemKind.TEXT,
            "text": content.text or "",
            "blob": upload.blob if upload else None,
            "original_name": content.name or (upload.original_name if upload else ""),
            "source_url": content.source_url,
            "uploaded_ip": content.uploaded_ip,
            "uploaded_port": content.uploaded_port,
            "content_at": content.content_at,
            "is_public": content.is_public,
            "scan_state": ScanState.WAITING,
        }
        | said
    )


def _as_message(content: ItemPayload, groups: dict[str, UUID]) -> dict[str, Any]:
    """Return what an item says of itself as a message. What was not sent waits for no scan: there is nothing to look at."""
    said: dict[str, Any] = {
        "in_group_id": groups.get(content.group or ""),
        "conversation": content.conversation or "",
        "position": content.position,
        "reply_to": content.reply_to or "",
        "is_edited": True if content.edited_at else content.is_edited,
        "edited_at": content.edited_at,
        "is_deleted": True if content.deleted_at else content.is_deleted,
        "deleted_at": content.deleted_at,
    }
    if content.not_sent is not None:
        said |= {
            "kind": ItemKind.NOT_SENT,
            "not_sent": content.not_sent,
            "scan_state": ScanState.NOT_SCANNED,
            "route_state": RouteState.WAITING,
        }
    return said
