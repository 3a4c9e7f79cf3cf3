"""Which deliveries and endpoints a person sees. Not visible is 404.

The log says what the platform was told and what it answered: verb, state, the case's number. It names
no subject and holds no content, so that administrators may look after it without seeing cases. People who
work cases see the orders of cases that they may see, and no others.
"""

from __future__ import annotations

import uuid

from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Now
from django.http import Http404

from accounts.models import User
from accounts.permissions import Permission
from core.errors import Invalid
from moderation.access import cases_for
from moderation.models import (
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    NoticeKind,
    OrderResult,
    Replay,
    WebhookEndpoint,
)
from reports.models import Source, SourceKind

WAITS_FOR_ENDPOINT = "no_endpoint"


def deliveries_for(
    user: User, *, state: str = "", verb: str = "", endpoint: str = ""
) -> QuerySet[Delivery]:
    """Return deliveries, newest first, narrowed by state, verb (or kind of message) and endpoint.

    ``state`` may also be ``no_endpoint``: what waits because nobody listens.
    """
    if not user.may(Permission.DELIVERIES_VIEW):
        return Delivery.objects.none()
    last = DeliveryAttempt.objects.filter(delivery=OuterRef("pk")).order_by("-pk")
    said = OrderResult.objects.filter(enforcement=OuterRef("enforcement"), stands=True)
    # The platform's own words may say anything: they are for people who see cases.
    sees_cases = user.may(Permission.CASES_VIEW)
    found = (
        Delivery.objects.select_related(
            "endpoint", "enforcement__decision__case", "notice__decision__case"
        )
        .defer("payload")
        .annotate(
            last_status=Subquery(last.values("status")[:1]),
            last_error=Subquery(last.values("error")[:1]),
            said_state=Subquery(said.values("state")[:1]),
            said_code=Subquery(said.values("code")[:1]) if sees_cases else Value(""),
            is_being_sent=Q(locked_until__gt=Now()),
            is_due=Q(next_attempt_at__lte=Now()),
            held_until=Case(
                When(
                    endpoint__breaker__open_until__gt=Now(), then=F("endpoint__breaker__open_until")
                )
            ),
        )
        .order_by("-created_at", "pk")
    )
    # Who works cases sees what became of their own; who looks after the line sees all of it.
    if sees_cases:
        seen = cases_for(user)
        found = found.filter(
            Q(enforcement__decision__case__in=seen) | Q(notice__decision__case__in=seen)
        )
    if state == WAITS_FOR_ENDPOINT:
        found = found.filter(state=DeliveryState.PENDING, endpoint=None)
    elif state:
        found = found.filter(state=state)
    if verb in NoticeKind.values:
        found = found.filter(notice__kind=verb)
    elif verb:
        found = found.filter(enforcement__verb=verb)
    if endpoint:
        try:
            found = found.filter(endpoint=uuid.UUID(endpoint))
        except ValueError:
            return Delivery.objects.none()
    return found


def get_delivery_for(user: User, id: uuid.UUID) -> Delivery:
    """Return one delivery. Raises Http404 when not visible."""
    found = deliveries_for(user).filter(pk=id).first()
    if found is None:
        raise Http404
    return found


def endpoint_choices(user: User) -> list[tuple[str, str]]:
    """Return the endpoints as choices of a filter, by name."""
    if not user.may(Permission.DELIVERIES_VIEW):
        return []
    return [(str(e.pk), e.name) for e in WebhookEndpoint.objects.order_by("name").only("name")]


def listening_sources() -> QuerySet[Source]:
    """Return the sources that an endpoint may be bound to: those of machines, without practice."""
    return Source.objects.exclude(kind=SourceKind.STAFF).filter(practice_of=None).order_by("name")


def endpoints_to_replay(user: User) -> QuerySet[WebhookEndpoint]:
    """Return the endpoints that a lead may have sent to again, by name."""
    if not user.may(Permission.DELIVERIES_REPLAY):
        return WebhookEndpoint.objects.none()
    return WebhookEndpoint.objects.order_by("name")


def endpoints_for(user: User) -> QuerySet[WebhookEndpoint]:
    """Return the endpoints with what waits and what was given up, for administrators."""
    if not user.may(Permission.WEBHOOKS_MANAGE):
        return WebhookEndpoint.objects.none()
    found = WebhookEndpoint.objects.annotate(
        waiting=Count("deliveries", filter=Q(deliveries__state=DeliveryState.PENDING)),
        given_up=Count("deliveries", filter=Q(deliveries__state=DeliveryState.FAILED)),
        has_two_secrets=Q(previous_until__gt=Now()),
        is_held=Q(breaker__open_until__gt=Now()),
    )
    return found.select_related("breaker", "source").order_by("name", "created_at")


def get_endpoint_for(user: User, id: uuid.UUID) -> WebhookEndpoint:
    """Return one endpoint for an administrator. Raises Http404 when not visible."""
    found = endpoints_for(user).filter(pk=id).first()
    if found is None:
        raise Http404
    return found


def replays_for(user: User) -> QuerySet[Replay]:
    """Return the spans that were sent again, for leads, the newest first."""
    if not user.may(Permission.DELIVERIES_REPLAY):
        return Replay.objects.none()
    return Replay.objects.select_related("endpoint", "requested_by", "source").order_by(
        "-created_at"
    )


# ── The platform ──────────────────────────────────────────────────────────────────────────────
def get_endpoint_of(source: Source, id: uuid.UUID | None) -> WebhookEndpoint | None:
    """Return an endpoint for the platform itself, None for none. Raises Invalid at the field for one that is not there."""
    if id is None:
        return None
    found = WebhookEndpoint.objects.filter(pk=id).first()
    if found is None or source.practice_of_id is not None:
        raise Invalid({"endpoint": ["There is no such endpoint."]})
    return found


def get_replay_of(source: Source, id: uuid.UUID) -> Replay:
    """Return a replay that a source of the platform asked for. Raises Http404 for all others."""
    found = Replay.objects.filter(pk=id, source=source).first()
    if found is None:
        raise Http404
    return found
