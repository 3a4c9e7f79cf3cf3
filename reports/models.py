"""What the platform and its reporters tell us: sources, accounts, groups, items and reports."""

from __future__ import annotations

import uuid

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now, Upper

from reports.choices import (
    NOT_SENT,
    IdentifierKind,
    ItemKind,
    ItemRole,
    ReportOutcome,
    RouteState,
    ScanState,
    Scope,
    SourceKind,
    Surface,
    TrustLevel,
)
from reports.directory_fields import Described
from reports.erasures import Erasure, ErasureState
from reports.message_fields import (
    ITEM_CONSTRAINTS,
    ITEM_INDEXES,
    REPORT_CONSTRAINTS,
    REPORT_INDEXES,
    Message,
    Where,
)
from reports.practice import is_practice
from reports.sources import ApiKey, Source

__all__ = [
    "NOT_SENT",
    "Account",
    "AccountIdentifier",
    "ApiKey",
    "Erasure",
    "ErasureState",
    "Group",
    "GroupLink",
    "IdempotencyRecord",
    "IdentifierKind",
    "IpEvent",
    "Item",
    "ItemKind",
    "ItemRole",
    "Membership",
    "Report",
    "ReportOutcome",
    "RouteState",
    "ScanState",
    "Scope",
    "Source",
    "SourceKind",
    "SubjectChange",
    "Surface",
    "TrustLevel",
    "Upload",
]


class Account(Described):
    """An account of the platform, as the platform describes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    external_id = models.CharField(
        max_length=201, unique=True, help_text="With a blank before it: of practice."
    )
    username = models.CharField(max_length=200, blank=True)
    display_name = models.CharField(max_length=400, blank=True)
    profile_text = models.TextField(blank=True)
    profile_url = models.URLField(max_length=1000, blank=True)
    country = models.CharField(max_length=2, blank=True)
    language = models.CharField(max_length=16, blank=True)
    joined_at = models.DateTimeField(null=True, blank=True)
    platform_status = models.CharField(max_length=24, blank=True, help_text="active, banned, …")
    first_seen_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        # `istartswith` compares the capitals of both sides, from the beginning.
        indexes = [
            models.Index(OpClass(Upper("external_id"), "text_pattern_ops"), name="accounts_by_id"),
            models.Index(OpClass(Upper("username"), "text_pattern_ops"), name="accounts_by_name"),
            models.Index(
                OpClass(Upper("display_name"), "text_pattern_ops"), name="accounts_by_display"
            ),
        ]

    def __str__(self) -> str:
        return self.username or self.external_id

    @property
    def is_practice(self) -> bool:
        """Whether a test key spoke of it; it is no account of the platform."""
        return is_practice(self.external_id)


class AccountIdentifier(models.Model):
    """A phone number, e-mail address, device or profile address of an account."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="identifiers")
    kind = models.CharField(max_length=16, choices=IdentifierKind.choices)
    value = models.CharField(max_length=500)
    detail = models.JSONField(default=dict, blank=True)
    verified = models.BooleanField(null=True)
    first_seen_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    source = models.ForeignKey(
        Source, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    told_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "value"], name="identifier_once_per_account"
            )
        ]
        indexes = [
            models.Index(fields=["kind", "value"], name="identifier_lookup"),
            # A number without its last three digits: numbers that were bought together share it.
            models.Index(
                models.Func("value", template="left(%(expressions)s, -3)"),
                condition=Q(kind="phone"),
                name="identifier_phone_block",
            ),
        ]


class IpEvent(models.Model):
    """One use of an IP address (with port: carriers share addresses) at one time."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="ip_events")
    kind = models.CharField(max_length=24, help_text="registration, login, upload, …")
    ip = models.GenericIPAddressField()
    port = models.PositiveIntegerField(null=True, blank=True)
    at = models.DateTimeField()
    user_agent = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "ip", "port", "at"],
                nulls_distinct=False,
                name="ip_event_once",
            ),
            models.CheckConstraint(
                condition=Q(port=None) | Q(port__gte=0, port__lte=65535), name="port_in_range"
            ),
        ]
        indexes = [models.Index(fields=["ip", "at"], name="ip_events_by_address")]


class Group(Described):
    """A group chat of the platform."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    external_id = models.CharField(
        max_length=201, unique=True, help_text="With a blank before it: of practice."
    )
    name = models.CharField(max_length=400, blank=True)
    description = models.TextField(blank=True)
    invite_link = models.CharField(max_length=1000, blank=True)
    member_count = models.PositiveIntegerField(null=True, blank=True)
    created_on_platform_at = models.DateTimeField(null=True, blank=True)
    platform_status = models.CharField(max_length=24, blank=True)
    first_seen_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(OpClass(Upper("external_id"), "text_pattern_ops"), name="groups_by_id"),
            models.Index(OpClass(Upper("name"), "text_pattern_ops"), name="groups_by_name"),
        ]

    def __str__(self) -> str:
        return self.name or self.external_id

    @property
    def is_practice(self) -> bool:
        """Whether a test key spoke of it; it is no group of the platform."""
        return is_practice(self.external_id)


class Membership(models.Model):
    """One stay of an account in a group. Whoever came back has another row."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="memberships")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, default="member", help_text="owner, admin, member")
    joined_at = models.DateTimeField(null=True, blank=True)
    left_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(db_default=Now())
    source = models.ForeignKey(
        Source, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    as_of = models.DateTimeField(null=True, help_text="The newest time it was told for.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "group"], condition=Q(left_at=None), name="one_stay_that_goes_on"
            )
        ]


class Report(Where):
    """Somebody's claim about an account or a group."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.BigIntegerField(unique=True, editable=False)
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="reports")
    external_id = models.CharField(max_length=200, blank=True)
    account = models.ForeignKey(
        Account, null=True, blank=True, on_delete=models.PROTECT, related_name="reports"
    )
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.PROTECT, related_name="reports"
    )
    reporter_account = models.ForeignKey(
        Account, null=True, blank=True, on_delete=models.PROTECT, related_name="reports_made"
    )
    reporter_ref = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=64, help_text="The reporter's reason code.")
    description = models.TextField(blank=True)
    occurred_at = models.DateTimeField(null=True, blank=True)
    metadata = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        help_text="What the sender keeps with it for itself: texts by name.",
    )
    received_at = models.DateTimeField(db_default=Now(), editable=False)
    entered_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    scan_only = models.BooleanField(default=False)
    route_state = models.CharField(
        max_length=12, choices=RouteState.choices, default=RouteState.WAITING
    )
    route_error = models.CharField(max_length=500, blank=True)
    route_due_at = models.DateTimeField(
        db_default=Now(), help_text="When routing is tried again after it failed."
    )
    route_attempts = models.PositiveSmallIntegerField(
        db_default=0, help_text="Attempts to route it that began and did not end."
    )
    outcome = models.CharField(
        max_length=16,
        choices=ReportOutcome.choices,
        blank=True,
        db_default="",
        help_text="Of the decision in effect on its case.",
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            *REPORT_CONSTRAINTS,
            models.CheckConstraint(
                condition=Q(account=None, group__isnull=False)
                | Q(account__isnull=False, group=None),
                name="report_has_one_subject",
            ),
            models.CheckConstraint(
                condition=Q(outcome="", decided_at=None)
                | Q(outcome__in=["action_taken", "no_action"], decided_at__isnull=False),
                name="report_outcome_has_its_time",
            ),
            models.UniqueConstraint(
                fields=["source", "external_id"],
                condition=~Q(external_id=""),
                name="report_external_id_once_per_source",
            ),
        ]
        indexes = [
            *REPORT_INDEXES,
            models.Index(
                fields=["entered_by", "-received_at"],
                condition=Q(entered_by__isnull=False),
                name="reports_entered_by",
            ),
            models.Index(
                fields=["received_at"],
                # Failed ones too: the sweep and the leads' home page look for them as often.
                condition=Q(route_state__in=["waiting", "failed"]),
                name="reports_waiting_for_routing",
            ),
            # A source reads its own reports page by page, newest first.
            models.Index(fields=["source", "-number"], name="reports_of_a_source"),
            # People search for a case by the id that the platform gave a report, whichever source sent it.
            models.Index(
                fields=["external_id"], condition=~Q(external_id=""), name="reports_by_external_id"
            ),
        ]

    def __str__(self) -> str:
        return f"R-{self.number:06d}"

    @property
    def subject(self) -> Account | Group:
        """The account or the group that the report is about."""
        return self.account or self.group  # type: ignore[return-value]  # report_has_one_subject


class Item(Message):
    """One piece of content on a surface: an evidence row. Its media may be shared, the row is not.

    ``text`` beside a file is its caption. What was not sent has no content, and ``not_sent`` says why.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="items")
    report = models.ForeignKey(
        Report, null=True, blank=True, on_delete=models.PROTECT, related_name="items"
    )
    account = models.ForeignKey(
        Account, null=True, blank=True, on_delete=models.PROTECT, related_name="items"
    )
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.PROTECT, related_name="items"
    )
    sender = models.ForeignKey(
        Account, null=True, blank=True, on_delete=models.PROTECT, related_name="items_sent"
    )
    external_id = models.CharField(max_length=200, blank=True)
    surface = models.CharField(max_length=20, choices=Surface.choices)
    role = models.CharField(
        max_length=8, choices=ItemRole.choices, default=ItemRole.REPORTED, db_default="reported"
    )
    kind = models.CharField(max_length=8, choices=ItemKind.choices)
    text = models.TextField(blank=True)
    blob = models.ForeignKey(
        "core.Blob", null=True, blank=True, on_delete=models.PROTECT, related_name="items"
    )
    original_name = models.CharField(max_length=400, blank=True)
    source_url = models.CharField(max_length=2000, blank=True)
    uploaded_ip = models.GenericIPAddressField(null=True, blank=True)
    uploaded_port = models.PositiveIntegerField(null=True, blank=True)
    content_at = models.DateTimeField(null=True, blank=True)
    is_public = models.BooleanField(null=True)
    received_at = models.DateTimeField(db_default=Now(), editable=False)
    scan_state = models.CharField(
        max_length=12, choices=ScanState.choices, default=ScanState.WAITING
    )
    scan_attempts = models.PositiveIntegerField(default=0)
    scan_due_at = models.DateTimeField(db_default=Now())
    scan_waits_for = models.CharField(
        max_length=200, blank=True, db_default="", help_text="Why the scan cannot begin yet."
    )
    scanned_at = models.DateTimeField(null=True, blank=True)
    route_state = models.CharField(
        max_length=12, choices=RouteState.choices, default=RouteState.NOT_YET
    )
    route_error = models.CharField(max_length=500, blank=True)
    route_due_at = models.DateTimeField(
        db_default=Now(), help_text="When routing is tried again after it failed."
    )
    route_attempts = models.PositiveSmallIntegerField(
        db_default=0, help_text="Attempts to route it that began and did not end."
    )

    class Meta:
        constraints = [
            *ITEM_CONSTRAINTS,
            models.CheckConstraint(
                condition=Q(uploaded_port=None) | Q(uploaded_port__gte=0, uploaded_port__lte=65535),
                name="item_port_range",
            ),
        ]
        indexes = [
            *ITEM_INDEXES,
            models.Index(
                fields=["scan_due_at"], condition=Q(scan_state="waiting"), name="items_to_scan"
            ),
            # Sources take turns, and within one what people reported with what it sent by itself.
            models.Index(
                fields=["source", "scan_due_at"],
                condition=Q(scan_state="waiting", report__isnull=False),
                name="items_reported_to_scan",
            ),
            models.Index(
                fields=["source", "scan_due_at"],
                condition=Q(scan_state="waiting", report=None),
                name="items_alone_to_scan",
            ),
            models.Index(
                fields=["source", "scan_due_at"],
                condition=Q(scan_state="waiting", kind="video"),
                name="items_videos_to_scan",
            ),
            models.Index(
                F("received_at"),
                condition=Q(route_state__in=["not_yet", "waiting", "failed"]),
                name="items_to_route",
            ),
            # The flood guard counts what was scanned within the hour, once a minute.
            models.Index(
                fields=["scanned_at", "id"], condition=~Q(kind="text"), name="items_scanned_media"
            ),
            # Detection counts and scores the texts of the last days.
            models.Index(
                fields=["received_at"], condition=Q(kind="text"), name="items_texts_by_time"
            ),
            models.Index(
                fields=["external_id"], condition=~Q(external_id=""), name="items_by_external_id"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_surface_display()} {self.pk}"

    @property
    def subject(self) -> Account | Group:
        """The account or the group that the item belongs to."""
        return self.account or self.group  # type: ignore[return-value]  # item_has_one_subject


class Upload(models.Model):
    """Media sent ahead of the report that will refer to it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="uploads")
    blob = models.ForeignKey("core.Blob", on_delete=models.PROTECT, related_name="uploads")
    kind = models.CharField(max_length=8, choices=ItemKind.choices, default=ItemKind.OTHER)
    original_name = models.CharField(max_length=400, blank=True)
    uploaded_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()


class IdempotencyRecord(models.Model):
    """The answer given to a request, so that its repeat gets the same one."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="+")
    endpoint = models.CharField(max_length=80)
    key = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    response = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "endpoint", "key"], name="idempotency_key_once"
            )
        ]


class GroupLink(models.Model):
    """A link that led into a group at some time. A link that was revoked still says which group it was."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="links")
    key = models.CharField(max_length=400, help_text="As reports.links.link_key makes it.")
    link = models.CharField(max_length=1000)
    first_seen_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "group"], name="link_once_per_group")]


class SubjectChange(models.Model):
    """Something was learnt about an account or a group; whoever rates it looks again, then removes the row.

    Rows are only added here, never updated: writers do not wait for each other, and what is added while an
    assessment runs stays for the next one.
    """

    account = models.ForeignKey(Account, null=True, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(account=None, group__isnull=False)
                | Q(account__isnull=False, group=None),
                name="change_has_one_subject",
            )
        ]
