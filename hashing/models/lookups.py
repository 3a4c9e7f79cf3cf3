"""Files that somebody asks about without making a case."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class LookupState(models.TextChoices):
    WAITING = "waiting", "Waiting for a worker"
    DONE = "done", "Looked at"
    FAILED = "failed", "Could not be looked at"


class FileLookup(models.Model):
    """A file whose digests and matches somebody wants to know: gone, file and all, minutes after the answer.

    The file is an original that nothing holds (the key is deleted with its blob, see
    ``core.vault.unreferenced``), so a row that was forgotten does not keep it either.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    blob = models.ForeignKey("core.Blob", null=True, on_delete=models.CASCADE, related_name="+")
    blob_staged_at = models.DateTimeField(help_text="Unchanged: nobody sent the same bytes since.")
    name = models.CharField(max_length=400, blank=True)
    kind = models.CharField(
        max_length=8, help_text="image, video or other, by the file's beginning"
    )
    surface = models.CharField(max_length=20, blank=True)
    with_matches = models.BooleanField(default=True)
    source = models.ForeignKey(
        "reports.Source", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    asked_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    state = models.CharField(max_length=8, choices=LookupState.choices, default=LookupState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    result = models.JSONField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True)
    asked_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(source=None, asked_by__isnull=False)
                | Q(source__isnull=False, asked_by=None),
                name="lookup_has_one_asker",
            )
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="lookups_waiting"),
            models.Index(fields=["expires_at"], name="lookups_by_end"),
        ]
