"""Lists that detectors look things up in, the digests they compute, and what they found."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Algorithm(models.TextChoices):
    MD5 = "md5", "MD5"
    SHA1 = "sha1", "SHA-1"
    SHA256 = "sha256", "SHA-256"
    PDQ = "pdq", "PDQ"
    PHASH = "phash", "pHash (imagehash)"


class Category(models.TextChoices):
    """What a list, a rule or a case is about. Stable keys; the wording may change."""

    CSAM_KNOWN = "csam_known", "Known abuse imagery"
    CSAM_SUSPECTED = "csam_suspected", "Suspected abuse imagery"
    GROOMING = "grooming", "Grooming and solicitation"
    HARMFUL_GROUP = "harmful_group", "Harmful group"
    SPAM_OTHER = "spam_other", "Spam and other"


class HashList(models.Model):
    """A named list of digests of known material, from one origin, with its own thresholds."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=20, choices=Category.choices)
    origin = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    pdq_threshold = models.PositiveSmallIntegerField(default=31)
    phash_threshold = models.PositiveSmallIntegerField(default=8)
    is_active = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pdq_threshold__lte=128), name="pdq_threshold_range"),
            models.CheckConstraint(
                condition=Q(phash_threshold__lte=32), name="phash_threshold_range"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class HashImport(models.Model):
    """One import of a file into a list: what came in, what was refused, by whom."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hash_list = models.ForeignKey(HashList, on_delete=models.PROTECT, related_name="imports")
    file_name = models.CharField(max_length=400)
    rows = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list)
    imported_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)


class HashEntry(models.Model):
    """One digest on a list. Retired entries stay, so that old findings can be explained."""

    hash_list = models.ForeignKey(HashList, on_delete=models.PROTECT, related_name="entries")
    algorithm = models.CharField(max_length=8, choices=Algorithm.choices)
    value = models.CharField(max_length=64, help_text="Lower-case hexadecimal.")
    note = models.CharField(max_length=500, blank=True)
    imported_in = models.ForeignKey(
        HashImport, null=True, blank=True, on_delete=models.PROTECT, related_name="entries"
    )
    added_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_reason = models.CharField(max_length=500, blank=True)
    retired_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["hash_list", "algorithm", "value"], name="digest_once_per_list"
            ),
            # A value of another length or in capitals would be stored and then never match.
            models.CheckConstraint(
                condition=Q(algorithm="md5", value__regex=r"^[0-9a-f]{32}$")
                | Q(algorithm="sha1", value__regex=r"^[0-9a-f]{40}$")
                | Q(algorithm="sha256", value__regex=r"^[0-9a-f]{64}$")
                | Q(algorithm="pdq", value__regex=r"^[0-9a-f]{64}$")
                | Q(algorithm="phash", value__regex=r"^[0-9a-f]{16}$"),
                name="digest_is_well_formed",
            ),
            models.CheckConstraint(
                condition=Q(retired_at=None) | ~Q(retired_reason=""),
                name="retired_entry_has_a_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["algorithm", "value"],
                condition=Q(retired_at=None),
                name="digest_lookup",
            )
        ]


class TermList(models.Model):
    """A versioned list of literal terms. DESIGN's TextRule in its first form."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=20, choices=Category.choices)
    description = models.TextField(blank=True)
    surfaces = models.JSONField(default=list, blank=True, help_text="Empty: every surface.")
    is_active = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Term(models.Model):
    """One literal, word-bounded term of a list; compared case- and Unicode-folded."""

    term_list = models.ForeignKey(TermList, on_delete=models.PROTECT, related_name="terms")
    text = models.CharField(max_length=200)
    folded = models.CharField(max_length=400)
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["term_list", "folded"], name="term_once_per_list"),
            models.CheckConstraint(condition=~Q(folded=""), name="term_is_not_empty"),
        ]


class TermChange(models.Model):
    """One version of a term list: what was added and removed, and by whom. Never edited."""

    term_list = models.ForeignKey(TermList, on_delete=models.PROTECT, related_name="changes")
    version = models.PositiveIntegerField()
    added = models.JSONField(default=list)
    removed = models.JSONField(default=list)
    settings = models.JSONField(default=dict, help_text="Changed settings: name → [old, new].")
    changed_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["term_list", "version"], name="term_version_once")
        ]


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
    HASH_MATCH = "hash_match", "Hash match"
    TERM_MATCH = "term_match", "Term match"
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
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    superseded_at = models.DateTimeField(
        null=True, blank=True, help_text="When a later scan no longer found it."
    )

    class Meta:
        indexes = [models.Index(fields=["-created_at"], name="flags_newest_first")]
        constraints = [
            models.UniqueConstraint(fields=["item", "fingerprint"], name="same_finding_once"),
            models.CheckConstraint(
                condition=Q(score__gte=0.0, score__lte=1.0), name="score_between_0_and_1"
            ),
        ]
