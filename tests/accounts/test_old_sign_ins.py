"""Sign-ins are deleted long after their end, unless something still refers to them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from accounts import actions, sweeps
from accounts.models import SignIn, User
from core.models import Heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def a_new_day() -> Iterator[None]:
    Heartbeat.objects.filter(pk="schedule sign-ins").delete()
    yield
    Heartbeat.objects.filter(pk="schedule sign-ins").delete()


def make(person: User, *, days: int, is_ended: bool = True) -> SignIn:
    made = actions.open_sign_in(person, second_factor=True)
    long_ago = Now() - timedelta(days=days)
    ended = {"ended_at": long_ago, "ended_because": "idle"} if is_ended else {}
    SignIn.objects.filter(pk=made.pk).update(last_seen_at=long_ago, **ended)
    return made


def test_sign_ins_are_deleted_ninety_days_after_their_end(reviewer: User) -> None:
    make(reviewer, days=91)
    make(reviewer, days=91, is_ended=False)  # The browser never came back.
    kept = {make(reviewer, days=89).pk, make(reviewer, days=0, is_ended=False).pk}
    assert sweeps.sweep_sign_ins() == 2
    assert set(SignIn.objects.values_list("pk", flat=True)) == kept


def test_they_are_looked_for_once_a_day(reviewer: User) -> None:
    assert sweeps.sweep_sign_ins() == 0
    make(reviewer, days=91)
    assert sweeps.sweep_sign_ins() == 0
    Heartbeat.objects.filter(pk="schedule sign-ins").delete()  # As when the day is over.
    assert sweeps.sweep_sign_ins() == 1
