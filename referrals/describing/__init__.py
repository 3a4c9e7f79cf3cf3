"""From rows to the frozen description that a package is built from.

Reads only. Staff appear by pseudonym; texts go in as they were stored, never re-worded. What rows say of the past
(a membership that ended, a name that was changed) is described as past.
"""

from __future__ import annotations

import io

from django.conf import settings

from core import audit
from core.anchors import unpack
from core.models import AuditAnchor
from moderation.models import Case, Decision
from referrals import package
from referrals.anchoring import document_of
from referrals.custody import CustodyLog, prove_inclusion
from referrals.describing.accounts import describe_account
from referrals.describing.cases import describe_case, describe_reports
from referrals.describing.exhibits import Watch, describe_exhibit, exhibit_name
from referrals.describing.groups import describe_groups
from referrals.describing.left_out import left_out
from referrals.describing.words import describe_conversations
from referrals.models import Referral
from referrals.standing import RESTED_ON_ANOTHER, decision_of

__all__ = ["Watch", "custody_of", "deciding", "describe", "exhibit_name", "left_out"]


def describe(
    referral: Referral,
    *,
    anchor: AuditAnchor,
    signer: package.Signer,
    escrow: str,
    watch: Watch,
) -> package.PackageSpec:
    """Return everything that goes into the package of an approved referral.

    The custody log goes as far as ``anchor`` saw it, and is proved to stand in the anchor's list.
    """
    case = referral.case
    decision = deciding(referral)
    exhibits = list(
        referral.exhibits.filter(is_included=True)
        .select_related(
            *(
                f"item__{name}"
                for name in ("blob", "account", "group", "sender", "report", "source")
            )
        )
        .order_by("position")
    )
    named = list(
        referral.named_accounts.filter(is_included=True).select_related("account", "role_set_by")
    )
    return package.PackageSpec(
        reference=referral.reference,
        revision=referral.revision,
        supersedes=str(referral.supersedes) if referral.supersedes else "",
        organisation=package.Organisation(
            name=settings.HOLDFAST_ORGANISATION,
            domain=settings.HOLDFAST_DOMAIN,
            contact_name="Trust & safety, legal desk",
            contact_email=settings.HOLDFAST_CONTACT,
        ),
        recipient=package.Recipient(
            name=referral.recipient.unit,
            agency=referral.recipient.name,
            country=referral.recipient.country,
            # Not what the recipient's row says now: what the approver saw.
            age_recipients=tuple(referral.approved_keys),
        ),
        legal_basis=package.LegalBasis(
            summary=referral.legal_basis,
            authority=referral.urgency_reason,
            drafted_by=referral.drafted_by.pseudonym,
            approved_by=referral.approved_by.pseudonym if referral.approved_by else "",
            approved_at=referral.approved_at,
        ),
        bagged_at=referral.bagged_at,  # type: ignore[arg-type]  # set by start_build
        case=describe_case(referral, decision),
        reports=tuple(describe_reports(referral)),
        exhibits=tuple(describe_exhibit(row, referral, watch) for row in exhibits),
        accounts=tuple(describe_account(each) for each in named),
        groups=tuple(describe_groups(referral, [each.account_id for each in named])),
        left_out=tuple(left_out(referral)),
        conversations=tuple(describe_conversations(referral, exhibits)),
        custody=custody_of(case, anchor),
        anchor=document_of(anchor),
        signer=signer,
        escrow=escrow,
    )


def deciding(referral: Referral) -> Decision:
    """Return the decision that was approved to be referred. Raises PackageRefused when it stands no more."""
    if (decision := decision_of(referral)) is None:
        raise package.PackageRefused(RESTED_ON_ANOTHER)
    return decision


def custody_of(case: Case, anchor: AuditAnchor) -> CustodyLog:
    """Return the custody lines of this case only, with the proof that they stand in an anchor's list.

    Lines are only ever appended: those up to where the anchor saw the chain end fit it, whatever is written meanwhile.
    """
    chain = f"case:{case.pk}"
    heads = list(unpack(io.BytesIO(bytes(anchor.heads))))
    last = next((head.seq for head in heads if head.chain == chain), 0)
    lines = tuple(line for seq, line, _ in audit.chain_lines(chain) if seq <= last)
    proof = prove_inclusion(
        [(head.name, head.hash) for head in heads], chain, built_at=anchor.made_at
    )
    return CustodyLog(lines=lines, inclusion=proof)
