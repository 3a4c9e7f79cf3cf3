"""The only writer of sources, keys, the platform's directory, reports and items."""

from reports.actions.directory import (
    stub_accounts,
    stub_group,
    upsert_account,
    upsert_group,
    upsert_memberships,
)
from reports.actions.idempotency import (
    Answer,
    KeyReused,
    StillRunning,
    answer_once,
    forget_old_answers,
    is_remembered,
    recall,
    remember,
)
from reports.actions.sources import (
    change_source,
    create_source,
    issue_key,
    mark_key_used,
    revoke_key,
    rotate_key,
    staff_source,
)
from reports.actions.submissions import (
    DuplicateReport,
    intake_chain,
    postpone_scan,
    record_scan_state,
    submit_report,
    submit_scan,
)
from reports.actions.uploads import create_upload, expire_uploads
from reports.payloads import (
    AccountPayload,
    GroupPayload,
    ItemPayload,
    MembershipPayload,
    MembersPayload,
    ReportPayload,
    ScanPayload,
)

__all__ = [
    "AccountPayload",
    "Answer",
    "DuplicateReport",
    "GroupPayload",
    "ItemPayload",
    "KeyReused",
    "MembersPayload",
    "MembershipPayload",
    "ReportPayload",
    "ScanPayload",
    "StillRunning",
    "answer_once",
    "change_source",
    "create_source",
    "create_upload",
    "expire_uploads",
    "forget_old_answers",
    "intake_chain",
    "is_remembered",
    "issue_key",
    "mark_key_used",
    "postpone_scan",
    "recall",
    "record_scan_state",
    "remember",
    "revoke_key",
    "rotate_key",
    "staff_source",
    "stub_accounts",
    "stub_group",
    "submit_report",
    "submit_scan",
    "upsert_account",
    "upsert_group",
    "upsert_memberships",
]
