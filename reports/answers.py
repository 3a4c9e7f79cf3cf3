"""What the API answers, as shapes for the OpenAPI document, and how rows become them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from ninja import Schema
from pydantic import ConfigDict

from reports.models import NOT_SENT, Item, Report, RouteState, ScanState, Surface, Upload


class Problem(Schema):
    """A problem document (RFC 9457). `code` is stable; `errors` names fields."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str = ""
    errors: dict[str, list[str]] | None = None


class ItemAnswer(Schema):
    id: uuid.UUID
    external_id: str
    surface: Surface
    kind: str
    scan_state: ScanState


class ReportAnswer(Schema):
    """Where a report stands. What reviewers found is not told here."""

    id: uuid.UUID
    number: str
    external_id: str
    received_at: datetime
    state: Literal["received", "in_review", "closed"]
    items: list[ItemAnswer]


class MediaAnswer(Schema):
    id: uuid.UUID
    sha256: str
    size: int
    kind: str
    expires_at: datetime


class DirectoryAnswer(Schema):
    id: uuid.UUID
    external_id: str


class MembersAnswer(Schema):
    group: str
    members: int


class LineAnswer(Schema):
    line: int
    status: Literal["accepted", "rejected"]
    type: str | None = None
    id: str | None = None
    number: str | None = None
    code: str | None = None
    errors: dict[str, list[str]] | None = None


class BatchAnswer(Schema):
    accepted: int
    rejected: int
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


def report_answer(report: Report) -> dict[str, Any]:
    """Return a report as its sender sees it: received, in review, or looked at without a case."""
    state = {RouteState.ROUTED: "in_review", RouteState.CLEAR: "closed"}
    return {
        "id": str(report.pk),
        "number": str(report),
        "external_id": report.external_id,
        "received_at": instant(report.received_at),
        "state": state.get(RouteState(report.route_state), "received"),
        "items": [item_answer(item) for item in report.items.all() if item.surface not in NOT_SENT],
    }


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
