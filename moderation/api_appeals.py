"""The machine door of appeals: the platform hands them on and asks what became of them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router, Schema
from pydantic import Field

from moderation import actions, order_access
from moderation.models import Appeal
from reports import access as keys
from reports.answers import Problem, instant
from reports.door import SourceKey, own_platform_of, read_json
from reports.models import Scope
from reports.payloads import Body, ExternalId, Instant, Shape
from reports.reference import body_of

router = Router(tags=["Appeals"])

APPEAL: dict[str, Any] = {
    "enforcement": "0d0c2b5e-6a44-4a5e-9d0c-2f1f3a6b7c8d",
    "external_id": "appeal-1",
    "reason": "It was not me.",
    "received_at": "2026-11-23T08:00:00Z",
}
_READ = {401: Problem, 403: Problem, 404: Problem, 422: Problem, 429: Problem, 503: Problem}
_POSTED = _READ | {400: Problem, 409: Problem, 413: Problem, 415: Problem}


class AppealPayload(Shape):
    """Somebody says that an order was wrong."""

    enforcement: Annotated[uuid.UUID, Field(description="The order, by its `enforcement_id`.")]
    external_id: Annotated[ExternalId, Field(description="Your id of the appeal.")]
    reason: Annotated[Body, Field(min_length=1, max_length=20_000, description="What they wrote.")]
    received_at: Annotated[Instant | None, Field(description="When you had it, by your clock.")] = (
        None
    )


class AppealAnswer(Schema):
    """An appeal, and where it stands. `overturned`: the orders of the decision are taken back."""

    id: uuid.UUID
    external_id: str
    enforcement: uuid.UUID
    state: Literal["open", "upheld", "overturned"]
    received_at: datetime = Field(description="When Holdfast had it.")
    decided_at: datetime | None


@router.post(
    "/appeals",
    auth=SourceKey(Scope.APPEALS_WRITE),
    response={200: AppealAnswer, 201: AppealAnswer} | _POSTED,
    operation_id="submit_appeal",
    summary="Hand on an appeal",
    openapi_extra=body_of(AppealPayload, example=APPEAL),
)
def post_appeal(request: HttpRequest) -> HttpResponse:
    """Take an appeal against an order. A lead who did not decide looks at it.

    201: it is new. The same `external_id` again is the same appeal, 200; with another order or other words it is 409
    `duplicate_appeal`.
    """
    source = own_platform_of(request)
    payload = read_json(request, AppealPayload)
    appeal, is_new = actions.submit_appeal(
        source,
        enforcement=order_access.get_order(source, payload.enforcement),
        external_id=payload.external_id,
        reason=payload.reason,
        appealed_at=payload.received_at,
        actor=keys.actor_for(request.auth),  # type: ignore[attr-defined]
    )
    return JsonResponse(appeal_answer(appeal), status=201 if is_new else 200)


@router.get(
    "/appeals/{appeal_id}",
    auth=SourceKey(Scope.APPEALS_WRITE),
    response={200: AppealAnswer} | _READ,
    operation_id="read_appeal",
    summary="Read what became of an appeal",
)
def get_appeal(request: HttpRequest, appeal_id: uuid.UUID) -> HttpResponse:
    """Tell where an appeal of this source stands."""
    source = own_platform_of(request)
    return JsonResponse(appeal_answer(order_access.get_appeal_of(source, appeal_id)))


def appeal_answer(appeal: Appeal) -> dict[str, Any]:
    """Return an appeal as its sender reads it."""
    return {
        "id": str(appeal.pk),
        "external_id": appeal.external_id,
        "enforcement": str(appeal.enforcement_id),
        "state": appeal.state,
        "received_at": instant(appeal.received_at),
        "decided_at": instant(appeal.decided_at) if appeal.decided_at else None,
    }
