"""Appeals against orders: handed on by the platform, decided by a lead who did not decide."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.audit_rows import differences
from moderation import actions
from moderation.models import Appeal, Decision, Enforcement, Overturn
from reports.actions import issue_key
from reports.choices import OWN_PLATFORM_SCOPES
from reports.models import Scope, Source
from tests.casework import Casework
from tests.moderation.orders import banned, platform, published
from tests.reports.conftest import Platform, problem_of

__all__ = ["banned", "platform"]
pytestmark = pytest.mark.django_db
STANDS = "The words are what the policy names."


def appeal(platform: Platform, order: Enforcement, **more: Any) -> Any:
    said = {"enforcement": str(order.pk), "external_id": "appeal-1", "reason": "It was not me."}
    return platform.post("/appeals", said | more)


def test_an_appeal_waits_for_a_lead_who_did_not_decide(
    banned: Enforcement, platform: Platform, lena: User, session_of: Callable[..., Client]
) -> None:
    first = appeal(platform, banned, received_at="2026-11-23T08:00:00Z")
    assert first.status_code == 201, first.content
    again = appeal(platform, banned)
    assert (again.status_code, again.json()) == (200, first.json())
    assert first.json()["state"] == "open"
    browser = session_of(lena)
    assert "Appeals to decide" in browser.get(reverse("moderation:home")).content.decode()
    page = browser.get(reverse("moderation:appeals")).content.decode()
    assert str(banned.decision.case) in page
    case = browser.get(reverse("moderation:case", args=[banned.decision.case_id]))
    assert "It was not me." in case.content.decode()
    address = reverse("moderation:appeal_uphold", args=[Appeal.objects.get().pk])
    assert browser.post(address, {"reason": "no"}).status_code == 422
    assert browser.post(address, {"reason": STANDS}).status_code == 303
    assert browser.post(address, {"reason": STANDS}).status_code == 409
    now = platform.get(f"/appeals/{first.json()['id']}").json()
    assert (now["state"], now["decided_at"] is not None) == ("upheld", True)
    assert STANDS not in str(now)
    assert list(differences()) == []


def test_the_form_on_the_page_can_be_sent(
    banned: Enforcement, platform: Platform, lena: User, session_of: Callable[..., Client]
) -> None:
    appeal(platform, banned)
    browser = session_of(lena)
    browser.handler.enforce_csrf_checks = True
    page = browser.get(reverse("moderation:case", args=[banned.decision.case_id])).content.decode()
    address = reverse("moderation:appeal_uphold", args=[Appeal.objects.get().pk])
    form = page[page.index(f'action="{address}"') :].partition("</form>")[0]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert token
    sent = {"csrfmiddlewaretoken": token[1], "reason": STANDS}
    assert browser.post(address, {"reason": STANDS}).status_code == 403
    assert browser.post(address, sent).status_code == 303
    assert Appeal.objects.get().state == "upheld"


def test_the_list_says_who_appeals_against_what_and_since_when(
    banned: Enforcement,
    platform: Platform,
    casework: Casework,
    robin: User,
    lena: User,
    session_of: Callable[..., Client],
) -> None:
    other = published(casework.case("user-2"), robin).enforcements.get()
    appeal(platform, other, received_at="2026-11-23T08:00:00Z", reason="Nobody asked me.")
    # Handed on later, and made before.
    words = "It was my brother. " * 40
    appeal(
        platform, banned, external_id="appeal-2", received_at="2026-11-20T08:00:00Z", reason=words
    )
    browser = session_of(lena)
    address = reverse("moderation:appeals")
    assert address in browser.get(reverse("moderation:queues")).content.decode()
    page = browser.get(address).content.decode()
    assert 0 < page.index("user-9") < page.index("user-2")
    assert page.index("It was my brother.") < page.index("Nobody asked me.")
    assert page.count("It was my brother.") < 10
    assert page.index("2026-11-20") < page.index("2026-11-23")
    assert session_of(robin).get(reverse("moderation:queues")).content.decode().count(address) == 0


def test_overturning_decides_the_appeals_that_wait(
    banned: Enforcement, platform: Platform, lena: User
) -> None:
    waiting = appeal(platform, banned).json()
    actions.overturn_decision(
        banned.decision, reason="It shows a drawn bridge and nobody.", actor=lena
    )
    Overturn.objects.update(publish_at=Now() - timedelta(seconds=1))
    assert actions.carry_out_overturn(Overturn.objects.get())
    assert platform.get(f"/appeals/{waiting['id']}").json()["state"] == "overturned"
    late = appeal(platform, banned, external_id="appeal-2")
    assert (late.status_code, late.json()["state"]) == (201, "overturned")
    assert list(differences()) == []


def test_who_decided_does_not_decide_the_appeal(
    casework: Casework, platform: Platform, lena: User, session_of: Callable[..., Client]
) -> None:
    order = published(casework.case("user-1"), lena).enforcements.get()
    appeal(platform, order)
    browser = session_of(lena)
    assert "Appeals to decide" not in browser.get(reverse("moderation:home")).content.decode()
    address = reverse("moderation:appeal_uphold", args=[Appeal.objects.get().pk])
    assert browser.post(address, {"reason": STANDS}).status_code == 409
    assert Appeal.objects.get().state == "open"


def test_another_order_or_other_words_under_one_id_are_refused(
    banned: Enforcement, platform: Platform, casework: Casework, robin: User
) -> None:
    first = appeal(platform, banned).json()
    other = published(casework.case("user-2"), robin).enforcements.get()
    for answer in (appeal(platform, other), appeal(platform, banned, reason="Something else.")):
        document = problem_of(answer, 409)
        assert (document["code"], document["existing"]["id"]) == (
            "duplicate_appeal",
            first["id"],
        )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"enforcement": "one"}, "enforcement"),
        ({"external_id": ""}, "external_id"),
        ({"reason": ""}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"received_at": "yesterday"}, "received_at"),
        ({"items": []}, "items"),
    ],
)
def test_a_bad_appeal_is_named_at_its_field(
    banned: Enforcement, platform: Platform, changes: dict[str, Any], field: str
) -> None:
    assert list(problem_of(appeal(platform, banned, **changes), 422)["errors"]) == [field]


def test_appeals_are_the_platforms_own(
    banned: Enforcement, platform: Platform, casework: Casework, robin: User
) -> None:
    held: Decision = casework.decided(casework.case("user-3"), by=robin)
    problem_of(appeal(platform, held.enforcements.get()), 404)  # Not in force.
    first = appeal(platform, banned).json()
    reader = Platform(issue_key(casework.source(), scopes=[Scope.STATUS_READ], actor=SYSTEM)[1])
    problem_of(appeal(reader, banned), 403)
    _, text = issue_key(
        casework.source(), scopes=list(OWN_PLATFORM_SCOPES), is_test=True, actor=SYSTEM
    )
    problem_of(appeal(Platform(text), banned), 404)
    problem_of(Platform(text).get(f"/appeals/{first['id']}"), 404)
    Source.objects.filter(pk=casework.source().pk).update(is_own_platform=False)
    problem_of(appeal(platform, banned), 403)


@pytest.mark.django_db(transaction=True)
def test_the_same_appeal_at_once_is_one(banned: Enforcement, platform: Platform) -> None:
    barrier = threading.Barrier(3)

    def send(_: int) -> int:
        barrier.wait()
        try:
            return int(appeal(Platform(platform.key), banned).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(send, range(3))) == [200, 200, 201]
    assert Appeal.objects.count() == 1
