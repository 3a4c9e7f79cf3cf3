"""A request that PostgreSQL ended as one of two in a deadlock is done again, not refused."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.db import OperationalError, transaction

from reports.door import TRIES, steadily

pytestmark = pytest.mark.django_db(transaction=True)


def _loses(times: int, kind: type[psycopg.Error]) -> tuple[Callable[[], str], list[int]]:
    calls: list[int] = []

    def work() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise OperationalError from kind()
        return "done"

    return work, calls


def test_a_deadlock_is_tried_again() -> None:
    work, calls = _loses(TRIES - 1, psycopg.errors.DeadlockDetected)
    assert steadily(work) == "done"
    assert len(calls) == TRIES


def test_but_not_for_ever() -> None:
    work, calls = _loses(TRIES, psycopg.errors.DeadlockDetected)
    with pytest.raises(OperationalError):
        steadily(work)
    assert len(calls) == TRIES


def test_other_failures_are_not_repeated() -> None:
    work, calls = _loses(1, psycopg.errors.AdminShutdown)
    with pytest.raises(OperationalError):
        steadily(work)
    assert len(calls) == 1


def test_nothing_is_repeated_inside_a_larger_transaction() -> None:
    work, calls = _loses(1, psycopg.errors.DeadlockDetected)
    with transaction.atomic(), pytest.raises(OperationalError):
        steadily(work)
    assert len(calls) == 1
