"""Every event the audit log knows. A closed list: an event that is not here cannot be recorded.

Names read ``area.thing.verb`` or ``area.verb``. A name that was ever recorded is never reused or removed.
"""

from __future__ import annotations

from enum import StrEnum


class AuditEvent(StrEnum):
    """What happened. Grouped by room; each room appends its own."""

    # core: vault, keys, audit
    VAULT_BLOB_DESTROYED = "vault.blob.destroyed"
    VAULT_BLOB_HEALED = "vault.blob.healed"
    VAULT_DAMAGE_FOUND = "vault.damage.found"
    VAULT_VERIFIED = "vault.verified"
    VAULT_KEY_ADDED = "vault.key.added"
    VAULT_KEYS_REWRAPPED = "vault.keys.rewrapped"
    AUDIT_VIEWED = "audit.viewed"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_VERIFIED = "audit.verified"
    JOBS_VIEWED = "jobs.viewed"

    # accounts
    SIGNED_IN = "person.signed_in"
    SIGN_IN_FAILED = "person.sign_in_failed"
    SIGN_IN_LIMITED = "person.sign_in_limited"
    SECOND_FACTOR_FAILED = "person.second_factor_failed"
    CONFIRMED = "person.confirmed"
    CONFIRMATION_FAILED = "person.confirmation_failed"
    SIGNED_OUT = "person.signed_out"
    SIGN_INS_ENDED = "person.sign_ins_ended"
    PERSON_LOCKED = "person.locked"
    PERSON_UNLOCKED = "person.unlocked"
    PERSON_CREATED = "person.created"
    PERSON_RENAMED = "person.renamed"
    PERSON_ROLE_CHANGED = "person.role_changed"
    PERSON_DEACTIVATED = "person.deactivated"
    PERSON_REACTIVATED = "person.reactivated"
    PASSWORD_CHANGED = "person.password_changed"  # noqa: S105 — an event, not a password
    SECOND_FACTOR_SET_UP = "person.second_factor_set_up"
    SECOND_FACTOR_REMOVED = "person.second_factor_removed"
    SECOND_FACTOR_RESET = "person.second_factor_reset"
    RECOVERY_CODE_USED = "person.recovery_code_used"
    RECOVERY_CODES_RENEWED = "person.recovery_codes_renewed"
    INVITATION_CREATED = "invitation.created"
    INVITATION_REVOKED = "invitation.revoked"
    INVITATION_ACCEPTED = "invitation.accepted"
    SET_UP_LINK_ISSUED = "set_up.link_issued"
    PEOPLE_VIEWED = "people.viewed"
    PERMISSION_REFUSED = "permission.refused"

    # reports
    REPORT_SUBMITTED = "report.submitted"
    REPORT_VIEWED = "report.viewed"
    SCAN_SUBMITTED = "scan.submitted"
    SCAN_STATE_RECORDED = "scan.state_recorded"
    MEDIA_RECEIVED = "media.received"
    ACCOUNT_UPSERTED = "directory.account.upserted"
    GROUP_UPSERTED = "directory.group.upserted"
    MEMBERS_UPSERTED = "directory.members.upserted"
    DIRECTORY_SEARCHED = "directory.searched"
    SOURCE_CREATED = "source.created"
    SOURCE_CHANGED = "source.changed"
    SOURCES_VIEWED = "sources.viewed"
    API_KEY_ISSUED = "api_key.issued"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    API_KEY_REFUSED = "api_key.refused"

    # hashing

    # moderation
    CASE_OPENED = "case.opened"
    CASE_JOINED = "case.joined"
    CASE_VIEWED = "case.viewed"
    CASE_MOVED = "case.moved"
    CASE_NOTE_ADDED = "case.note.added"
    CASE_DECIDED = "case.decided"
    CASES_SEARCHED = "case.searched"
    REPORT_CLEARED = "case.report.cleared"
    ROUTING_FAILED = "case.routing.failed"
    DECISION_UNDONE = "case.decision.undone"
    DECISION_SENT_EARLY = "case.decision.sent_early"
    DECISION_PUBLISHED = "case.decision.published"
    CLAIM_STARTED = "claim.started"
    CLAIM_EXTENDED = "claim.extended"
    CLAIM_RELEASED = "claim.released"
    CLAIM_EXPIRED = "claim.expired"
    CLAIM_TAKEN_OVER = "claim.taken_over"
    PREVIEW_SERVED = "media.preview.served"
    TEXT_SHOWN = "media.text.shown"
    MEDIA_REVEALED = "media.reveal.issued"
    REVEAL_REFUSED = "media.reveal.refused"
    REVEAL_SERVED = "media.reveal.served"
    REVEAL_CLOSED = "media.reveal.closed"
    QUEUE_GRANTED = "queue.granted"
    QUEUE_REVOKED = "queue.revoked"
    CATEGORY_GRANTED = "category.granted"
    CATEGORY_REVOKED = "category.revoked"

    # deliveries
    DELIVERIES_QUEUED = "delivery.queued"
    DELIVERY_ATTEMPTED = "delivery.attempted"
    DELIVERY_CONFIRMED = "delivery.confirmed"
    DELIVERY_GAVE_UP = "delivery.gave_up"
    DELIVERY_REPLAYED = "delivery.replayed"
    DELIVERIES_VIEWED = "deliveries.viewed"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105 — an event, not a secret
    WEBHOOK_TESTED = "webhook.tested"
    WEBHOOK_VIEWED = "webhook.viewed"

    # referrals
    REFERRAL_VIEWED = "referral.viewed"
    REFERRAL_OPENED = "referral.opened"
    REFERRAL_CHANGED = "referral.changed"
    REFERRAL_APPROVAL_REQUESTED = "referral.approval.requested"
    REFERRAL_WITHDRAWN = "referral.approval.withdrawn"
    REFERRAL_RETURNED = "referral.returned"
    REFERRAL_APPROVED = "referral.approved"
    REFERRAL_REVISED = "referral.revised"
    PACKAGE_BUILD_STARTED = "package.build.started"
    PACKAGE_BUILD_FAILED = "package.build.failed"
    PACKAGE_RETRIED = "package.build.retried"
    PACKAGE_SEALED = "package.sealed"
    PACKAGE_DOWNLOADED = "package.downloaded"
    RECIPIENT_CREATED = "recipient.created"
    RECIPIENT_CHANGED = "recipient.changed"
