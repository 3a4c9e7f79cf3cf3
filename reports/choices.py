"""The words that rows of intake and pure modules share."""

from __future__ import annotations

from django.db import models


class TrustLevel(models.TextChoices):
    """How far a source's word goes in routing."""

    STANDARD = "standard", "Standard"
    TRUSTED = "trusted", "Trusted flagger"
    INTERNAL = "internal", "Internal"


class SourceKind(models.TextChoices):
    PLATFORM = "platform", "Platform API"
    TRUSTED_FLAGGER = "trusted_flagger", "Trusted flagger"
    USER_REPORTS = "user_reports", "User reports"
    PROACTIVE_SCAN = "proactive_scan", "Proactive scan"
    STAFF = "staff", "Entered by staff"


class Scope(models.TextChoices):
    REPORTS_WRITE = "reports:write", "Submit reports"
    DIRECTORY_WRITE = "directory:write", "Write accounts, groups and memberships"
    DIRECTORY_READ = "directory:read", "Read back accounts, groups and memberships"
    SCANS_WRITE = "scans:write", "Submit items to scan"
    MEDIA_WRITE = "media:write", "Upload media"
    STATUS_READ = "status:read", "Read the status of own submissions"
    MATCH = "match:read", "Hash and match without making a case"
    LINKS_WRITE = "links:write", "Import invite links found elsewhere"
    ENFORCEMENTS_READ = "enforcements:read", "Read orders"
    ENFORCEMENTS_WRITE = "enforcements:write", "Say what became of orders, have them sent again"
    APPEALS_WRITE = "appeals:write", "Hand on appeals and read what became of them"
    ERASURES_WRITE = "erasures:write", "Ask to erase accounts and groups"


OWN_PLATFORM_SCOPES = frozenset(
    {
        Scope.DIRECTORY_READ,
        Scope.DIRECTORY_WRITE,
        Scope.ENFORCEMENTS_READ,
        Scope.ENFORCEMENTS_WRITE,
        Scope.APPEALS_WRITE,
        Scope.ERASURES_WRITE,
    }
)
"""Scopes for the platform itself alone: only a source that is marked as its own may hold them."""


class IdentifierKind(models.TextChoices):
    PHONE = "phone", "Phone number"
    EMAIL = "email", "E-mail address"
    DEVICE = "device", "Device"
    PROFILE_URL = "profile_url", "Profile address"
    OTHER = "other", "Other"


class PlatformStatus(models.TextChoices):
    """What the platform did with an account or a group; ``hashing.risk_facts`` counts those that are gone."""

    ACTIVE = "active", "Active"
    SUSPENDED = "suspended", "Suspended"
    BANNED = "banned", "Banned"
    DISABLED = "disabled", "Disabled"
    REMOVED = "removed", "Removed"
    CLOSED = "closed", "Closed"
    DELETED = "deleted", "Deleted"
    UNKNOWN = "unknown", "Unknown"


class Surface(models.TextChoices):
    """Where on the platform an item stood."""

    PROFILE_PHOTO = "profile_photo", "Profile photo"
    PROFILE_NAME = "profile_name", "Profile name"
    PROFILE_TEXT = "profile_text", "Profile text"
    GROUP_PHOTO = "group_photo", "Group photo"
    GROUP_NAME = "group_name", "Group name"
    GROUP_DESCRIPTION = "group_description", "Group description"
    REPORTED_MESSAGE = "reported_message", "Reported message"
    INVITE_LINK = "invite_link", "Invite link"
    REPORT_DESCRIPTION = "report_description", "What a reporter wrote"


NOT_SENT = frozenset({Surface.REPORT_DESCRIPTION})
"""Surfaces that no sender names: a report's description becomes such an item when the report is taken."""


class ItemKind(models.TextChoices):
    TEXT = "text", "Text"
    IMAGE = "image", "Image"
    VIDEO = "video", "Video"
    AUDIO = "audio", "Voice or sound"
    OTHER = "other", "Other file"
    NOT_SENT = "not_sent", "Not sent"


WITHOUT_FILE = (ItemKind.TEXT, ItemKind.NOT_SENT)
"""Kinds of items that have no file: the words alone, or nothing but the reason why there is nothing."""


NOT_SENT_WORDS = {
    "encrypted": "the platform cannot read it",
    "deleted": "it was deleted before the platform could keep it",
    "expired": "it ran out before the platform could keep it",
    "withheld": "the platform keeps it back",
    "too_large": "it is too large to be sent",
}
"""Why an item has no content, by its sender's code. Other codes are shown as they are."""


class ItemRole(models.TextChoices):
    """What an item is to its report: what it is about, or what helps to understand that."""

    REPORTED = "reported", "Reported"
    CONTEXT = "context", "Context"


class ScanState(models.TextChoices):
    WAITING = "waiting", "Waiting for scan"
    SCANNED = "scanned", "Scanned"
    PARTLY = "partly", "Partly scanned"
    NOT_SCANNED = "not_scanned", "Not scanned"
    FAILED = "failed", "Could not scan"


class RouteState(models.TextChoices):
    NOT_YET = "not_yet", "Not yet scanned"
    WAITING = "waiting", "Waiting for routing"
    ROUTED = "routed", "Routed to a case"
    CLEAR = "clear", "No case needed"
    FAILED = "failed", "Routing failed"


class ReportOutcome(models.TextChoices):
    """What came of a report, as its sender may hear it. Which action, and by which policy, is not told."""

    ACTION_TAKEN = "action_taken", "Action taken"
    NO_ACTION = "no_action", "No action"
