"""Sending a span of deliveries again: a row says how far it is, batches do the work."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import SYSTEM, Actor, AuditEvent
from core.errors import Invalid
from core.jobs import enqueue
from moderation.actions.deliveries import due_condition
from moderation.enforcement import GIVE_UP_AFTER
from moderation.models import (
    Delivery,
    DeliveryState,
    Enforcement,
    EnforcementState,
    Replay,
    WebhookEndpoint,
)
from reports.models import Source

__all__ = [
    "REPLAYABLE",
    "ask_replay",
    "check_span",
    "deliveries_in",
    "replay_some",
    "waiting_replays",
]

REPLAYABLE = (DeliveryState.DELIVERED.value, DeliveryState.FAILED.value)
LONGEST_SPAN = timedelta(days=31)
AT_ONCE = 500


def deliveries_in(
    *,
    since: datetime,
    until: datetime,
    endpoint: WebhookEndpoint | None,
    states: Collection[str],
) -> QuerySet[Delivery]:
    """Return the deliveries of a span that can be sent again, by when they were queued.

    Not those of orders that were taken back: a receiver that forgot both needs neither, and one that forgot the
    counterpart gets that.
    """
    found = Delivery.objects.filter(
        created_at__gte=since, created_at__lt=until, state__in=states, endpoint__isnull=False
    ).filter(
        Q(enforcement=None)
        | (Q(enforcement__reversed_by=None) & ~Q(enforcement__state=EnforcementState.WITHDRAWN))
    )
    return found if endpoint is None else found.filter(endpoint=endpoint)


def check_span(*, since: datetime, until: datetime, states: Collection[str]) -> None:
    """Raise Invalid for a span that is empty, longer than 31 days or has another state than delivered or failed."""
    errors: dict[str, list[str]] = {}
    if until <= since:
        errors["until"] = ["Must be later than when the span begins."]
    elif until - since > LONGEST_SPAN:
        errors["until"] = ["At most 31 days at a time: ask for the rest afterwards."]
    if not states or set(states) - set(REPLAYABLE):
        errors["states"] = ["Must be delivered, failed or both."]
    if errors:
        raise Invalid(errors)


@transaction.atomic
def ask_replay(
    *,
    since: datetime,
    until: datetime,
    endpoint: WebhookEndpoint | None = None,
    states: Collection[str] = REPLAYABLE,
    source: Source | None = None,
    actor: Actor | User,
) -> Replay:
    """Ask for a span of deliveries to be sent again, with the same ids; workers do it in batches.

    Asked for twice while it is not finished, it is the same one. Raises Invalid as ``check_span``.
    Cannot be undone: a receiver that has a message drops it by its id.
    """
    require(actor, Permission.DELIVERIES_REPLAY)
    check_span(since=since, until=until, states=states)
    wanted = sorted(set(states))
    # One at a time asks: two who press at once get the same row.
    WebhookEndpoint.objects.select_for_update().order_by("pk").first()
    running = Replay.objects.filter(
        since=since, until=until, endpoint=endpoint, states=wanted, finished_at=None
    ).first()
    if running is not None:
        return running
    found = deliveries_in(since=since, until=until, endpoint=endpoint, states=wanted)
    replay = Replay.objects.create(
        since=since,
        until=until,
        endpoint=endpoint,
        states=wanted,
        source=source,
        requested_by=actor if isinstance(actor, User) else None,
        count=found.count(),
    )
    replay.refresh_from_db()
    audit.record(
        AuditEvent.REPLAY_ASKED,
        actor=actor,
        subject=replay,
        since=since,
        until=until,
        endpoint=endpoint.pk if endpoint else None,
        states=wanted,
        count=replay.count,
    )
    enqueue("replay_deliveries")
    return replay


def waiting_replays() -> QuerySet[Replay]:
    """Return replays that are not finished, the oldest first."""
    return Replay.objects.filter(finished_at=None).order_by("created_at", "pk")


@transaction.atomic
def replay_some(replay: Replay, *, actor: Actor = SYSTEM) -> bool:
    """Put the next batch of a replay in line; return whether there is more. Safe to kill and to run beside itself.

    Where it stopped is written with the batch: none is put in line twice for one replay. What is being sent at this moment is passed by.
    """
    held = (
        Replay.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("endpoint")
        .filter(pk=replay.pk, finished_at=None)
        .first()
    )
    if held is None:
        return False
    # Up to when it was asked for: what it sends itself is not sent once more.
    found = deliveries_in(
        since=held.since,
        until=min(held.until, held.created_at),
        endpoint=held.endpoint,
        states=held.states,
    )
    if held.through_at is not None and held.through_id is not None:
        found = found.filter(
            Q(created_at__gt=held.through_at)
            | Q(created_at=held.through_at, pk__gt=held.through_id)
        )
    part = list(found.order_by("created_at", "pk").values_list("created_at", "pk")[:AT_ONCE])
    keys = [key for _, key in part]
    free = list(
        Delivery.objects.select_for_update(of=("self",))
        .filter(due_condition(), pk__in=keys, state__in=held.states)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    _put_in_line(free)
    if part:
        Replay.objects.filter(pk=held.pk).update(
            replayed=F("replayed") + len(free),
            skipped=F("skipped") + len(keys) - len(free),
            through_at=part[-1][0],
            through_id=part[-1][1],
        )
        audit.record(
            AuditEvent.DELIVERIES_REPLAYED,
            actor=actor,
            subject=held,
            deliveries=len(free),
            first=keys[0],
            last=keys[-1],
        )
        enqueue("send_due")
    if len(part) == AT_ONCE:
        return True
    Replay.objects.filter(pk=held.pk).update(finished_at=Now())
    return False


def _put_in_line(keys: Collection[UUID]) -> None:
    Enforcement.objects.filter(
        deliveries__in=keys, deliveries__state=DeliveryState.FAILED, state=EnforcementState.FAILED
    ).update(state=EnforcementState.PENDING)
    Delivery.objects.filter(pk__in=keys).update(
        state=DeliveryState.PENDING,
        attempts_made=0,
        next_attempt_at=Now(),
        give_up_at=Now() + GIVE_UP_AFTER,
        locked_until=None,
        replayed_at=Now(),
    )
