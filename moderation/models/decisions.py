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


class Reversal(models.TextChoices):
    """What takes an enforcement back. Nobody chooses these: they follow when a decision is overturned."""

    UNBAN_ACCOUNT = "unban_account", "Unban account"
    RESTORE_MEDIA = "restore_media", "Restore media"
    REOPEN_GROUP = "reopen_group", "Reopen group"
    RESTORE_INVITE_LINK = "restore_invite_link", "Restore invite link"
    ALLOW_FORWARDING = "allow_forwarding", "Allow forwarding again"
    WITHDRAW_WARNING = "withdraw_warning", "Withdraw warning"


ORDER_CHOICES = [*Verb.choices, *Reversal.choices]


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
    overturned_at = models.DateTimeField(
        null=True, blank=True, help_text="It was in effect and does not stand since."
    )
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
                condition=Q(published_at__isnull=False, overturned_at=None),
                name="one_published_decision_per_case",
            ),
            models.CheckConstraint(
                condition=Q(overturned_at=None) | Q(published_at__isnull=False),
                name="overturned_was_in_effect",
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
    ACKNOWLEDGED = "acknowledged", "Taken by the platform"
    FAILED = "failed", "Gave up after retries"
    DONE = "done", "Carried out, as the platform said"
    IMPOSSIBLE = "impossible", "Could not be carried out, as the platform said"
    REFUSED = "refused", "Refused by the platform"
    WITHDRAWN = "withdrawn", "Withdrawn before it was sent"
    NOT_SENT = "not_sent", "Nothing to send"


IN_FORCE = frozenset(
    {
        EnforcementState.PENDING,
        EnforcementState.ACKNOWLEDGED,
        EnforcementState.FAILED,
        EnforcementState.DONE,
        EnforcementState.IMPOSSIBLE,
        EnforcementState.REFUSED,
    }
)
"""States of an order that the platform was, or will be, told."""


class Enforcement(models.Model):
    """One thing the platform is told to do because of a decision."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="enforcements")
    verb = models.CharField(max_length=20, choices=ORDER_CHOICES)
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
    sequence = models.BigIntegerField(
        null=True,
        blank=True,
        unique=True,
        help_text="1, 2, 3 … of all orders of the installation, in the order in which they came into force.",
    )
    published_at = models.DateTimeField(null=True, blank=True, help_text="In force since.")
    reverses = models.OneToOneField(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="reversed_by",
        help_text="The order that this one takes back. Once, never twice.",
    )
    pulled_at = models.DateTimeField(
        null=True, blank=True, help_text="When the platform first read it by GET /enforcements."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sequence=None, published_at=None)
                | Q(sequence__isnull=False, published_at__isnull=False),
                name="order_in_force_has_its_number",
            ),
            models.UniqueConstraint(
                fields=["decision", "verb", "account", "group", "item"],
                nulls_distinct=False,
                name="enforcement_once_per_target",
            ),
        ]


class OrderCounter(models.Model):
    """The number of the last order that came into force: one row, locked while orders take theirs."""

    last = models.BigIntegerField(default=0)


class ResultState(models.TextChoices):
    """What the platform says that became of an order."""

    DONE = "done", "Carried out"
    IMPOSSIBLE = "impossible", "Could not be carried out"
    REFUSED = "refused", "Refused"


class OrderResult(models.Model):
    """What the platform said that became of an order. Rows stay; ``stands`` marks the one that counts."""

    class Seen(models.TextChoices):
        SEEN = "seen", "Marked as seen"
        SENT_AGAIN = "sent_again", "Sent again"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    enforcement = models.ForeignKey(Enforcement, on_delete=models.PROTECT, related_name="results")
    source = models.ForeignKey("reports.Source", on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=ResultState.choices)
    at = models.DateTimeField(null=True, blank=True, help_text="When, by the platform's clock.")
    counts_at = models.DateTimeField(help_text="``at``, but never after it was received.")
    code = models.CharField(max_length=80, blank=True, help_text="The platform's own word for why.")
    detail = models.CharField(max_length=2000, blank=True)
    received_at = models.DateTimeField(db_default=Now(), editable=False)
    stands = models.BooleanField(default=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    seen_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    seen_how = models.CharField(max_length=12, choices=Seen.choices, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["enforcement"], condition=Q(stands=True), name="one_result_stands"
            ),
            models.CheckConstraint(
                condition=Q(seen_at=None, seen_by=None, seen_how="")
                | Q(seen_at__isnull=False, seen_by__isnull=False),
                name="result_seen_by_somebody",
            ),
        ]
        indexes = [
            models.Index(
                fields=["received_at"],
                condition=Q(stands=True, seen_at=None, state__in=["impossible", "refused"]),
                name="orders_that_came_back",
            )
        ]
