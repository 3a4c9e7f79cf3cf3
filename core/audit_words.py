"""Every event of the audit log in words, for whoever reads it. Who did it and when stands beside."""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps

from core.audit_events import GROUPS, AuditEvent
from core.audit_events import AuditEvent as E
from core.models import AuditEntry

SAID: dict[AuditEvent, str] = {
    # core
    E.VAULT_BLOB_DESTROYED: "Destroyed a stored file",
    E.VAULT_BLOB_HEALED: "Healed a damaged stored file",
    E.VAULT_DAMAGE_FOUND: "Found a damaged stored file",
    E.VAULT_VERIFIED: "Verified the stored files",
    E.VAULT_KEY_ADDED: "Added a master key",
    E.VAULT_KEYS_REWRAPPED: "Wrapped the keys of files with another master key",
    E.AUDIT_VIEWED: "Looked at the audit log",
    E.AUDIT_EXPORTED: "Exported the audit log",
    E.AUDIT_VERIFIED: "Verified the audit log",
    E.AUDIT_CHECK_REQUESTED: "Asked for a check of the audit log",
    E.ANCHOR_MADE: "Made an anchor of the audit log",
    E.ANCHOR_STAMPED: "Had an anchor stamped by a time authority",
    E.ANCHOR_TOLD: "Sent an anchor to whoever keeps a copy",
    E.ANCHORS_VERIFIED: "Verified the anchors",
    E.AUDIT_ENTRY_VIEWED: "Looked at an entry of the audit log",
    E.JOBS_VIEWED: "Looked at the jobs",
    # accounts
    E.SIGNED_IN: "Signed in",
    E.SIGN_IN_FAILED: "Failed to sign in",
    E.SIGN_IN_LIMITED: "Tried to sign in too often and had to wait",
    E.SECOND_FACTOR_FAILED: "Gave a wrong code of the second factor",
    E.CONFIRMED: "Confirmed who they are",
    E.CONFIRMATION_FAILED: "Failed to confirm who they are",
    E.SIGNED_OUT: "Signed out",
    E.SIGN_INS_ENDED: "Ended sessions",
    E.PERSON_LOCKED: "Locked a person out",
    E.PERSON_UNLOCKED: "Unlocked a person",
    E.PERSON_CREATED: "Created a person",
    E.PERSON_RENAMED: "Gave a person another name",
    E.PERSON_ROLE_CHANGED: "Gave a person another role",
    E.PERSON_DEACTIVATED: "Deactivated a person",
    E.PERSON_REACTIVATED: "Reactivated a person",
    E.PASSWORD_CHANGED: "Changed a password",
    E.PASSWORD_LINK_ISSUED: "Issued a link for a new password",
    E.SECOND_FACTOR_SET_UP: "Set up a second factor",
    E.SECOND_FACTOR_REMOVED: "Removed their second factor",
    E.SECOND_FACTOR_RESET: "Reset a person's second factor",
    E.RECOVERY_CODE_USED: "Used a recovery code",
    E.RECOVERY_CODES_RENEWED: "Renewed the recovery codes",
    E.INVITATION_CREATED: "Invited somebody",
    E.INVITATION_REVOKED: "Revoked an invitation",
    E.INVITATION_ACCEPTED: "Accepted an invitation",
    E.ACCOUNT_REQUESTED: "Asked for a step that a second administrator confirms",
    E.ACCOUNT_REQUEST_CONFIRMED: "Confirmed what another administrator asked for",
    E.ACCOUNT_REQUEST_CANCELLED: "Cancelled what an administrator had asked for",
    E.SET_UP_LINK_ISSUED: "Issued a link for setting up the installation",
    E.PEOPLE_VIEWED: "Looked at the list of people",
    E.PERMISSION_REFUSED: "Was refused: the role does not allow it",
    # reports
    E.REPORT_SUBMITTED: "Submitted a report",
    E.REPORTS_SUBMITTED: "Submitted reports",
    E.REPORT_VIEWED: "Looked at a report",
    E.REPORT_DECIDED: "A report was decided",
    E.REPORT_REOPENED: "A report is in review again",
    E.SCAN_SUBMITTED: "Submitted an item to scan",
    E.SCANS_SUBMITTED: "Submitted items to scan",
    E.SCAN_STATE_RECORDED: "Recorded how far an item was scanned",
    E.MEDIA_RECEIVED: "Uploaded a file",
    E.ACCOUNT_UPSERTED: "Described an account",
    E.ACCOUNTS_UPSERTED: "Described accounts",
    E.GROUP_UPSERTED: "Described a group",
    E.GROUPS_UPSERTED: "Described groups",
    E.MEMBERS_UPSERTED: "Told members of a group",
    E.MEMBERSHIPS_UPSERTED: "Told members of groups",
    E.DIRECTORY_SEARCHED: "Searched the directory",
    E.ERASURE_ASKED: "Asked to erase an account or a group",
    E.ERASURES_VIEWED: "Looked at the requests to erase",
    E.ACCOUNT_ERASED: "Erased what was told of an account",
    E.GROUP_ERASED: "Erased what was told of a group",
    E.PRACTICE_REMOVED: "Removed a row of practice",
    E.SOURCE_CREATED: "Created a source",
    E.SOURCE_CHANGED: "Changed a source",
    E.SOURCES_VIEWED: "Looked at the sources",
    E.API_KEY_ISSUED: "Issued a key",
    E.API_KEY_ROTATED: "Rotated a key",
    E.API_KEY_REVOKED: "Revoked a key",
    E.API_KEY_REFUSED: "Refused a key",
    # hashing
    E.ITEM_FLAGGED: "Something was found in an item",
    E.SCAN_GAVE_UP: "A scan failed for good",
    E.HASH_LIST_CREATED: "Created a hash list",
    E.HASH_LIST_CHANGED: "Changed a hash list",
    E.HASH_LIST_IMPORTED: "Imported a file into a hash list",
    E.HASH_ENTRY_ADDED: "Added an entry to a hash list",
    E.HASH_ENTRIES_ADDED: "Added entries to a hash list",
    E.HASH_ENTRY_RETIRED: "Retired an entry of a hash list",
    E.HASH_ENTRY_RESTORED: "Restored an entry of a hash list",
    E.HASH_LISTS_SEARCHED: "Searched the hash lists",
    E.INDEX_BUILT: "Built the index of hashes",
    E.INDEX_DAMAGED: "Found the index of hashes damaged",
    E.TERM_LIST_CREATED: "Created a list of terms",
    E.TERM_LIST_CHANGED: "Changed a list of terms",
    E.FILES_LOOKED_UP: "Looked files up in the hash lists",
    E.VALUES_LOOKED_UP: "Looked digests or texts up",
    E.TERM_LIST_GRANTED: "Let a person see the terms of a list",
    E.TERM_LIST_REVOKED: "Took a person's sight of the terms of a list",
    E.TERM_LIST_EXPORTED: "Exported a list of terms",
    E.TERM_PREVIEW_STARTED: "Tried terms on texts of the past",
    E.LISTED_VIDEO_SENT: "Sent a video for a list",
    E.LISTED_VIDEO_ADDED: "Added a video to a list",
    E.LISTED_VIDEO_FAILED: "Failed to add a video to a list",
    E.LISTED_VIDEO_RETIRED: "Retired a video of a list",
    E.LISTED_VIDEO_RESTORED: "Restored a video of a list",
    E.HASH_IMPORT_ASKED: "Asked to import a file into a hash list",
    E.HASH_IMPORT_SWITCHED: "Switched an import of a hash list off or on",
    E.HASH_LIST_SWITCHED: "Switched a hash list off or on",
    E.HASH_LIST_EXPORTED: "Exported a hash list",
    E.EXCHANGE_CREATED: "Connected an exchange",
    E.EXCHANGE_CHANGED: "Changed an exchange",
    E.EXCHANGE_TESTED: "Tested an exchange",
    E.EXCHANGE_FETCH_ASKED: "Asked to fetch from an exchange",
    E.EXCHANGE_REVIEWS_SWITCHED: "Switched reviews to an exchange off or on",
    E.EXCHANGE_REVIEW_SENT: "Sent a review to an exchange",
    E.EXCHANGE_FETCHED: "Fetched from an exchange",
    E.RISK_POLICY_CHANGED: "Changed the weights of risk",
    E.RISK_CROSSED: "A risk score crossed the threshold",
    E.RISK_QUIETED: "Let a risk score rest for a while",
    E.LINKS_ASKED: "Asked to import links found outside",
    E.LINKS_IMPORTED: "Imported links found outside",
    E.LINKS_SWITCHED: "Switched an import of links off or on",
    E.VERDICTS_RECORDED: "Recorded what a decision says of items",
    E.VERDICTS_WITHDRAWN: "Withdrew what a decision said of items",
    E.DETECTOR_REGISTERED: "Registered a detector",
    E.DETECTOR_CHANGED: "Changed a detector",
    E.DETECTOR_SECRET_ROTATED: "Rotated a detector's secret",
    E.DETECTOR_PAUSED: "Paused a detector",
    E.DETECTOR_RESUMED: "Resumed a detector",
    E.DETECTOR_TRIED_AGAIN: "Let a detector try again",
    E.DETECTOR_TRIED: "Tried a detector",
    E.CLASSIFIER_CREATED: "Created a classifier",
    E.CLASSIFIER_CHANGED: "Changed a classifier",
    E.TRAINING_SET_IMPORTED: "Imported a training set",
    E.TRAINING_SET_WITHDRAWN: "Withdrew a training set",
    E.TRAINING_REQUESTED: "Asked to train a classifier",
    E.TRAINING_ENDED: "Trained a version of a classifier",
    E.TRAINING_FAILED: "Failed to train a classifier",
    E.VERSION_SHADOWED: "Let a version of a classifier run along",
    E.VERSION_RETIRED: "Retired a version of a classifier",
    E.VERSION_PROBLEM: "Found a version of a classifier not usable",
    E.THRESHOLD_CHOSEN: "Chose the threshold of a version",
    E.ACTIVATION_ASKED: "Asked to activate a version of a classifier",
    E.ACTIVATION_APPROVED: "Approved the activation of a version",
    E.ACTIVATION_DECLINED: "Declined the activation of a version",
    E.ACTIVATION_WITHDRAWN: "Withdrew the request to activate a version",
    E.CLASSIFIER_ROLLED_BACK: "Rolled a classifier back to an earlier version",
    E.CLASSIFIER_DRIFTED: "A classifier's scores drifted",
    E.CLASSIFIER_STEADY: "A classifier's scores are steady again",
    E.CLASSIFIER_TRIED: "Tried a classifier",
    # moderation
    E.PREVIEW_REQUESTED: "Asked for a preview of a file",
    E.PREVIEW_RECORDED: "Made a preview of a file",
    E.CASE_OPENED: "Opened a case",
    E.CASE_JOINED: "Added material to a case",
    E.CASE_VIEWED: "Looked at a case",
    E.CASE_MOVED: "Moved a case to another queue",
    E.CASE_NOTE_ADDED: "Wrote a note on a case",
    E.CASE_DECIDED: "Decided a case",
    E.CASES_SEARCHED: "Searched for a case",
    E.REPORT_CLEARED: "Found that a report needs no case",
    E.ROUTING_FAILED: "A report or item could not be routed to a case",
    E.DECISION_UNDONE: "Took a decision back before it took effect",
    E.DECISION_SENT_EARLY: "Ended the undo window of a decision",
    E.DECISION_PUBLISHED: "A decision took effect",
    E.OVERTURN_MADE: "Overturned a decision",
    E.OVERTURN_UNDONE: "Took the overturning of a decision back",
    E.DECISION_OVERTURNED: "The overturning of a decision took effect",
    E.DECISION_COUNTERPART: "Gave the counterpart of an order carried out although overturned",
    E.CLAIM_STARTED: "Took a case",
    E.CLAIM_EXTENDED: "Kept a case for longer",
    E.CLAIM_RELEASED: "Gave a case back",
    E.CLAIM_EXPIRED: "The time to work on a case ended",
    E.CLAIM_TAKEN_OVER: "Took a case over from a colleague",
    E.PREVIEW_SERVED: "Saw the preview of a file",
    E.TEXT_SHOWN: "Uncovered a text",
    E.MEDIA_REVEALED: "Asked to look at an original",
    E.REVEAL_REFUSED: "Was refused a look at an original",
    E.REVEAL_USED: "Opened an original",
    E.REVEAL_SERVED: "An original was sent to the page",
    E.REVEAL_CLOSED: "Covered an original again",
    E.QUEUE_GRANTED: "Let a person work in a queue",
    E.QUEUE_REVOKED: "Took a queue from a person",
    E.CATEGORY_GRANTED: "Let a person see a category",
    E.CATEGORY_REVOKED: "Took a category from a person",
    # deliveries
    E.DELIVERIES_QUEUED: "Queued orders for the platform",
    E.DELIVERY_ATTEMPTED: "Tried to send an order or message",
    E.DELIVERY_CONFIRMED: "The platform took an order or message",
    E.DELIVERY_GAVE_UP: "Gave up sending an order or message",
    E.DELIVERY_REPLAYED: "Sent an order or message again",
    E.REPLAY_ASKED: "Asked to send a span of deliveries again",
    E.DELIVERIES_REPLAYED: "Queued a part of a span of deliveries again",
    E.ORDERS_VIEWED: "Looked at the orders that came back",
    E.APPEAL_RECEIVED: "Handed on an appeal against an order",
    E.APPEAL_DECIDED: "Decided an appeal",
    E.APPEALS_VIEWED: "Looked at the appeals",
    E.ORDER_ANSWERED: "Said what became of an order",
    E.ORDER_ANSWER_SEEN: "Saw that an order could not be carried out",
    E.ORDER_GIVEN_ANEW: "Gave an order anew",
    E.DELIVERIES_VIEWED: "Looked at the deliveries",
    E.WEBHOOK_CREATED: "Created an endpoint",
    E.WEBHOOK_CHANGED: "Changed an endpoint",
    E.WEBHOOK_SECRET_ROTATED: "Rotated the secret of an endpoint",
    E.WEBHOOK_TESTED: "Tested an endpoint",
    E.WEBHOOK_HELD: "Stopped sending to an endpoint that fails",
    E.WEBHOOK_RESUMED: "Resumed sending to an endpoint",
    E.WEBHOOK_VIEWED: "Looked at an endpoint",
    # referrals
    E.REFERRALS_SEARCHED: "Searched for a referral",
    E.REFERRAL_VIEWED: "Looked at a referral",
    E.REFERRAL_OPENED: "Drafted a referral",
    E.REFERRAL_CHANGED: "Changed a referral",
    E.REFERRAL_APPROVAL_REQUESTED: "Asked for approval of a referral",
    E.REFERRAL_WITHDRAWN: "Withdrew the request to approve a referral",
    E.REFERRAL_RETURNED: "Returned a referral for correction",
    E.REFERRAL_APPROVED: "Approved a referral",
    E.REFERRAL_REVISED: "Began a correction of a referral",
    E.PACKAGE_BUILD_STARTED: "Began to build a package",
    E.PACKAGE_BUILD_FAILED: "Could not build a package",
    E.PACKAGE_RETRIED: "Had a package built again",
    E.PACKAGE_SEALED: "Sealed a package",
    E.PACKAGE_DOWNLOADED: "Downloaded a package",
    E.OVERTURN_NOTED: "Noted what was done about a package whose decision was overturned",
    E.REGISTRY_DOWNLOADED: "Downloaded the registry of packages",
    E.RECIPIENT_CREATED: "Created an agency",
    E.RECIPIENT_CHANGED: "Changed an agency",
    E.RECIPIENT_KEY_ENTERED: "Entered a key of an agency",
    E.RECIPIENT_KEY_CONFIRMED: "Confirmed a key of an agency",
    E.RECIPIENT_KEY_DIFFERED: "Found that a key of an agency is another one",
    E.RECIPIENT_KEY_WITHDRAWN: "Withdrew a key of an agency",
}
"""One sentence for each event, without a full stop."""

_SUBJECTS = {
    "accounts.accountrequest": "request of an administrator",
    "accounts.setuplink": "set-up link",
    "accounts.signin": "session",
    "accounts.user": "person",
    "core.blob": "stored file",
    "moderation.enforcement": "order",
    "moderation.orderresult": "answer about an order",
    "moderation.overturn": "overturning",
    "moderation.replay": "span sent again",
    "moderation.reveal": "look at an original",
    "moderation.webhookendpoint": "endpoint",
    "referrals.recipient": "agency",
    "referrals.recipientkey": "key of an agency",
    "reports.apikey": "key",
}
"""Models that people call by other words than their own."""


def words_of(entry: AuditEntry) -> str:
    """Return what happened, in words. An event that is not known any more stands as its name."""
    try:
        event = AuditEvent(entry.event)
    except ValueError:
        return entry.event
    said = SAID[event]
    if event in GROUPS and isinstance(about := entry.data.get("about"), list):
        return f"{said} ({len(about):,})"
    return said


def subject_in_words(entry: AuditEntry) -> str:
    """Return what kind of thing a line is about, in words; empty if it is about none."""
    if entry.subject_type in _SUBJECTS:
        return _SUBJECTS[entry.subject_type]
    try:
        return str(apps.get_model(entry.subject_type)._meta.verbose_name)  # noqa: SLF001 — Django's own name
    except (LookupError, ValueError):
        return entry.subject_type


def facts_of(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a line carries as terms and values for people, by name; nested values as JSON."""
    return [(name.replace("_", " ").capitalize(), _plain(data[name])) for name in sorted(data)]


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list) and not value:
        return "none"
    if isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
        return ", ".join(_plain(each) for each in value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
