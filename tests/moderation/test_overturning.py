"""A decision in effect that another lead overturns: counterparts, the case, reports, what was learnt."""

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
from accounts.permissions import Role
from core.audit_rows import differences
from core.errors import Refused
from core.models import AuditEntry
from hashing.models import Verdict
from moderation import actions, delivery_jobs
from moderation.jobs import publish_due, sweep_outcomes
from moderation.models import (
    Case,
    CaseStatus,
    Decision,
    Delivery,
    DeliveryState,
    Enforcement,
    EnforcementState,
    Overturn,
    WebhookEndpoint,
)
from reports.models import Report
from tests.casework import Casework, grant_all
from tests.cast import make_person
from tests.moderation.orders import endpoint, key_of, orders, platform, published, say
from tests.moderation.receiver import Receiver
from tests.pictures import jpeg
from tests.reports.conftest import Platform

__all__ = ["endpoint", "platform"]
pytestmark = pytest.mark.django_db
WHY = "The picture shows a drawn bridge and nobody at all."


def effect(overturn: Overturn) -> bool:
    Overturn.objects.filter(pk=overturn.pk).update(publish_at=Now() - timedelta(seconds=1))
    return actions.carry_out_overturn(overturn)


@pytest.fixture
def decided(casework: Casework, robin: User) -> Decision:
    """Return a decision in effect: ban and removal."""
    return published(casework.case("user-9"), robin, enforcements=["ban_account", "remove_media"])


def test_what_was_sent_is_taken_back_once(
    receiver: Receiver, endpoint: WebhookEndpoint, decided: Decision, lena: User, platform: Platform
) -> None:
    delivery_jobs.send_due()
    overturn = actions.overturn_decision(decided, reason=WHY, actor=lena)
    assert not actions.carry_out_overturn(overturn)  # Its undo window runs.
    delivery_jobs.send_due()
    assert len(receiver.messages) == 2
    assert [effect(overturn), effect(overturn)] == [True, False]
    delivery_jobs.send_due()
    before, after = receiver.messages[:2], receiver.messages[2:]
    assert {each["type"] for each in after} == {
        "enforcement.unban_account",
        "enforcement.restore_media",
    }
    taken_back = {each["data"]["reverses"] for each in after}
    assert taken_back == {each["data"]["enforcement_id"] for each in before}
    assert min(each["data"]["sequence"] for each in after) > max(
        each["data"]["sequence"] for each in before
    )
    removal = next(each for each in before if each["type"].endswith("remove_media"))
    restored = next(each for each in after if each["type"].endswith("restore_media"))
    assert restored["data"]["target"] == removal["data"]["target"]
    by_id = {order["id"]: order for order in orders(platform)}
    assert {by_id[key]["reversed_by"] for key in taken_back} == set(by_id) - taken_back
    assert list(differences()) == []
    unban = Enforcement.objects.get(verb="unban_account")
    say(platform, unban, "done")
    account = unban.account
    assert account is not None
    account.refresh_from_db()
    assert account.platform_status == "active"


def test_what_nobody_had_is_withdrawn(
    decided: Decision, lena: User, platform: Platform, receiver: Receiver, admin: User
) -> None:
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    assert {order["state"] for order in orders(platform)} == {"withdrawn"}
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.WITHDRAWN}
    assert not Enforcement.objects.filter(reverses__isnull=False).exists()
    _, receiver.secret = actions.create_endpoint(
        name="Late", url=receiver.url, verbs=[], actor=admin
    )
    delivery_jobs.sweep_deliveries()
    delivery_jobs.send_due()
    assert receiver.ids == []
    problem = say(platform, decided.enforcements.first() or Enforcement(), "done")
    assert problem.json()["code"] == "withdrawn"


def test_what_was_only_read_is_taken_back_too(
    decided: Decision, lena: User, platform: Platform
) -> None:
    assert len(orders(platform)) == 2
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    assert Enforcement.objects.filter(reverses__isnull=False).count() == 2


def test_what_was_tried_is_stopped_and_taken_back(
    receiver: Receiver, endpoint: WebhookEndpoint, decided: Decision, lena: User
) -> None:
    receiver.status = 500  # Whoever answers so may have carried it out all the same.
    delivery_jobs.send_due()
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    receiver.status, receiver.messages = 204, []
    Delivery.objects.update(next_attempt_at=Now(), locked_until=None)
    delivery_jobs.send_due()
    assert {each["type"] for each in receiver.messages} == {
        "enforcement.unban_account",
        "enforcement.restore_media",
    }


def test_what_the_platform_never_carried_out_is_left(
    decided: Decision, lena: User, platform: Platform
) -> None:
    ban = decided.enforcements.get(verb="ban_account")
    removal = decided.enforcements.get(verb="remove_media")
    say(platform, ban, "impossible")
    say(platform, removal, "done")
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    [counterpart] = Enforcement.objects.filter(reverses__isnull=False)
    assert counterpart.reverses == removal


def test_the_case_is_open_again_and_decided_anew(
    decided: Decision,
    casework: Casework,
    robin: User,
    lena: User,
    session_of: Callable[..., Client],
    platform: Platform,
) -> None:
    case = decided.case
    report = Report.objects.get(case_reports__case=case)
    assert (report.outcome, Verdict.objects.count()) == ("action_taken", 1)
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    case.refresh_from_db()
    report.refresh_from_db()
    assert (case.status, report.outcome, report.decided_at) == (CaseStatus.OPEN, "", None)
    assert not Verdict.objects.exists()
    assert sweep_outcomes() == 0  # What does not stand is not told once more.
    report.refresh_from_db()
    assert report.decided_at is None
    page = session_of(robin).get(reverse("moderation:case", args=[case.pk])).content.decode()
    assert "Overturned before" in page
    assert WHY in page
    published(case, robin, outcome="not_violating", enforcements=["no_action"])
    report.refresh_from_db()
    assert report.outcome == "no_action"
    assert list(differences()) == []
    with pytest.raises(Refused):
        actions.overturn_decision(decided, reason=WHY, actor=lena)


def test_what_was_judged_joins_a_case_that_is_open_already(
    decided: Decision, casework: Casework, lena: User
) -> None:
    later = casework.case("user-9")
    assert later != decided.case
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    decided.case.refresh_from_db()
    assert decided.case.status == CaseStatus.DECIDED
    report = Report.objects.get(case_reports__case=decided.case)
    actions.route_report(report)
    assert later.case_reports.filter(report=report).exists()
    assert Case.objects.count() == 2
    assert list(differences()) == []


def test_within_the_undo_window_it_can_be_taken_back(
    decided: Decision, lena: User, session_of: Callable[..., Client]
) -> None:
    browser = session_of(lena)
    page = browser.get(reverse("moderation:case", args=[decided.case_id])).content.decode()
    address = reverse("moderation:overturn", args=[decided.pk])
    assert address in page
    preview = browser.get(address).content.decode()
    assert "Withdrawn, since nobody had it yet: ban account; remove media" in preview
    assert browser.post(address, {"reason": "no"}).status_code == 422
    assert not Overturn.objects.exists()
    assert browser.post(address, {"reason": WHY}).status_code == 303
    overturn = Overturn.objects.get()
    page = browser.get(reverse("moderation:case", args=[decided.case_id])).content.decode()
    undo = reverse("moderation:overturn_undo", args=[overturn.pk])
    assert undo in page
    assert browser.post(undo).status_code == 303
    assert not effect(overturn)
    decided.refresh_from_db()
    assert decided.overturned_at is None
    assert set(decided.enforcements.values_list("state", flat=True)) == {EnforcementState.PENDING}
    again = actions.overturn_decision(decided, reason=WHY, actor=lena)
    assert again != overturn
    assert list(differences()) == []


def test_the_bar_offers_to_undo_it_and_the_case_says_so(
    casework: Casework, robin: User, lena: User, session_of: Callable[..., Client]
) -> None:
    decision = published(
        casework.case("user-9"), robin, outcome="confirm_refer", enforcements=["ban_account"]
    )
    browser, bar = session_of(lena), reverse("moderation:undo_bar")
    page = browser.get(reverse("moderation:case", args=[decision.case_id])).content.decode()
    assert "Ready for legal staff to refer." in page
    answer = browser.post(reverse("moderation:overturn", args=[decision.pk]), {"reason": WHY})
    assert answer.status_code == 303
    overturn = Overturn.objects.get()
    undo = reverse("moderation:overturn_undo", args=[overturn.pk])
    shown = browser.get(bar).content.decode()
    assert f"{decision.case}: overturned. Takes effect in" in shown
    assert undo in shown
    assert 'data-key="z"' in shown
    for person in (lena, robin):
        answer = session_of(person).get(reverse("moderation:case", args=[decision.case_id]))
        said = answer.content.decode()
        assert "Being overturned" in said
        assert 0 < said.index("overturns this decision") < said.index("What the platform should do")
        for untrue in ("Ready for legal staff", "You see this differently", "In effect</span>"):
            assert untrue not in said, (person, untrue)
    assert session_of(robin).get(bar).content == b""
    assert browser.post(undo).status_code == 303
    assert browser.get(bar).content == b""


def test_whoever_decided_reads_who_overturned_it(
    casework: Casework, robin: User, lena: User, session_of: Callable[..., Client]
) -> None:
    old = published(casework.case("user-9"), robin, enforcements=["ban_account", "remove_media"])
    later = [published(casework.case(f"user-{number}"), robin) for number in range(5)]
    home, browser = reverse("moderation:home"), session_of(robin)
    assert str(old.case) not in browser.get(home).content.decode()  # Five are newer.
    overturn = actions.overturn_decision(old, reason=WHY, actor=lena)
    assert "overturned it" not in browser.get(home).content.decode()
    assert effect(overturn)
    page = browser.get(home).content.decode()
    assert f"{lena.pseudonym} overturned it: {WHY}" in page
    assert page.index(str(old.case)) < page.index(str(later[-1].case))


def test_two_files_are_two_items_and_the_timeline_names_each_order(
    receiver: Receiver,
    endpoint: WebhookEndpoint,
    casework: Casework,
    robin: User,
    lena: User,
    platform: Platform,
    session_of: Callable[..., Client],
) -> None:
    case = casework.case("user-9", pictures=[jpeg(1, (96, 64)), jpeg(2, (96, 64))])
    decision = published(case, robin, enforcements=["ban_account", "remove_media"])
    delivery_jobs.send_due()
    order = decision.enforcements.get(verb="ban_account")
    say(platform, order, "done")
    browser = session_of(lena)
    page = browser.get(reverse("moderation:case", args=[case.pk])).content.decode()
    assert "Remove media of 2 items: taken by the platform" in re.sub(r"\s+", " ", page)
    assert "times)" not in page
    assert page.count("The platform took an order: remove media") == 2
    assert page.count("The platform took an order: ban account") == 1
    assert "The platform said what became of an order: ban account" in page
    preview = browser.get(reverse("moderation:overturn", args=[decision.pk])).content.decode()
    assert "Restore media of 2 items" in preview
    home = session_of(robin).get(reverse("moderation:home")).content.decode()
    assert "Remove media of 2 items: taken by the platform" in home


def test_nobody_overturns_their_own_decision_or_without_the_right(
    casework: Casework, robin: User, lena: User, session_of: Callable[..., Client]
) -> None:
    own = published(casework.case("user-1"), lena)
    with pytest.raises(Refused, match="You made this decision"):
        actions.overturn_decision(own, reason=WHY, actor=lena)
    address = reverse("moderation:overturn", args=[own.pk])
    assert session_of(lena).get(address).status_code == 409
    assert session_of(robin).post(address, {"reason": WHY}).status_code == 403
    assert not Overturn.objects.exists()


def test_whose_permission_ended_has_overturned_nothing(decided: Decision, lena: User) -> None:
    overturn = actions.overturn_decision(decided, reason=WHY, actor=lena)
    User.objects.filter(pk=lena.pk).update(role=Role.REVIEWER)
    assert not effect(overturn)
    overturn.refresh_from_db()
    decided.refresh_from_db()
    assert overturn.undone_at is not None
    assert decided.overturned_at is None


def test_the_job_lets_it_take_effect(decided: Decision, lena: User, settings: Any) -> None:
    settings.HOLDFAST_UNDO_SECONDS = 0
    actions.overturn_decision(decided, reason=WHY, actor=lena)
    publish_due()
    publish_due()
    decided.refresh_from_db()
    assert decided.overturned_at is not None
    assert AuditEntry.objects.filter(event="case.decision.overturned").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_leads_at_once_overturn_once(
    receiver: Receiver, endpoint: WebhookEndpoint, decided: Decision, lena: User
) -> None:
    other = grant_all(make_person("Lars Lund", Role.LEAD))
    delivery_jobs.send_due()
    barrier = threading.Barrier(2)

    def press(lead: User) -> bool:
        barrier.wait()
        try:
            overturn = actions.overturn_decision(decided, reason=WHY, actor=lead)
            return effect(overturn)
        except Refused:
            return False  # The other one's had taken effect already.
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(press, [lena, other])) == [False, True]
    assert Overturn.objects.count() == 1
    assert Enforcement.objects.filter(reverses__isnull=False).count() == 2


@pytest.mark.django_db(transaction=True)
def test_reading_and_overturning_at_once_leave_no_order_without_counterpart(
    decided: Decision, lena: User, casework: Casework
) -> None:
    reader = key_of(casework.source())
    overturn = actions.overturn_decision(decided, reason=WHY, actor=lena)
    Overturn.objects.update(publish_at=Now() - timedelta(seconds=1))
    barrier = threading.Barrier(2)

    def run(number: int) -> Any:
        barrier.wait()
        try:
            if number:
                return actions.carry_out_overturn(overturn)
            return orders(Platform(reader.key))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        read, done = pool.map(run, range(2))
    assert done
    for order in read:
        row = Enforcement.objects.get(pk=order["id"])
        if order["state"] != "withdrawn" and row.reverses_id is None:
            assert Enforcement.objects.filter(reverses=row).exists()


def test_the_log_of_deliveries_says_what_was_withdrawn(
    decided: Decision, lena: User, session_of: Callable[..., Client]
) -> None:
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    page = session_of(lena).get(reverse("moderation:deliveries")).content.decode()
    assert page.count("Withdrawn</span>") == 2, page[-3000:]
    assert "Nobody listens" not in page


def test_the_log_of_deliveries_is_narrowed_to_counterparts(
    receiver: Receiver,
    endpoint: WebhookEndpoint,
    decided: Decision,
    lena: User,
    session_of: Callable[..., Client],
) -> None:
    delivery_jobs.send_due()
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    address, browser = reverse("moderation:deliveries"), session_of(lena)
    page = browser.get(address, {"verb": "restore_media"}).content.decode()
    restored = Delivery.objects.get(enforcement__verb="restore_media")
    rows = re.findall(r'class="row-link" href="/deliveries/([0-9a-f-]+)/"', page)
    assert rows == [str(restored.pk)]
    page = browser.get(address, {"verb": "report.closed"}).content.decode()
    assert "No delivery matches this filter" in page
    assert "A report was decided" in page


def test_a_late_word_about_an_old_order_undoes_no_newer_one(
    receiver: Receiver, endpoint: WebhookEndpoint, decided: Decision, lena: User, platform: Platform
) -> None:
    delivery_jobs.send_due()
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    unban = Enforcement.objects.get(verb="unban_account")
    say(platform, unban, "done")
    assert unban.reverses is not None
    say(platform, unban.reverses, "done")
    assert unban.account is not None
    unban.account.refresh_from_db()
    assert unban.account.platform_status == "active"


def test_what_is_done_after_all_gets_its_counterpart_once(
    receiver: Receiver, endpoint: WebhookEndpoint, decided: Decision, lena: User, platform: Platform
) -> None:
    delivery_jobs.send_due()
    ban = decided.enforcements.get(verb="ban_account")
    say(platform, ban, "impossible")
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    assert not Enforcement.objects.filter(reverses=ban).exists()
    for _ in range(2):
        say(platform, ban, "done")
    counterpart = Enforcement.objects.get(reverses=ban)
    assert (counterpart.verb, counterpart.state) == ("unban_account", "pending")
    assert counterpart.sequence is not None
    delivery_jobs.send_due()
    # Both counterparts go out at once: which of them arrives first is not said.
    assert [each["data"].get("reverses") for each in receiver.messages].count(str(ban.pk)) == 1
    say(platform, ban, "impossible")
    say(platform, ban, "done")
    assert Enforcement.objects.filter(reverses=ban).count() == 1
    assert list(differences()) == []


def test_an_order_that_is_being_sent_again_was_tried_all_the_same(
    receiver: Receiver, endpoint: WebhookEndpoint, decided: Decision, lena: User
) -> None:
    """The receiver may have carried it out before it answered 500, or nothing at all."""
    receiver.status = 500
    delivery_jobs.send_due()
    Delivery.objects.update(attempts_made=0)  # What sending it again does to the counter.
    assert effect(actions.overturn_decision(decided, reason=WHY, actor=lena))
    assert Enforcement.objects.filter(reverses__decision=decided).count() == 2
