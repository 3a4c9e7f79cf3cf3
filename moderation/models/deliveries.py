"""The outbox: where the platform listens and what it answered."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from moderation.models.decisions import Decision, Enforcement


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
    events = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField()), blank=True
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


class NoticeKind(models.TextChoices):
    """Messages that order nothing; an endpoint hears those that were ticked for it."""

    REPORT_CLOSED = "report.closed", "A report was decided"


class Notice(models.Model):
    """Something that is told about a report, and orders nothing. ``number`` counts what was told of that report."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=24, choices=NoticeKind.choices)
    report = models.ForeignKey("reports.Report", on_delete=models.PROTECT, related_name="+")
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="notices")
    number = models.PositiveIntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["report", "number"], name="notice_once_per_number")
        ]


class DeliveryState(models.TextChoices):
    PENDING = "pending", "Waiting"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Gave up"
    ANSWERED = "answered", "Answered without it"
    WITHDRAWN = "withdrawn", "Withdrawn"


class Delivery(models.Model):
    """Outbox row: one order or notice to one endpoint. ``id`` is the webhook's message id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    enforcement = models.ForeignKey(
        Enforcement, null=True, blank=True, on_delete=models.PROTECT, related_name="deliveries"
    )
    notice = models.ForeignKey(
        Notice, null=True, blank=True, on_delete=models.PROTECT, related_name="deliveries"
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
                condition=Q(enforcement__isnull=False),
                name="one_delivery_per_endpoint",
            ),
            models.UniqueConstraint(
                fields=["notice", "endpoint"],
                condition=Q(notice__isnull=False),
                name="one_notice_per_endpoint",
            ),
            models.CheckConstraint(
                condition=Q(enforcement=None, notice__isnull=False)
                | Q(enforcement__isnull=False, notice=None),
                name="delivery_of_one_thing",
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
            ),
            models.Index(fields=["created_at", "id"], name="deliveries_by_time"),
        ]

    @property
    def decision(self) -> Decision:
        """The decision that it comes from."""
        about = self.enforcement or self.notice
        return about.decision  # type: ignore[union-attr]  # delivery_of_one_thing

    @property
    def what(self) -> str:
        """What is sent, in words."""
        if self.enforcement is not None:
            return str(self.enforcement.get_verb_display())
        return str(self.notice.get_kind_display()) if self.notice is not None else ""


class DeliveryAttempt(models.Model):
    """One try to deliver: what the platform answered, how long it took."""

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="attempts")
    at = models.DateTimeField(db_default=Now(), editable=False)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    duration_ms = models.PositiveIntegerField(default=0)
    is_replay = models.BooleanField(default=False)


class Replay(models.Model):
    """A span of deliveries to be sent again, worked through in batches: where it stands."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    since = models.DateTimeField()
    until = models.DateTimeField()
    endpoint = models.ForeignKey(
        WebhookEndpoint, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    states = models.JSONField(default=list)
    requested_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    source = models.ForeignKey(
        "reports.Source", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    count = models.PositiveIntegerField(help_text="Deliveries in the span when it was asked for.")
    replayed = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    through_at = models.DateTimeField(null=True, blank=True)
    through_id = models.UUIDField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(until__gt=models.F("since")), name="replay_has_span")
        ]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(finished_at=None), name="replays_to_do")
        ]
