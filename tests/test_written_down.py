"""What was done stands in the audit log, also where nothing else shows that it was done.

The search of ``make mutants`` found these: the line could be left out, and no test missed it.
"""

from __future__ import annotations

import pytest

from accounts.models import User
from core.audit import SYSTEM
from core.models import AuditEntry
from hashing import actions as hashing
from hashing.models import Category
from referrals import actions as referrals
from reports import actions as reports
from tests.casework import Casework
from tests.referrals.desk import Desk

pytestmark = pytest.mark.django_db


def lines(event: str) -> list[dict[str, object]]:
    return list(
        AuditEntry.objects.filter(event=event).order_by("pk").values_list("data", flat=True)
    )


def test_a_rotated_key_names_its_successor(casework: Casework) -> None:
    key, _ = reports.issue_key(
        casework.source(), name="Invented", scopes=["reports:write"], actor=SYSTEM
    )
    successor, _ = reports.rotate_key(key, actor=SYSTEM)
    (line,) = lines("api_key.rotated")
    assert (line["prefix"], line["successor"]) == (key.prefix, successor.prefix)


def test_a_changed_setting_of_a_term_list_is_named(policy_admin: User) -> None:
    found = hashing.create_term_list(
        name="alpha", category=Category.GROOMING, actor=policy_admin, terms=["markeralpha"]
    )
    hashing.change_term_list(found, actor=policy_admin, score=0.9)
    assert [line["changed"] for line in lines("hashing.terms.changed")] == [["score"]]


def test_what_joined_a_case_and_was_added_to_its_draft_is_counted(
    casework: Casework, reviewer: User, legal: User, legal2: User
) -> None:
    desk = Desk(casework, reviewer, legal, legal2)
    referral = desk.draft(desk.case("joined"))
    removed = referral.named_accounts.count()
    assert removed
    referral.named_accounts.all().delete()
    before = len(lines("referral.changed"))
    assert referrals.refresh_draft(referral, actor=desk.author) == removed
    assert lines("referral.changed")[before:][0]["added"] == removed
