"""Appeals against orders, as the platform hands them on."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from moderation.models.decisions import Enforcement


class AppealState(models.TextChoices):
    OPEN = "open", "Waits for a lead"
    UPHELD = "upheld", "The decision stands"
    OVERTURNED = "overturned", "The decision was overturned"


class Appeal(models.Model):
    """Somebody says that an order was wrong. Decided by a lead who did not make the decision."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey("reports.Source", on_delete=models.PROTECT, related_name="+")
    enforcement = models.ForeignKey(Enforcement, on_delete=models.PROTECT, related_name="appeals")
    external_id = models.CharField(max_length=200)
    reason = models.TextField()
    appealed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the platform had it, by its clock."
    )
    received_at = models.DateTimeField(db_default=Now(), editable=False)
    state = models.CharField(max_length=12, choices=AppealState.choices, default=AppealState.OPEN)
    decided_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(blank=True, help_text="Why it was decided so.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"], name="appeal_external_id_once_per_source"
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at=None)
                | (~Q(state="open") & Q(decided_at__isnull=False)),
                name="decided_appeal_has_its_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["received_at"], condition=Q(state="open"), name="appeals_that_wait"
            )
        ]
