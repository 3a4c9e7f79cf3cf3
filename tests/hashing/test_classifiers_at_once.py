"""Two people press the button together: with real threads, connections and commits."""

from __future__ import annotations

import pytest

from accounts.models import User
from accounts.permissions import Role
from core.audit import SYSTEM
from core.errors import Refused
from core.models import AuditEntry
from hashing import actions, classifying
from hashing.models import Activation, ClassifierVersion, VersionState
from tests.cast import make_person
from tests.hashing.classifying import make, supplied, trained
from tests.test_concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_people_who_approve_at_once_one_does(lead: User) -> None:
    classifying.forget()
    classifier = make()
    supplied(classifier)
    version = trained(classifier)
    other = make_person("Lasse Lowe", Role.LEAD)
    asked = actions.ask_activation(version, threshold=0.5, wanted_precision=0.8, actor=SYSTEM)
    said = at_once(
        lambda: actions.approve_activation(asked, reference=[], actor=lead),
        lambda: actions.approve_activation(asked, reference=[], actor=other),
    )
    assert {type(each) for each in said} == {ClassifierVersion, Refused}
    assert ClassifierVersion.objects.get().state == VersionState.ACTIVE
    assert Activation.objects.filter(state="approved").count() == 1
    assert AuditEntry.objects.filter(event="hashing.activation.approved").count() == 1


def test_of_two_people_who_ask_for_a_training_at_once_one_does(policy_admin: User) -> None:
    classifier = make()
    said = at_once(
        *[
            lambda: actions.request_training(classifier, settings={}, actor=policy_admin)
            for _ in range(2)
        ]
    )
    assert {type(each) for each in said} == {ClassifierVersion, Refused}
    assert ClassifierVersion.objects.count() == 1


def test_of_two_workers_one_takes_a_training(policy_admin: User) -> None:
    version = actions.request_training(make(), settings={}, actor=policy_admin)
    said = at_once(*[lambda: actions.begin_training(version) for _ in range(2)])
    assert [each for each in said if each is None] == [None]
    assert ClassifierVersion.objects.get().attempts == 1
