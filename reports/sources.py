"""Sources and their keys, as rows. ``reports.models`` has them with all the others."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from reports.choices import Scope, SourceKind, TrustLevel


class Source(models.Model):
    """Where reports come from, how far it is trusted and how fast it must be answered."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=20, choices=SourceKind.choices)
    trust = models.CharField(max_length=12, choices=TrustLevel.choices, default=TrustLevel.STANDARD)
    due_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Service-level clock in minutes, if the source has its own.",
    )
    contact = models.CharField(max_length=200, blank=True)
    is_own_platform = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Speaks for the platform itself: only such a source writes the directory.",
    )
    tells_outcomes = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Is told what was decided on its reports; otherwise only that they are closed.",
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    practice_of = models.OneToOneField(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="practice",
        help_text="Its test keys belong to this twin of a source; what they send is practice.",
    )

    def __str__(self) -> str:
        return self.name

    @property
    def is_practice(self) -> bool:
        """Whether what it sends is practice."""
        return self.practice_of_id is not None


class ApiKey(models.Model):
    """A key of one source. Only its hash is stored; ``prefix`` finds and names it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="keys")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=16, unique=True)
    key_hash = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)
    rate_per_minute = models.PositiveIntegerField(default=600)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    replaced_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaces"
    )

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @property
    def beginning(self) -> str:
        """How the written key begins: no secret, and a test key says that it is one."""
        return f"hf_test_{self.prefix}" if self.source.is_practice else f"hf_{self.prefix}"

    @property
    def scopes_in_words(self) -> list[tuple[str, str]]:
        """What it may do: each scope as integrators write it, and in words."""
        words = dict(Scope.choices)
        return [(scope, str(words.get(scope, ""))) for scope in self.scopes]
