"""Decisions in effect that somebody else took back."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from moderation.models.decisions import Decision


class Overturn(models.Model):
    """A lead's verdict that a decision in effect does not stand. Rows stay; it takes effect after its undo window."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="overturns")
    reason = models.TextField()
    made_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(db_default=Now(), editable=False)
    publish_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_reason = models.CharField(max_length=300, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True, help_text="Not tried before this time.")
    error = models.CharField(max_length=500, blank=True, help_text="Why it has not taken effect.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["decision"], condition=Q(undone_at=None), name="overturned_once"
            ),
            models.CheckConstraint(
                condition=Q(undone_at=None) | Q(published_at=None),
                name="overturn_undone_or_published",
            ),
        ]
        indexes = [
            models.Index(
                fields=["publish_at"],
                condition=Q(undone_at=None, published_at=None),
                name="overturns_to_carry_out",
            )
        ]
