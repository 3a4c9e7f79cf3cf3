"""The digests that scans computed, what detectors found, and what people said about it."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from hashing.models.classifiers import ClassifierVersion
from hashing.models.hash_lists import HashEntry, HashList
from hashing.models.term_lists import TermList
from hashing.models.words import Algorithm, Category


class Digest(models.Model):
    """A digest of stored media. One per blob, algorithm and frame: the same bytes hash the same.

    MD5, SHA-1 and SHA-256 are of the whole file and have frame 0, as has a still picture.
    """

    blob = models.ForeignKey("core.Blob", on_delete=models.CASCADE, related_name="digests")
    algorithm = models.CharField(max_length=8, choices=Algorithm.choices)
    value = models.CharField(max_length=64)
    frame = models.PositiveIntegerField(default=0)
    quality = models.PositiveSmallIntegerField(null=True, blank=True, help_text="PDQ: 0–100.")
    computed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["blob", "algorithm", "frame"], name="digest_once_per_frame"
            )
        ]
        indexes = [models.Index(fields=["algorithm", "value"], name="digest_by_value")]


class FlagKind(models.TextChoices):
    """What kind of finding a flag is. A note tells a person something and brings nobody a case."""

    HASH_MATCH = "hash_match", "Hash match"
    TERM_MATCH = "term_match", "Term match"
    CLASSIFIER = "classifier", "Classifier score"
    RISK = "risk", "Risk score"
    NOTE = "note", "Note"
    COULD_NOT_SCAN = "could_not_scan", "Could not scan"
    NOT_SCANNED = "not_scanned", "Not scanned"


class Flag(models.Model):
    """One finding by one detector on one item, with what it rests on."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey("reports.Item", on_delete=models.PROTECT, related_name="flags")
    detector = models.CharField(max_length=40)
    detector_version = models.CharField(max_length=40)
    kind = models.CharField(max_length=16, choices=FlagKind.choices)
    category = models.CharField(max_length=20, choices=Category.choices, blank=True)
    score = models.FloatField(help_text="0 (nothing) to 1 (certain).")
    summary = models.CharField(max_length=300, help_text="One plain sentence for a person.")
    evidence = models.JSONField(
        help_text="list, list_version, entry, algorithm, distance, threshold, span, reason, …"
    )
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 over what the flag rests on.")
    hash_list = models.ForeignKey(
        HashList, null=True, blank=True, on_delete=models.PROTECT, related_name="flags"
    )
    hash_entry = models.ForeignKey(
        HashEntry, null=True, blank=True, on_delete=models.PROTECT, related_name="flags"
    )
    term_list = models.ForeignKey(
        TermList, null=True, blank=True, on_delete=models.PROTECT, related_name="flags"
    )
    classifier_version = models.ForeignKey(
        ClassifierVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="flags"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    superseded_at = models.DateTimeField(
        null=True, blank=True, help_text="When a later scan no longer found it."
    )

    class Meta:
        indexes = [
            models.Index(fields=["-created_at"], name="flags_newest_first"),
            models.Index(
                KT("evidence__code"),
                "id",
                condition=Q(kind="could_not_scan", superseded_at=None),
                name="flags_of_what_was_not_read",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["item", "fingerprint"], name="same_finding_once"),
            models.CheckConstraint(
                condition=Q(score__gte=0.0, score__lte=1.0), name="score_between_0_and_1"
            ),
        ]


class Verdict(models.Model):
    """What people decided about an item, once the decision took effect. Never edited.

    Detection learns from it: precision of hash entries, labels of classifiers. ``decision`` is the id of
    moderation's decision; this room does not know that one.
    """

    item = models.ForeignKey("reports.Item", on_delete=models.PROTECT, related_name="verdicts")
    decision = models.UUIDField()
    is_violation = models.BooleanField()
    category = models.CharField(max_length=20, choices=Category.choices)
    decided_at = models.DateTimeField(db_default=Now())
    is_weighed = models.BooleanField(
        db_default=False, help_text="Whether the entries behind it were looked at because of it."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "decision"], name="verdict_once_per_decision")
        ]
        indexes = [
            models.Index(fields=["decided_at"], name="verdicts_by_time"),
            models.Index(fields=["item", "-decided_at"], name="verdicts_of_item"),
            models.Index(
                fields=["id"], condition=models.Q(is_weighed=False), name="verdicts_to_weigh"
            ),
        ]
