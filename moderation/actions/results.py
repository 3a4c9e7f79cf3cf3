"""What the platform says that became of an order, and what people do about one that it could not carry out.

Every answer is a row that stays. The later one stands, by the time that the platform names, so that answers may
arrive in any order and any number of times.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction
from django.db.models import Max
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent
from core.errors import Refused
from core.jobs import enqueue
from moderation import access
from moderation.actions.overturns import take_back_late
from moderation.actions.platform_status import tell_directory
from moderation.audit_orders import answer_said
from moderation.enforcement import GIVE_UP_AFTER, Said, Weighed, weigh
from moderation.models import (
    IN_FORCE,
    Delivery,
    DeliveryState,
    Enforcement,
    EnforcementState,
    OrderResult,
    ResultState,
)
from reports.models import Source

__all__ = ["give_order_anew", "mark_result_seen", "record_result"]

_STATE = {
    ResultState.DONE.value: EnforcementState.DONE,
    ResultState.IMPOSSIBLE.value: EnforcementState.IMPOSSIBLE,
    ResultState.REFUSED.value: EnforcementState.REFUSED,
}
CAME_BACK = frozenset({EnforcementState.IMPOSSIBLE, EnforcementState.REFUSED})


@transaction.atomic
def record_result(
    enforcement: Enforcement,
    *,
    source: Source,
    state: str,
    at: datetime | None,
    code: str = "",
    detail: str = "",
    actor: Actor,
) -> OrderResult:
    """Record what the platform says that became of an order; return the answer that it is, new or known.

    The same again, with its time, is the same row; one without a time repeats what stands when it says the same. Of
    different answers the later one stands, by ``at`` but never later than now, so that a clock that runs ahead does not
    win for ever. What became of the target shows in the directory; what is said to be done although its decision was
    overturned meanwhile, and has no counterpart, gets one. What waits to be sent of an answered order is not sent
    any more. Raises Refused for an order that was withdrawn (409), and for one that says something else of the
    same moment (409, ``contradicts``). Can be followed by a later answer.
    """
    # Deliveries before their order, as the senders lock them.
    waiting = list(
        enforcement.deliveries.select_for_update()
        .filter(state=DeliveryState.PENDING)
        .order_by("pk")
    )
    order = (
        Enforcement.objects.select_for_update(of=("self",))
        .select_related("decision__case", "account", "group")
        .get(pk=enforcement.pk)
    )
    if order.state not in IN_FORCE:
        raise Refused(
            "This order was withdrawn before it was sent. Do not carry it out.", code="withdrawn"
        )
    now = _now()
    new = Said(state, min(at, now) if at else now)
    same = order.results.filter(state=state, code=code, detail=detail)
    # Without a time only what stands can be meant: before an order was given anew the same words meant another try.
    same = same.filter(at=at) if at is not None else same.filter(stands=True)
    if (repeated := same.order_by("-received_at", "-pk").first()) is not None:
        return repeated
    standing = order.results.filter(stands=True).first()
    weighed = weigh(new, _said(standing) if standing else None)
    if weighed is Weighed.CONTRADICTS and standing is not None:
        raise Refused(
            f"This order was said to be “{standing.state}” at that very moment. Send the time (`at`) at which "
            "it became something else.",
            code="contradicts",
            members={"existing": {"state": standing.state, "at": audit.timestamp(new.counts_at)}},
        )
    stands = weighed is Weighed.STANDS
    if stands:
        order.results.filter(stands=True).update(stands=False)
        Enforcement.objects.filter(pk=order.pk).update(state=_STATE[state])
        Delivery.objects.filter(pk__in=[row.pk for row in waiting]).update(
            state=DeliveryState.ANSWERED
        )
    result = OrderResult.objects.create(
        enforcement=order,
        source=source,
        state=state,
        at=at,
        counts_at=new.counts_at,
        code=code,
        detail=detail,
        stands=stands,
    )
    audit.record(
        AuditEvent.ORDER_ANSWERED,
        actor=actor,
        subject=result,
        case=order.decision.case,
        stands=stands,
        **answer_said(result),
    )
    if stands and ResultState.DONE in {state, standing.state if standing else ""}:
        tell_directory(order, source=source, at=new.counts_at, actor=actor)
    if stands and state == ResultState.DONE:
        take_back_late(order, at=now, actor=actor)
    result.refresh_from_db()
    return result


@transaction.atomic
def mark_result_seen(result: OrderResult, *, actor: User) -> OrderResult:
    """Note that a lead knows that the platform could not carry out an order. Seen twice is seen. Cannot be undone."""
    require(actor, Permission.DELIVERIES_REPLAY)
    order, result = _held(result, actor)
    if result.seen_at is None:
        _mark(result, OrderResult.Seen.SEEN, actor)
        audit.record(
            AuditEvent.ORDER_ANSWER_SEEN,
            actor=actor,
            subject=result,
            case=order.decision.case,
            how=OrderResult.Seen.SEEN,
        )
    result.refresh_from_db()
    return result


@transaction.atomic
def give_order_anew(result: OrderResult, *, actor: User) -> list[Delivery]:
    """Give an order once more that the platform could not carry out, as messages with new ids; return them.

    The same ids would be dropped: the platform had them. Goes where the order went before. Cannot be undone. Raises
    Refused when the platform has carried it out meanwhile, when somebody else gave it anew, and when its decision
    was overturned.
    """
    require(actor, Permission.DELIVERIES_REPLAY)
    before = list(
        Delivery.objects.select_for_update()
        .filter(enforcement=result.enforcement_id)
        .order_by("round", "created_at", "pk")
    )
    order, result = _held(result, actor)
    if not result.stands or order.state not in CAME_BACK:
        raise Refused(
            "The platform has said something else since. Reload the page.", code="changed"
        )
    number = order.deliveries.aggregate(last=Max("round"))["last"] or 0
    last = [row for row in before if row.round == number]
    # One that waits for an endpoint, or was answered without being sent, goes to whoever listens now.
    rows = Delivery.objects.bulk_create(
        [
            Delivery(
                enforcement=order,
                endpoint_id=row.endpoint_id,
                payload=row.payload,
                round=number + 1,
                give_up_at=Now() + GIVE_UP_AFTER,
            )
            for row in last
        ]
    )
    Enforcement.objects.filter(pk=order.pk).update(state=EnforcementState.PENDING)
    OrderResult.objects.filter(pk=result.pk).update(stands=False)
    if result.seen_at is None:
        _mark(result, OrderResult.Seen.SENT_AGAIN, actor)
    audit.record(
        AuditEvent.ORDER_GIVEN_ANEW,
        actor=actor,
        subject=result,
        case=order.decision.case,
        enforcement=order.pk,
        deliveries=[row.pk for row in rows],
    )
    enqueue("send_due")
    return rows


def _held(result: OrderResult, actor: User) -> tuple[Enforcement, OrderResult]:
    order = (
        Enforcement.objects.select_for_update(of=("self",))
        .select_related("decision__case")
        .get(pk=result.enforcement_id)
    )
    if not access.cases_for(actor).filter(pk=order.decision.case_id).exists():
        raise Refused("You may not see this case.", code="not_permitted", status=403)
    return order, OrderResult.objects.select_for_update(of=("self",)).get(pk=result.pk)


def _mark(result: OrderResult, how: OrderResult.Seen, actor: User) -> None:
    OrderResult.objects.filter(pk=result.pk).update(seen_at=Now(), seen_by=actor, seen_how=how)


def _said(row: OrderResult) -> Said:
    return Said(row.state, row.counts_at)


def _now() -> datetime:
    """Return the database's time: machines agree on no other one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found
