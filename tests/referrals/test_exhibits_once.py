"""One exhibit for the same bytes, however many reports, ids and accounts they came with; all of them are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.audit import SYSTEM
from moderation import actions as moderation
from moderation.models import Case
from referrals import actions
from reports.actions import submit_report
from reports.payloads import ReportPayload
from tests.casework import verdict
from tests.pictures import jpeg
from tests.referrals.desk import Desk
from tests.referrals.test_package_summary import text_of

pytestmark = pytest.mark.django_db
PICTURE = jpeg(1, (96, 64))


def report(desk: Desk, *items: tuple[str, str]) -> Case:
    """Return the case after one more report of the picture, under these ids and on these surfaces."""
    source = desk.casework.source()
    media = [desk.casework.upload(source, PICTURE, "image/jpeg") for _ in items]
    payload = ReportPayload.model_validate(
        {
            "subject": {"account": "reported-often"},
            "reason": "csam",
            "items": [
                {"surface": surface, "external_id": name, "media": each}
                for (name, surface), each in zip(items, media, strict=True)
            ],
        }
    )
    made = submit_report(source, payload=payload, actor=SYSTEM)
    for item in made.items.all():
        desk.casework.scanned(item)
    made.refresh_from_db()
    case = moderation.route_report(made)
    assert case is not None
    return case


def decided(desk: Desk, case: Case) -> Case:
    moderation.claim(case, actor=desk.reviewer)
    case.refresh_from_db()
    decision = moderation.decide(case, actor=desk.reviewer, **verdict(case))
    moderation.send_now(decision, actor=desk.reviewer)
    assert moderation.publish_decision(decision)
    case.refresh_from_db()
    return case


def test_twelve_reports_of_one_picture_are_one_exhibit_that_names_them(
    desk: Desk, signing: Path, tmp_path: Path, age_command: str
) -> None:
    for _ in range(11):
        report(desk, ("m-1", "reported_message"))
    case = report(
        desk, ("m-1", "reported_message"), ("m-2", "reported_message"), ("p-1", "profile_photo")
    )
    referral = desk.awaiting(decided(desk, case))
    assert referral.exhibits.count() == 1
    actions.approve(referral, version=referral.version, actor=desk.second)
    bag = desk.opened(desk.build(referral), tmp_path, age_command)

    (exhibit,) = desk.read(bag, "metadata/exhibits.json")["exhibits"]
    everywhere: list[dict[str, Any]] = [exhibit, *exhibit["also"]]
    assert len(everywhere) == 14
    numbers = {str(row.report) for row in case.case_reports.all()}
    assert len(numbers) == 12
    assert {each["report"] for each in everywhere} == numbers
    assert sorted({each["platform_id"] for each in everywhere}) == ["m-1", "m-2", "p-1"]
    # Each message that held it still stands in its conversation and names the exhibit.
    lines = "".join(path.read_text() for path in (bag / "data/metadata/messages").glob("*.jsonl"))
    assert lines.count('"exhibits": ["EX-0001"]') == 13
    assert '"left_out": true' not in lines
    assert lines.count('"left_out": 0') == len(numbers)
    text = " ".join(text_of((bag / "data/summary.pdf").read_bytes()).split())
    assert all(number in text for number in numbers)


def test_what_joins_later_with_the_same_bytes_is_no_other_exhibit_and_not_left_out(
    desk: Desk,
) -> None:
    case = decided(desk, report(desk, ("m-1", "reported_message"), ("m-2", "reported_message")))
    draft = desk.draft(case)
    assert draft.exhibits.count() == 1
    assert actions.refresh_draft(draft, actor=desk.author) == 0
