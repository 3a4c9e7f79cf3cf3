"""Due times that lie further ahead than code sets them: the database's clock was put back, and nobody waits for it."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Now

from core.jobs import CLOCK_SLACK, ROOM_AFTER
from core.leases import lease_after
from moderation import workflow
from moderation.actions.attempts import LEASE
from moderation.actions.claims import lease
from moderation.actions.endpoint_breakers import LONGEST_WAIT
from moderation.actions.previews import MOST_ATTEMPTS
from moderation.actions.publishing import GIVEN_UP_PAUSE as PUBLISH_GIVEN_UP_PAUSE
from moderation.actions.publishing import MOST_ATTEMPTS as MOST_PUBLISHES
from moderation.actions.publishing import PAUSE as PUBLISH_PAUSE
from moderation.actions.waiting_routes import GIVEN_UP_PAUSE, LONGEST_PAUSE
from moderation.actions.waiting_routes import LEASE as ROUTE_LEASE
from moderation.actions.waiting_routes import MOST_ATTEMPTS as MOST_ROUTES
from moderation.enforcement import WAITS_SECONDS, wait_after
from moderation.models import (
    Claim,
    Decision,
    Delivery,
    DeliveryState,
    EndpointBreaker,
    Preview,
    PreviewState,
    Skip,
)
from reports.models import Item, Report, RouteState

__all__ = ["pull_back_due_times"]


@transaction.atomic
def pull_back_due_times() -> int:
    """Make due, or shorten, what waits for a time that code would not have set; return how many rows.

    A lease gets the length of a new one, a decision a whole undo window. Safe to repeat.
    """
    undo = timedelta(seconds=settings.HOLDFAST_UNDO_SECONDS)
    pulled = Decision.objects.filter(
        undone_at=None, published_at=None, publish_at__gt=Now() + undo + CLOCK_SLACK
    ).update(publish_at=Now() + undo)
    pulled += Decision.objects.filter(
        undone_at=None,
        published_at=None,
        publish_retry_at__gt=Now()
        + Case(
            When(publish_attempts__lt=MOST_PUBLISHES, then=Value(PUBLISH_PAUSE)),
            default=Value(PUBLISH_GIVEN_UP_PAUSE),
        )
        + CLOCK_SLACK,
    ).update(publish_retry_at=None)
    longest = max(timedelta(minutes=workflow.LONGEST_LEASE_MINUTES), lease())
    pulled += Claim.objects.filter(
        ended_at=None, expires_at__gt=Now() + longest + CLOCK_SLACK
    ).update(expires_at=Now() + lease())
    for model in (Report, Item):
        failed = model.objects.filter(route_state=RouteState.FAILED)
        begun = model.objects.filter(
            route_state__in=[RouteState.NOT_YET, RouteState.WAITING], route_attempts__gt=0
        )
        for rows, pause in (
            (failed.filter(route_attempts__lt=MOST_ROUTES), LONGEST_PAUSE),
            (failed, GIVEN_UP_PAUSE),
            (begun, ROUTE_LEASE * 2**MOST_ROUTES),
        ):
            pulled += rows.filter(route_due_at__gt=Now() + pause + CLOCK_SLACK).update(
                route_due_at=Now()
            )
    for attempts in range(MOST_ATTEMPTS + 1):
        longest = max(ROOM_AFTER, lease_after(max(attempts - 1, 0)))
        pulled += Preview.objects.filter(
            state=PreviewState.WAITING,
            attempts=attempts,
            due_at__gt=Now() + longest + CLOCK_SLACK,
        ).update(due_at=Now())
    # A receiver may have asked for the longest wait of all, whatever the breaker itself would have taken.
    held = EndpointBreaker.objects.filter(open_until__gt=Now() + LONGEST_WAIT + CLOCK_SLACK)
    pulled += held.update(open_until=Now())
    skipped = timedelta(minutes=workflow.SKIP_MINUTES)
    pulled += Skip.objects.filter(until__gt=Now() + skipped + CLOCK_SLACK).update(
        until=Now() + skipped
    )
    pending = Delivery.objects.filter(state=DeliveryState.PENDING)
    pulled += pending.filter(locked_until__gt=Now() + LEASE + CLOCK_SLACK).update(locked_until=None)
    # A receiver may ask for as long a wait as our own longest one.
    retry = wait_after(len(WAITS_SECONDS), chance=1)
    return pulled + pending.filter(
        Q(attempts_made=0, next_attempt_at__gt=Now() + LEASE + CLOCK_SLACK)
        | Q(next_attempt_at__gt=Now() + retry + CLOCK_SLACK)
    ).update(next_attempt_at=Now())
