"""The only writers of the referrals room."""

from referrals.actions.building import (
    BuildSuperseded,
    beat,
    complete_download,
    fail_build,
    note_waiting,
    put_back_build,
    record_built,
    record_checksum_download,
    record_download,
    record_registry_download,
    start_build,
    waiting_builds,
)
from referrals.actions.drafting import (
    AccountChange,
    DraftChanges,
    ExhibitChange,
    open_referral,
    open_revision,
    read_facts,
    refresh_draft,
    update_draft,
)
from referrals.actions.recipients import change_recipient, create_recipient
from referrals.actions.steps import (
    approve,
    build_again,
    request_approval,
    return_for_correction,
    withdraw_request,
)

__all__ = [
    "AccountChange",
    "BuildSuperseded",
    "DraftChanges",
    "ExhibitChange",
    "approve",
    "beat",
    "build_again",
    "change_recipient",
    "complete_download",
    "create_recipient",
    "fail_build",
    "note_waiting",
    "open_referral",
    "open_revision",
    "put_back_build",
    "read_facts",
    "record_built",
    "record_checksum_download",
    "record_download",
    "record_registry_download",
    "refresh_draft",
    "request_approval",
    "return_for_correction",
    "start_build",
    "update_draft",
    "waiting_builds",
    "withdraw_request",
]
