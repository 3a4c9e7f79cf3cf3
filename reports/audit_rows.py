"""What the log keeps of reports and items at intake, and whether the rows still say the same.

Of a file the log keeps its SHA-256, of a text the SHA-256 of the item's id, a line feed and the text: equal texts
have different digests there, and whoever has the text can check it. Everything else that was received is in one
digest, ``facts``.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from core.audit import timestamp
from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry
from reports.models import Item, Report

AS_MESSAGE = (
    "in_group_id",
    "conversation",
    "position",
    "reply_to",
    "is_edited",
    "edited_at",
    "is_deleted",
    "deleted_at",
    "not_sent",
)


def receipt_of(item: Item) -> dict[str, str]:
    """Return what the log keeps of an item: ``file`` or ``text``, and ``facts``."""
    said = {"facts": digest(_facts_of_item(item))}
    if item.blob is not None:
        said["file"] = item.blob.sha256
        if not item.text:
            return said
    text = f"{item.pk}\n{item.text}".encode()
    return said | {"text": hashlib.sha256(text).hexdigest()}


def facts_of_report(report: Report) -> str:
    """Return the digest of everything that a report says besides its items."""
    names = (
        "source_id",
        "account_id",
        "group_id",
        "reporter_account_id",
        "reporter_ref",
        "entered_by_id",
        "external_id",
        "reason",
        "description",
        "occurred_at",
    )
    said = {name: getattr(report, name) for name in names}
    if report.metadata:  # Reports from before there was any have digests without it.
        said["metadata"] = report.metadata
    return digest(said | _given(report, ("in_group_id",)))


def _given(row: Report | Item, names: Sequence[str]) -> dict[str, Any]:
    """Return those facts that the sender gave: lines from before a fact could be given say the same without it."""
    said = {name: getattr(row, name) for name in names}
    return {name: value for name, value in said.items() if value not in (None, "")}


def _facts_of_item(item: Item) -> dict[str, Any]:
    names = (
        "source_id",
        "report_id",
        "account_id",
        "group_id",
        "sender_id",
        "external_id",
        "surface",
        "role",
        "kind",
        "original_name",
        "source_url",
        "uploaded_port",
        "content_at",
        "is_public",
    )
    said = {name: getattr(item, name) for name in names}
    # PostgreSQL writes an address in its own way.
    said["uploaded_ip"] = (
        ipaddress.ip_address(item.uploaded_ip).packed.hex() if item.uploaded_ip else ""
    )
    return said | _given(item, AS_MESSAGE)


def _differs(item: Item, said: Any, name: str) -> Iterator[str]:
    now = receipt_of(item)
    if not isinstance(said, dict):
        yield f"{name}: the log has no digest of it"
        return
    if said.get("file") != now.get("file"):
        yield f"{name}: the file is not the one received"
    if said.get("text") != now.get("text"):
        yield f"{name}: the text is not the one received"
    if said.get("facts") != now["facts"]:
        yield f"{name}: its sender, time, place or other facts are not the ones received"


def _reports(case: Any | None) -> QuerySet[Report]:
    rows = Report.objects.prefetch_related("items__blob")
    return rows if case is None else rows.filter(items__case_items__case=case).distinct()


def _outcome_said(lines: Sequence[AuditEntry]) -> tuple[Any, Any]:
    """Return outcome and time by the last line that speaks of them; neither when none does."""
    told = [line for line in lines if line.event not in _REPORT]
    if not told or told[-1].event == AuditEvent.REPORT_REOPENED:
        return "", None
    return told[-1].data.get("outcome"), told[-1].data.get("decided_at")


def _compare_report(report: Report, lines: Sequence[AuditEntry]) -> Iterator[str]:
    said = lines[0].data
    at = timestamp(report.decided_at) if report.decided_at is not None else None
    if (report.outcome, at) != _outcome_said(lines):
        yield f"Report {report}: what came of it is not what the log says"
    if said.get("facts") != facts_of_report(report):
        yield f"Report {report}: it does not say what was received"
    contents = dict(said.get("contents") or {})
    for item in report.items.all():
        yield from _differs(
            item, contents.pop(str(item.pk), None), f"Item {item.pk} of report {report}"
        )
    for key in contents:
        yield f"Item {key} of report {report}: its row is gone"


def _scans(case: Any | None) -> QuerySet[Item]:
    rows = Item.objects.filter(report=None).select_related("blob")
    return rows if case is None else rows.filter(case_items__case=case).distinct()


def _compare_scan(item: Item, lines: Sequence[AuditEntry]) -> Iterator[str]:
    yield from _differs(item, lines[0].data.get("content"), f"Item {item.pk}")


_REPORT = frozenset({AuditEvent.REPORT_SUBMITTED, AuditEvent.REPORTS_SUBMITTED})
_SCAN = frozenset({AuditEvent.SCAN_SUBMITTED, AuditEvent.SCANS_SUBMITTED})
KINDS = [
    Kind(
        "reports",
        Report,
        _REPORT,
        _REPORT | {AuditEvent.REPORT_DECIDED, AuditEvent.REPORT_REOPENED},
        _reports,
        _compare_report,
        lambda line: f"Report R-{line.data.get('number', 0):06d}: its row is gone",
    ),
    Kind(
        "items",
        Item,
        _SCAN,
        _SCAN,
        _scans,
        _compare_scan,
        lambda line: f"Item {line.subject_id}: its row is gone",
    ),
]
