"""What the platform says became of its orders, over HTTP, and what people do about it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit_rows import differences
from core.models import AuditEntry
from moderation import actions, delivery_jobs
from moderation.models import (
    Delivery,
    DeliveryState,
    Enforcement,
    EnforcementState,
    OrderResult,
    WebhookEndpoint,
)
from reports.models import Account
from tests.cast import signed_in
from tests.moderation.orders import banned, endpoint, orders, platform, say
from tests.moderation.receiver import Receiver
from tests.reports.conftest import Platform, problem_of

__all__ = ["banned", "endpoint", "platform"]
pytestmark = pytest.mark.django_db


# ── What became of it ─────────────────────────────────────────────────────────────────────────
def test_a_ban_that_was_carried_out_shows_on_account_and_case(
    banned: Enforcement, platform: Platform, at_work: Client
) -> None:
    answer = say(platform, banned, "done", at="2026-11-22T10:43:10Z")
    assert answer.status_code == 200
    assert answer.json()["stands"] is True
    banned.refresh_from_db()
    assert banned.state == EnforcementState.DONE
    assert Account.objects.get(external_id="user-9").platform_status == "banned"
    page = at_work.get(reverse("moderation:case", args=[banned.decision.case_id])).content.decode()
    assert "banned, as the platform said on 2026-11-22" in page
    assert "carried out, as the platform said" in page
    assert list(differences()) == []


def test_the_same_answer_twice_is_one(banned: Enforcement, platform: Platform) -> None:
    said = {"at": "2026-11-22T10:43:10Z", "code": "ok"}
    first = say(platform, banned, "done", **said)
    again = say(platform, banned, "done", **said)
    timeless = say(platform, banned, "done", code="ok")
    assert [each.status_code for each in (first, again, timeless)] == [200, 200, 200]
    assert first.json() == again.json() == timeless.json()
    assert OrderResult.objects.count() == 1
    assert AuditEntry.objects.filter(event="order.answered").count() == 1


def test_of_different_answers_the_later_one_stands(banned: Enforcement, platform: Platform) -> None:
    say(platform, banned, "done", at="2026-11-22T10:45:00Z")
    older = say(platform, banned, "impossible", at="2026-11-22T10:44:00Z", code="locked")
    assert (older.status_code, older.json()["stands"]) == (200, False)
    assert orders(platform)[0]["state"] == "done"
    document = problem_of(say(platform, banned, "refused", at="2026-11-22T10:45:00Z"), 409)
    assert document["code"] == "contradicts"
    assert document["existing"]["state"] == "done"
    assert say(platform, banned, "refused", at="2026-11-22T10:46:00Z").json()["stands"] is True
    assert orders(platform)[0]["state"] == "refused"
    assert OrderResult.objects.filter(stands=True).count() == 1


def test_a_clock_that_runs_ahead_does_not_win_for_ever(
    banned: Enforcement, platform: Platform
) -> None:
    ahead = say(platform, banned, "impossible", at="2199-01-01T00:00:00Z")
    assert ahead.json()["at"] == "2199-01-01T00:00:00.000Z"  # Kept as it was said.
    assert say(platform, banned, "done").json()["stands"] is True


def test_the_log_notices_an_answer_that_nobody_gave(
    banned: Enforcement, platform: Platform
) -> None:
    say(platform, banned, "refused", detail="A legal hold.")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE moderation_orderresult SET detail = 'Nothing.'")
    [found] = differences()
    assert "it is not what the platform said" in found.what


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "state"),
        ({"state": "DONE"}, "state"),
        ({"state": "done", "at": "yesterday"}, "at"),
        ({"state": "done", "code": "x" * 81}, "code"),
        ({"state": "done", "detail": "x" * 2001}, "detail"),
        ({"state": "done", "detail": "a\x00b"}, "detail"),
        ({"state": "done", "why": "because"}, "why"),
    ],
)
def test_a_bad_answer_is_named_at_its_field(
    banned: Enforcement, platform: Platform, document: dict[str, Any], field: str
) -> None:
    answer = platform.post(f"/enforcements/{banned.pk}/result", document)
    assert list(problem_of(answer, 422)["errors"]) == [field]


def test_what_was_answered_by_pull_is_not_sent_any_more(
    banned: Enforcement, platform: Platform, receiver: Receiver, admin: User
) -> None:
    say(platform, banned, "done")
    assert Delivery.objects.get().state == DeliveryState.ANSWERED
    _, receiver.secret = actions.create_endpoint(
        name="Late", url=receiver.url, verbs=[], actor=admin
    )
    delivery_jobs.sweep_deliveries()
    delivery_jobs.send_due()
    assert receiver.ids == []
    assert orders(platform)[0]["state"] == "done"


def test_an_answer_during_an_attempt_stays(
    receiver: Receiver, endpoint: WebhookEndpoint, banned: Enforcement, platform: Platform
) -> None:
    from moderation.actions import attempts
    from moderation.webhooks import Answer

    [(delivery, _)] = attempts.begin_attempts(limit=1, busy={})
    say(platform, banned, "impossible", code="no_such_account")
    attempts.finish_attempt(delivery, answer=Answer(204, "", 3))
    banned.refresh_from_db()
    assert banned.state == EnforcementState.IMPOSSIBLE
    assert Delivery.objects.get().state == DeliveryState.ANSWERED


@pytest.mark.django_db(transaction=True)
def test_answers_that_cross_leave_one_that_stands(banned: Enforcement, platform: Platform) -> None:
    barrier = threading.Barrier(4)

    def answer(number: int) -> int:
        barrier.wait()
        try:
            own = Platform(platform.key)
            state = "done" if number % 2 else "impossible"
            return int(say(own, banned, state, at="2026-11-22T10:45:00Z").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(answer, range(4)))
    assert statuses == [200, 200, 409, 409]
    assert OrderResult.objects.filter(stands=True).count() == OrderResult.objects.count() == 1


# ── What came back ────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def came_back(
    receiver: Receiver, endpoint: WebhookEndpoint, banned: Enforcement, platform: Platform
) -> OrderResult:
    delivery_jobs.send_due()
    say(platform, banned, "impossible", code="no_such_account", detail="It was erased in May.")
    return OrderResult.objects.get()


def test_a_lead_sees_what_came_back_and_gives_it_anew(
    came_back: OrderResult,
    receiver: Receiver,
    banned: Enforcement,
    platform: Platform,
    lena: User,
    session_of: Callable[..., Client],
) -> None:
    browser = session_of(lena)
    home = browser.get(reverse("moderation:home")).content.decode()
    assert "Orders that the platform could not carry out" in home
    page = browser.get(reverse("moderation:orders")).content.decode()
    assert "It was erased in May." in page
    case = browser.get(reverse("moderation:case", args=[banned.decision.case_id]))
    assert "It was erased in May." in case.content.decode()
    address = reverse("moderation:order_anew", args=[came_back.pk])
    assert browser.post(address).status_code == 303
    browser.post(address)  # Pressed twice.
    delivery_jobs.send_due()
    assert len(receiver.ids) == len(set(receiver.ids)) == 2
    assert receiver.messages[0] == receiver.messages[1]
    banned.refresh_from_db()
    assert banned.state == EnforcementState.ACKNOWLEDGED
    assert (
        "It was erased in May."
        not in browser.get(reverse("moderation:orders"))
        .content.decode()
        .split("Looked after lately")[0]
    )
    # The same words after that are about the new try: the order comes back once more.
    say(platform, banned, "impossible", code="no_such_account", detail="It was erased in May.")
    banned.refresh_from_db()
    assert banned.state == EnforcementState.IMPOSSIBLE
    say(platform, banned, "done")
    banned.refresh_from_db()
    assert banned.state == EnforcementState.DONE
    assert list(differences()) == []


def test_the_log_of_deliveries_says_what_the_platform_says(
    banned: Enforcement,
    platform: Platform,
    lena: User,
    admin: User,
    session_of: Callable[..., Client],
) -> None:
    say(platform, banned, "refused", code="legal_hold")
    delivery = Delivery.objects.get()
    assert delivery.state == DeliveryState.ANSWERED
    addresses = (
        reverse("moderation:deliveries"),
        reverse("moderation:delivery", args=[delivery.pk]),
    )
    for address in addresses:
        page = session_of(lena).get(address).content.decode()
        assert "Refused</span>" in page
        assert "legal_hold" in page
        assert "none yet" not in page
        # Whoever sees no cases reads that it came back, and none of the platform's own words.
        page = session_of(admin).get(address).content.decode()
        assert "Refused</span>" in page
        assert "legal_hold" not in page


def test_a_lead_marks_it_as_seen(
    came_back: OrderResult, lena: User, session_of: Callable[..., Client]
) -> None:
    browser = session_of(lena)
    for _ in range(2):
        assert (
            browser.post(reverse("moderation:order_seen", args=[came_back.pk])).status_code == 303
        )
    came_back.refresh_from_db()
    assert (came_back.seen_by, came_back.seen_how) == (lena, "seen")
    assert AuditEntry.objects.filter(event="order.answer.seen").count() == 1
    assert "Nothing came back" in browser.get(reverse("moderation:orders")).content.decode()


def test_a_lead_without_the_case_sees_nothing_of_it(came_back: OrderResult, lead: User) -> None:
    browser = signed_in(Client(), lead)
    assert "It was erased" not in browser.get(reverse("moderation:orders")).content.decode()
    for verb in ("order_seen", "order_anew"):
        assert browser.post(reverse(f"moderation:{verb}", args=[came_back.pk])).status_code == 404


def test_an_order_that_was_given_anew_can_come_back_with_the_same_words(
    came_back: OrderResult, lena: User, platform: Platform
) -> None:
    order = came_back.enforcement
    actions.give_order_anew(came_back, actor=lena)
    words = {"state": came_back.state, "code": came_back.code, "detail": came_back.detail}
    again = platform.post(f"/enforcements/{order.pk}/result", words).json()
    assert again["stands"] is True
    order.refresh_from_db()
    assert order.state == came_back.state


def test_the_last_word_without_a_time_is_the_last_word(
    banned: Enforcement, platform: Platform
) -> None:
    for state in ("done", "impossible", "done"):
        assert platform.post(f"/enforcements/{banned.pk}/result", {"state": state}).json()["stands"]
    banned.refresh_from_db()
    assert banned.state == "done"


def test_what_is_not_done_any_more_leaves_no_status(
    banned: Enforcement, platform: Platform
) -> None:
    for state, status in (("done", "banned"), ("impossible", "unknown"), ("done", "banned")):
        platform.post(f"/enforcements/{banned.pk}/result", {"state": state})
        assert banned.account is not None
        banned.account.refresh_from_db()
        assert banned.account.platform_status == status


def test_what_the_platform_told_of_the_account_later_stands(
    banned: Enforcement, platform: Platform
) -> None:
    assert banned.account is not None
    told = {"platform_status": "deleted", "as_of": "2026-11-22T12:00:00Z"}
    platform.put(f"/accounts/{banned.account.external_id}", told)
    for said in (
        {"state": "done", "at": "2026-11-22T11:00:00Z"},
        {"state": "impossible", "at": "2026-11-22T11:30:00Z"},
    ):
        assert platform.post(f"/enforcements/{banned.pk}/result", said).json()["stands"]
        banned.account.refresh_from_db()
        assert banned.account.platform_status == "deleted"
