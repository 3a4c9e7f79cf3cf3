"""Reports and items on their way in. What these verbs return is committed and will be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from accounts.guards import require
from accounts.permissions import Permission
from core import audit, vault
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from core.jobs import enqueue
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
from reports.payloads import (
    Content,
    ItemPayload,
    OneSubject,
    ReportPayload,
    ScanPayload,
)

if TYPE_CHECKING:
    from accounts.models import User


class DuplicateReport(Refused):
    """The source already sent a report with this id. ``report`` is the one that stands."""

    def __init__(self, report: Report) -> None:
        super().__init__(
            f"A report with this external_id was already received as {report} ({report.pk}).",
            code="duplicate_external_id",
            members={"existing": {"id": str(report.pk), "number": str(report)}},
        )
        self.report = report


def intake_chain(source: Source) -> str:
    """Return the audit chain of a source: a busy sender does not hold up the log of the others."""
    return f"source:{source.pk}"


@transaction.atomic
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
    require(actor, Permission.REPORTS_CREATE)
    from reports.actions.directory import note_changes, stub_accounts, stub_groups

    if problems := problems_of(payload.items):
        raise Invalid(problems)
    uploads = _uploads_of(source, {"items": payload.items})
    names = [payload.subject.account, payload.reporter.account]
    names += [item.sender for item in payload.items]
    accounts = stub_accounts(name for name in names if name)
    groups = stub_groups(
        name for name in (payload.subject.group, *(item.group for item in payload.items)) if name
    )
    account = accounts.get(payload.subject.account or "")
    named = groups.get(payload.subject.group or "")
    # Beside an account, the group says where it happened.
    group, in_group = (named, None) if account is None else (None, named)
    try:
        with transaction.atomic():  # A savepoint: a duplicate must not spoil the caller's work.
            report = Report.objects.create(
                number=_next_number(),
                source=source,
                external_id=payload.external_id,
                account=account,
                group=group,
                in_group=in_group,
                reporter_account=accounts.get(payload.reporter.account or ""),
                reporter_ref=payload.reporter.ref,
                reason=payload.reason,
                description=payload.description,
                occurred_at=payload.occurred_at,
                metadata=payload.metadata,
                entered_by=entered_by,
                route_state=RouteState.WAITING,
            )
    except IntegrityError:
        # Two parallel requests with one external_id: the constraint let one of them through.
        standing = Report.objects.filter(source=source, external_id=payload.external_id).first()
        if standing is None or not payload.external_id:
            raise
        raise DuplicateReport(standing) from None
    items = [
        _new_item(
            content,
            source,
            account,
            group,
            accounts,
            uploads,
            report=report,
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
    Item.objects.bulk_create(items)
    _keep_links(items, group)
    note_changes(
        accounts=[account] if account is not None else [],
        groups=[group] if group is not None else [],
    )
    audit.record(
        AuditEvent.REPORT_SUBMITTED,
        actor=actor,
        subject=report,
        chain=intake_chain(source),
        source=source.pk,
        number=report.number,
        items=[item.pk for item in items],
        blobs=sorted({str(item.blob_id) for item in items if item.blob_id}),
        facts=facts_of_report(report),
        contents={str(item.pk): receipt_of(item) for item in items},
    )
    waiting = [item for item in items if item.scan_state == ScanState.WAITING]
    for item in waiting:
        wake_scanner(item)
    if not waiting:  # No scan will wake the routing.
        enqueue("route_waiting")
    return report


@transaction.atomic
def submit_scan(source: Source, *, payload: ScanPayload, actor: Actor | Person) -> Item:
    """Take one photo, name or description to be scanned without a report. Cannot be undone.

    Raises Invalid for unknown or expired media.
    """
    require(actor, Permission.REPORTS_CREATE)
    from reports.actions.directory import stub_accounts

    uploads = _uploads_of(source, {"": [payload]})
    accounts = stub_accounts(name for name in (payload.subject.account, payload.sender) if name)
    account, group = _subject(payload.subject, accounts)
    item = _new_item(payload, source, account, group, accounts, uploads, report=None)
    item.save(force_insert=True)
    _keep_links([item], group)
    audit.record(
        AuditEvent.SCAN_SUBMITTED,
        actor=actor,
        subject=item,
        chain=intake_chain(source),
        source=source.pk,
        surface=item.surface,
        blob=item.blob_id,
        content=receipt_of(item),
    )
    wake_scanner(item)
    return item


@transaction.atomic
def record_scan_state(
    item: Item, state: ScanState, *, actor: Actor | Person = audit.SYSTEM
) -> Item:
    """Note how the scan of an item ended and let it be routed. Safe to repeat.

    ``WAITING`` puts the item back in line. An item whose state is already ``state`` is left alone.
    """
    item = Item.objects.select_for_update(no_key=True).get(pk=item.pk)
    if item.scan_state == state:
        return item
    item.scan_state = state
    if state == ScanState.WAITING:
        item.scan_due_at = Now()
        item.scan_attempts = 0
        item.save(update_fields=["scan_state", "scan_due_at", "scan_attempts"])
        wake_scanner(item)
    else:
        item.scanned_at = Now()
        item.route_state = RouteState.WAITING
        item.scan_waits_for = ""
        item.save(update_fields=["scan_state", "scanned_at", "route_state", "scan_waits_for"])
        enqueue("route_waiting")
    audit.record(
        AuditEvent.SCAN_STATE_RECORDED,
        actor=actor,
        subject=item,
        chain=f"item:{item.pk}",
        state=state.value,
    )
    return item


@transaction.atomic
def scan_again(keys: Iterable[UUID], *, actor: Actor = audit.SYSTEM) -> int:
    """Put several items back in line for their scan; return how many. Those that wait already are left alone.

    Wakes nobody: the sweep does, for many at once. Safe to repeat.
    """
    rows = Item.objects.select_for_update(no_key=True).filter(pk__in=list(keys)).order_by("pk")
    items = list(rows.exclude(scan_state=ScanState.WAITING))
    Item.objects.filter(pk__in=[item.pk for item in items]).update(
        scan_state=ScanState.WAITING, scan_due_at=Now(), scan_attempts=0
    )
    audit.record_each(
        AuditEvent.SCAN_STATE_RECORDED,
        actor=actor,
        about=[(item, f"item:{item.pk}", {"state": ScanState.WAITING.value}) for item in items],
    )
    return len(items)


@transaction.atomic
def postpone_scan(item: Item, *, reason: str, seconds: float) -> Item:
    """Let an item wait for its scan for another while, with a reason that is shown. Safe to repeat.

    The attempt does not count: nothing of the item was looked at. Not audited: the end of the scan is. Ends by
    itself when the item is scanned.
    """
    item = Item.objects.select_for_update(no_key=True).get(pk=item.pk)
    if item.scan_state != ScanState.WAITING:
        return item
    item.scan_waits_for = reason[:200]
    item.scan_attempts = max(item.scan_attempts - 1, 0)
    item.scan_due_at = Now() + timedelta(seconds=seconds)
    item.save(update_fields=["scan_waits_for", "scan_attempts", "scan_due_at"])
    return item


@transaction.atomic
def record_scan_ends(
    items: Iterable[Item],
    states: Mapping[UUID, ScanState],
    *,
    actor: Actor = audit.SYSTEM,
) -> list[Item]:
    """Note how the scans of several items ended (by key) and let them be routed.

    For items that the caller has locked and that wait for their scan. Cannot be undone.
    """
    ended = list(items)
    for state in sorted({states[item.pk] for item in ended}):
        keys = [item.pk for item in ended if states[item.pk] == state]
        Item.objects.filter(pk__in=keys).update(
            scan_state=state,
            scanned_at=Now(),
            route_state=RouteState.WAITING,
            scan_waits_for="",
        )
    if ended:
        enqueue("route_waiting")
    audit.record_each(
        AuditEvent.SCAN_STATE_RECORDED,
        actor=actor,
        about=[(item, f"item:{item.pk}", {"state": states[item.pk].value}) for item in ended],
    )
    return list(Item.objects.filter(pk__in=[item.pk for item in ended]))


def wake_scanner(item: Item) -> None:
    """Wake a worker for an item that waits for its scan.

    Whoever is woken takes whatever is due, many items at once, so one wake-up for each lane is enough;
    the lanes only bound how many workers are at it.
    """
    if item.kind == ItemKind.VIDEO:
        enqueue("scan_video", item.pk)
    else:
        enqueue("scan_waiting", item.pk.int % settings.HOLDFAST_SCAN_LANES)


def _next_number() -> int:
    # A sequence never gives the same number twice, however many write at once; a rolled-back report
    # leaves a gap, which means nothing.
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('reports_report_number')")
        return int(cursor.fetchone()[0])


def _subject(
    subject: OneSubject, accounts: dict[str, Account]
) -> tuple[Account | None, Group | None]:
    from reports.actions.directory import stub_group

    if subject.account is not None:
        return accounts[subject.account], None
    return None, stub_group(subject.group or "")  # It has exactly one of the two.


def _keep_links(items: Iterable[Item], group: Group | None) -> None:
    """Remember the links of a group that came as items."""
    from reports.actions.directory import keep_link

    for item in items:
        if group is not None and item.surface == Surface.INVITE_LINK and item.text:
            keep_link(group, item.text)


def _uploads_of(source: Source, contents: dict[str, Iterable[Content]]) -> dict[str, Upload]:
    """Return the uploads that the contents refer to, held until the transaction ends.

    Raises Invalid naming each reference that does not exist, ran out or belongs to another source
    (which is told apart from "unknown" to nobody).
    """
    named = {
        (f"{where}.{index}.media" if where else "media"): content.media
        for where, some in contents.items()
        for index, content in enumerate(some)
        if content.media is not None
    }
    if not named:
        return {}
    found = (
        Upload.objects.select_for_update(of=("self",), no_key=True)
        .select_related("blob")
        .filter(source=source, pk__in=set(named.values()), expires_at__gt=Now())
        .order_by("pk")
    )
    uploads = {str(upload.pk): upload for upload in found}
    errors = {
        field: ["There is no upload with this id, or its 24 hours are over. Send the file again."]
        for field, reference in named.items()
        if str(reference) not in uploads
    }
    if errors:
        raise Invalid(errors)
    for blob in sorted({u.blob for u in uploads.values()}, key=lambda blob: str(blob.pk)):
        vault.hold(blob)
    return uploads


def _description_item(report: Report) -> Item:
    """Return what the reporter wrote as an item, so that it is scanned like any other text.

    Its words are the reporter's, so they are the sender; the subject is the report's. Answers to the
    source leave it out, and a case holds it only where something was found in it.
    """
    return Item(
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
    content: Content,
    source: Source,
    account: Account | None,
    group: Group | None,
    accounts: dict[str, Account],
    uploads: dict[str, Upload],
    *,
    report: Report | None,
    **said: Any,
) -> Item:
    upload = uploads.get(str(content.media)) if content.media else None
    if content.file is not None:
        raise Invalid({"file": ["Files go along only with multipart/form-data."]})
    item = Item(
        source=source,
        report=report,
        account=account,
        group=group,
        sender=accounts.get(content.sender or ""),
        external_id=content.external_id,
        surface=content.surface,
        kind=upload.kind if upload else ItemKind.TEXT,
        text=content.text or "",
        blob=upload.blob if upload else None,
        original_name=content.name or (upload.original_name if upload else ""),
        source_url=content.source_url,
        uploaded_ip=content.uploaded_ip,
        uploaded_port=content.uploaded_port,
        content_at=content.content_at,
        is_public=content.is_public,
        scan_state=ScanState.WAITING,
    )
    for name, value in said.items():
        setattr(item, name, value)
    return item


def _as_message(content: ItemPayload, groups: dict[str, Group]) -> dict[str, Any]:
    """Return what an item says of itself as a message. What was not sent waits for no scan: there is nothing to look at."""
    said: dict[str, Any] = {
        "in_group": groups.get(content.group or ""),
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
            "scanned_at": Now(),
            "route_state": RouteState.WAITING,
        }
    return said
