"""Where it happened and who sent it: the groups that an account's case names, the senders that a group's case names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q

from accounts.models import User
from hashing.risk_access import score_of
from moderation import access
from moderation.models import Case, CaseItem
from reports.choices import ItemRole
from reports.models import Account, Group

MOST = 20
MOST_CASES = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A group or an account that a case names beside its subject, with its own cases that the person may see."""

    row: Account | Group
    times: str
    cases: list[Case]
    risk: Any


@dataclass(frozen=True, slots=True)
class Places:
    """``title`` says what the rows are to the case; ``more`` of them are not listed."""

    title: str
    rows: list[Place]
    more: int


def of_case(case: Case, user: User) -> Places:
    """Return the groups in which an account did it, or the accounts that sent what is reported of a group."""
    if case.account_id is not None:
        return _groups(case, user)
    return _senders(case, user)


def _groups(case: Case, user: User) -> Places:
    in_case = Q(reports_within__case_reports__case=case)
    told = dict(
        Group.objects.filter(in_case).annotate(n=Count("reports_within")).values_list("pk", "n")
    )
    written = dict(
        CaseItem.objects.filter(
            case=case, item__in_group__isnull=False, item__role=ItemRole.REPORTED
        )
        .order_by()
        .values_list("item__in_group")
        .annotate(n=Count("pk"))
    )
    keys = sorted(
        told.keys() | written.keys(),
        key=lambda key: (-told.get(key, 0), -written.get(key, 0), str(key)),
    )
    groups = Group.objects.in_bulk(keys[:MOST])
    rows = []
    for key in keys[:MOST]:
        said = [_counted(told.get(key, 0), "report names it", "reports name it")]
        said.append(
            _counted(written.get(key, 0), "item was written in it", "items were written in it")
        )
        rows.append(_place(groups[key], ", ".join(filter(None, said)), user))
    return Places("Where it happened", rows, max(0, len(keys) - MOST))


def _senders(case: Case, user: User) -> Places:
    counted = list(
        CaseItem.objects.filter(case=case, item__sender__isnull=False, item__role=ItemRole.REPORTED)
        .order_by()
        .values_list("item__sender")
        .annotate(n=Count("pk"))
        .order_by("-n", "item__sender")
    )
    accounts = Account.objects.defer("profile_text").in_bulk([key for key, _ in counted[:MOST]])
    rows = [
        _place(accounts[key], _counted(n, "reported item", "reported items"), user)
        for key, n in counted[:MOST]
    ]
    return Places("Who sent what is reported", rows, max(0, len(counted) - MOST))


def _place(row: Account | Group, times: str, user: User) -> Place:
    about = {"account": row} if isinstance(row, Account) else {"group": row}
    cases = list(access.cases_for(user).filter(**about).order_by("-opened_at")[:MOST_CASES])
    return Place(row, times, cases, score_of(row))


def _counted(number: int, one: str, several: str) -> str:
    if not number:
        return ""
    return f"{number} {one if number == 1 else several}"
