"""A turn is one process's at a time, ends without a sign of life, and needs no session of the database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from core import turns
from core.models import Turn as Row
from core.turns import Turn

pytestmark = pytest.mark.django_db(transaction=True)


def until(seconds: float) -> None:
    """Let the turn end so many seconds from now, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE core_turn SET until = clock_timestamp() + %s * interval '1 second'", [seconds]
        )


def test_one_at_a_time_and_the_next_when_it_is_given_back() -> None:
    first, second = Turn("x", "host 1"), Turn("x", "host 2")
    assert first.take()
    assert not second.take()
    assert not second.is_held()
    with first:
        assert first.is_held()
    assert not first.is_held()
    assert second.take()


def test_a_holder_renews_and_another_thing_is_another_turn() -> None:
    first = Turn("x", "host 1")
    assert first.take()
    assert first.take()
    assert Turn("y", "host 2").take()


def test_a_turn_without_a_sign_of_life_is_the_next_ones() -> None:
    assert Turn("x", "killed").take()
    until(-0.1)
    assert Turn("x", "next").take()
    assert Row.objects.get().holder == "next"


def test_whoever_lost_it_knows_at_the_next_sign_of_life() -> None:
    late = Turn("x", "stood still")
    assert late.take()
    until(-0.1)
    assert Turn("x", "next").take()
    assert not late.take()
    assert not late.is_held()


def test_a_clock_that_was_put_back_keeps_nobody_waiting() -> None:
    assert Turn("x", "before the jump").take()
    until(3600)
    assert Turn("x", "after").take()


def test_the_row_of_somebody_else_is_not_given_back() -> None:
    late = Turn("x", "stood still")
    assert late.take()
    with late:
        until(-0.1)
        assert Turn("x", "next").take()
    assert Row.objects.get().holder == "next"


def test_of_many_that_ask_at_once_one_has_it() -> None:
    ready = threading.Barrier(8)

    def ask(number: int) -> bool:
        ready.wait()
        try:
            return Turn("x", f"host {number}").take()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 1


def test_it_is_kept_for_as_long_as_the_block_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "RENEWED_EVERY", 0.02)
    renewed = threading.Event()
    turn = Turn("x", "host 1")
    assert turn.take()
    with turn:
        until(0.5)
        before = Row.objects.get().until
        while not renewed.wait(0.02):
            if Row.objects.get().until > before:
                renewed.set()
        assert not Turn("x", "host 2").take()


def test_no_code_holds_a_lock_of_the_session() -> None:
    """Behind a pooler such a lock is everybody's, or stays for ever."""
    from tests.stack import REPOSITORY

    held = [
        path.relative_to(REPOSITORY).as_posix()
        for room in ("core", "config", "accounts", "reports", "hashing", "moderation", "referrals")
        for path in (REPOSITORY / room).rglob("*.py")
        if any(word in path.read_text() for word in ("pg_try_advisory_lock(", "pg_advisory_lock("))
    ]
    assert held == []
