"""Cases, what joined them and why."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from hashing.models import Category
from moderation.models.policies import Queue, RoutingRule


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
    is_practice = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Of what a test key sent: orders nothing, counts nowhere, is never referred.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(severity__gte=1, severity__lte=5), name="case_severity_range"
            ),
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
            models.Index(
                fields=["opened_at"], condition=Q(is_practice=True), name="practice_cases_by_age"
            ),
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
        constraints = [
            models.CheckConstraint(
                condition=Q(severity__gte=1, severity__lte=5), name="reason_severity_range"
            ),
        ]


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
