"""The machine door of casework: the platform reads its orders and says what became of them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import Query, Router

from core.errors import Refused
from moderation import actions, delivery_access, order_access
from moderation.models import Delivery, Enforcement, OrderResult, Replay
from moderation.order_shapes import (
    REPLAY,
    RESULT,
    EnforcementAnswer,
    EnforcementsAnswer,
    EnforcementsQuery,
    ReplayAnswer,
    ReplayPayload,
    ResultAnswer,
    ResultPayload,
)
from reports import access as keys
from reports.answers import Problem, instant
from reports.door import SourceKey, check_parameters, digest, once, own_platform_of, read_json
from reports.listing import cursor_of, number_of
from reports.models import ApiKey, Scope
from reports.reference import IDEMPOTENCY_PARAMETER, body_of

router = Router(tags=["Enforcements"])

_ALWAYS = {401: Problem, 403: Problem, 429: Problem, 503: Problem}
_READ = _ALWAYS | {404: Problem, 422: Problem}
_ANSWERED = _READ | {400: Problem, 409: Problem, 413: Problem, 415: Problem}


def _key(request: HttpRequest) -> ApiKey:
    return request.auth  # type: ignore[attr-defined]


@router.get(
    "/enforcements",
    auth=SourceKey(Scope.ENFORCEMENTS_READ),
    response={200: EnforcementsAnswer} | _ALWAYS | {422: Problem},
    operation_id="list_enforcements",
    summary="List orders",
)
def list_enforcements(request: HttpRequest, query: Query[EnforcementsQuery]) -> Any:
    """List the orders to the platform, whole, the newest first.

    Instead of webhooks, or beside them: with `after_sequence` the oldest come first, so that whoever remembers the last
    `sequence` misses none. Orders that wait because no endpoint takes them stand here as well.
    """
    check_parameters(request, EnforcementsQuery)
    source = own_platform_of(request)
    wanted = query.model_dump(exclude={"cursor", "limit"})
    beyond = number_of(query.cursor) if query.cursor is not None else None
    found = order_access.orders_of(source, **wanted, beyond=beyond, limit=query.limit + 1)
    page = found[: query.limit]
    with transaction.atomic():
        # First noted as read, then read: an order that is withdrawn meanwhile is read as withdrawn.
        actions.note_pulled(page)
        rows = order_access.read_orders(page)
    more = len(found) > len(page)
    return JsonResponse(
        {
            "enforcements": [order_answer(row) for row in rows],
            "next_cursor": cursor_of(page[-1]) if more else None,
        }
    )


@router.get(
    "/enforcements/{enforcement_id}",
    auth=SourceKey(Scope.ENFORCEMENTS_READ),
    response={200: EnforcementAnswer} | _READ,
    operation_id="read_enforcement",
    summary="Read an order",
)
def get_enforcement(request: HttpRequest, enforcement_id: uuid.UUID) -> Any:
    """Read one order, whole, and where it stands."""
    source = own_platform_of(request)
    sequence = order_access.get_order(source, enforcement_id).sequence or 0
    with transaction.atomic():
        actions.note_pulled([sequence])
        [row] = order_access.read_orders([sequence])
    return JsonResponse(order_answer(row))


@router.post(
    "/enforcements/{enforcement_id}/result",
    auth=SourceKey(Scope.ENFORCEMENTS_WRITE),
    response={200: ResultAnswer} | _ANSWERED,
    operation_id="report_result",
    summary="Say what became of an order",
    openapi_extra=body_of(ResultPayload, example=RESULT) | IDEMPOTENCY_PARAMETER,
)
def post_result(request: HttpRequest, enforcement_id: uuid.UUID) -> HttpResponse:
    """Say that an order was carried out, could not be, or will not be.

    Safe to repeat: the same answer again is the same. Of different answers the later one stands, by `at`; an older
    one is kept and changes nothing (`stands` is false). Two that say different things of the same moment are 409
    `contradicts`. What you could not carry out comes back to a person.
    """
    source = own_platform_of(request)
    payload = read_json(request, ResultPayload)

    def work() -> tuple[int, Any]:
        result = actions.record_result(
            order_access.get_order(source, enforcement_id),
            source=source,
            **payload.model_dump(),
            actor=keys.actor_for(_key(request)),
        )
        return 200, result_answer(result)

    said = digest(str(enforcement_id), payload.model_dump(mode="json"))
    return once(request, "POST /enforcements/result", said, work)


@router.post(
    "/deliveries/replay",
    auth=SourceKey(Scope.ENFORCEMENTS_WRITE),
    response={202: ReplayAnswer} | _ANSWERED,
    operation_id="replay_deliveries",
    summary="Have a span of deliveries sent again",
    openapi_extra=body_of(ReplayPayload, example=REPLAY),
)
def post_replay(request: HttpRequest) -> HttpResponse:
    """Send again what was queued in a span, with the same `webhook-id`s: after an outage, or a restored backup.

    202: workers put it in line in batches; ask `GET /deliveries/replays/{id}` how far they are. Asked for twice while it is not
    done, it is the same one. Orders that were taken back since are not sent again, their counterparts are.
    """
    source = own_platform_of(request)
    if source.practice_of_id is not None:
        raise Refused("A test key sends nothing again.", code="not_own_platform", status=403)
    payload = read_json(request, ReplayPayload)
    replay = actions.ask_replay(
        since=payload.since,
        until=payload.until or timezone.now(),
        endpoint=delivery_access.get_endpoint_of(source, payload.endpoint),
        states=payload.states,
        source=source,
        actor=keys.actor_for(_key(request)),
    )
    return JsonResponse(replay_answer(replay), status=202)


@router.get(
    "/deliveries/replays/{replay_id}",
    auth=SourceKey(Scope.ENFORCEMENTS_READ, Scope.ENFORCEMENTS_WRITE),
    response={200: ReplayAnswer} | _READ,
    operation_id="read_replay",
    summary="Read how far a replay is",
)
def get_replay(request: HttpRequest, replay_id: uuid.UUID) -> HttpResponse:
    """Tell how far a replay is that a source of the platform asked for."""
    source = own_platform_of(request)
    return JsonResponse(replay_answer(delivery_access.get_replay_of(source, replay_id)))


# ── Answers ───────────────────────────────────────────────────────────────────────────────────
def order_answer(row: Enforcement) -> dict[str, Any]:
    """Return an order as the platform reads it."""
    deliveries: list[Delivery] = list(row.deliveries.all())
    results: list[OrderResult] = list(row.results.all())
    reversal = getattr(row, "reversed_by", None)
    return {
        "id": str(row.pk),
        "sequence": row.sequence,
        "verb": row.verb,
        "state": row.state,
        "published_at": instant(row.published_at) if row.published_at else None,
        "reversed_by": str(reversal.pk) if reversal is not None else None,
        "result": result_answer(results[0]) if results else None,
        "deliveries": [
            {
                "webhook_id": str(each.pk),
                "state": each.state,
                "delivered_at": instant(each.delivered_at) if each.delivered_at else None,
            }
            for each in deliveries
            if each.endpoint_id is not None
        ],
        "message": deliveries[0].payload,
    }


def replay_answer(replay: Replay) -> dict[str, Any]:
    """Return how far a replay is."""
    return {
        "id": str(replay.pk),
        "state": "done" if replay.finished_at else "running",
        "since": instant(replay.since),
        "until": instant(replay.until),
        "count": replay.count,
        "replayed": replay.replayed,
        "skipped": replay.skipped,
    }


def result_answer(result: OrderResult) -> dict[str, Any]:
    """Return what the platform said of an order, as it was kept."""
    return {
        "state": result.state,
        "at": instant(result.at) if result.at else None,
        "code": result.code,
        "detail": result.detail,
        "received_at": instant(result.received_at),
        "stands": result.stands,
    }
