"""Requests to erase, over the machine API: recorded at once, carried out where nothing is evidence, told honestly."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from reports import access
from reports.actions.erasures import LOG, MEMBERSHIPS, NEEDED, SCANNED, UNKNOWN, ask_erasure
from reports.answers import Conflict, Problem, instant
from reports.door import SourceKey, digest, once, read_json
from reports.erasures import Erasure
from reports.models import ApiKey, Scope
from reports.payloads import Instant, OneSubject, ReasonCode, Short
from reports.practice import said
from reports.reference import IDEMPOTENCY_PARAMETER, body_of

router = Router(tags=["Erasures"])

WHY = {
    NEEDED: "It was named in a report, a case or a referral: that is evidence. Nothing of it was erased; the request waits.",
    MEMBERSHIPS: "Its places in groups, or of members, that were named in a report, a case or a referral.",
    SCANNED: "Photos, names and texts of it that were sent to be scanned.",
    LOG: "The audit log, from which nothing is ever removed: earlier names and texts as they were told, identifiers and addresses "
    "as digests only. Backups hold what they held until they end.",
    UNKNOWN: "Nothing was known of it.",
}
"""What was kept and why, by its code."""


EXAMPLE: dict[str, Any] = {
    "account": "user-3003",
    "reason": "request",
    "external_id": "gdpr-17",
    "requested_at": "2026-11-27T10:00:00Z",
}


class ErasurePayload(OneSubject):
    """Forget what was told of an account or a group: exactly one of the two."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    reason: ReasonCode = Field(
        description="Why: `request` (the person asked), `account_closed`, or a code of yours.",
        examples=["request"],
    )
    external_id: Short = Field(
        "", description="Your id of the request. Sent again, it is the same request."
    )
    requested_at: Instant = Field(description="When you were asked, or the account was closed.")


class KeptAnswer(Schema):
    """Something that was not erased."""

    what: str = Field(description="`needed`, `memberships`, `scanned`, `log`, … More are added.")
    why: str
    until: datetime | None = Field(
        None, description="When it will go; null: no day is set. It is looked at when periods are."
    )


class ErasureAnswer(Schema):
    """What became of a request. `waiting`: nothing was erased yet. `done`: what could be is erased, `kept` names the rest."""

    id: uuid.UUID
    external_id: str
    account: str | None
    group: str | None
    reason: str
    requested_at: datetime
    received_at: datetime
    state: str = Field(description="`waiting` or `done`.")
    done_at: datetime | None
    erased: dict[str, int] = Field(
        description="How many `facts`, `identifiers`, `ip_events`, `memberships`, `invite_links`."
    )
    kept: list[KeptAnswer]


_ANSWERS = {401: Problem, 403: Problem, 422: Problem, 429: Problem, 503: Problem}


@router.post(
    "/erasures",
    auth=SourceKey(Scope.ERASURES_WRITE),
    response={202: ErasureAnswer}
    | _ANSWERS
    | {400: Problem, 409: Conflict, 413: Problem, 415: Problem},
    operation_id="ask_erasure",
    summary="Ask to erase what was told of an account or a group",
    openapi_extra=body_of(ErasurePayload, example=EXAMPLE) | IDEMPOTENCY_PARAMETER,
)
def post_erasure(request: HttpRequest) -> HttpResponse:
    """Record that somebody wants to be forgotten, or that an account was closed.

    Names, identifiers, IP events and memberships of whoever was never named in a report, a case or a referral are erased
    before the answer. Everything else waits, visibly for staff, and the answer says what and why. The request itself
    is kept. What you tell about the account later is taken as always.
    """
    key: ApiKey = request.auth  # type: ignore[attr-defined]
    payload = read_json(request, ErasurePayload)

    def work() -> tuple[int, Any]:
        made = ask_erasure(
            key.source,
            account=payload.account,
            group=payload.group,
            reason=payload.reason,
            external_id=payload.external_id,
            requested_at=payload.requested_at,
            actor=access.actor_for(key),
        )
        return 202, erasure_answer(made)

    return once(request, "POST /erasures", digest(payload.model_dump(mode="json")), work)


@router.get(
    "/erasures/{erasure_id}",
    auth=SourceKey(Scope.ERASURES_WRITE),
    response={200: ErasureAnswer} | _ANSWERS | {404: Problem},
    operation_id="read_erasure",
    summary="Read what became of an erasure",
)
def get_erasure(request: HttpRequest, erasure_id: uuid.UUID) -> Any:
    """Tell whether a request of this source was carried out, and what was kept."""
    key: ApiKey = request.auth  # type: ignore[attr-defined]
    return JsonResponse(erasure_answer(access.get_erasure_of(key.source, erasure_id)))


def erasure_answer(erasure: Erasure) -> dict[str, Any]:
    """Return a request as its source sees it. Whether it was a report, a case or a referral is told to nobody outside."""
    named = said(erasure.subject_id)
    return {
        "id": str(erasure.pk),
        "external_id": erasure.external_id,
        "account": named if erasure.kind == "account" else None,
        "group": named if erasure.kind == "group" else None,
        "reason": erasure.reason,
        "requested_at": instant(erasure.requested_at),
        "received_at": instant(erasure.received_at),
        "state": erasure.state,
        "done_at": instant(erasure.done_at) if erasure.done_at else None,
        "erased": erasure.erased,
        "kept": [
            {"what": code, "why": WHY.get(code, code), "until": None} for code in erasure.kept
        ],
    }
