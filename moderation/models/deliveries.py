"""The outbox: where the platform listens and what it answered."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from moderation.models.decisions import Enforcement


class WebhookEndpoint(models.Model):
    """Where the platform listens. The secret is sealed with the vault's master key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80)
    url = models.CharField(max_length=1000)
    sealed_secret = models.BinaryField()
    sealed_previous_secret = models.BinaryField(null=True, blank=True)
    previous_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then messages are signed with both secrets."
    )
    verbs = models.JSONField(default=list, blank=True, help_text="Empty: every verb.")
    source = models.ForeignKey(
        "reports.Source",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="endpoints",
        help_text="Hears of this source's reports only. Empty: of all.",
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.name


class EndpointBreaker(models.Model):
    """What the senders know of an endpoint's health. A circuit breaker: open, it is sent nothing."""

    endpoint = models.OneToOneField(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="breaker", primary_key=True
    )
    failures = models.PositiveIntegerField(default=0, help_text="in a row")
    openings = models.PositiveIntegerField(default=0, help_text="in a row; each doubles the wait")
    open_until = models.DateTimeField(null=True, blank=True)
    resumed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When it was last sent to again: until then orders waited for it.",
    )
    is_probing = models.BooleanField(default=False)
    last_error = models.CharField(max_length=300, blank=True)
    last_failed_at = models.DateTimeField(null=True, blank=True)


class DeliveryState(models.TextChoices):
    PENDING = "pending", "Waiting"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Gave up"
    ANSWERED = "answered", "Answered without it"
    WITHDRAWN = "withdrawn", "Withdrawn"


class Delivery(models.Model):
    """Outbox row: one enforcement to one endpoint. ``id`` is the webhook's message id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    enforcement = models.ForeignKey(
        Enforcement, on_delete=models.PROTECT, related_name="deliveries"
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint, null=True, on_delete=models.PROTECT, related_name="deliveries"
    )
    payload = models.JSONField()
    round = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        help_text="2, 3 …: a lead gave the order anew after the platform could not carry it out.",
    )
    state = models.CharField(
        max_length=10, choices=DeliveryState.choices, default=DeliveryState.PENDING
    )
    attempts_made = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    give_up_at = models.DateTimeField()
    locked_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    delivered_at = models.DateTimeField(null=True, blank=True)
    replayed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["enforcement", "endpoint", "round"],
                nulls_distinct=False,
                name="one_delivery_per_endpoint",
            ),
            models.CheckConstraint(
                # One that is sent again keeps the time at which it was taken first.
                condition=Q(state="delivered", delivered_at__isnull=False)
                | (~Q(state="delivered") & (Q(delivered_at=None) | Q(replayed_at__isnull=False))),
                name="delivered_has_its_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                condition=Q(state="pending"),
                name="deliveries_due_by_endpoint",
            )
        ]


class DeliveryAttempt(models.Model):
    """One try to deliver: what the platform answered, how long it took."""

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="attempts")
    at = models.DateTimeField(db_default=Now(), editable=False)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    duration_ms = models.PositiveIntegerField(default=0)
    is_replay = models.BooleanField(default=False)
