"""What items say of themselves as messages of a conversation, and where a report says that it happened.

``conversation``, ``reply_to`` and ``external_id`` are the sender's words for a chat and its messages.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q


def _group_of(related_name: str, help_text: str) -> Any:
    # Few rows name one, so the index is a partial one.
    return models.ForeignKey(
        "reports.Group",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name=related_name,
        db_index=False,
        help_text=help_text,
    )


class Where(models.Model):
    """A report about an account may name the group where it happened."""

    in_group = _group_of("reports_within", "Where it happened, of a report about an account.")

    class Meta:
        abstract = True


class Message(models.Model):
    """A message's place in its conversation, and what its sender did to it afterwards."""

    in_group = _group_of("items_written", "The group in which it was written.")
    conversation = models.CharField(max_length=200, blank=True, default="", db_default="")
    position = models.BigIntegerField(
        null=True, blank=True, help_text="Its place in the conversation; what is missing is a gap."
    )
    reply_to = models.CharField(max_length=200, blank=True, default="", db_default="")
    is_edited = models.BooleanField(null=True, help_text="Its sender changed it after sending.")
    edited_at = models.DateTimeField(null=True, blank=True)
    is_deleted = models.BooleanField(null=True, help_text="Its sender deleted it.")
    deleted_at = models.DateTimeField(null=True, blank=True)
    not_sent = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="Why the content is not here.",
    )

    class Meta:
        abstract = True


REPORT_CONSTRAINTS = [
    models.CheckConstraint(
        condition=Q(in_group=None) | Q(account__isnull=False),
        name="report_in_group_is_about_an_account",
    ),
]
REPORT_INDEXES = [
    models.Index(fields=["in_group"], condition=Q(in_group__isnull=False), name="reports_in_group"),
]
ITEM_CONSTRAINTS = [
    models.CheckConstraint(
        condition=Q(account=None, group__isnull=False) | Q(account__isnull=False, group=None),
        name="item_has_one_subject",
    ),
    models.CheckConstraint(
        condition=Q(kind__in=["text", "not_sent"], blob=None)
        | (~Q(kind__in=["text", "not_sent"]) & Q(blob__isnull=False)),
        name="item_is_text_or_media",
    ),
    models.CheckConstraint(
        condition=(Q(kind="not_sent", text="") & ~Q(not_sent=""))
        | (~Q(kind="not_sent") & Q(not_sent="")),
        name="item_not_sent_says_why",
    ),
    models.CheckConstraint(
        condition=Q(position=None) | Q(position__gte=0), name="item_position_range"
    ),
]
ITEM_INDEXES = [
    models.Index(fields=["in_group"], condition=Q(in_group__isnull=False), name="items_in_group"),
]
