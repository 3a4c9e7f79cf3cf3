"""Rows of the core: stored originals, the audit log, signs of life."""

from __future__ import annotations

import uuid

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Now


class Blob(models.Model):
    """One stored original, encrypted under its own key. ``core.vault`` is the only writer.

    The row outlives the bytes: a destroyed blob keeps its digests, its reason and its times.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sha256 = models.CharField(max_length=64, help_text="of the plaintext, hex")
    md5 = models.CharField(max_length=32, help_text="of the plaintext, hex")
    size = models.BigIntegerField(help_text="bytes of plaintext")
    media_type = models.CharField(max_length=100, blank=True, help_text="as the sender declared it")
    cipher_id = models.UUIDField(help_text="bound into every encrypted chunk")
    storage_name = models.CharField(max_length=200, unique=True)
    wrapped_key = models.BinaryField(null=True, help_text="the data key, sealed by a master key")
    key_name = models.CharField(max_length=64, help_text="the master key that sealed it")
    created_at = models.DateTimeField(db_default=Now())
    staged_at = models.DateTimeField(
        db_default=Now(), help_text="when bytes last arrived; unreferenced blobs live a day longer"
    )
    destroyed_at = models.DateTimeField(null=True)
    destroyed_reason = models.CharField(max_length=500, blank=True)
    file_removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sha256"],
                condition=models.Q(destroyed_at__isnull=True),
                name="core_blob_one_live_per_digest",
            ),
            models.CheckConstraint(
                condition=models.Q(wrapped_key__isnull=True, destroyed_at__isnull=False)
                | models.Q(wrapped_key__isnull=False, destroyed_at__isnull=True),
                name="core_blob_key_erased_iff_destroyed",
            ),
            models.CheckConstraint(condition=models.Q(size__gte=0), name="core_blob_size_positive"),
        ]
        indexes = [
            models.Index(fields=["staged_at"], name="core_blob_staged"),
            models.Index(fields=["key_name", "id"], name="core_blob_key_name"),
            models.Index(
                fields=["destroyed_at"],
                condition=models.Q(destroyed_at__isnull=False, file_removed_at__isnull=True),
                name="core_blob_file_left",
            ),
        ]

    def __str__(self) -> str:
        return f"original {self.pk}"

    @property
    def is_destroyed(self) -> bool:
        return self.destroyed_at is not None


class AuditEntry(models.Model):
    """One line of the audit log. The database gives it number, time and hash, and refuses to change or
    remove it (migrations 0002 and 0005)."""

    chain = models.CharField(max_length=80)
    seq = models.BigIntegerField(help_text="1, 2, 3 … within the chain")
    at = models.DateTimeField(help_text="the database's clock, never before the entry before it")
    as_given = models.BooleanField(
        db_default=False,
        editable=False,
        help_text="generated history: the time is the writer's, not the database's",
    )
    behind_ms = models.BigIntegerField(
        null=True,
        editable=False,
        help_text="how far the database's clock lay before the chain's last entry",
    )
    event = models.CharField(max_length=80)
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=120, blank=True)
    subject_type = models.CharField(max_length=80, blank=True)
    subject_id = models.CharField(max_length=64, blank=True)
    data = models.JSONField(default=dict)
    ip = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    line = models.TextField(help_text="canonical JSON of all of the above; what is hashed")
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chain", "seq"], name="core_audit_chain_seq"),
            models.CheckConstraint(condition=models.Q(seq__gte=1), name="core_audit_seq_positive"),
            models.CheckConstraint(
                condition=models.Q(actor_kind__in=["person", "service", "system", "officer"]),
                name="core_audit_actor_kind",
            ),
        ]
        indexes = [
            models.Index(fields=["-at", "-id"], name="core_audit_at"),
            models.Index(fields=["event", "-id"], name="core_audit_event"),
            models.Index(fields=["actor_id", "-id"], name="core_audit_actor"),
            models.Index(fields=["subject_type", "subject_id"], name="core_audit_subject"),
            # "What came from this address?" is asked in a hurry, of a log with millions of lines. One
            # short key more to insert; entries of background work have no address and stay out.
            models.Index(fields=["ip", "-id"], condition=~models.Q(ip=""), name="core_audit_ip"),
            # What was done in accounts that somebody was let into anew: a few lines of millions.
            models.Index(
                fields=["-id"],
                condition=models.Q(data__has_key="after_reset"),
                name="core_audit_after_reset",
            ),
            # A line about a group of rows names them in its data: who asks for one of them finds the line.
            GinIndex(
                KeyTransform("about", "data"),
                condition=models.Q(subject_id="", data__has_key="about"),
                name="core_audit_about",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain} #{self.seq} {self.event}"


class AuditHead(models.Model):
    """Where each chain ends. Only the audit log's own trigger writes it."""

    chain = models.CharField(max_length=80, primary_key=True)
    seq = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    at = models.DateTimeField(null=True, help_text="the last entry's time: the next is no earlier")

    def __str__(self) -> str:
        return f"{self.chain} ends at #{self.seq}"


class AuditAnchor(models.Model):
    """Where all chains ended at one moment, signed; the same lies as a file outside of the database.

    ``core.anchors`` says what the statement and the list are. Only added: the database lets the fields from
    ``token`` on be written once and nothing else be changed.
    """

    class Reason(models.TextChoices):
        NIGHTLY = "nightly"
        PACKAGE = "package"
        ASKED = "asked"

    number = models.BigIntegerField(primary_key=True)
    made_at = models.DateTimeField()
    reason = models.CharField(max_length=10, choices=Reason.choices)
    through_id = models.BigIntegerField(help_text="the newest entry of the log at that moment")
    statement = models.TextField(help_text="what is signed")
    signature = models.TextField(help_text="SSHSIG over the statement")
    signer = models.CharField(max_length=200)
    heads = models.BinaryField(help_text="the list of heads, gzip")
    token = models.BinaryField(null=True, help_text="answer of the time-stamp authority")
    stored_at = models.DateTimeField(null=True, help_text="when its file lay in the store")
    told_at = models.DateTimeField(null=True, help_text="when the operator's endpoint had it")

    class Meta:
        ordering = ["number"]
        indexes = [models.Index(fields=["made_at"], name="core_anchor_made")]

    def __str__(self) -> str:
        return f"anchor {self.number}"


class Heartbeat(models.Model):
    """The last sign of life of a process or a sweep, what became of a job, when something is due again."""

    class Kind(models.TextChoices):
        SCHEDULER = "scheduler"
        SWEEP = "sweep"
        WORKER = "worker"
        CHECK = "check"
        JOB = "job"
        SCHEDULE = "schedule"
        SCHEMA = "schema"

    name = models.CharField(max_length=120, primary_key=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    at = models.DateTimeField(db_default=Now())
    detail = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class InstallationKey(models.Model):
    """A key that this installation has: not the key, but the value that shows whether a host has the same.

    ``core.identity`` is the only writer. Rows are added, never changed: the newest of a kind is in use.
    """

    class Kind(models.TextChoices):
        MASTER = "master"
        SESSION = "session"
        SIGNING = "signing"
        ESCROW = "escrow"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=200, help_text="of a public key: the key itself")
    check_value = models.CharField(
        max_length=64, help_text="HMAC-SHA-256 of a fixed text under the key, hex"
    )
    noted_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="core_installationkey_once"),
            models.CheckConstraint(
                condition=models.Q(check_value__regex=r"^[0-9a-f]{64}$"),
                name="core_installationkey_check_value",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} key {self.name}"


class Turn(models.Model):
    """Who does what only one process may do, and until when without a sign of life. ``core.turns`` writes it."""

    name = models.CharField(max_length=80, primary_key=True)
    holder = models.CharField(max_length=200)
    until = models.DateTimeField(help_text="by the database's clock")

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"
