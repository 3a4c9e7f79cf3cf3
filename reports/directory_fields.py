"""What accounts and groups have in common: how far what is told of them is known already."""

from __future__ import annotations

from django.db import models


class Described(models.Model):
    """A row that the platform describes again and again."""

    told_digest = models.CharField(
        max_length=32,
        blank=True,
        db_default="",
        default="",
        help_text="Of the line of a batch that was told last: the same line again changes nothing.",
    )

    facts = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        help_text="Who told each field, since when it is so, and as of when that was confirmed (reports.facts).",
    )

    class Meta:
        abstract = True
