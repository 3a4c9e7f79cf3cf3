"""Policies, queues, cases and everything people do with them."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from hashing.models import Category


class Policy(models.Model):
    """What is not allowed. Its text lives in versions; a decision pins the version it used."""

    code = models.CharField(max_length=16, unique=True)
    category = models.CharField(max_length=20, choices=Category.choices)
    title = models.CharField(max_length=120)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["code"]
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return f"{self.code} {self.title}"


class PolicyVersion(models.Model):
    """One immutable wording of a policy with the enforcements it allows."""

    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="versions")
    version = models.PositiveIntegerField()
    summary = models.CharField(max_length=300)
    definition = models.TextField()
    include = models.TextField(blank=True)
    exclude = models.TextField(blank=True)
    severity = models.PositiveSmallIntegerField(help_text="1 (low) to 5 (gravest).")
    enforcements = models.JSONField(default=list, help_text="Verbs that this policy allows.")
    requires_referral = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    effective_from = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["policy", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "version"], name="policy_version_once"),
            models.CheckConstraint(
                condition=Q(severity__gte=1, severity__lte=5), name="policy_severity_range"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy.code} v{self.version}"


class Queue(models.Model):
    """An ordered heap of waiting cases that some people may work (guardian: ``work_queue``)."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveIntegerField(default=100)
    is_restricted = models.BooleanField(default=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "name"]
        permissions = [("work_queue", "Can work the cases of this queue")]

    def __str__(self) -> str:
        return self.name


class CategoryGrant(models.Model):
    """A category as an object that guardian can grant (``see_category``).

    Permission follows the case's category, not only its queue: moving a case never widens who can
    see it.
    """

    category = models.CharField(max_length=20, choices=Category.choices, unique=True)

    class Meta:
        permissions = [("see_category", "Can see cases of this category")]

    def __str__(self) -> str:
        return self.get_category_display()


class RoutingRule(models.Model):
    """One line of routing, kept as data: when it matches, where the case goes and how urgent."""

    position = models.PositiveIntegerField(unique=True)
    name = models.CharField(max_length=120)
    conditions = models.JSONField(
        default=dict,
        help_text="flag_kinds, categories, min_score, reasons, trust, source_kinds, surfaces, …",
    )
    category = models.CharField(max_length=20, choices=Category.choices)
    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="rules")
    severity = models.PositiveSmallIntegerField()
    due_minutes = models.PositiveIntegerField()
    explanation = models.CharField(max_length=300, help_text="Shown on the case as its reason.")
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.name


class CaseStatus(models.TextChoices):
    OPEN = "open", "Open"
    DECIDING = "deciding", "Decision in its undo window"
    DECIDED = "decided", "Decided"


class Case(models.Model):
    """One subject, one category: its reports, items and flags, and what people did about it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.BigIntegerField(unique=True, editable=False)
    account = models.ForeignKey(
        "reports.Account", null=True, blank=True, on_delete=models.PROTECT, related_name="cases"
    )
    group = models.ForeignKey(
        "reports.Group", null=True, blank=True, on_delete=models.PROTECT, related_name="cases"
    )
    category = models.CharField(max_length=20, choices=Category.choices)
    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="cases")
    status = models.CharField(max_length=12, choices=CaseStatus.choices, default=CaseStatus.OPEN)
    severity = models.PositiveSmallIntegerField()
    score = models.FloatField(default=0, help_text="Orders the queue; never hides a case.")
    due_at = models.DateTimeField()
    opened_at = models.DateTimeField(db_default=Now(), editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    subject_snapshot = models.JSONField(default=dict, help_text="The subject as first seen.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(account=None, group__isnull=False)
                | Q(account__isnull=False, group=None),
                name="case_has_one_subject",
            ),
            models.UniqueConstraint(
                fields=["account", "category"],
                condition=Q(account__isnull=False) & ~Q(status="decided"),
                name="one_open_case_per_account_and_category",
            ),
            models.UniqueConstraint(
                fields=["group", "category"],
                condition=Q(group__isnull=False) & ~Q(status="decided"),
                name="one_open_case_per_group_and_category",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "due_at", "-score"],
                condition=Q(status="open"),
                name="queue_order",
            ),
            models.Index(fields=["-decided_at"], name="cases_by_decision"),
        ]

    def __str__(self) -> str:
        return f"C-{self.number:06d}"

    @property
    def subject(self):  # type: ignore[no-untyped-def]
        """The account or the group the case is about."""
        return self.account or self.group


class CaseReport(models.Model):
    """A report that joined a case."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="case_reports")
    report = models.ForeignKey(
        "reports.Report", on_delete=models.PROTECT, related_name="case_reports"
    )
    joined_at = models.DateTimeField(db_default=Now(), editable=False)
    case_version = models.PositiveIntegerField(
        default=1,
        help_text="The version the case had with it: what a person saw is older or equal.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["case", "report"], name="report_once_per_case")
        ]


class CaseItem(models.Model):
    """An item that joined a case."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="case_items")
    item = models.ForeignKey("reports.Item", on_delete=models.PROTECT, related_name="case_items")
    position = models.PositiveIntegerField(default=0)
    joined_at = models.DateTimeField(db_default=Now(), editable=False)
    case_version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["case", "item"], name="item_once_per_case")]


class RoutingReason(models.Model):
    """Why a case is where it is: one row per rule that spoke, with the words shown."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="reasons")
    rule = models.ForeignKey(RoutingRule, null=True, on_delete=models.PROTECT, related_name="+")
    report = models.ForeignKey(
        "reports.Report", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    item = models.ForeignKey(
        "reports.Item", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    text = models.CharField(max_length=500)
    severity = models.PositiveSmallIntegerField()
    score = models.FloatField(default=0)
    case_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["pk"]


class CaseLink(models.Model):
    """A case and an earlier one about the same subject, and why they belong together."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="links")
    earlier = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="later_links")
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["case", "earlier"], name="cases_linked_once")
        ]


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
    """Who asked for which original, why, whether all of it was served and how long it was shown."""

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
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["item", "user"], name="reveals_of_item")]


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
        ]
        indexes = [
            models.Index(
                fields=["publish_at"],
                condition=Q(undone_at=None, published_at=None),
                name="decisions_to_publish",
            )
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
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.name


class DeliveryState(models.TextChoices):
    PENDING = "pending", "Waiting"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Gave up"


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
                fields=["enforcement", "endpoint"],
                nulls_distinct=False,
                name="one_delivery_per_endpoint",
            )
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(state="pending"), name="deliveries_due"
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
