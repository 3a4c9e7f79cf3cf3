"""Escalation: to whom, what, on whose word, and what was sealed."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Recipient(models.Model):
    """An agency that packages are made for, with the public keys it decrypts with."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=160)
    unit = models.CharField(max_length=160, blank=True)
    country = models.CharField(max_length=2, blank=True)
    contact = models.CharField(max_length=300, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        permissions = [("refer_to", "Can refer cases to this recipient")]

    def __str__(self) -> str:
        return self.name

    @property
    def confirmed_keys(self) -> models.QuerySet[RecipientKey]:
        """The keys that packages are encrypted to, oldest first: confirmed and not withdrawn."""
        return self.keys.filter(confirmed_at__isnull=False, ended_at=None)


class RecipientKey(models.Model):
    """A public key of an agency. It counts from the moment that a second person confirmed it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    recipient = models.ForeignKey(Recipient, on_delete=models.PROTECT, related_name="keys")
    text = models.CharField(
        max_length=500, help_text="An age X25519 (age1…) or ssh-ed25519 public key."
    )
    fingerprint = models.CharField(
        max_length=32, help_text="First 32 hex digits of the key's SHA-256, without its comment."
    )
    entered_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    entered_at = models.DateTimeField(db_default=Now(), editable=False)
    confirmed_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["entered_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["recipient", "fingerprint"],
                condition=Q(ended_at=None),
                name="recipient_key_once",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by=None) | ~Q(confirmed_by=F("entered_by")),
                name="key_is_confirmed_by_another_person",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by=None, confirmed_at=None)
                | Q(confirmed_by__isnull=False, confirmed_at__isnull=False),
                name="key_confirmation_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(ended_by=None, ended_at=None)
                | Q(ended_by__isnull=False, ended_at__isnull=False),
                name="key_end_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.spoken

    @property
    def spoken(self) -> str:
        """The fingerprint in groups of four, as it is read out on the telephone."""
        return " ".join(self.fingerprint[at : at + 4] for at in range(0, 32, 4))


class ReferralState(models.TextChoices):
    DRAFT = "draft", "Draft"
    AWAITING_APPROVAL = "awaiting_approval", "Awaiting approval"
    APPROVED = "approved", "Approved, waiting to be built"
    BUILDING = "building", "Building the package"
    BUILD_FAILED = "build_failed", "Package could not be built"
    SEALED = "sealed", "Sealed"


INCIDENT = ("incident_type", "incident_at")
"""What a draft fills in from the case; each is a proposal until ``…_set_by`` names a person."""


class Referral(models.Model):
    """A decided case on its way to an agency."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.BigIntegerField(editable=False)
    year = models.PositiveSmallIntegerField()
    case = models.ForeignKey("moderation.Case", on_delete=models.PROTECT, related_name="referrals")
    recipient = models.ForeignKey(Recipient, on_delete=models.PROTECT, related_name="referrals")
    state = models.CharField(
        max_length=20, choices=ReferralState.choices, default=ReferralState.DRAFT
    )
    revision = models.PositiveIntegerField(default=1)
    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    legal_basis = models.CharField(max_length=300, blank=True)
    incident_type = models.CharField(max_length=120, blank=True)
    incident_type_set_by = models.ForeignKey(
        "accounts.User",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Who confirmed or wrote it. Nobody: it is a proposal.",
    )
    incident_type_set_at = models.DateTimeField(null=True, blank=True)
    incident_at = models.DateTimeField(null=True, blank=True)
    incident_at_set_by = models.ForeignKey(
        "accounts.User",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Who confirmed or wrote it. Nobody: it is a proposal.",
    )
    incident_at_set_at = models.DateTimeField(null=True, blank=True)
    narrative = models.TextField(blank=True)
    urgency_reason = models.TextField(blank=True)
    include_messages = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    drafted_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    edited_by = models.ForeignKey(
        "accounts.User",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Who saved the draft last, and so answers for all of it.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    requested_at = models.DateTimeField(null=True, blank=True)
    requested_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    approved_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    returned_reason = models.TextField(blank=True)
    correction_reason = models.TextField(
        blank=True, help_text="Why this revision was made; printed in its timeline."
    )
    approved_keys = models.JSONField(
        default=list, help_text="The agency's keys as approved; the package is sealed to no others."
    )
    build_error = models.TextField(blank=True)
    build_attempts = models.PositiveIntegerField(default=0)
    build_token = models.UUIDField(
        null=True, blank=True, help_text="Names the one build whose result will be accepted."
    )
    build_beat_at = models.DateTimeField(
        null=True, blank=True, help_text="Last sign of life of the build; stale means it died."
    )
    build_waits_for = models.CharField(
        max_length=200, blank=True, db_default="", help_text="Why the build cannot go on just now."
    )
    build_progress = models.PositiveSmallIntegerField(default=0, help_text="Percent.")
    bagged_at = models.DateTimeField(null=True, blank=True, help_text="Date inside the package.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["number", "revision"], name="referral_revision_once"),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("drafted_by")),
                name="approver_is_not_the_author",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("requested_by")),
                name="approver_is_not_the_requester",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("edited_by")),
                name="approver_is_not_the_last_editor",
            ),
            models.UniqueConstraint(
                fields=["case", "recipient"],
                condition=~Q(state="sealed"),
                name="one_open_referral_per_recipient",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "awaiting_approval"])
                | Q(approved_by__isnull=False),
                name="nothing_is_built_without_approval",
            ),
            models.CheckConstraint(
                condition=Q(incident_type_set_by=None, incident_type_set_at=None)
                | (
                    ~Q(incident_type="")
                    & Q(incident_type_set_by__isnull=False, incident_type_set_at__isnull=False)
                ),
                name="incident_type_is_said_by_a_person",
            ),
            models.CheckConstraint(
                condition=Q(incident_at_set_by=None, incident_at_set_at=None)
                | Q(
                    incident_at__isnull=False,
                    incident_at_set_by__isnull=False,
                    incident_at_set_at__isnull=False,
                ),
                name="incident_time_is_said_by_a_person",
            ),
        ]

    @property
    def reference(self) -> str:
        """The package's name without its revision, such as ``ESC-2026-000123``."""
        return f"ESC-{self.year}-{self.number:06d}"

    @property
    def incident_proposed(self) -> tuple[str, ...]:
        """The fields of the incident that were filled in and that no person confirmed or wrote."""
        return tuple(
            name
            for name in INCIDENT
            if getattr(self, name) and getattr(self, f"{name}_set_by_id") is None
        )

    def __str__(self) -> str:
        return f"{self.reference}-r{self.revision}"


class AccountRole(models.TextChoices):
    SUSPECT = "suspect", "Suspect"
    VICTIM = "victim", "Victim"
    RECIPIENT = "recipient", "Recipient of the material"
    REPORTER = "reporter", "Reporter"
    WITNESS = "witness", "Witness"
    NOT_SAID = "not said", "Not said"


class ReferralAccount(models.Model):
    """An account that the referral names, and the part that a person said it plays: nothing else says so."""

    referral = models.ForeignKey(Referral, on_delete=models.PROTECT, related_name="named_accounts")
    account = models.ForeignKey("reports.Account", on_delete=models.PROTECT, related_name="+")
    role = models.CharField(
        max_length=12,
        choices=AccountRole.choices,
        blank=True,
        default="",
        help_text="Empty until a person says it.",
    )
    role_set_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    role_set_at = models.DateTimeField(null=True, blank=True)
    is_included = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["referral", "account"], name="account_once_per_referral"
            ),
            models.CheckConstraint(
                condition=Q(role="", role_set_by=None, role_set_at=None)
                | (~Q(role="") & Q(role_set_by__isnull=False, role_set_at__isnull=False)),
                name="part_is_said_by_a_person",
            ),
        ]


class Relevance(models.TextChoices):
    """Why an exhibit is there: it was reported, or it only helps to understand the rest."""

    REPORTED = "reported", "Reported"
    SUPPLEMENTAL = "supplemental", "Supplemental"


class Exhibit(models.Model):
    """One item of the case as it goes into the package."""

    referral = models.ForeignKey(Referral, on_delete=models.PROTECT, related_name="exhibits")
    item = models.ForeignKey("reports.Item", on_delete=models.PROTECT, related_name="exhibits")
    position = models.PositiveIntegerField()
    is_included = models.BooleanField(default=True)
    relevance = models.CharField(
        max_length=16, choices=Relevance.choices, default=Relevance.REPORTED
    )
    note = models.CharField(max_length=500, blank=True)
    left_out_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["referral", "item"], name="exhibit_once_per_referral")
        ]


class Package(models.Model):
    """A sealed package: encrypted bytes in the package store, and what they were made from."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    referral = models.OneToOneField(Referral, on_delete=models.PROTECT, related_name="package")
    file_name = models.CharField(max_length=80, unique=True)
    storage_name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    tar_sha256 = models.CharField(max_length=64)
    tagmanifest_sha512 = models.CharField(max_length=128)
    signer = models.CharField(max_length=200)
    exhibit_count = models.PositiveIntegerField()
    custody_head = models.CharField(max_length=64)
    built_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sha256__regex=r"^[0-9a-f]{64}$", tar_sha256__regex=r"^[0-9a-f]{64}$"),
                name="package_digests_are_well_formed",
            )
        ]


class PackageDownload(models.Model):
    """Who fetched which package, when."""

    package = models.ForeignKey(Package, on_delete=models.PROTECT, related_name="downloads")
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now(), editable=False)
    is_complete = models.BooleanField(default=False)
    reason = models.TextField(
        blank=True, help_text="Why it was fetched although its decision was overturned."
    )


class OverturnNotice(models.Model):
    """What legal staff did after the decision behind a sealed package was overturned. Rows stay as they were written."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    referral = models.ForeignKey(Referral, on_delete=models.PROTECT, related_name="notices")
    overturn = models.ForeignKey("moderation.Overturn", on_delete=models.PROTECT, related_name="+")
    words = models.TextField(help_text="Whom they told, how and when; or that it never left.")
    told_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    noted_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["referral", "overturn"], name="overturn_noted_once")
        ]
