"""Hash exchanges: what is fetched from whom, how far it is, and what came of it."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from hashing.models.hash_lists import HashEntry, HashList


class ExchangeKind(models.TextChoices):
    NCMEC = "ncmec", "NCMEC hash sharing"
    STOPNCII = "stopncii", "StopNCII"
    THREATEXCHANGE = "threatexchange", "Meta ThreatExchange"
    TAT = "tat", "Tech Against Terrorism"
    HTTPS_JSON = "https_json", "HTTPS, JSON"
    FILE = "file", "File on the server"


class Exchange(models.Model):
    """A source of hashes that an administrator set up. It feeds one list of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=ExchangeKind.choices)
    name = models.CharField(max_length=120, unique=True)
    hash_list = models.OneToOneField(HashList, on_delete=models.PROTECT, related_name="exchange")
    settings = models.JSONField(default=dict)
    sealed_credentials = models.BinaryField(null=True)
    every_minutes = models.PositiveIntegerField(default=60)
    is_active = models.BooleanField(default=True)
    sends_reviews = models.BooleanField(
        default=False, help_text="What reviewers found of its entries is sent back."
    )
    checkpoint = models.JSONField(default=dict)
    due_at = models.DateTimeField(db_default=Now())
    lease = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    added = models.PositiveBigIntegerField(default=0)
    withdrawn = models.PositiveBigIntegerField(default=0)
    rejected = models.PositiveBigIntegerField(default=0)
    unsupported = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    changed_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(every_minutes__gte=5, every_minutes__lte=43_200),
                name="exchange_schedule_range",
            )
        ]

    def __str__(self) -> str:
        return self.name


class ExchangeRun(models.Model):
    """One fetch."""

    exchange = models.ForeignKey(Exchange, on_delete=models.CASCADE, related_name="runs")
    began_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    pages = models.PositiveIntegerField(default=0)
    records = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    withdrawn = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    unsupported = models.PositiveIntegerField(default=0)
    odd = models.PositiveIntegerField(
        default=0, help_text="Values that are not known here; their records count."
    )
    is_cut = models.BooleanField(
        default=False,
        help_text="It has not reached the end of what there was; the next one goes on.",
    )
    problem = models.CharField(max_length=300, blank=True)
    rejected_sample = models.JSONField(default=list)

    def runs_of_fetch(self) -> set[int | None]:
        """Return this run and those before it that were cut off and that it goes on for."""
        runs = ExchangeRun.objects.filter(exchange=self.exchange_id, pk__lte=self.pk)
        whole = runs.filter(is_cut=False).order_by("-pk").values_list("pk", flat=True).first()
        return {*runs.filter(pk__gt=whole or 0).values_list("pk", flat=True)}


class ExchangeRecord(models.Model):
    """What one record of an exchange put on the list. A record may hold several digests."""

    exchange = models.ForeignKey(Exchange, on_delete=models.CASCADE, related_name="records")
    remote_id = models.CharField(max_length=200)
    entry = models.ForeignKey(HashEntry, on_delete=models.PROTECT, related_name="exchange_records")
    run = models.ForeignKey(ExchangeRun, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["exchange", "remote_id", "entry"], name="exchange_record_once"
            )
        ]


class ReviewState(models.TextChoices):
    WAITING = "waiting", "Waits to be sent"
    SENT = "sent", "Sent"
    FAILED = "failed", "Given up"


class ExchangeReview(models.Model):
    """What reviewers found of an entry of an exchange, on its way back there. The newest decision counts."""

    exchange = models.ForeignKey(Exchange, on_delete=models.CASCADE, related_name="reviews")
    remote_id = models.CharField(max_length=200)
    entry = models.ForeignKey(HashEntry, on_delete=models.PROTECT, related_name="exchange_reviews")
    is_violation = models.BooleanField()
    state = models.CharField(max_length=8, choices=ReviewState.choices, default=ReviewState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    last_error = models.CharField(max_length=300, blank=True)
    decided_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["exchange", "remote_id", "entry"], name="exchange_review_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(state="waiting"), name="exchange_reviews_waiting"
            )
        ]
