"""What many reports name is one thing: one card, one exhibit, one order; two ids of one file are two orders."""

from __future__ import annotations

from typing import Any

import pytest

from core.audit import SYSTEM
from moderation import actions
from moderation.models import Case, Decision
from reports.actions import submit_report
from reports.payloads import ReportPayload
from tests.casework import Casework, decide_form, url
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db
PICTURE = jpeg(1, (96, 64))


def reported(casework: Casework, *items: dict[str, Any]) -> Case:
    """Return the case of one account after another report of these items."""
    source = casework.source()
    for item in items:
        if "picture" in item:
            item["media"] = casework.upload(source, item.pop("picture"), "image/jpeg")
    payload = ReportPayload.model_validate(
        {
            "subject": {"account": "reported-often"},
            "reason": "csam",
            "items": [{"surface": "reported_message"} | item for item in items],
        }
    )
    report = submit_report(source, payload=payload, actor=SYSTEM)
    for received in report.items.all():
        casework.scanned(received)
    report.refresh_from_db()
    case = actions.route_report(report)
    assert case is not None
    return case


def often(casework: Casework) -> Case:
    """Return a case with twelve reports of one picture, and one of the same file under another id."""
    for _ in range(12):
        case = reported(casework, {"external_id": "m-1", "picture": PICTURE})
    assert reported(casework, {"external_id": "m-2", "picture": PICTURE}) == case
    assert case.case_reports.count() == 13
    assert case.case_items.count() == 13
    return case


def test_twelve_reports_of_one_picture_are_one_order_and_another_id_is_another(
    casework: Casework, robin: Any, at_work: Any
) -> None:
    case = often(casework)
    actions.claim(case, actor=robin)
    case.refresh_from_db()
    sent = at_work.post(
        url("decide", case), decide_form(case, enforcements=["ban_account", "remove_media"])
    )
    assert sent.status_code == 303
    orders = Decision.objects.get().enforcements.filter(verb="remove_media")
    assert sorted(order.item.external_id for order in orders if order.item) == ["m-1", "m-2"]


def test_the_page_shows_it_once_and_names_the_reports(casework: Casework, at_work: Any) -> None:
    case = often(casework)
    page = at_work.get(url("case", case)).content.decode()
    assert page.count("data-reveal-stage") == 2
    assert "reported 12 times" in page
    numbers = sorted(row.report.number for row in case.case_reports.all())
    assert ", ".join(f"R-{number:06d}" for number in numbers[:12]) in page


@pytest.mark.parametrize(
    ("first", "second", "cards"),
    [
        ({"external_id": "m-1", "text": "words"}, {"external_id": "m-1", "text": "words"}, 1),
        ({"external_id": "m-1", "text": "words"}, {"external_id": "m-1", "text": "edited"}, 2),
        ({"text": "words"}, {"text": "words"}, 2),
        ({"picture": PICTURE}, {"picture": PICTURE}, 1),
        ({"picture": PICTURE}, {"picture": jpeg(2, (96, 64))}, 2),
        (
            {"picture": PICTURE, "content_at": "2026-11-01T10:00:00Z"},
            {"picture": PICTURE, "content_at": "2026-11-01T10:00:01Z"},
            2,
        ),
        ({"picture": PICTURE, "sender": "one"}, {"picture": PICTURE, "sender": "two"}, 2),
    ],
    ids=["one text", "edited", "texts without id", "one file", "files", "sent twice", "senders"],
)
def test_what_is_one_thing(
    casework: Casework, at_work: Any, first: dict[str, Any], second: dict[str, Any], cards: int
) -> None:
    reported(casework, dict(first))
    case = reported(casework, dict(second))
    page = at_work.get(url("case", case)).content.decode()
    assert page.count("data-evidence data-state") == cards
    assert ("reported 2 times" in page) is (cards == 1)
