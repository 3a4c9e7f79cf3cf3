"""Carrying out: three beats per delivery, the sending outside any transaction."""

from __future__ import annotations

import time

from core.crypto import Unsealable
from core.jobs import enqueue, job
from moderation import webhooks
from moderation.actions import deliveries
from moderation.enforcement import body_of
from moderation.models import Delivery, DeliveryState, Enforcement, WebhookEndpoint

ENOUGH_SECONDS = 35.0
"""After this time the rest waits for another wake-up; the job's own limit is 60 seconds."""


@job
def carry_out(enforcement_id: str) -> None:
    """Send every delivery of an enforcement that is due. May run any number of times, in parallel."""
    enforcement = Enforcement.objects.get(pk=enforcement_id)
    started = time.monotonic()
    for delivery in enforcement.deliveries.filter(state=DeliveryState.PENDING).order_by(
        "created_at"
    ):
        if time.monotonic() - started > ENOUGH_SECONDS:
            enqueue("carry_out", enforcement.pk)
            return
        deliver(delivery)


def deliver(delivery: Delivery) -> Delivery | None:
    """Make one attempt, if the delivery is due and nobody else makes it. Returns it afterwards."""
    held = deliveries.begin_attempt(delivery)
    if held is None or held.endpoint is None:
        return None
    answer = _send(held, held.endpoint)
    return deliveries.finish_attempt(held, answer=answer)


def _send(delivery: Delivery, endpoint: WebhookEndpoint) -> webhooks.Answer:
    try:
        signing_secrets = deliveries.secrets_of(endpoint)
    except Unsealable:
        # A lost master key: visible on the delivery, and retried until the key is back.
        return webhooks.Answer(None, "The signing secret cannot be opened. Rotate it.", 0)
    return webhooks.send(
        endpoint.url,
        message_id=str(delivery.pk),
        body=body_of(delivery.payload),
        signing_secrets=signing_secrets,
    )


def sweep_deliveries() -> int:
    """Wake a worker for everything that is due and show what ran out of time; return how many."""
    deliveries.adopt_waiting()
    given_up = deliveries.give_up_overdue()
    due = deliveries.due_deliveries().order_by("next_attempt_at")
    waiting = list(dict.fromkeys(due.values_list("enforcement_id", flat=True)[:500]))
    for enforcement_id in waiting:
        enqueue("carry_out", enforcement_id)
    return given_up + len(waiting)
