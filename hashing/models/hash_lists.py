"""Lists of digests of known material, their entries and their imports."""

from __future__ import annotations

import uuid

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now, Upper

from hashing.models.words import Algorithm, Category


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
    dhash_threshold = models.PositiveSmallIntegerField(default=6)
    whash_threshold = models.PositiveSmallIntegerField(default=4)
    video_compared_percent = models.PositiveSmallIntegerField(
        default=80, help_text="A video matches when this share of a listed one's seconds is seen,"
    )
    video_query_percent = models.PositiveSmallIntegerField(
        default=80, help_text="or when this share of its own seconds shows something listed,"
    )
    video_run_seconds = models.PositiveSmallIntegerField(
        default=5, help_text="or when so many listed seconds in a row are seen."
    )
    kind = models.CharField(
        max_length=8,
        default="own",
        choices=[("own", "Own list"), ("exchange", "Fed by an exchange")],
    )
    is_active = models.BooleanField(default=True)
    is_negative = models.BooleanField(
        default=False, help_text="Known harmless material: its matches silence those of others."
    )
    disabled_until = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=300, blank=True)
    quarantined_at = models.DateTimeField(null=True, blank=True)
    quarantine_reason = models.CharField(max_length=300, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    flood_percent = models.PositiveSmallIntegerField(
        default=20,
        help_text="A list that flags more of the pictures scanned within an hour is held.",
    )
    acts_automatically = models.BooleanField(
        default=False, help_text="Its exact matches open cases of the highest severity."
    )
    automatic_asked_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    automatic_approved_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    automatic_version = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="Entries that changed after this version of the list do not act by themselves yet.",
    )
    renewal_asked_by = models.ForeignKey(
        "accounts.User",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Asks that entries added since the approval act as well.",
    )
    asked_version = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="The list's version when the request that waits was made.",
    )
    request_ended = models.CharField(
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text="Why the last request or approval was dropped.",
    )
    content_by = models.ForeignKey(
        "accounts.User",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Who last changed what would act, of what nobody approved yet.",
    )
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pdq_threshold__lte=128), name="pdq_threshold_range"),
            models.CheckConstraint(
                condition=Q(phash_threshold__lte=32), name="phash_threshold_range"
            ),
            models.CheckConstraint(
                condition=Q(dhash_threshold__lte=32), name="dhash_threshold_range"
            ),
            models.CheckConstraint(
                condition=Q(whash_threshold__lte=32), name="whash_threshold_range"
            ),
            models.CheckConstraint(
                condition=Q(video_compared_percent__gte=10, video_compared_percent__lte=100)
                & Q(video_query_percent__gte=10, video_query_percent__lte=100)
                & Q(video_run_seconds__gte=2, video_run_seconds__lte=3600),
                name="video_rule_range",
            ),
            models.CheckConstraint(
                condition=Q(flood_percent__gte=1, flood_percent__lte=100),
                name="flood_percent_range",
            ),
            models.CheckConstraint(
                condition=Q(acts_automatically=False)
                | (
                    Q(automatic_asked_by__isnull=False, automatic_approved_by__isnull=False)
                    & ~Q(automatic_asked_by=F("automatic_approved_by"))
                ),
                name="two_people_for_automatic_lists",
            ),
            models.CheckConstraint(
                condition=Q(renewal_asked_by=None) | Q(acts_automatically=True),
                name="renewal_of_an_approval",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def automatic_request_by(self):  # type: ignore[no-untyped-def]
        """Who asks that the list, or what was added to it since, acts automatically; None if nobody does."""
        return self.renewal_asked_by if self.acts_automatically else self.automatic_asked_by

    def works_to_do(self):  # type: ignore[no-untyped-def]
        """Return what is still done for this list in batches (``LongWork``)."""
        return self.long_works.filter(ended_at=None).order_by("pk")


class ImportState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    READING = "reading", "Being read"
    WRITING = "writing", "Being put in force"
    DONE = "done", "In force"
    REFUSED = "refused", "Refused: bad rows"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    UNDONE = "undone", "Undone"


class HashImport(models.Model):
    """One import of a file into a list: what came in, what was refused, by whom.

    A large file is read by a job into ``StagedRow`` and put in force in one statement: half of it never counts.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hash_list = models.ForeignKey(HashList, on_delete=models.PROTECT, related_name="imports")
    file_name = models.CharField(max_length=400)
    rows = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list)
    ignored_columns = models.JSONField(default=list, help_text="Columns that were not read.")
    imported_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    state = models.CharField(max_length=9, choices=ImportState.choices, default=ImportState.DONE)
    skip_bad_rows = models.BooleanField(default=False)
    blob = models.ForeignKey(
        "core.Blob",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The file while it waits and is read.",
    )
    size = models.BigIntegerField(default=0, help_text="Bytes of the file.")
    read_bytes = models.BigIntegerField(default=0, help_text="Bytes read so far.")
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    problem = models.CharField(max_length=300, blank=True)
    began_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)


class StagedRow(models.Model):
    """A row of an import that is still being read. Counts for nothing."""

    file_import = models.ForeignKey(HashImport, on_delete=models.CASCADE, related_name="staged")
    algorithm = models.CharField(max_length=8)
    value = models.CharField(max_length=64)
    note = models.CharField(max_length=500, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_reason = models.CharField(max_length=500, blank=True)


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
    list_version = models.PositiveIntegerField(
        db_default=0,
        editable=False,
        help_text="The list's version when this last changed; set by a trigger.",
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
                | Q(algorithm="phash", value__regex=r"^[0-9a-f]{16}$")
                | Q(algorithm="dhash", value__regex=r"^[0-9a-f]{16}$")
                | Q(algorithm="whash", value__regex=r"^[0-9a-f]{16}$"),
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
            ),
            GinIndex(
                OpClass(Upper("note"), "gin_trgm_ops"),
                condition=~Q(note=""),
                name="entries_by_note",
            ),
            # What changed since the index was built.
            models.Index(fields=["hash_list", "list_version"], name="entries_by_change"),
        ]
