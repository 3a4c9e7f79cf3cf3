"""Lists of text rules and their versions. What they look for is sealed: the database alone tells nobody."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from hashing.models.words import Category


class TermList(models.Model):
    """A versioned list of text rules: terms, patterns, combinations, allowed phrases."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=20, choices=Category.choices)
    description = models.TextField(blank=True)
    surfaces = models.JSONField(default=list, blank=True, help_text="Empty: every surface.")
    steps = models.JSONField(
        default=list, blank=True, help_text="What a writing may differ in (folding.Step)."
    )
    score = models.FloatField(default=0.6, help_text="Score of a match, unless a rule has its own.")
    is_restricted = models.BooleanField(
        default=False, help_text="Only named people read what it looks for."
    )
    is_active = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    sealed_key = models.BinaryField(
        null=True, editable=False, help_text="The list's key, sealed by the master key."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        permissions = [("read_terms", "Can read what this restricted list looks for")]
        constraints = [
            models.CheckConstraint(
                condition=Q(score__gt=0.0, score__lte=1.0), name="term_list_score_range"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Term(models.Model):
    """One rule of a list.

    ``sealed`` holds its line and note under the list's key; ``digest`` is a keyed hash of what it looks for and
    makes it unique. Rows from before lists were sealed have ``text``, ``folded`` and ``note`` in clear until
    the sweep has sealed them; these columns are empty afterwards.
    """

    term_list = models.ForeignKey(TermList, on_delete=models.PROTECT, related_name="terms")
    sealed = models.BinaryField(null=True, editable=False)
    digest = models.CharField(max_length=64, null=True, editable=False)
    text = models.CharField(max_length=200, blank=True)
    folded = models.CharField(max_length=400, blank=True)
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["term_list", "digest"], name="rule_once_per_list"),
            models.CheckConstraint(
                condition=Q(sealed=None, digest=None) & ~Q(text="")
                | Q(sealed__isnull=False, digest__isnull=False, text="", folded="", note=""),
                name="term_is_sealed_or_waits",
            ),
        ]
        indexes = [
            models.Index(fields=["term_list"], condition=Q(sealed=None), name="terms_to_seal")
        ]


class TermChange(models.Model):
    """One version of a list: what was added, removed and rewritten, and by whom. Never edited.

    ``sealed`` holds the lines. ``added`` and ``removed`` are those of versions from before lists were sealed,
    until the sweep has sealed them.
    """

    term_list = models.ForeignKey(TermList, on_delete=models.PROTECT, related_name="changes")
    version = models.PositiveIntegerField()
    sealed = models.BinaryField(null=True, editable=False)
    added = models.JSONField(default=list)
    removed = models.JSONField(default=list)
    added_count = models.PositiveIntegerField(default=0)
    removed_count = models.PositiveIntegerField(default=0)
    rewritten_count = models.PositiveIntegerField(default=0)
    settings = models.JSONField(default=dict, help_text="Changed settings: name → [old, new].")
    restored_version = models.PositiveIntegerField(
        null=True, help_text="The version that was brought back."
    )
    changed_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["term_list", "version"], name="term_version_once")
        ]
