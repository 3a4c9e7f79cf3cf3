"""What is not allowed, and where what is reported goes."""

from __future__ import annotations

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
    usual_measures = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="Verbs that are ticked to begin with.",
    )
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
    is_practice = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Takes what test keys send, and nothing else.",
    )

    class Meta:
        ordering = ["position", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_practice"], condition=Q(is_practice=True), name="one_practice_queue"
            )
        ]
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
        constraints = [
            models.CheckConstraint(
                condition=Q(severity__gte=1, severity__lte=5), name="routing_rule_severity_range"
            ),
        ]

    def __str__(self) -> str:
        return self.name
