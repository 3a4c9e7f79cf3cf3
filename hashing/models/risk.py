"""Risk of groups and accounts: the weights, the scores with what they rest on, links seen outside."""

from __future__ import annotations

import uuid

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

RAISE_BY = (1, 100)
QUIET_DAYS = (0, 365)
GROUP_LIMIT = (2, 1_000_000)
"""The ranges of a policy's numbers: points, days, members."""


class RiskPolicy(models.Model):
    """One version of the weights and thresholds. The newest counts; versions are never changed."""

    version = models.PositiveIntegerField(unique=True)
    weights = models.JSONField(help_text="group and account: signal → points, full.")
    group_open_at = models.PositiveSmallIntegerField(default=50)
    account_open_at = models.PositiveSmallIntegerField(default=60)
    drop = models.PositiveSmallIntegerField(default=10)
    raise_by = models.PositiveSmallIntegerField(default=10)
    quiet_days = models.PositiveSmallIntegerField(default=30)
    group_limit = models.PositiveIntegerField(default=256)
    opens_cases = models.BooleanField(default=True)
    note = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.CheckConstraint(
                condition=Q(group_open_at__gte=1, group_open_at__lte=100)
                & Q(account_open_at__gte=1, account_open_at__lte=100),
                name="risk_threshold_range",
            ),
            models.CheckConstraint(
                condition=Q(raise_by__range=RAISE_BY)
                & Q(quiet_days__range=QUIET_DAYS)
                & Q(group_limit__range=GROUP_LIMIT)
                & Q(drop__lt=models.F("group_open_at"), drop__gte=0)
                & Q(drop__lt=models.F("account_open_at")),
                name="risk_policy_bounds",
            ),
        ]

    def __str__(self) -> str:
        return f"Version {self.version}"

    def works_to_do(self):  # type: ignore[no-untyped-def]
        """Return what is still done for this version in batches (``LongWork``)."""
        return self.long_works.filter(ended_at=None).order_by("pk")


class CaseState(models.TextChoices):
    """What came of asking for a case."""

    NONE = "none", "No case asked for"
    WAITING = "waiting", "Waits for its case"
    PLACED = "placed", "In a case"
    FAILED = "failed", "Could not be placed yet"


class RiskScore(models.Model):
    """The score of one group or account, with the facts and contributions that it rests on."""

    account = models.OneToOneField(
        "reports.Account", null=True, on_delete=models.CASCADE, related_name="risk"
    )
    group = models.OneToOneField(
        "reports.Group", null=True, on_delete=models.CASCADE, related_name="risk"
    )
    score = models.PositiveSmallIntegerField(default=0)
    facts = models.JSONField(default=dict)
    contributions = models.JSONField(default=list, help_text="key, points, text; most first.")
    policy = models.ForeignKey(
        RiskPolicy, null=True, on_delete=models.PROTECT, related_name="scores"
    )
    history = models.JSONField(
        default=list, encoder=DjangoJSONEncoder, help_text="The last changes: at, score."
    )
    is_above = models.BooleanField(default=False)
    asked_score = models.PositiveSmallIntegerField(
        null=True, help_text="Without what our own verdicts gave."
    )
    is_judged = models.BooleanField(
        default=False, help_text="People confirmed a violation of this very subject."
    )
    quiet_until = models.DateTimeField(null=True)
    reason = models.CharField(max_length=200, blank=True, help_text="Why no case was asked for.")
    # What others see of an account. Kept as columns: a group counts them among its members.
    is_banned = models.BooleanField(default=False)
    is_reported = models.BooleanField(default=False)
    is_hit = models.BooleanField(default=False)
    is_linked = models.BooleanField(default=False)
    computed_at = models.DateTimeField(null=True)
    recheck_at = models.DateTimeField(null=True, help_text="When facts grow old by themselves.")
    case_state = models.CharField(max_length=8, choices=CaseState.choices, default=CaseState.NONE)
    case_due_at = models.DateTimeField(null=True)
    case_error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(account=None, group__isnull=False)
                | Q(account__isnull=False, group=None),
                name="risk_has_one_subject",
            ),
            models.CheckConstraint(condition=Q(score__lte=100), name="risk_score_range"),
        ]
        indexes = [
            models.Index(
                fields=["-score", "id"], condition=Q(score__gt=0), name="risk_highest_first"
            ),
            models.Index(
                fields=["case_due_at"],
                condition=Q(case_state__in=["waiting", "failed"]),
                name="risk_waits_for_case",
            ),
            models.Index(
                fields=["recheck_at"], condition=Q(recheck_at__isnull=False), name="risk_rechecks"
            ),
        ]

    @property
    def kind(self) -> str:
        """``group`` or ``account``."""
        return "group" if self.group_id else "account"

    @property
    def subject(self):  # type: ignore[no-untyped-def]
        """The group or the account."""
        return self.group or self.account


class LinkImportState(models.TextChoices):
    WAITING = "waiting", "Waits for a worker"
    DONE = "done", "Imported"
    REFUSED = "refused", "Refused"
    FAILED = "failed", "Failed"
    UNDONE = "undone", "Undone"


class LinkImport(models.Model):
    """A file of links found outside, or what a source sent in one request."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    place = models.CharField(max_length=120, help_text="Where they were found.")
    file_name = models.CharField(max_length=400, blank=True)
    source = models.ForeignKey(
        "reports.Source", null=True, on_delete=models.PROTECT, related_name="+"
    )
    imported_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    blob = models.ForeignKey("core.Blob", null=True, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(
        max_length=8, choices=LinkImportState.choices, default=LinkImportState.WAITING
    )
    rows = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    groups = models.PositiveIntegerField(default=0, help_text="Groups that a link led to.")
    skip_bad_rows = models.BooleanField(default=False)
    problems = models.JSONField(default=list)
    problem = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(state="waiting"), name="link_imports_waiting"
            )
        ]


class ListedLink(models.Model):
    """A link that stood in one place outside the platform. Joined to groups by its key."""

    key = models.CharField(max_length=400, help_text="As reports.links.link_key makes it.")
    link = models.CharField(max_length=1000)
    place = models.CharField(max_length=120)
    link_import = models.ForeignKey(LinkImport, on_delete=models.PROTECT, related_name="links")
    seen_at = models.DateTimeField(db_default=Now())
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "place"], name="link_once_per_place")]


class StagedLink(models.Model):
    """A row of a file of links while its import runs; gone when it has ended."""

    link_import = models.ForeignKey(LinkImport, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=400)
    link = models.CharField(max_length=1000)
    place = models.CharField(max_length=120)
    seen_at = models.DateTimeField()
