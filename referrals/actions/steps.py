"""Asking for approval, giving it, taking it back: the second person stands between draft and seal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused
from core.jobs import enqueue
from referrals.actions.drafting import REASON_MINIMUM, locked, read_facts
from referrals.audit_rows import content_digest
from referrals.completeness import Point, measure
from referrals.models import Referral, ReferralState
from referrals.standing import NOTHING_LEAVES, RESTED_ON_ANOTHER, decision_of, may_leave
from referrals.workflow import Step


class NotComplete(Refused):
    """A point that approval asks for is missing. The sentence says which, and what to do."""

    def __init__(self, sentence: str, blockers: Sequence[Point]) -> None:
        super().__init__(sentence + " ".join(point.hint for point in blockers), code="incomplete")


class Overturned(Refused):
    """The decision that the referral rests on was overturned."""

    def __init__(self, sentence: str = NOTHING_LEAVES) -> None:
        super().__init__(sentence, code="overturned")


def _require_standing(referral: Referral) -> None:
    if not may_leave(referral.case):
        raise Overturned


@transaction.atomic
def request_approval(referral: Referral, *, version: int, actor: User) -> Referral:
    """Ask a second person to approve the draft as it stands. Can be undone by ``withdraw_request``.

    Raises DraftChanged when the draft changed since it was looked at, NotComplete when a required point is missing,
    Overturned when the decision does not stand any more.
    """
    require(actor, Permission.REFERRALS_DRAFT)
    referral = locked(referral, step=Step.REQUEST, version=version)
    _require_standing(referral)
    blockers = measure(read_facts(referral)).blockers
    if blockers:
        raise NotComplete("Approval cannot be asked for yet. ", blockers)
    referral.state = ReferralState.AWAITING_APPROVAL
    referral.requested_by, referral.requested_at = actor, Now()
    referral.returned_reason = ""
    referral.version += 1
    referral.save()
    audit.record(
        AuditEvent.REFERRAL_APPROVAL_REQUESTED,
        actor=actor,
        subject=referral,
        case=referral.case,
        referral=str(referral),
        version=referral.version,
    )
    referral.refresh_from_db()
    return referral


@transaction.atomic
def withdraw_request(referral: Referral, *, actor: User) -> Referral:
    """Take a request for approval back and make it a draft again. Can be undone by asking again.

    Raises Refused for anybody but the author and the one who asked.
    """
    require(actor, Permission.REFERRALS_DRAFT)
    referral = locked(referral, step=Step.WITHDRAW)
    if actor.pk not in {referral.drafted_by_id, referral.requested_by_id}:
        raise Refused(
            "Only the author or the one who asked can withdraw it. Return it for correction instead.",
            code="not_yours",
        )
    back_to_draft(referral, reason="")
    audit.record(AuditEvent.REFERRAL_WITHDRAWN, actor=actor, subject=referral, case=referral.case)
    return referral


@transaction.atomic
def return_for_correction(referral: Referral, *, reason: str, actor: User) -> Referral:
    """Send it back to its author with a reason. Can be undone by asking for approval again."""
    require(actor, Permission.REFERRALS_APPROVE)
    reason = reason.strip()
    if len(reason) < REASON_MINIMUM:
        raise Invalid({"reason": ["Say in a sentence what must be put right."]})
    referral = locked(referral, step=Step.RETURN)
    back_to_draft(referral, reason=reason)
    audit.record(AuditEvent.REFERRAL_RETURNED, actor=actor, subject=referral, case=referral.case)
    return referral


def back_to_draft(referral: Referral, *, reason: str) -> None:
    """Undo the request and the approval of a locked row; the calling verb audits it."""
    referral.state = ReferralState.DRAFT
    referral.requested_by = referral.requested_at = None
    referral.approved_by = referral.approved_at = None
    referral.approved_keys = []
    referral.build_token = referral.build_beat_at = referral.bagged_at = None
    referral.build_error, referral.build_progress, referral.build_attempts = "", 0, 0
    referral.returned_reason = reason
    referral.version += 1
    referral.save()


def reasons_against(referral: Referral, person: User) -> list[str]:
    """Return why ``person`` cannot be the second person, as phrases such as "wrote this referral"."""
    had: dict[str, set[Any]] = {
        "wrote this referral": {referral.drafted_by_id},
        "asked for its approval": {referral.requested_by_id},
        "saved the draft last": {referral.edited_by_id},
        "entered a public key of the agency": set(
            referral.recipient.confirmed_keys.values_list("entered_by", flat=True)
        ),
    }
    return [what for what, people in had.items() if person.pk in people]


def and_list(phrases: list[str]) -> str:
    """Join phrases as a sentence does: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(phrases[:-1]), *phrases[-1:]]))


@transaction.atomic
def approve(referral: Referral, *, version: int, actor: User) -> Referral:
    """Approve the package to be built, as the second person. Cannot be undone once it is sealed.

    The approver is neither the author, nor who asked, nor who saved the draft last, nor who entered a key
    of the agency (the database holds the same rules), and approves exactly the ``version`` that was on
    the screen; the agency's confirmed keys of this moment are kept, so that nobody can exchange them before
    the build. Raises Refused otherwise.
    """
    require(actor, Permission.REFERRALS_APPROVE)
    referral = locked(referral, step=Step.APPROVE, version=version)
    if against := reasons_against(referral, actor):
        raise Refused(
            f"A second person must approve. You {and_list(against)}.", code="approver_is_author"
        )
    _require_standing(referral)
    blockers = measure(read_facts(referral)).blockers
    if blockers:
        raise NotComplete(
            "Something required went missing since approval was asked for: ", blockers
        )
    referral.state = ReferralState.APPROVED
    referral.approved_by, referral.approved_at = actor, Now()
    referral.approved_keys = [key.text for key in referral.recipient.confirmed_keys]
    referral.build_error, referral.build_progress, referral.build_attempts = "", 0, 0
    referral.version += 1
    referral.save()
    audit.record(
        AuditEvent.REFERRAL_APPROVED,
        actor=actor,
        subject=referral,
        case=referral.case,
        referral=str(referral),
        recipient=referral.recipient_id,
        keys=referral.approved_keys,
        version=referral.version,
        content=content_digest(referral),
        exhibits=[exhibit.item_id for exhibit in referral.exhibits.filter(is_included=True)],
    )
    enqueue("build_package", referral.pk)
    referral.refresh_from_db()
    return referral


@transaction.atomic
def build_again(referral: Referral, *, actor: User) -> Referral:
    """Try a failed build once more, on the approval that was given. Can be undone by returning it."""
    require(actor, Permission.REFERRALS_APPROVE)
    referral = locked(referral, step=Step.RETRY)
    if decision_of(referral) is None:
        raise Overturned(RESTED_ON_ANOTHER)
    referral.state = ReferralState.APPROVED
    referral.build_error, referral.build_progress, referral.build_attempts = "", 0, 0
    referral.build_token = referral.build_beat_at = None
    referral.version += 1
    referral.save()
    audit.record(AuditEvent.PACKAGE_RETRIED, actor=actor, subject=referral, case=referral.case)
    enqueue("build_package", referral.pk)
    return referral
