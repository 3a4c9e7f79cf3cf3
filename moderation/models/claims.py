"""Who works on a case, who passed it by, what they noted."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from moderation.models.cases import Case


class ClaimEnd(models.TextChoices):
    DECIDED = "decided", "Decided"
    RELEASED = "released", "Released"
    EXPIRED = "expired", "Ran out"
    TAKEN_OVER = "taken_over", "Taken over"
    WITHDRAWN = "withdrawn", "Permission withdrawn"


class Claim(models.Model):
    """A lease on a case: at most one live lease per case, guarded by the database."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="claims")
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="claims")
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    extensions = models.PositiveSmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True, blank=True)
    end = models.CharField(max_length=12, choices=ClaimEnd.choices, blank=True)
    end_reason = models.CharField(max_length=500, blank=True)
    ended_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["case"], condition=Q(ended_at=None), name="one_lease_per_case"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, end="") | (Q(ended_at__isnull=False) & ~Q(end="")),
                name="ended_claim_says_how",
            ),
        ]
        indexes = [
            models.Index(fields=["user"], condition=Q(ended_at=None), name="leases_of_person"),
            models.Index(fields=["expires_at"], condition=Q(ended_at=None), name="leases_running"),
        ]


class Skip(models.Model):
    """A person passed a case by: it does not come back to that person until ``until``."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="skips")
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    until = models.DateTimeField()
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["user", "case", "until"], name="skips_of_person")]


class Note(models.Model):
    """A remark on a case. Never edited; a correction is another note."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="notes")
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
