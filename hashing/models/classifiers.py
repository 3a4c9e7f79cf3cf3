"""Classifiers of texts: their versions, what they learn from, and what they said."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Now

from hashing.models.words import Category


class Classifier(models.Model):
    """What is to be recognised, and where. It flags through its one active version."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=20, choices=Category.choices)
    description = models.TextField(blank=True)
    surfaces = models.JSONField(default=list, blank=True, help_text="Empty: every surface.")
    is_active = models.BooleanField(default=True, help_text="Switched off, no version flags.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )

    def __str__(self) -> str:
        return self.name


class TrainingSet(models.Model):
    """Labelled texts that somebody imported. The rows lie encrypted in the vault."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    classifier = models.ForeignKey(
        Classifier, on_delete=models.PROTECT, related_name="training_sets"
    )
    file_name = models.CharField(max_length=200, blank=True)
    blob = models.ForeignKey("core.Blob", on_delete=models.PROTECT, related_name="+")
    positives = models.PositiveIntegerField()
    negatives = models.PositiveIntegerField()
    refused = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list, help_text="The first bad rows: row, reason.")
    imported_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return self.positives + self.negatives


class VersionState(models.TextChoices):
    TRAINING = "training", "Training"
    FAILED = "failed", "Failed"
    TRAINED = "trained", "Trained"
    SHADOW = "shadow", "Shadow"
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"


class ClassifierVersion(models.Model):
    """One training and what came of it. The model never changes; its state does."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    classifier = models.ForeignKey(Classifier, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(
        max_length=8, choices=VersionState.choices, default=VersionState.TRAINING
    )
    settings = models.JSONField(default=dict)
    counts = models.JSONField(default=dict, help_text="Texts by label, surface, language, origin.")
    metrics = models.JSONField(default=dict, help_text="Figures on the hold-out.")
    blob = models.ForeignKey(
        "core.Blob", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    model_sha256 = models.CharField(max_length=64, blank=True)
    threshold = models.FloatField(null=True, blank=True)
    wanted_precision = models.FloatField(null=True, blank=True)

    requested_at = models.DateTimeField(db_default=Now(), editable=False)
    trained_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    trained_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now(), help_text="When a worker takes it up (again).")
    progress = models.PositiveSmallIntegerField(default=0, help_text="Per cent.")
    stage = models.CharField(max_length=80, blank=True)
    failure = models.TextField(blank=True, help_text="Why there is no model, for people.")

    shadow_since = models.DateTimeField(null=True, blank=True)
    scored_until = models.DateTimeField(
        null=True, blank=True, help_text="Texts received up to then are in its daily scores."
    )
    reference = models.JSONField(
        default=list, blank=True, help_text="Histogram of scores on which it was approved."
    )
    problem = models.CharField(max_length=300, blank=True, help_text="Why it cannot score.")
    drift = models.JSONField(default=dict, blank=True)
    drift_due_at = models.DateTimeField(db_default=Now())
    drifting_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["classifier", "number"], name="classifier_version_once"
            ),
            models.UniqueConstraint(
                fields=["classifier"], condition=Q(state="active"), name="one_active_version"
            ),
            models.UniqueConstraint(
                fields=["classifier"], condition=Q(state="shadow"), name="one_shadow_version"
            ),
            models.UniqueConstraint(
                fields=["classifier"], condition=Q(state="training"), name="one_training_at_once"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["training", "failed"]) | Q(blob__isnull=False),
                name="version_has_a_model",
            ),
            models.CheckConstraint(
                condition=~Q(state="active") | Q(threshold__gt=0.0, threshold__lte=1.0),
                name="active_version_has_a_threshold",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.classifier} {self.number}"


class ActivationState(models.TextChoices):
    WAITING = "waiting", "Waiting for a second person"
    APPROVED = "approved", "Approved"
    DECLINED = "declined", "Declined"
    WITHDRAWN = "withdrawn", "Withdrawn"


class Activation(models.Model):
    """One request that a version shall flag at a threshold, and what became of it. Rows stay.

    A roll-back is an approved row without a request: what comes back was approved before.
    """

    version = models.ForeignKey(
        ClassifierVersion, on_delete=models.PROTECT, related_name="activations"
    )
    classifier = models.ForeignKey(Classifier, on_delete=models.PROTECT, related_name="activations")
    threshold = models.FloatField()
    wanted_precision = models.FloatField()
    state = models.CharField(
        max_length=9, choices=ActivationState.choices, default=ActivationState.WAITING
    )
    is_rollback = models.BooleanField(default=False)
    reason = models.CharField(max_length=500, blank=True)
    surfaces = models.JSONField(
        default=list,
        db_default=Value([], models.JSONField()),
        blank=True,
        help_text="Where the classifier looked when this was asked for. Empty: every surface.",
    )
    asked_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField(db_default=Now(), editable=False)
    decided_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["classifier"], condition=Q(state="waiting"), name="one_activation_waits"
            ),
            models.UniqueConstraint(
                fields=["classifier"],
                condition=Q(state="approved", ended_at=None),
                name="one_activation_in_force",
            ),
            models.CheckConstraint(
                condition=~Q(state="approved")
                | Q(is_rollback=True)
                | Q(asked_by=None)
                | ~Q(asked_by=F("decided_by")),
                name="a_second_person_activates",
            ),
        ]


class ScoreDay(models.Model):
    """How many texts of a day got which score from a version: 200 equal steps from 0 to 1."""

    version = models.ForeignKey(
        ClassifierVersion, on_delete=models.CASCADE, related_name="score_days"
    )
    day = models.DateField()
    counts = models.JSONField(default=list)
    texts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "day"], name="score_day_once")]


class ScoredItem(models.Model):
    """A bounded sample of scores: the newest that a version flags or would flag, and one in fifty."""

    version = models.ForeignKey(
        ClassifierVersion, on_delete=models.CASCADE, related_name="scored_items"
    )
    item = models.ForeignKey("reports.Item", on_delete=models.CASCADE, related_name="+")
    score = models.FloatField()
    is_above = models.BooleanField(help_text="At or above the threshold of that moment.")
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "item"], name="scored_item_once")]
        indexes = [
            models.Index(fields=["version", "is_above", "-received_at"], name="scored_items_newest")
        ]
