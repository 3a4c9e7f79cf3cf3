"""What is due, one attempt at it, and what came of it.

At least once: a sender that dies after sending and before recording sends again, with the same id, and the
receiver drops what it has seen (``webhook-id``). Nothing else repeats: a row is leased while it is sent, and its
next attempt is written down before the first byte leaves.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from core import audit
from core.audit import SYSTEM, AuditEvent
from core.errors import describe
from moderation.actions.deliveries import due_condition
from moderation.actions.endpoint_breakers import begin_probe, needs_probe, note_answer, room_of
from moderation.enforcement import is_acknowledged, is_final, tells_of_trouble, wait_after
from moderation.models import (
    Case,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    Enforcement,
    EnforcementState,
    WebhookEndpoint,
)
from moderation.webhooks import Answer

log = logging.getLogger(__name__)

_BY_DELIVERIES = {
    EnforcementState.PENDING,
    EnforcementState.ACKNOWLEDGED,
    EnforcementState.FAILED,
}
LEASE = timedelta(seconds=30)
"""An attempt takes ten seconds at most; after this another sender may take over from one that died."""


def due_deliveries() -> QuerySet[Delivery]:
    """Return what should be sent now and nobody is sending, by the database's clock."""
    return Delivery.objects.filter(
        due_condition(),
        state=DeliveryState.PENDING,
        endpoint__is_active=True,
        next_attempt_at__lte=Now(),
    )


def sendable_deliveries() -> QuerySet[Delivery]:
    """Return what is due and whose endpoint is not held back after failures."""
    return due_deliveries().exclude(endpoint__breaker__open_until__gt=Now())


@transaction.atomic
def begin_attempts(
    *, limit: int, busy: Mapping[UUID, int]
) -> list[tuple[Delivery, WebhookEndpoint]]:
    """Lease up to ``limit`` due deliveries for one attempt each, oldest first; return them and their endpoints.

    ``busy`` says how many attempts to each endpoint this process has under way: none may take all places, and
    the one with the fewest comes first. May run in any number of processes: what one holds another passes by.
    The number of the attempt and the time of the next one are written before anything is sent, so that a
    sender that dies on the way leaves growing waits behind, not a loop.
    """
    taken: list[tuple[Delivery, WebhookEndpoint]] = []
    listening = WebhookEndpoint.objects.filter(is_active=True).select_related("breaker")
    for endpoint in sorted(
        listening.annotate(is_held=Q(breaker__open_until__gt=Now())),
        key=lambda each: busy.get(each.pk, 0),
    ):
        room = room_of(endpoint, busy=busy.get(endpoint.pk, 0))
        if room and len(taken) < limit:
            rows = _lease(endpoint, min(room, limit - len(taken)))
            taken += [(row, endpoint) for row in rows]
    return taken


def _lease(endpoint: WebhookEndpoint, room: int) -> list[Delivery]:
    # The conditions stand on the locked rows themselves: PostgreSQL checks those again on the newest version
    # of a row, but not those of a sub-query, and two senders would both find it due.
    due = (
        due_deliveries()
        .filter(endpoint=endpoint)
        .select_related("enforcement__decision", "notice__decision")
        .select_for_update(of=("self",), skip_locked=True)
        .annotate(is_over=Q(give_up_at__lte=Now()))
    )
    if needs_probe(endpoint):
        # The least tried: an order that the receiver cannot take must not speak for the others.
        rows = list(due.order_by("attempts_made", "next_attempt_at")[:room])
        if not rows or not begin_probe(endpoint):
            return []
    else:
        rows = list(due.order_by("next_attempt_at")[:room])
    leased: list[Delivery] = []
    for row in rows:
        row.endpoint = endpoint
        if row.is_over:
            _give_up(row, "No attempt succeeded in time.")
            continue
        row.attempts_made += 1
        wait = wait_after(row.attempts_made, chance=random.random())  # noqa: S311 — no secret
        row.locked_until = Now() + LEASE
        row.next_attempt_at = Now() + max(wait, LEASE)
        leased.append(row)
    Delivery.objects.bulk_update(leased, ["attempts_made", "locked_until", "next_attempt_at"])
    return leased


def finish_attempts(ended: Sequence[tuple[Delivery, Answer]]) -> None:
    """Record how attempts ended that ended together, with one commit for all of them.

    What cannot be recorded stops none of the others: it is due again when its lease ends. Safe to repeat.
    """
    try:
        _record_together(ended)
    except DatabaseError as failed:
        log.warning("attempts are recorded one by one: %s", describe(failed))
        for delivery, answer in ended:
            try:
                finish_attempt(delivery, answer=answer)
            except DatabaseError as alone:
                log.error("an attempt of %s was not recorded: %s", delivery.pk, describe(alone))
        return
    # Apart: what is known of an endpoint is shared, and no case waits for it. Many that went well say one thing.
    went_well: dict[UUID | None, bool] = {}
    for delivery, answer in ended:
        is_well = not tells_of_trouble(answer.status)
        if not (is_well and went_well.get(delivery.endpoint_id)) and delivery.endpoint is not None:
            note_answer(delivery.endpoint, answer=answer)
        went_well[delivery.endpoint_id] = is_well


@transaction.atomic
def _record_together(ended: Sequence[tuple[Delivery, Answer]]) -> None:
    # Whoever holds a chain of the log waits for no row any more, so the rows come first; rows and chains are
    # taken in one order, so that two senders never wait for each other in a circle.
    keys = [delivery.pk for delivery, _ in ended]
    held = Delivery.objects.filter(pk__in=keys).select_for_update(of=("self",)).order_by("pk")
    enforcements = {row.enforcement_id for row in held if row.enforcement_id}
    list(Enforcement.objects.filter(pk__in=enforcements).select_for_update().order_by("pk"))
    for delivery, answer in sorted(ended, key=_chain_of):
        _record_attempt(delivery, answer)


def _chain_of(ended: tuple[Delivery, Answer]) -> str:
    return str(ended[0].decision.case_id)


def finish_attempt(delivery: Delivery, *, answer: Answer) -> Delivery:
    """Record how an attempt ended, on the delivery and then on what is known of its endpoint."""
    with transaction.atomic():
        held = _record_attempt(delivery, answer)
    if held.endpoint is not None:
        # Apart: what is known of an endpoint is shared, and no case waits for it.
        note_answer(held.endpoint, answer=answer)
    return held


def _record_attempt(delivery: Delivery, answer: Answer) -> Delivery:
    """Record how an attempt ended: taken, to be tried again, or given up."""
    held = (
        Delivery.objects.select_for_update(of=("self",))
        .select_related("endpoint", "enforcement__decision__case", "notice__decision__case")
        .get(pk=delivery.pk)
    )
    DeliveryAttempt.objects.create(
        delivery=held,
        status=answer.status,
        error=answer.error[:500],
        duration_ms=answer.duration_ms,
        is_replay=held.replayed_at is not None,
    )
    case = held.decision.case
    said: dict[str, Any] = {
        "endpoint": held.endpoint_id,
        "attempt": delivery.attempts_made,
        "status": answer.status,
        "error": answer.error,
        "milliseconds": answer.duration_ms,
    }
    if held.state in {DeliveryState.DELIVERED, DeliveryState.ANSWERED, DeliveryState.WITHDRAWN}:
        # Another worker was faster, after this one's lease ran out (the receiver saw one id twice), or the order was
        # answered or withdrawn while this attempt was under way.
        audit.record(AuditEvent.DELIVERY_ATTEMPTED, actor=SYSTEM, subject=held, case=case, **said)
        return held
    if is_acknowledged(answer.status):
        Delivery.objects.filter(pk=held.pk).update(
            state=DeliveryState.DELIVERED, delivered_at=Now(), locked_until=None
        )
        _settle(held.enforcement)
        audit.record(AuditEvent.DELIVERY_CONFIRMED, actor=SYSTEM, subject=held, case=case, **said)
    elif is_final(answer.status):
        _give_up(held, "The receiver answered 410 Gone.")
    else:
        wait = wait_after(
            max(1, held.attempts_made),
            chance=random.random(),  # noqa: S311 — no secret
            retry_after=answer.retry_after,
        )
        Delivery.objects.filter(pk=held.pk).update(next_attempt_at=Now() + wait, locked_until=None)
        audit.record(AuditEvent.DELIVERY_ATTEMPTED, actor=SYSTEM, subject=held, case=case, **said)
    held.refresh_from_db()
    return held


@transaction.atomic
def give_up_overdue(*, limit: int = 200) -> int:
    """Mark deliveries whose time is over as given up, so that a person sees them; return how many."""
    overdue = (
        Delivery.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("enforcement__decision__case", "notice__decision__case")
        .filter(due_condition(), state=DeliveryState.PENDING, give_up_at__lte=Now())
        .filter(endpoint__is_active=True)[:limit]
    )
    for row in overdue:
        _give_up(row, "No attempt succeeded in time.")
    return len(overdue)


def _give_up(held: Delivery, why: str) -> None:
    Delivery.objects.filter(pk=held.pk).update(state=DeliveryState.FAILED, locked_until=None)
    _settle(held.enforcement)
    audit.record(
        AuditEvent.DELIVERY_GAVE_UP,
        actor=SYSTEM,
        subject=held,
        case=Case.objects.get(decisions=held.decision),
        endpoint=held.endpoint_id,
        attempts=held.attempts_made,
        why=why,
    )


def _settle(enforcement: Enforcement | None) -> None:
    """Say on the enforcement what its deliveries came to: one that failed outweighs those that went.

    What the platform answered, or a lead withdrew, stays. Only the last round counts: see ``results.give_order_anew``.
    """
    if enforcement is None:
        return
    held = Enforcement.objects.select_for_update().get(pk=enforcement.pk)
    if held.state not in _BY_DELIVERIES:
        return
    rounds = enforcement.deliveries.values_list("round", "state")
    last = max(number for number, _ in rounds)
    states = {state for number, state in rounds if number == last}
    if DeliveryState.FAILED in states:
        state = EnforcementState.FAILED
    elif DeliveryState.PENDING in states:
        state = EnforcementState.PENDING
    else:
        state = EnforcementState.ACKNOWLEDGED
    Enforcement.objects.filter(pk=enforcement.pk).update(state=state)
