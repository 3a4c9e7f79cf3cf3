"""Two people press at the same moment: real threads, real connections, real commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from django.contrib.auth.management import create_permissions

from accounts.permissions import Role
from core.errors import Refused
from core.models import AuditEntry
from referrals import actions
from referrals.models import Referral
from tests.casework import Casework, grant_all
from tests.cast import make_person
from tests.referrals.desk import Desk
from tests.test_concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 5


@pytest.fixture
def office(casework: Casework) -> Desk:
    """Return a legal desk whose rows are really committed."""
    from django.apps import apps

    # Emptying the tables between tests may have removed guardian's permissions.
    create_permissions(apps.get_app_config("moderation"), verbosity=0)
    people = [
        make_person(name, role, totp=False)
        for name, role in (("Robin", Role.REVIEWER), ("Lionel", Role.LEGAL), ("Lotte", Role.LEGAL))
    ]
    return Desk(casework, *people)


def test_two_approvers_who_press_together_approve_once(office: Desk) -> None:
    third = grant_all(make_person("Lucia", Role.LEGAL, totp=False))
    for _ in range(ROUNDS):
        referral = office.awaiting()
        results = at_once(
            *[
                partial(actions.approve, referral, version=referral.version, actor=who)
                for who in (office.second, third)
            ]
        )
        assert Counter(type(result) for result in results) == {Referral: 1, Refused: 1}, results
        referral.refresh_from_db()
        assert referral.state == "approved"
        assert referral.approved_by in {office.second, third}
    assert AuditEntry.objects.filter(event="referral.approved").count() == ROUNDS


def test_approval_and_withdrawal_never_both_happen(office: Desk) -> None:
    for _ in range(ROUNDS):
        referral = office.awaiting()
        approved, withdrawn = at_once(
            partial(actions.approve, referral, version=referral.version, actor=office.second),
            partial(actions.withdraw_request, referral, actor=office.author),
        )
        referral.refresh_from_db()
        assert isinstance(approved, Refused) != isinstance(withdrawn, Refused), (
            approved,
            withdrawn,
        )
        if isinstance(withdrawn, Refused):
            assert (referral.state, referral.approved_by) == ("approved", office.second)
        else:
            assert (referral.state, referral.approved_by) == ("draft", None)


def test_approval_never_seals_to_a_key_that_came_in_at_that_moment(office: Desk) -> None:
    keys = [
        "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg",
        str(office.key.to_public()),
    ]
    for number in range(ROUNDS):
        office.agency.refresh_from_db()
        referral = office.awaiting()
        seen, coming = office.agency.age_recipients, [keys[number % 2]]
        attempts: list[Callable[[], object]] = [
            partial(actions.approve, referral, version=referral.version, actor=office.second),
            partial(
                actions.change_recipient,
                office.agency,
                name=office.agency.name,
                unit="",
                country="",
                contact="",
                keys="\n".join(coming),
                is_active=True,
                actor=office.author,
            ),
        ]
        at_once(*attempts)
        referral.refresh_from_db()
        if referral.state == "approved":
            assert referral.approved_keys == seen
        else:
            assert referral.state == "draft"


def test_a_case_opened_twice_at_once_has_one_referral(office: Desk) -> None:
    case = office.case()
    results = at_once(
        *[lambda: actions.open_referral(case, recipient=office.agency, actor=office.author)] * 4
    )
    assert Counter(type(result) for result in results) == {Referral: 1, Refused: 3}, results


def test_two_workers_take_one_build_once(office: Desk) -> None:
    for _ in range(ROUNDS):
        referral = office.approved()
        results = at_once(*[partial(actions.start_build, referral.pk)] * 4)
        taken = Counter(type(result) for result in results)
        assert taken == {Referral: 1, type(None): 3}, results
    assert AuditEntry.objects.filter(event="package.build.started").count() == ROUNDS
