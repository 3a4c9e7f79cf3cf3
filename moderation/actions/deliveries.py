"""The outbox once rows stand in it, and where the platform listens.

How orders come into it stands in ``actions.orders``, what happens to a row once it is due in ``actions.attempts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent
from core.crypto import seal, unseal
from core.errors import Invalid, Refused
from core.jobs import enqueue
from moderation import access
from moderation.actions.endpoint_breakers import note_answer
from moderation.actions.orders import hears_orders
from moderation.enforcement import GIVE_UP_AFTER, REVERSALS, tells_of_trouble
from moderation.models import (
    Delivery,
    DeliveryState,
    Enforcement,
    EnforcementState,
    NoticeKind,
    Verb,
    WebhookEndpoint,
)
from moderation.webhooks import Answer, check_url, new_secret
from reports.models import Source

SECRET_OVERLAP = timedelta(hours=24)
SENDABLE = frozenset(set(Verb.values) - {Verb.NO_ACTION.value})


@transaction.atomic
def adopt_waiting(*, limit: int = 500) -> int:
    """Give what waits because nobody listened to the first active endpoint that takes it; return how many.

    For the sweep: months of waiting rows never weigh on the request that configures an endpoint, and a
    row that was queued while the endpoint was being saved is found as well.
    """
    adopted = 0
    listening = WebhookEndpoint.objects.filter(is_active=True).select_related("source")
    for endpoint in filter(hears_orders, listening.order_by("created_at")):
        waiting = Delivery.objects.filter(
            endpoint=None, state=DeliveryState.PENDING, enforcement__isnull=False
        )
        if endpoint.verbs:
            verbs = [*endpoint.verbs, *(REVERSALS[verb] for verb in endpoint.verbs)]
            waiting = waiting.filter(enforcement__verb__in=verbs)
        batch = waiting.order_by("created_at").select_for_update(of=("self",), skip_locked=True)
        adopted += Delivery.objects.filter(
            pk__in=list(batch.values_list("pk", flat=True)[: limit - adopted])
        ).update(endpoint=endpoint, next_attempt_at=Now(), give_up_at=Now() + GIVE_UP_AFTER)
    return adopted


def due_condition() -> Q:
    """Return the condition that nobody is sending a row at this moment."""
    return Q(locked_until=None) | Q(locked_until__lte=Now())


@transaction.atomic
def replay_delivery(delivery: Delivery, *, actor: User) -> Delivery:
    """Send a delivery again, with the same id, whether it was given up, taken or waits for its turn.

    A receiver that already has it drops the repeat by its id. Cannot be undone. Raises Refused for
    people without the permission, while a worker sends it, and without an endpoint that listens.
    """
    require(actor, Permission.DELIVERIES_REPLAY)
    held = (
        Delivery.objects.select_for_update(of=("self",))
        .select_related("enforcement__decision__case", "notice__decision__case")
        .get(pk=delivery.pk)
    )
    if not access.cases_for(actor).filter(pk=held.decision.case_id).exists():
        raise Refused("You may not see this case.", code="not_permitted", status=403)
    if held.endpoint_id is None:
        raise Refused("No endpoint is configured for this yet.", code="no_endpoint")
    if not WebhookEndpoint.objects.filter(pk=held.endpoint_id, is_active=True).exists():
        raise Refused("The endpoint is paused. It can be sent when it is resumed.", code="paused")
    if held.state in {DeliveryState.ANSWERED, DeliveryState.WITHDRAWN}:
        raise Refused(
            f"It is {held.get_state_display().lower()}: there is nothing to send.", code="not_open"
        )
    order = held.enforcement
    if order is not None and Enforcement.objects.filter(reverses=order).exists():
        raise Refused(
            "This order was taken back. Its counterpart can be sent again.", code="reversed"
        )
    if not Delivery.objects.filter(due_condition(), pk=held.pk).exists():
        raise Refused("It is being sent at this moment. Look again shortly.", code="being_sent")
    Delivery.objects.filter(pk=held.pk).update(
        state=DeliveryState.PENDING,
        attempts_made=0,
        next_attempt_at=Now(),
        give_up_at=Now() + GIVE_UP_AFTER,
        locked_until=None,
        replayed_at=Now(),
    )
    if order is not None and held.state == DeliveryState.FAILED:
        Enforcement.objects.filter(pk=order.pk, state=EnforcementState.FAILED).update(
            state=EnforcementState.PENDING
        )
    audit.record(
        AuditEvent.DELIVERY_REPLAYED,
        actor=actor,
        subject=held,
        case=held.decision.case,
        state=held.state,
        attempts=held.attempts_made,
    )
    enqueue("send_due")
    held.refresh_from_db()
    return held


# ── Endpoints ─────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def create_endpoint(
    *,
    name: str,
    url: str,
    verbs: list[str],
    events: Sequence[str] = (),
    source: Source | None = None,
    actor: User | Actor,
) -> tuple[WebhookEndpoint, str]:
    """Configure where the platform, or a source, listens; return it with its secret, which is shown once.

    ``events`` are the kinds of notice that it hears. Bound to a ``source`` it hears of that source's reports only, and of orders
    only where the source is the platform's own.

    What waited for an endpoint that takes its verb goes out with the next sweeps. Can be undone by pausing it. Raises
    Invalid for an address that may not be contacted, and for a source that would hear nothing.
    """
    require(actor, Permission.WEBHOOKS_MANAGE)
    _check_endpoint(url, verbs, events, source)
    endpoint = WebhookEndpoint(
        name=name,
        url=url,
        verbs=sorted(set(verbs)),
        events=sorted(set(events)),
        source=source,
        sealed_secret=b"",
    )
    secret = new_secret()
    endpoint.sealed_secret = seal(secret.encode(), _secret_context(endpoint))
    endpoint.save(force_insert=True)
    audit.record(
        AuditEvent.WEBHOOK_CREATED,
        actor=actor,
        subject=endpoint,
        host=urlsplit(url).hostname,
        verbs=endpoint.verbs,
        events=endpoint.events,
        source=endpoint.source_id,
    )
    return endpoint, secret


@transaction.atomic
def change_endpoint(
    endpoint: WebhookEndpoint,
    *,
    name: str,
    url: str,
    verbs: list[str],
    events: Sequence[str] = (),
    source: Source | None = None,
    is_active: bool,
    actor: User,
) -> WebhookEndpoint:
    """Change, pause or resume an endpoint. What waited while it was paused is tried for two days anew."""
    require(actor, Permission.WEBHOOKS_MANAGE)
    # One that hears nothing can still be paused.
    _check_endpoint(url, verbs, events, source if is_active else None)
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
    new = {
        "name": name,
        "url": url,
        "verbs": sorted(set(verbs)),
        "events": sorted(set(events)),
        "source_id": source.pk if source else None,
        "is_active": is_active,
    }
    changed = {field: value for field, value in new.items() if getattr(endpoint, field) != value}
    if not changed:
        return endpoint
    for field, value in changed.items():
        setattr(endpoint, field, value)
    endpoint.save(update_fields=list(changed))
    audit.record(
        AuditEvent.WEBHOOK_CHANGED,
        actor=actor,
        subject=endpoint,
        # Of the address only its host: path and query may hold an access token.
        fields=sorted(changed),
        host=urlsplit(endpoint.url).hostname,
        new={
            field: changed[field]
            for field in ("verbs", "events", "source_id", "is_active")
            if field in changed
        },
    )
    if changed.get("is_active"):
        endpoint.deliveries.filter(due_condition(), state=DeliveryState.PENDING).update(
            next_attempt_at=Now(), give_up_at=Now() + GIVE_UP_AFTER
        )
    return endpoint


@transaction.atomic
def rotate_secret(endpoint: WebhookEndpoint, *, actor: User) -> tuple[WebhookEndpoint, str]:
    """Give an endpoint a new secret, shown once. For 24 hours messages carry both signatures."""
    require(actor, Permission.WEBHOOKS_MANAGE)
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
    secret = new_secret()
    endpoint.sealed_previous_secret = endpoint.sealed_secret
    endpoint.sealed_secret = seal(secret.encode(), _secret_context(endpoint))
    endpoint.save(update_fields=["sealed_previous_secret", "sealed_secret"])
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(previous_until=Now() + SECRET_OVERLAP)
    audit.record(
        AuditEvent.WEBHOOK_SECRET_ROTATED,
        actor=actor,
        subject=endpoint,
        overlap_seconds=int(SECRET_OVERLAP.total_seconds()),
    )
    endpoint.refresh_from_db()
    return endpoint, secret


def record_test(endpoint: WebhookEndpoint, *, answer: Answer, actor: User) -> None:
    """Note that somebody sent a test message and what came back. A good answer ends a pause after failures."""
    require(actor, Permission.WEBHOOKS_MANAGE)
    if not tells_of_trouble(answer.status):
        note_answer(endpoint, answer=answer)
    audit.record(
        AuditEvent.WEBHOOK_TESTED,
        actor=actor,
        subject=endpoint,
        status=answer.status,
        error=answer.error,
        milliseconds=answer.duration_ms,
    )


def secrets_of(endpoint: WebhookEndpoint) -> list[str]:
    """Return the secrets that sign a message now, newest first. Never show or log them."""
    context = _secret_context(endpoint)
    found = [unseal(bytes(endpoint.sealed_secret), context).decode()]
    both = WebhookEndpoint.objects.filter(pk=endpoint.pk, previous_until__gt=Now()).exists()
    if both and endpoint.sealed_previous_secret is not None:
        found.append(unseal(bytes(endpoint.sealed_previous_secret), context).decode())
    return found


def reseal_secrets() -> int:
    """Seal every endpoint's secrets with the current master key. Returns how many. Safe to repeat."""
    done = 0
    for pk in list(WebhookEndpoint.objects.values_list("pk", flat=True)):
        with transaction.atomic():
            endpoint = WebhookEndpoint.objects.select_for_update().get(pk=pk)
            context = _secret_context(endpoint)
            endpoint.sealed_secret = seal(unseal(bytes(endpoint.sealed_secret), context), context)
            done += 1
            if endpoint.sealed_previous_secret is not None:
                previous = unseal(bytes(endpoint.sealed_previous_secret), context)
                endpoint.sealed_previous_secret = seal(previous, context)
                done += 1
            endpoint.save(update_fields=["sealed_secret", "sealed_previous_secret"])
    return done


def _secret_context(endpoint: WebhookEndpoint) -> str:
    return f"webhook:{endpoint.pk}"


def _check_endpoint(
    url: str, verbs: list[str], events: Sequence[str], source: Source | None
) -> None:
    errors: dict[str, list[str]] = {}
    if refused := check_url(url):
        errors["url"] = [refused]
    if set(verbs) - SENDABLE:
        errors["verbs"] = ["Choose from the listed verbs."]
    if set(events) - set(NoticeKind.values):
        errors["events"] = ["Choose from the listed messages."]
    if source is not None and not source.is_own_platform:
        if verbs:
            errors["verbs"] = [
                f"Orders go to the platform alone, and {source.name} is not the platform: choose none."
            ]
        if not events:
            errors["events"] = [
                f"No orders go to {source.name}, which is not the platform. Choose a message, or it would hear nothing."
            ]
    if errors:
        raise Invalid(errors)
