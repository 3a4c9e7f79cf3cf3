"""Work that is too long for a request or a sweep: a row says what is asked, batches do it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class LongWorkKind(models.TextChoices):
    RESCAN = "rescan", "Scan again what came in while a list was held"
    RERATE = "rerate", "Rate again under new weights"


class LongWork(models.Model):
    """One such work. Batches move its cursor, each in a transaction of its own, until it has ended."""

    kind = models.CharField(max_length=8, choices=LongWorkKind.choices)
    hash_list = models.ForeignKey(
        "hashing.HashList", null=True, on_delete=models.PROTECT, related_name="long_works"
    )
    policy = models.ForeignKey(
        "hashing.RiskPolicy", null=True, on_delete=models.PROTECT, related_name="long_works"
    )
    since = models.DateTimeField(null=True, help_text="Items scanned from then …")
    until = models.DateTimeField(null=True, help_text="… until then are scanned again.")
    cursor_at = models.DateTimeField(null=True, help_text="How far it is: the last item's time,")
    cursor_key = models.CharField(max_length=40, blank=True, help_text="and the last row's key.")
    done = models.PositiveIntegerField(default=0, help_text="Rows so far.")
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    moved_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="rescan", hash_list__isnull=False, since__isnull=False)
                | Q(kind="rerate", policy__isnull=False),
                name="long_work_says_what_is_asked",
            )
        ]
        indexes = [models.Index(fields=["id"], condition=Q(ended_at=None), name="long_work_to_do")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.done:,} done)"
