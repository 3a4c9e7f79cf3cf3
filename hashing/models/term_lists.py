"""Lists of terms and their versions."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from hashing.models.words import Category


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
