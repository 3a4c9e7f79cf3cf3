"""What the API answers, as shapes for the OpenAPI document, and how rows become them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from reports.access import ReportState, state_of
from reports.models import NOT_SENT, Item, Report, ScanState, Upload
from reports.reference.codes import ProblemCode


class Problem(Schema):
    """A problem document (RFC 9457). `code` is stable; `errors` names fields; `request_id` is the `X-Request-Id`."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: ProblemCode = ""
    errors: dict[str, list[str]] | None = None
    request_id: str = ""


class ItemAnswer(Schema):
    id: uuid.UUID
    external_id: str
    surface: str
    kind: str
    scan_state: ScanState


class ReportSummary(Schema):
    """Where a report stands, with the `metadata` that came with it. Which action was taken, and by which policy, is not told here.

    `decided` has an `outcome` and `decided_at`, for sources that are told; others read `closed`. `closed` is also
    what called for no case.
    """

    id: uuid.UUID
    number: str
    external_id: str
    received_at: datetime
    state: ReportState
    outcome: Literal["action_taken", "no_action"] | None = None
    decided_at: datetime | None = None
    metadata: dict[str, str] = {}


class ReportAnswer(ReportSummary):
    """Where a report and each of its items stand."""

    items: list[ItemAnswer]
    enforcements: list[uuid.UUID] | None = Field(
        None, description="Orders that it led to; only where the platform itself asks, else null."
    )


class ReportsAnswer(Schema):
    """A page of reports, newest first. `next_cursor` leads to the next one; null: there is none."""

    reports: list[ReportSummary]
    next_cursor: str | None = None


class ExistingReport(Schema):
    """The report that was received with this `external_id` before."""

    id: uuid.UUID
    number: str


class Conflict(Problem):
    """A problem document; with the code `duplicate_external_id`, `existing` is the report that stands."""

    existing: ExistingReport | None = None


class MediaAnswer(Schema):
    id: uuid.UUID
    sha256: str
    size: int
    kind: str
    expires_at: datetime


class DirectoryAnswer(Schema):
    """What became of what was told of an account or a group."""

    id: uuid.UUID
    external_id: str
    updated_at: datetime = Field(description="When one of its own fields last changed here.")
    unchanged: bool = Field(default=False, description="Nothing in it was new.")
    stale: bool = Field(
        default=False,
        description="Something newer is known of one of its fields, which was left as it is. Identifiers and IP events "
        "are added all the same.",
    )
    clock_ahead: list[str] = Field(
        default_factory=list,
        description="Fields whose times lie more than 24 hours in the future: kept as told, and marked.",
    )


class MembersAnswer(Schema):
    """What became of what was told of members."""

    group: str
    members: int = Field(description="How many accounts were named.")
    stale: int = Field(default=0, description="Members of whom something newer is known.")
    clock_ahead: list[str] = Field(default_factory=list)


class LineAnswer(Schema):
    line: int
    status: Literal["accepted", "rejected"]
    type: str | None = None
    id: str | None = None
    number: str | None = None
    code: ProblemCode | None = None
    errors: dict[str, list[str]] | None = None
    existing: ExistingReport | None = None
    unchanged: bool | None = None
    stale: bool | None = None
    clock_ahead: list[str] | None = None


class BatchAnswer(Schema):
    accepted: int
    rejected: int
    unchanged: int = 0
    stale: int = 0
    stopped_at: int | None = None
    results: list[LineAnswer]


def item_answer(item: Item) -> dict[str, Any]:
    return {
        "id": str(item.pk),
        "external_id": item.external_id,
        "surface": item.surface,
        "kind": item.kind,
        "scan_state": item.scan_state,
    }


def report_summary(report: Report, *, tells_outcomes: bool) -> dict[str, Any]:
    """Return where a report stands, as its sender may hear it (``Source.tells_outcomes``)."""
    is_told = tells_outcomes and report.decided_at is not None
    return {
        "id": str(report.pk),
        "number": str(report),
        "external_id": report.external_id,
        "received_at": instant(report.received_at),
        "state": state_of(report, tells_outcomes=tells_outcomes),
        "outcome": report.outcome if is_told else None,
        "decided_at": instant(report.decided_at) if is_told and report.decided_at else None,
        "metadata": report.metadata,
    }


def report_answer(report: Report, *, enforcements: list[uuid.UUID] | None = None) -> dict[str, Any]:
    """Return a report with its items, as its sender sees them; ``enforcements`` for the platform itself."""
    orders = [str(key) for key in enforcements] if enforcements is not None else None
    return (
        {"enforcements": orders}
        | report_summary(report, tells_outcomes=report.source.tells_outcomes)
        | {
            "items": [
                item_answer(item) for item in report.items.all() if item.surface not in NOT_SENT
            ],
        }
    )


def media_answer(upload: Upload) -> dict[str, Any]:
    return {
        "id": str(upload.pk),
        "sha256": upload.blob.sha256,
        "size": upload.blob.size,
        "kind": str(upload.kind),
        "expires_at": instant(upload.expires_at),
    }


def instant(at: datetime) -> str:
    """Return a time as RFC 3339 in UTC."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
