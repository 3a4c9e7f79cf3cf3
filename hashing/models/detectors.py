"""Detectors that an administrator turns on: their settings, versions, circuit breakers and figures."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class DetectorOrigin(models.TextChoices):
    """Where a detector comes from."""

    BUNDLED = "bundled", "Comes with Holdfast"
    EXTERNAL = "external", "Service outside"
    PLUGIN = "plugin", "Plug-in"


class DetectorSetting(models.Model):
    """An optional detector as it is set up. Off until somebody turns it on.

    ``name`` is what its flags carry. ``description`` is what the code says of itself (model card, settings,
    limits); ``settings`` are the answers of an administrator, checked by the detector's own schema.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=40, unique=True)
    label = models.CharField(max_length=80)
    origin = models.CharField(max_length=10, choices=DetectorOrigin.choices)
    is_on = models.BooleanField(default=False)
    opens_cases = models.BooleanField(
        default=False,
        help_text="Off: a finding only raises the order of a case that is there anyway.",
    )
    settings = models.JSONField(default=dict, blank=True)
    thresholds = models.JSONField(
        default=dict, blank=True, help_text="Category → score (0–1) from which a finding is kept."
    )
    description = models.JSONField(default=dict, blank=True)
    code_version = models.CharField(max_length=40, blank=True)
    problem = models.CharField(
        max_length=300, blank=True, help_text="Why the code cannot be used, in one sentence."
    )
    sealed_secret = models.BinaryField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    changed_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    changed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.label


class DetectorChange(models.Model):
    """One version of a detector's settings: what changed and by whom. Never edited."""

    detector = models.ForeignKey(DetectorSetting, on_delete=models.PROTECT, related_name="changes")
    version = models.PositiveIntegerField()
    changed = models.JSONField(default=dict, help_text="Changed settings: name → [old, new].")
    changed_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["detector", "version"], name="detector_version_once")
        ]


class DetectorBreaker(models.Model):
    """Whether a detector is asked at present: shared by all workers.

    Closed (``open_until`` is null): asked. Open (in the future): not asked, after too many failures in a
    row. Half open (in the past): the next item is a probe, and the one worker that moves ``open_until``
    ahead makes it.
    """

    detector = models.OneToOneField(
        DetectorSetting, on_delete=models.CASCADE, related_name="breaker"
    )
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    openings = models.PositiveIntegerField(default=0, help_text="In a row; the wait doubles.")
    open_until = models.DateTimeField(null=True, blank=True)
    is_probing = models.BooleanField(default=False, help_text="One worker asks at this moment.")
    last_code = models.CharField(max_length=40, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    last_failed_at = models.DateTimeField(null=True, blank=True)


class PendingLook(models.Model):
    """An item that a detector could not look at because it was unavailable; looked at again later."""

    item = models.ForeignKey("reports.Item", on_delete=models.CASCADE, related_name="pending_looks")
    detector = models.ForeignKey(
        DetectorSetting, on_delete=models.CASCADE, related_name="pending_looks"
    )
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "detector"], name="pending_look_once")
        ]
        indexes = [models.Index(fields=["detector", "due_at"], name="pending_looks_due")]


class DetectorPeriod(models.Model):
    """What one detector did in five minutes, added up over all workers.

    One row per result, so that failures are counted by kind. ``run_times`` and ``queue_times`` are
    histograms: how many fell into each bucket of ``hashing.health``.
    """

    detector = models.CharField(max_length=40)
    version = models.CharField(max_length=40)
    began_at = models.DateTimeField()
    result = models.CharField(max_length=40, help_text="ok, or the code of the failure.")
    runs = models.PositiveBigIntegerField(default=0)
    found = models.PositiveBigIntegerField(default=0, help_text="Runs that found something.")
    run_ms = models.FloatField(default=0)
    run_times = ArrayField(models.BigIntegerField())
    queue_times = ArrayField(models.BigIntegerField())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["detector", "version", "began_at", "result"], name="detector_period_once"
            )
        ]
        indexes = [models.Index(fields=["began_at"], name="detector_periods_by_time")]


class DetectorTrial(models.Model):
    """Somebody tries a detector on a picture or text of their own. Removed after a day.

    The content is an original that nothing holds (it is deleted with its blob, see
    ``core.vault.unreferenced``), so it is destroyed after a day as well.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    detector = models.CharField(max_length=40)
    kind = models.CharField(max_length=10)
    surface = models.CharField(max_length=30)
    blob = models.ForeignKey("core.Blob", on_delete=models.CASCADE, related_name="+")
    asked_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    attempts = models.PositiveSmallIntegerField(default=0)
    asked_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    findings = models.JSONField(default=list, blank=True)
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["asked_at"], condition=Q(ended_at=None), name="detector_trials_waiting"
            )
        ]
