"""What helps to understand a report is no accusation: it is shown, is never ordered removed, and teaches nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from core.audit import SYSTEM
from hashing.models import Verdict
from moderation import actions
from moderation.models import Case, Decision, Delivery
from referrals import actions as referrals
from reports.actions import submit_report
from reports.payloads import ReportPayload
from tests.casework import Casework, decide_form, url
from tests.pictures import jpeg
from tests.referrals.desk import Desk

pytestmark = pytest.mark.django_db

THEIRS = {"external_id": "theirs", "sender": "accused"}
OWN = {"external_id": "own", "sender": "victim"}


def reported(casework: Casework, *items: dict[str, Any], reporter: str = "victim") -> Case:
    """Return the case of a report by an account about another one, with a picture for each item."""
    source = casework.source()
    said = [
        {
            "surface": "reported_message",
            "media": casework.upload(source, jpeg(number, (96, 64)), "image/jpeg"),
        }
        | item
        for number, item in enumerate(items)
    ]
    payload = ReportPayload.model_validate(
        {
            "subject": {"account": "accused"},
            "reporter": {"account": reporter},
            "reason": "csam",
            "items": said,
        }
    )
    return casework.routed(submit_report(source, payload=payload, actor=SYSTEM))


def ordered_removed(case: Case, robin: User, at_work: Client) -> list[str]:
    """Decide that media is removed, let it take effect and return the ids that the orders name."""
    actions.claim(case, actor=robin)
    case.refresh_from_db()
    form = decide_form(case, enforcements=["ban_account", "remove_media"])
    sent = at_work.post(url("decide", case), form)
    assert sent.status_code == 303, sent.content.decode()
    decision = Decision.objects.get()
    assert actions.publish_decision(actions.send_now(decision, actor=robin))
    orders = decision.enforcements.filter(verb="remove_media")
    return sorted(order.item.external_id for order in orders if order.item)


@pytest.mark.parametrize(
    ("items", "removed"),
    [
        ([THEIRS, OWN], ["theirs"]),
        ([THEIRS, OWN | {"role": "reported"}], ["own", "theirs"]),
        ([THEIRS | {"external_id": "before", "role": "context"}, THEIRS], ["theirs"]),
        ([{"external_id": "nobody said who"}, OWN], ["nobody said who"]),
    ],
    ids=["the reporter's own", "told otherwise", "told", "no sender"],
)
def test_orders_name_what_is_reported_and_nothing_else(
    casework: Casework,
    robin: User,
    at_work: Client,
    items: list[dict[str, Any]],
    removed: list[str],
) -> None:
    case = reported(casework, *items)
    assert ordered_removed(case, robin, at_work) == removed
    judged = Verdict.objects.values_list("item__external_id", flat=True)
    assert sorted(judged) == removed


def test_what_a_person_reported_of_themselves_is_reported(casework: Casework) -> None:
    """Whoever reports the own account (a hacked one, say) means what it sent."""
    case = reported(casework, THEIRS, reporter="accused")
    assert case.case_items.get().item.role == "reported"


def test_context_alone_is_no_media_to_remove(
    casework: Casework, robin: User, at_work: Client
) -> None:
    case = reported(casework, OWN)
    assert 'value="remove_media"' not in at_work.get(url("case", case)).content.decode()


def test_one_thing_reported_here_and_context_there_is_reported(
    casework: Casework, robin: User, at_work: Client
) -> None:
    picture = casework.upload(casework.source(), jpeg(9, (96, 64)), "image/jpeg")
    shared = {"external_id": "both", "sender": "accused", "media": picture}
    case = reported(casework, shared | {"role": "context"}, THEIRS)
    assert reported(casework, shared | {"role": "reported"}, reporter="another") == case
    assert ordered_removed(case, robin, at_work) == ["both", "theirs"]


def test_it_is_shown_and_goes_along_as_context(
    casework: Casework, robin: User, at_work: Client, legal: User, legal2: User
) -> None:
    case = reported(casework, THEIRS, OWN)
    page = at_work.get(url("case", case)).content.decode()
    assert page.count("Reported message (context)") >= 1
    assert "Context: not what was reported, and never ordered removed" in page
    casework.published(case, by=robin)
    desk = Desk(casework, robin, legal, legal2)
    draft = referrals.open_referral(case, recipient=desk.agency, actor=legal)
    said = dict(draft.exhibits.values_list("item__external_id", "relevance"))
    assert said == {"theirs": "reported", "own": "supplemental"}


def test_an_order_names_who_sent_what_it_removes(
    casework: Casework, robin: User, at_work: Client
) -> None:
    case = reported(casework, THEIRS, OWN)
    ordered_removed(case, robin, at_work)
    order = Delivery.objects.get(enforcement__verb="remove_media").payload
    assert order["data"]["target"]["item"]["sender"] == "accused"
