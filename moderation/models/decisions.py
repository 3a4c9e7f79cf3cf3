"""Verdicts and what the platform is told to do because of them."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from moderation.models.cases import Case
from moderation.models.policies import PolicyVersion


class Outcome(models.TextChoices):
    """What the reviewer found. Always in this order, on every case."""

    CONFIRM_REFER = "confirm_refer", "Confirm and refer"
    CONFIRM = "confirm", "Confirm, other action"
    NOT_VIOLATING = "not_violating", "Not a violation"


class Verb(models.TextChoices):
    """Enforcements that the platform carries out."""

    BAN_ACCOUNT = "ban_account", "Ban account"
    REMOVE_MEDIA = "remove_media", "Remove media"
    CLOSE_GROUP = "close_group", "Close group"
    REVOKE_INVITE_LINK = "revoke_invite_link", "Revoke invite link"
    LIMIT_FORWARDING = "limit_forwarding", "Limit forwarding"
    WARN = "warn", "Warn account"
    NO_ACTION = "no_action", "No action"


class Decision(models.Model):
    """A verdict on a case. Rows stay: undone and superseded ones are marked, never edited away."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="decisions")
    policy_version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    reason = models.TextField()
    case_version = models.PositiveIntegerField(help_text="The version of the case it was made on.")
    made_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="decisions")
    made_at = models.DateTimeField(db_default=Now(), editable=False)
    publish_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    undone_reason = models.CharField(max_length=300, blank=True)
    idempotency_key = models.CharField(max_length=80)
    publish_attempts = models.PositiveSmallIntegerField(
        db_default=0, help_text="Attempts to let it take effect that began and did not end."
    )
    publish_retry_at = models.DateTimeField(
        null=True, blank=True, help_text="Not tried again before this time."
    )
    publish_error = models.CharField(
        max_length=500, blank=True, db_default="", help_text="Why it has not taken effect."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["case", "idempotency_key"], name="decision_idempotency_key_once"
            ),
            models.UniqueConstraint(
                fields=["case"],
                condition=Q(undone_at=None, published_at=None),
                name="one_pending_decision_per_case",
            ),
            models.CheckConstraint(
                condition=Q(undone_at=None) | Q(published_at=None), name="undone_or_published"
            ),
            models.UniqueConstraint(
                fields=["case"],
                condition=Q(published_at__isnull=False),
                name="one_published_decision_per_case",
            ),
        ]
        indexes = [
            models.Index(fields=["made_by", "-published_at"], name="decisions_by_person"),
            models.Index(
                fields=["publish_at"],
                condition=Q(undone_at=None, published_at=None),
                name="decisions_to_publish",
            ),
        ]


class EnforcementState(models.TextChoices):
    HELD = "held", "In the undo window"
    CANCELLED = "cancelled", "Undone"
    PENDING = "pending", "Waiting to be sent"
    ACKNOWLEDGED = "acknowledged", "Carried out by the platform"
    FAILED = "failed", "Gave up after retries"
    NOT_SENT = "not_sent", "Nothing to send"


class Enforcement(models.Model):
    """One thing the platform is told to do because of a decision."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="enforcements")
    verb = models.CharField(max_length=20, choices=Verb.choices)
    account = models.ForeignKey(
        "reports.Account", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    group = models.ForeignKey(
        "reports.Group", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    item = models.ForeignKey(
        "reports.Item", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    state = models.CharField(
        max_length=12, choices=EnforcementState.choices, default=EnforcementState.HELD
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["decision", "verb", "account", "group", "item"],
                nulls_distinct=False,
                name="enforcement_once_per_target",
            )
        ]
