"""Sending what is due: leases and records in this thread, the network in others, outside any transaction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial

from core.crypto import Unsealable
from core.jobs import enqueue, is_stopping, job
from moderation import webhooks
from moderation.actions import attempts, deliveries, replays
from moderation.enforcement import body_of
from moderation.models import Delivery, WebhookEndpoint

SLOTS = 32
"""Attempts that one process makes at the same time; how many of them to one endpoint, its breaker says."""

BUSY_SECONDS = 120.0
"""After this long a job begins nothing more and gives its place to another one."""

REPLAY_SECONDS = 20.0
"""The same for a job that puts deliveries in line: it stands before routing."""

LOOK_SECONDS = 0.25
"""While attempts are under way, so often is looked for what became due."""


@job
def send_due() -> None:
    """Send whatever is due until nothing is and nothing is under way. Safe to repeat, to kill and to run beside
    itself: what is leased by one is passed by by the others.
    """
    over = time.monotonic() + BUSY_SECONDS
    under_way: dict[Future[webhooks.Answer], Delivery] = {}
    with ThreadPoolExecutor(SLOTS, thread_name_prefix="send") as pool:
        while True:
            is_over = is_stopping() or time.monotonic() > over
            if not is_over and len(under_way) < SLOTS:
                for held, endpoint in _begin(under_way):
                    under_way[pool.submit(_sending(held, endpoint))] = held
            if not under_way:
                break
            ended, _ = wait(under_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            if ended:
                attempts.finish_attempts([(under_way.pop(one), one.result()) for one in ended])
    if time.monotonic() > over and attempts.sendable_deliveries().exists():
        enqueue("send_due")


def _begin(
    under_way: dict[Future[webhooks.Answer], Delivery],
) -> list[tuple[Delivery, WebhookEndpoint]]:
    busy = Counter(held.endpoint_id for held in under_way.values() if held.endpoint_id)
    return attempts.begin_attempts(limit=SLOTS - len(under_way), busy=busy)


def _sending(delivery: Delivery, endpoint: WebhookEndpoint) -> Callable[[], webhooks.Answer]:
    """Return what a thread does: everything from the database is read here."""
    try:
        secrets = deliveries.secrets_of(endpoint)
    except Unsealable:
        # A lost master key: visible on the delivery, and retried until the key is back.
        said = "The signing secret cannot be opened. Rotate it."
        return lambda: webhooks.Answer(None, said, 0)
    return partial(
        webhooks.send,
        endpoint.url,
        message_id=str(delivery.pk),
        body=body_of(delivery.payload),
        signing_secrets=secrets,
    )


@job
def replay_deliveries() -> None:
    """Put what is to be sent again in line, batch by batch. Safe to repeat, to kill and to run beside itself."""
    over = time.monotonic() + REPLAY_SECONDS
    for replay in replays.waiting_replays()[:20]:
        while replays.replay_some(replay) and not is_stopping():
            if time.monotonic() > over:
                enqueue("replay_deliveries")
                return


def sweep_deliveries() -> int:
    """Wake a sender when anything is due, and show what ran out of time; return how many, at most 1,000 due."""
    deliveries.adopt_waiting()
    if replays.waiting_replays().exists():
        enqueue("replay_deliveries")
    given_up = attempts.give_up_overdue()
    due = attempts.sendable_deliveries().values("pk")[:1000].count()
    if due:
        enqueue("send_due")
    return given_up + due
