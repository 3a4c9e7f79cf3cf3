"""Safe renditions, and who looked at which original."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from moderation.models.cases import Case


class PreviewState(models.TextChoices):
    WAITING = "waiting", "Being made"
    READY = "ready", "Ready"
    FAILED = "failed", "Could not be made"
    NONE = "none", "No preview for this kind"


class Preview(models.Model):
    """The safe rendition of stored media: small, blurred, grey, without metadata."""

    blob = models.OneToOneField("core.Blob", on_delete=models.PROTECT, related_name="preview")
    state = models.CharField(
        max_length=8, choices=PreviewState.choices, default=PreviewState.WAITING
    )
    rendition = models.ForeignKey(
        "core.Blob", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=300, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    frames = models.PositiveIntegerField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    made_at = models.DateTimeField(null=True, blank=True)


class RevealPurpose(models.TextChoices):
    """Why somebody needs to look at an original. A closed list, so that it can be counted."""

    ASSESS = "assess", "Decide whether the policy is broken"
    PERSON_AT_RISK = "person_at_risk", "Look for a person at immediate risk"
    CHECK_MATCH = "check_match", "Check a match"
    SECOND_VIEW = "second_view", "Second view for a colleague"
    PREPARE_REFERRAL = "prepare_referral", "Describe it for a referral"


class Reveal(models.Model):
    """Who asked for which original, why, whether all of it was served, and what was painted of it.

    ``shown_ms`` is the time the cover was off. ``painted_ms`` and ``played`` prove a viewing (``moderation.viewing``).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="reveals")
    item = models.ForeignKey("reports.Item", on_delete=models.PROTECT, related_name="reveals")
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="reveals")
    sign_in = models.ForeignKey("accounts.SignIn", on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=24, choices=RevealPurpose.choices)
    token_hash = models.CharField(max_length=64, unique=True)
    issued_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    bytes_served = models.BigIntegerField(default=0)
    is_complete = models.BooleanField(default=False)
    shown_ms = models.PositiveIntegerField(null=True, blank=True)
    painted_ms = models.PositiveIntegerField(null=True, blank=True)
    played = models.JSONField(null=True, blank=True, help_text="[[from, to], …] of a film, in ms.")
    film_ms = models.PositiveIntegerField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(used_at=None) | Q(used_at__lte=F("expires_at")),
                name="reveal_used_in_time",
            )
        ]
        indexes = [models.Index(fields=["item", "user"], name="reveals_of_item")]
