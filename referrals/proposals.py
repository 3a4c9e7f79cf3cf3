"""Which part an account may play, as the rows suggest it: shown to a person as a proposal, never stored.

Rows cannot tell a suspect from a victim; who reads the case can. A proposal says what it was made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F

from moderation.models import Case
from referrals.models import AccountRole, Referral
from reports.models import Membership

SHOWN = 3
"""Reports that a reason names; of more it says how many."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A part and the reason for it, as the end of a sentence that begins with “because”."""

    role: AccountRole
    because: str


def proposals(referral: Referral, accounts: Sequence[UUID]) -> dict[UUID, Proposal]:
    """Return a proposal for those of these accounts of the case of which the rows suggest one."""
    case = referral.case
    found = {
        account: Proposal(AccountRole.REPORTER, f"{_listed(numbers)} came from this account")
        for account, numbers in _reporters(case, accounts).items()
    }
    if case.account_id and case.account_id in accounts:
        found[case.account_id] = Proposal(
            AccountRole.SUSPECT,
            f"{case} is about this account and a reviewer confirmed a violation",
        )
    return found


def places(case: Case, accounts: Sequence[UUID]) -> dict[UUID, str]:
    """Return where these accounts stand in the group that a case is about, in words, with the day on which they left."""
    if case.group_id is None:
        return {}
    rows = Membership.objects.filter(group=case.group_id, account__in=accounts)
    # The last stay of each; the one that goes on comes last.
    last = rows.order_by("account", F("left_at").asc(nulls_last=True), "pk")
    return {row.account_id: place_words(row) for row in last}


def place_words(place: Membership) -> str:
    """Return a membership in words: a former one is never read as a present one."""
    role = place.role.capitalize()
    joined = f"joined {place.joined_at:%Y-%m-%d}" if place.joined_at else ""
    if place.left_at:
        left = f"left {place.left_at:%Y-%m-%d}"
        return f"Former {place.role}, {', '.join(filter(None, [joined, left]))}"
    return f"{role} of the group{f', {joined}' if joined else ''}"


def _reporters(case: Case, accounts: Sequence[UUID]) -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = {}
    rows = (
        case.case_reports.filter(report__reporter_account__in=accounts)
        .select_related("report")
        .order_by("report__number")
    )
    for row in rows:
        if row.report.reporter_account_id:
            found.setdefault(row.report.reporter_account_id, []).append(str(row.report))
    return found


def _listed(numbers: Sequence[str]) -> str:
    shown = ", ".join(numbers[:SHOWN])
    more = len(numbers) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
