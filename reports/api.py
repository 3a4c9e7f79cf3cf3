"""The machine door of intake: the same actions that people use, with keys instead of sessions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from ninja.errors import HttpError

from core.errors import Invalid, in_words, problem
from core.rates import spend
from core.uploads import VaultUpload
from reports import access
from reports.actions import (
    create_upload,
    submit_report,
    submit_scan,
)
from reports.answers import (
    BatchAnswer,
    Conflict,
    ItemAnswer,
    MediaAnswer,
    Problem,
    ReportAnswer,
    ReportsAnswer,
    item_answer,
    media_answer,
    report_answer,
    report_summary,
)
from reports.batches import (
    LINES_PER_REQUEST,
    MAX_LINE_BYTES,
    MAX_LINES,
    MAX_SECONDS,
    take_batch,
)
from reports.door import (
    SourceKey,
    check,
    check_parameters,
    digest,
    idempotency_key,
    once,
    parse_json,
    read_json,
    respond,
)
from reports.listing import ReportsQuery, cursor_of, number_of
from reports.models import ApiKey, Scope
from reports.payloads import (
    ReportPayload,
    ScanPayload,
)
from reports.reference import IDEMPOTENCY_PARAMETER, body_of, examples

router = Router(tags=["Intake"])

_ALWAYS = {401: Problem, 403: Problem, 429: Problem, 503: Problem}
_POSTED = _ALWAYS | {400: Problem, 409: Problem, 413: Problem, 415: Problem, 422: Problem}
_PUT = _ALWAYS | {400: Problem, 409: Problem, 413: Problem, 415: Problem, 422: Problem}
_READ = _ALWAYS | {404: Problem, 422: Problem}

MULTIPART = "multipart/form-data"
BATCH_TEXT = f"""Take newline-delimited JSON: one report, account, group, membership or scan a line.

Each line is an object whose `type` says what it is; the rest is what the endpoint for one of it takes
(accounts and groups with their `external_id`, memberships with `group`). A line that cannot be taken is
reported by its number and the others are kept: 200 if all were taken, else 207.

At most {MAX_LINES:,} lines of {MAX_LINE_BYTES // 1024:,} KiB each, and altogether no more than an upload may
have: a larger body is 413 with the `limit` in bytes, and nothing of it is taken. `stopped_at` names the
first line that was not taken because there were too many lines or {MAX_SECONDS:.0f} seconds were over; send
the rest as another batch.

Each {LINES_PER_REQUEST} lines count as one request towards the key's rate limit. A batch that was begun is
not refused half-way; the requests after it wait.
"""


def _key(request: HttpRequest) -> ApiKey:
    return request.auth  # type: ignore[attr-defined]


@router.post(
    "/reports",
    auth=SourceKey(Scope.REPORTS_WRITE),
    response={201: ReportAnswer} | _POSTED | {409: Conflict},
    operation_id="submit_report",
    summary="Submit a report",
    tags=["Reports"],
    openapi_extra=body_of(ReportPayload, multipart="report", example=examples.REPORT)
    | IDEMPOTENCY_PARAMETER,
)
def post_report(request: HttpRequest) -> HttpResponse:
    """Take a report about an account or a group.

    Send JSON, with media uploaded before and named by `media`. Or send multipart/form-data: the JSON in
    a part called `report`, each file in a part of its own whose name an item gives as `file`.

    201 means that the report is committed and waits for its scan. Accounts and groups that Holdfast
    does not know yet are created without details.
    """
    key = _key(request)
    if request.content_type == MULTIPART:
        if Scope.MEDIA_WRITE not in key.scopes:
            access.note_refusal(key, "The key lacks the scope.", needed=Scope.MEDIA_WRITE.value)
            raise HttpError(
                403,
                f"Files need the scope {Scope.MEDIA_WRITE.value}, which this key lacks. Send the report as JSON.",
            )
        payload, files = _read_multipart(request)
    else:
        payload, files = read_json(request, ReportPayload), {}
        _refuse_files(item.file for item in payload.items)
    meaning = digest(
        payload.model_dump(mode="json"),
        sorted((part, file.name, file.blob.sha256) for part, file in files.items()),
    )

    def work() -> tuple[int, Any]:
        report = submit_report(
            key.source, payload=_with_uploads(key, payload, files), actor=access.actor_for(key)
        )
        own = key.source.is_own_platform
        return 201, report_answer(report, enforcements=[] if own else None)

    return once(request, "POST /reports", meaning, work)


@router.get(
    "/reports",
    auth=SourceKey(Scope.STATUS_READ),
    response={200: ReportsAnswer} | _ALWAYS | {422: Problem},
    operation_id="list_reports",
    summary="List own reports",
    tags=["Reports"],
)
def list_reports(request: HttpRequest, query: Query[ReportsQuery]) -> Any:
    """List this source's reports, newest first, without their items.

    Ask by your own id (`external_id`), by where they stand (`state`), by time of receipt (`since`). A page has a
    `next_cursor` that leads to the next one; reports that arrive meanwhile move nothing.
    """
    check_parameters(request, ReportsQuery)
    source = _key(request).source
    found = access.reports_of(
        source,
        external_id=query.external_id,
        state=query.state,
        since=query.since,
        before=number_of(query.cursor) if query.cursor is not None else None,
        limit=query.limit + 1,
    )
    page = found[: query.limit]
    return {
        "reports": [report_summary(row, tells_outcomes=source.tells_outcomes) for row in page],
        "next_cursor": cursor_of(page[-1].number) if len(found) > len(page) else None,
    }


@router.get(
    "/reports/{report_id}",
    auth=SourceKey(Scope.STATUS_READ),
    response={200: ReportAnswer} | _READ,
    operation_id="read_report",
    summary="Read where a report stands",
    tags=["Reports"],
)
def get_report(request: HttpRequest, report_id: uuid.UUID) -> Any:
    """Tell where a report of this source stands, and what came of it.

    `received`: it waits for scan and routing. `in_review`: it joined a case. `decided`: the decision on its case is in
    effect, with `outcome` and `decided_at`; one that is overturned returns to `in_review`. `closed`: nothing called
    for a case, or it was decided and this source is not told the outcome.
    """
    source = _key(request).source
    report = access.get_report_of(source, report_id)
    orders = access.orders_of(report) if source.is_own_platform else None
    return report_answer(report, enforcements=orders)


@router.post(
    "/media",
    auth=SourceKey(Scope.MEDIA_WRITE),
    response={201: MediaAnswer} | _POSTED,
    operation_id="upload_media",
    summary="Upload a file",
    tags=["Media"],
    openapi_extra=body_of(None, multipart="file") | IDEMPOTENCY_PARAMETER,
)
def post_media(request: HttpRequest) -> HttpResponse:
    """Take one file in a part called `file` and return its reference, good for 24 hours.

    The bytes are encrypted as they arrive. Broken images are accepted: a person will look at them.
    """
    key = _key(request)
    if request.content_type != MULTIPART:
        raise HttpError(415, "Send multipart/form-data with the file in a part called `file`.")
    files = [file for file in request.FILES.getlist("file") if isinstance(file, VaultUpload)]
    if len(files) != 1 or len(request.FILES) != 1 or request.POST:
        raise Invalid(
            {"file": ["Send exactly one file, in a part called `file`, and nothing else."]}
        )
    file = files[0]

    def work() -> tuple[int, Any]:
        upload = create_upload(
            key.source,
            file.blob,
            name=file.name or "file",
            actor=access.actor_for(key),
        )
        return 201, media_answer(upload)

    return once(request, "POST /media", digest(file.name, file.blob.sha256), work)


@router.post(
    "/scans",
    auth=SourceKey(Scope.SCANS_WRITE),
    response={201: ItemAnswer} | _POSTED,
    operation_id="submit_scan",
    summary="Submit a photo, name or description to scan",
    tags=["Scans"],
    openapi_extra=body_of(ScanPayload, example=examples.SCAN) | IDEMPOTENCY_PARAMETER,
)
def post_scan(request: HttpRequest) -> HttpResponse:
    """Take one profile or group photo, name or description that nobody reported, to be scanned."""
    key = _key(request)
    payload = read_json(request, ScanPayload)
    _refuse_files([payload.file], "file")

    def work() -> tuple[int, Any]:
        item = submit_scan(key.source, payload=payload, actor=access.actor_for(key))
        return 201, item_answer(item)

    return once(request, "POST /scans", digest(payload.model_dump(mode="json")), work)


@router.get(
    "/scans/{scan_id}",
    auth=SourceKey(Scope.STATUS_READ),
    response={200: ItemAnswer} | _READ,
    operation_id="read_scan",
    summary="Read where a scan stands",
    tags=["Scans"],
)
def get_scan(request: HttpRequest, scan_id: uuid.UUID) -> Any:
    """Tell whether an item of this source was scanned. What was found is not told here."""
    return item_answer(access.get_scan_of(_key(request).source, scan_id))


@router.post(
    "/batches",
    auth=SourceKey(Scope.REPORTS_WRITE, Scope.DIRECTORY_WRITE, Scope.SCANS_WRITE),
    response={200: BatchAnswer, 207: BatchAnswer, 408: Problem, 411: Problem} | _POSTED,
    operation_id="submit_batch",
    summary="Submit many things as NDJSON",
    description=BATCH_TEXT,
    tags=["Batches"],
    openapi_extra=body_of(None, ndjson=True, example=examples.BATCH) | IDEMPOTENCY_PARAMETER,
)
def post_batch(request: HttpRequest) -> HttpResponse:
    """Take newline-delimited JSON, see ``BATCH_TEXT``."""
    if request.content_type not in {"application/x-ndjson", "application/jsonl"}:
        raise HttpError(415, "Send application/x-ndjson.")
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise HttpError(411, "Send the length of the body (Content-Length).")
    limit = settings.HOLDFAST_MAX_UPLOAD_BYTES
    if int(length) > limit:
        return problem(
            413,
            "Too large",
            f"The batch is larger than {in_words(limit)}, the limit of this installation. "
            "Nothing of it was taken: send it from its first line on in smaller parts.",
            code="too_large",
            limit=limit,
        )
    key, named = _key(request), idempotency_key(request)

    def count_more() -> None:
        request.rate = spend(str(key.pk), key.rate_per_minute)  # type: ignore[attr-defined]

    return respond(lambda: take_batch(key, request, idempotency_key=named, on_more=count_more))


def _refuse_files(named: Iterable[str | None], field: str = "items.{}.file") -> None:
    errors = {
        field.format(index): ["A file goes along only with multipart/form-data."]
        for index, name in enumerate(named)
        if name is not None
    }
    if errors:
        raise Invalid(errors)


def _read_multipart(request: HttpRequest) -> tuple[ReportPayload, dict[str, Any]]:
    files = request.FILES  # Parses the whole body; every file is in the vault afterwards.
    written = request.POST.get("report")
    if written is None:
        raise Invalid({"report": ["Send the report as JSON in a part called `report`."]})
    payload = check(ReportPayload, parse_json(written))
    errors: dict[str, list[str]] = {}
    for part, texts in request.POST.lists():
        if part != "report":
            errors[f"parts.{part[:80]}"] = ["Only the report is a text; send a file with a name."]
        elif len(texts) > 1:
            errors[part] = ["Two parts have this name, and nobody can tell which one counts."]
    named = {item.file for item in payload.items if item.file}
    for index, item in enumerate(payload.items):
        if item.file and item.file not in files:
            errors[f"items.{index}.file"] = ["No part of the request has this name."]
    for part in files:
        if len(files.getlist(part)) > 1:
            errors[f"files.{part}"] = ["Two parts have this name."]
        elif part not in named:
            errors[f"files.{part}"] = ["No item names this file, so it would be lost."]
    if errors:
        raise Invalid(errors)
    return payload, {part: files[part] for part in files}


def _with_uploads(key: ApiKey, payload: ReportPayload, files: dict[str, Any]) -> ReportPayload:
    """Return the report with its files as media references."""
    references = {}
    for index, item in enumerate(payload.items):
        if item.file and item.file not in references:
            file = files[item.file]
            references[item.file] = create_upload(
                key.source,
                file.blob,
                name=file.name,
                field=f"items.{index}.file",
                actor=access.actor_for(key),
            ).pk
    items = [
        item.model_copy(update={"media": references[item.file], "file": None})
        if item.file
        else item
        for item in payload.items
    ]
    return payload.model_copy(update={"items": items})
