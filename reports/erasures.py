"""Requests to erase what is known of an account or a group, as rows. ``reports.models`` has them with all the others."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reports.sources import Source


class ErasureState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    CARRYING_OUT = "carrying_out", "Being carried out"
    DONE = "done", "Carried out"


KEPT_WORDS = {
    "needed": "Kept whole: named in a report, a case or a referral.",
    "memberships": "Kept: places in groups, or of members, that were named in a report, a case or a referral.",
    "scanned": "Kept: photos, names and texts that were scanned.",
    "unknown": "Nothing was known of it.",
    "log": "The audit log keeps earlier names and texts.",
}


REASON_WORDS = {
    "request": "The person asked",
    "account_closed": "The account was closed",
}
"""Reasons that have words; others are the platform's own codes, shown as they are."""


class Erasure(models.Model):
    """Somebody asked to be forgotten, or an account is closed. What was asked stays; what was done is noted on it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="erasures")
    external_id = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=7, help_text="account or group")
    subject_id = models.CharField(max_length=201, help_text="Its id on the platform.")
    account = models.ForeignKey(
        "reports.Account", null=True, blank=True, on_delete=models.PROTECT, related_name="erasures"
    )
    group = models.ForeignKey(
        "reports.Group", null=True, blank=True, on_delete=models.PROTECT, related_name="erasures"
    )
    reason = models.CharField(max_length=64)
    requested_at = models.DateTimeField(help_text="When the person asked the platform.")
    received_at = models.DateTimeField(db_default=Now(), editable=False)
    state = models.CharField(
        max_length=12, choices=ErasureState.choices, default=ErasureState.WAITING
    )
    done_at = models.DateTimeField(null=True, blank=True)
    erased = models.JSONField(default=dict, blank=True, help_text="How many of what were erased.")
    kept = models.JSONField(default=list, blank=True, help_text="Codes of what was kept, and why.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="erasure_external_id_once_per_source",
            ),
            models.CheckConstraint(
                condition=Q(state="done", done_at__isnull=False)
                | (~Q(state="done") & Q(done_at=None)),
                name="erasure_done_has_its_time",
            ),
        ]
        indexes = [
            models.Index(fields=["-received_at"], name="erasures_newest_first"),
            models.Index(
                fields=["received_at"], condition=Q(state="waiting"), name="erasures_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id.strip()}"

    @property
    def reason_in_words(self) -> str:
        """Why, for people; empty for a code of the platform's own."""
        return REASON_WORDS.get(self.reason, "")

    @property
    def in_words(self) -> list[str]:
        """What was erased and what was kept, for people."""
        names = {
            "facts": "names and other facts",
            "ip_events": "uses of addresses",
            "invite_links": "invite links",
        }
        counted = [
            f"{names.get(what, what)} ({count:,})" for what, count in self.erased.items() if count
        ]
        said = [f"Erased: {', '.join(counted)}."] if counted else []
        return said + [KEPT_WORDS[code] for code in self.kept if code in KEPT_WORDS]
