"""Two people press at the same moment: real threads, real connections, real commits."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pyrage
import pytest
from django.contrib.auth.management import create_permissions

from accounts.permissions import Role
from core.errors import Refused
from core.models import AuditEntry
from referrals import actions
from referrals.models import RecipientKey, Referral
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
    seen = {str(office.key.to_public())}
    for _ in range(ROUNDS):
        referral = office.awaiting()
        key = office.enter_key(str(pyrage.x25519.Identity.generate().to_public()))
        confirm = partial(
            actions.confirm_key, key, fingerprint=key.fingerprint, actor=office.second
        )
        at_once(
            partial(actions.approve, referral, version=referral.version, actor=office.second),
            confirm,
        )
        referral.refresh_from_db()
        if referral.state == "approved":
            assert set(referral.approved_keys) == seen
        else:
            assert referral.state == "draft"
        seen.add(key.text)


def test_a_key_withdrawn_at_the_moment_of_approval_is_never_sealed_to(office: Desk) -> None:
    for _ in range(ROUNDS):
        referral = office.awaiting()
        key = office.agency.confirmed_keys.get()
        at_once(
            partial(actions.approve, referral, version=referral.version, actor=office.second),
            partial(actions.withdraw_key, key, actor=office.author),
        )
        referral.refresh_from_db()
        assert (referral.state, referral.approved_keys) == ("draft", [])
        office.enter_key(key.text)
        office.confirm_keys()


def test_two_who_confirm_one_key_together_confirm_it_once(office: Desk) -> None:
    third = grant_all(make_person("Lasse Lom", Role.LEGAL))
    for _ in range(ROUNDS):
        key = office.enter_key(str(pyrage.x25519.Identity.generate().to_public()))
        results = at_once(
            *(
                partial(actions.confirm_key, key, fingerprint=key.fingerprint, actor=person)
                for person in (office.second, third)
            )
        )
        assert Counter(type(result) for result in results) == {RecipientKey: 1, Refused: 1}


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
