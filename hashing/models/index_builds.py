"""The index over the lists' digests: one row for each time it was built."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

__all__ = ["IndexBuild", "IndexState"]


class IndexState(models.TextChoices):
    WAITING = "waiting", "Waiting to be built"
    READY = "ready", "In use"
    REPLACED = "replaced", "Replaced"
    FAILED = "failed", "Could not be built"
    DAMAGED = "damaged", "Damaged"


class IndexBuild(models.Model):
    """One index file. Its number is the generation: workers use the highest that is in use.

    ``versions`` says how far the file goes: each list's version when its rows were read. Later changes come
    from the rows themselves. ``blob`` is the file in the vault, encrypted as everything there is.
    """

    key = models.UUIDField(
        default=uuid.uuid4,
        editable=False,
        help_text="Stands in the file as well: no other is taken for it.",
    )
    state = models.CharField(max_length=8, choices=IndexState.choices, default=IndexState.WAITING)
    reason = models.CharField(max_length=200, help_text="Why it is built.")
    requested_at = models.DateTimeField(db_default=Now(), editable=False)
    due_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(default=0)
    built_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True)
    bytes = models.PositiveBigIntegerField(null=True, blank=True)
    entries = models.JSONField(default=dict, help_text="Space → number of entries.")
    versions = models.JSONField(default=dict, help_text="List → version.")
    blob = models.ForeignKey(
        "core.Blob", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="waiting"), name="one_index_waits_at_a_time"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["ready", "damaged"]) | Q(built_at__isnull=False),
                name="index_in_use_was_built",
            ),
        ]

    @property
    def size(self) -> int:
        """Return the number of entries in all spaces."""
        return sum(map(int, self.entries.values()))
