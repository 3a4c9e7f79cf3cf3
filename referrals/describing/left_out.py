"""What is known of a case and does not leave: the page shows these sentences, and the package holds them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Count

from referrals.describing.exhibits import exhibit_name
from referrals.describing.groups import groups_of
from referrals.models import Referral
from reports.choices import WITHOUT_FILE
from reports.models import NOT_SENT

TIMES = (
    "Times are given in UTC, to the microsecond. The offset from UTC with which somebody wrote a time was converted "
    "and is not kept."
)
REASONS = "The reasons for what is left out stay with the sender."
NOTES = (
    "The sender's notes on the case and the reviewer's reason for the decision are left out. The decision itself, "
    "its policy and the summary in words are there."
)
OTHERS = (
    "Accounts that are named by their id only (reporters, members of groups, accounts left out) are not described. "
    "The sender may know more of them."
)
MEMBERS = (
    "Of groups that the case is not about, only the places of the accounts described here are there; all other "
    "members are left out."
)
METADATA = "What senders keep with their reports for themselves (metadata, such as a ticket's number) is left out."
TELLING = (
    "As of when the platform said that a fact of an account, a group or a member was so, and whether it asked to have it scanned, "
    "is left out. What each fact was before, and when it changed, is there."
)
LISTINGS = "Places outside of the platform where a group's invite link was seen are left out."

NAMED = 50
"""Files or accounts that a sentence names; of more it says how many."""

FIELDS = {
    "draft.exhibit.left_out_reason": REASONS,
    "report.metadata (name)": METADATA,
    "report.metadata (value)": METADATA,
    **{
        f"{what}.{name}": TELLING
        for what in ("account", "group", "group (when reported)")
        for name in ("as_of", "scan")
    },
    "membership.as_of": TELLING,
}
"""Fields that intake or the draft accept and that do not leave, each with the sentence that says so."""


def left_out(referral: Referral) -> list[str]:
    """Return what stays behind of this referral's case, in sentences for the person who approves and the agency."""
    case = referral.case
    said = []
    if not referral.include_messages:
        texts = case.case_items.exclude(item__text="").exclude(item__surface__in=NOT_SENT).count()
        words = case.case_reports.exclude(report__description="").count()
        said.append(
            f"The words of the case are left out: {_counted(texts, 'message or other text', 'messages and other texts')}"
            f", and what {_counted(words, 'report says', 'reports say')}."
        )
    if case.case_reports.exclude(report__metadata={}).exists():
        said.append(METADATA)
    exhibits = referral.exhibits.filter(is_included=False).order_by("position")
    positions = exhibits.values_list("position", flat=True)
    if files := positions.count():
        names = [exhibit_name(position) for position in positions[:NAMED]]
        said.append(
            f"{_counted(files, 'file of the case is', 'files of the case are')} left out: {_named(names, files)}."
        )
    later = (
        case.case_items.exclude(item__kind__in=WITHOUT_FILE)
        .exclude(item__blob__in=referral.exhibits.values("item__blob"))
        .aggregate(files=Count("item__blob", distinct=True))["files"]
    )
    if later:
        said.append(
            f"{_counted(later, 'file', 'files')} joined the case after the referral was drafted and "
            f"{'is' if later == 1 else 'are'} left out."
        )
    outside = referral.named_accounts.filter(is_included=False).order_by("position", "pk")
    ids = outside.values_list("account__external_id", flat=True)
    if accounts := ids.count():
        said.append(
            f"{_counted(accounts, 'account of the case is', 'accounts of the case are')} not described: "
            f"{_named(list(ids[:NAMED]), accounts)}. Their ids still stand where they sent something or are members."
        )
    if files or accounts:
        said.append(REASONS)
    included = referral.named_accounts.filter(is_included=True).values("account")
    groups = groups_of(referral, included)
    if groups.exclude(pk=case.group_id).exists() if case.group_id else groups.exists():
        said.append(MEMBERS)
    if groups.exists():
        said.append(LISTINGS)
    return [*said, TELLING, OTHERS, NOTES, TIMES]


def _named(names: Sequence[str], number: int) -> str:
    more = number - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


__all__ = [
    "FIELDS",
    "LISTINGS",
    "MEMBERS",
    "METADATA",
    "NOTES",
    "OTHERS",
    "REASONS",
    "TELLING",
    "TIMES",
    "left_out",
]
