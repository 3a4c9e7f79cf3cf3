"""What a reporter writes is scanned like any text: found in the case with its place, unseen by the source."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from core.audit import SYSTEM
from hashing import actions
from hashing.jobs import scan_item
from hashing.models import Category, Flag, TermList, Verdict
from moderation.actions import route_report
from moderation.models import Case
from reports.actions import issue_key, submit_report
from reports.models import Item, ItemKind, Report, RouteState, ScanState, Source, Surface
from reports.payloads import ReportPayload

SAID = "Somebody wrote Markerword-Alpha to me, please look."


@pytest.fixture
def words(db: None) -> TermList:
    return actions.create_term_list(
        name="Marker words",
        category=Category.GROOMING,
        terms="markerword-alpha",
        score=0.9,
        actor=SYSTEM,
    )


def report(source: Source, description: str, **more: Any) -> Report:
    payload = ReportPayload.model_validate(
        {
            "subject": {"account": "reported-1"},
            "reporter": {"account": "reporter-1"},
            "reason": "other",
            "description": description,
            **more,
        }
    )
    return submit_report(source, payload=payload, actor=SYSTEM)


def scan_and_route(made: Report) -> Case:
    for item in made.items.all():
        scan_item(str(item.pk))
    made.refresh_from_db()
    case = route_report(made) or Case.objects.get(case_reports__report=made)
    made.refresh_from_db()
    assert made.route_state == RouteState.ROUTED
    return case


def test_a_description_becomes_an_item_of_the_reporter(words: TermList, source: Source) -> None:
    made = report(source, SAID, items=[{"surface": "reported_message", "text": "harmless"}])
    sent, written = made.items.order_by("pk")
    assert (sent.surface, written.surface) == (Surface.REPORTED_MESSAGE, Surface.REPORT_DESCRIPTION)
    assert (written.text, written.kind) == (SAID, ItemKind.TEXT)
    assert written.sender == made.reporter_account
    assert written.account == made.account
    assert written.scan_state == ScanState.WAITING
    assert report(source, "  ").items.count() == 0


def test_what_is_found_in_it_routes_the_report_and_stands_in_the_case(
    words: TermList, source: Source
) -> None:
    made = report(source, SAID)
    case = scan_and_route(made)
    assert case.category == Category.GROOMING
    (row,) = case.case_items.all()
    assert row.item.surface == Surface.REPORT_DESCRIPTION
    (flag,) = Flag.objects.filter(item=row.item)
    start, end = flag.evidence["span"]
    assert made.description[start:end] == "Markerword-Alpha"


def test_what_holds_nothing_is_no_item_of_the_case(words: TermList, source: Source) -> None:
    made = report(source, "Nothing of that kind.")
    case = scan_and_route(made)
    assert not case.case_items.exists()
    assert case.case_reports.count() == 1


def test_a_list_may_look_there_alone(source: Source, words: TermList) -> None:
    actions.change_term_list(words, surfaces=["report_description"], actor=SYSTEM)
    made = report(source, SAID, items=[{"surface": "reported_message", "text": SAID}])
    scan_and_route(made)
    (flag,) = Flag.objects.filter(item__report=made, term_list=words)
    assert flag.item.surface == Surface.REPORT_DESCRIPTION


def test_no_sender_names_that_surface(source: Source) -> None:
    with pytest.raises(ValueError, match="surface"):
        report(source, "", items=[{"surface": "report_description", "text": "x"}])


def test_it_is_no_example_to_learn_from(words: TermList, source: Source) -> None:
    made = report(source, SAID)
    items = list(Item.objects.filter(report=made))
    done = actions.record_verdicts(
        items, decision=made.pk, is_violation=True, category=Category.GROOMING
    )
    assert done == 0
    assert not Verdict.objects.exists()


def test_answers_to_the_source_leave_it_out(
    client: Client, words: TermList, source: Source
) -> None:
    _, key = issue_key(source, scopes=["reports:write", "status:read"], actor=SYSTEM)
    headers = {"Authorization": f"Bearer {key}"}
    said = {
        "subject": {"account": "reported-1"},
        "reason": "other",
        "description": SAID,
        "items": [{"surface": "reported_message", "text": "x"}],
    }
    answer = client.post(
        "/api/v1/reports", said, content_type="application/json", headers=headers
    ).json()
    assert [item["surface"] for item in answer["items"]] == ["reported_message"]
    again = client.get(f"/api/v1/reports/{answer['id']}", headers=headers).json()
    assert [item["surface"] for item in again["items"]] == ["reported_message"]
