"""The page of a viral account: thousands of items, reports and notes, shown in parts and said so."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from moderation import actions, case_page, evidence, timeline
from moderation.models import Case, RoutingReason
from moderation.windows import window
from tests.casework import Casework, term_finding, url

pytestmark = pytest.mark.django_db


def read(client: Any, case: Case, query: str = "") -> str:
    answer = client.get(url("case", case) + query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def case_with_texts(casework: Casework, count: int) -> Case:
    """Return a case whose last item is the only one in which something was found."""
    texts = [f"invented words number {number}" for number in range(count)]
    report = casework.report(reason="grooming", texts=texts)
    items = list(report.items.order_by("received_at", "pk"))
    for item in items[:-1]:
        casework.scanned(item)
    casework.scanned(items[-1], term_finding((0, 8)))
    report.refresh_from_db()
    case = actions.route_report(report)
    assert case is not None
    return case


def shown_ids(page: str, case: Case) -> list[str]:
    ids = [str(row.item_id) for row in case.case_items.all()]
    return [key for key in ids if f'id="evidence-{key}"' in page]


def test_of_many_items_the_gravest_are_shown_first_and_the_rest_is_one_link_away(
    casework: Casework, at_work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MOST_CARDS", 2)
    case = case_with_texts(casework, 5)
    gravest = str(case.case_items.get(item__flags__isnull=False).item_id)
    page = read(at_work, case)
    assert len(shown_ids(page, case)) == 2
    assert page.index(f'id="evidence-{gravest}"') == page.index(
        'id="evidence-', page.index("strip")
    )
    said = "2 of 5 items are shown, the gravest first; all of them are part of the case."
    assert said in page
    assert "?items=2#" in page
    parts = [shown_ids(read(at_work, case, f"?items={number}"), case) for number in (1, 2, 3)]
    assert [len(part) for part in parts] == [2, 2, 1]
    assert len({key for part in parts for key in part}) == 5
    last = read(at_work, case, "?items=3")
    assert "5 to 5 of 5 items are shown" in last
    assert "Show more" not in last
    assert "5/5" in last


def test_a_text_of_a_later_part_is_shown_without_script_in_its_part(
    casework: Casework, at_work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MOST_CARDS", 2)
    case = case_with_texts(casework, 3)
    page = read(at_work, case, "?items=2")
    (key,) = shown_ids(page, case)
    assert f"?items=2&amp;text={key}#" in page
    text = case.case_items.get(item__pk=key).item.text
    assert text not in page
    assert text in read(at_work, case, f"?items=2&text={key}")


def test_the_page_reads_no_text_and_asks_as_often_for_many_items_as_for_few(
    casework: Casework, at_work: Any
) -> None:
    asked = []
    for count in (2, 9):
        case = case_with_texts(casework, count)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            page = read(at_work, case)
        assert len(shown_ids(page, case)) == count
        assert "23 characters" in page
        asked.append(len(captured))
        # Lengths and digests are taken in the database.
        queries = [
            query["sql"]
            .replace('LENGTH("reports_item"."text")', "")
            .replace('MD5("reports_item"."text")', "")
            for query in captured
        ]
        assert not [sql for sql in queries if '"reports_item"."text"' in sql]
    assert asked[0] == asked[1]


def test_reports_reasons_and_notes_are_shown_in_parts_too(
    casework: Casework, robin: Any, at_work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_page, "MOST_REPORTS", 2)
    monkeypatch.setattr(case_page, "MOST_REASONS", 2)
    monkeypatch.setattr(timeline, "MOST_ENTRIES", 3)
    reports = [casework.report("viral-account", description=f"from {n}") for n in range(3)]
    for report in reports:
        case = casework.routed(report)
    # Equal reasons are shown once; these are of further rules.
    for number in range(2):
        RoutingReason.objects.create(case=case, text=f"An invented reason {number}", severity=1)
    for number in range(4):
        actions.add_note(case, text=f"invented note {number}", actor=robin)
    page = read(at_work, case)
    assert "2 of 3 reports are shown, the newest first" in page
    assert "2 of 3 reasons are shown, the gravest first" in page
    assert "3 of 7 entries are shown, the newest first" in page
    assert "invented note 3" in page
    assert "invented note 0" not in page
    assert "from 0" not in page
    assert "from 0" in read(at_work, case, "?reports=2")
    assert "invented note 0" in read(at_work, case, "?entries=2")
    assert "opened the case" in read(at_work, case, "?entries=3")


def test_a_short_case_says_nothing_of_parts(held: Case, at_work: Any) -> None:
    page = read(at_work, held)
    assert "are shown," not in page
    assert "Show more" not in page


@pytest.mark.parametrize(
    ("asked", "number"), [("", 1), ("2", 2), ("0", 1), ("99", 4), ("-1", 1), ("x", 1), ("²", 1)]
)
def test_an_address_that_asks_for_no_part_gets_the_nearest(asked: str, number: int) -> None:
    part = window("items", {"items": asked}, size=1000, total=3412, order="the gravest first")
    assert part.number == number
    assert 0 <= part.start < 3412


def test_large_numbers_are_readable() -> None:
    part = window("items", {}, size=200, total=3412, order="the gravest first")
    assert part.sentence == (
        "200 of 3,412 items are shown, the gravest first; all of them are part of the case."
    )
