"""What the rows suggest, as a proposal that a person has to say: which part an account may play, when it happened.

Rows cannot tell a suspect from a victim; who reads the case can. A proposal says what it was made from. A part
is proposed beside its field and never stored; type and time of the incident stand in theirs and wait for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F
from django.utils.html import format_html

from core.templatetags.strangers import stranger
from moderation.models import Case
from referrals.models import AccountRole, Referral
from reports.models import Item, ItemRole, Membership, Report

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


@dataclass(frozen=True, slots=True)
class When:
    """A proposed time of the incident, and what it was taken from, as the end of a sentence that begins with “The time is that”."""

    at: datetime
    of: str


def incident_time(case: Case) -> When | None:
    """Return the time of the newest content that was reported, else the newest that a report says, else nothing.

    What only helps to understand what is reported happened around it, not at its time.
    """
    items = Item.objects.filter(
        case_items__case=case, content_at__isnull=False, role=ItemRole.REPORTED
    )
    item = items.select_related("report").defer("text").order_by("-content_at", "pk").first()
    if item is not None and item.content_at is not None:
        name = format_html(" {}", stranger(item.external_id)) if item.external_id else ""
        within = f" in {item.report}" if item.report else ""
        what = item.get_surface_display().lower()
        of = format_html("of the newest content that was reported: {}{}{}", what, name, within)
        return When(item.content_at, of)
    said = Report.objects.filter(case_reports__case=case, occurred_at__isnull=False)
    report = said.defer("description").order_by("-occurred_at", "pk").first()
    if report is not None and report.occurred_at is not None:
        return When(report.occurred_at, f"which {report} says; no reported content has one")
    return None


def incident_words(referral: Referral) -> list[str]:
    """Return a sentence for each of type and time that is still a proposal, with what it was made from."""
    case, found = referral.case, []
    if "incident_type" in referral.incident_proposed:
        is_category = referral.incident_type == case.get_category_display()
        found.append(
            "The type is the category of the case." if is_category else f"The type {_UNSIGNED}"
        )
    if "incident_at" in referral.incident_proposed:
        when = incident_time(case)
        is_it = when is not None and referral.incident_at == when.at
        said = format_html("The time is that {}.", when.of) if when and is_it else None
        found.append(said or f"The time {_UNSIGNED}")
    return found


_UNSIGNED = "was written when nobody kept who said it."


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
