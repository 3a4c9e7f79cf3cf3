"""A conversation leaves in its order, with what is missing in it, its context as context, and what became of messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.audit import SYSTEM
from moderation.models import Case
from referrals import actions
from referrals.describing import describe_conversations
from referrals.models import Referral
from reports.actions import submit_report
from reports.payloads import ReportPayload
from tests import recordings
from tests.casework import hash_finding
from tests.pictures import jpeg
from tests.referrals.desk import Desk

pytestmark = pytest.mark.django_db


def said(name: str, position: int | None = None, **more: Any) -> dict[str, Any]:
    told = {
        "surface": "reported_message",
        "external_id": name,
        "conversation": "chat/ß",
        "sender": "accused",
        "role": "context",
        "text": f"markerword-{name}",
        "position": position,
    } | more
    return {key: value for key, value in told.items() if value is not None}


def told(desk: Desk, *items: dict[str, Any]) -> Case:
    document = {"subject": {"account": "accused", "group": "g-7"}, "reason": "csam", "items": items}
    payload = ReportPayload.model_validate(document)
    report = submit_report(desk.casework.source(), payload=payload, actor=SYSTEM)
    return desk.casework.routed(report, hash_finding())


def talk_of(desk: Desk, case: Case) -> list[str]:
    """Return the messages of the first conversation by their ids, gaps by their words."""
    desk.casework.published(case, by=desk.reviewer)
    referral = actions.open_referral(case, recipient=desk.agency, actor=desk.author)
    exhibits = list(referral.exhibits.select_related("item"))
    first = describe_conversations(Referral(case=case, include_messages=True), exhibits)[0]
    assert first.title == "Conversation chat/ß"
    return [each.gap or each.id for each in first.messages]


def test_positions_settle_the_order_across_reports_and_gaps_are_told(desk: Desk) -> None:
    case = told(desk, said("m-9", 9, role="reported"), said("m-4", 4), said("m-5", 5))
    assert told(desk, said("m-7", 7), said("m-9", 9, role="reported"), said("m-5", 5)) == case
    assert talk_of(desk, case) == [
        *("m-4", "m-5", "Position 6 was not sent", "m-7"),
        *("Position 8 was not sent", "m-9"),
    ]


def test_every_version_of_a_message_leaves(desk: Desk) -> None:
    case = told(desk, said("m-1", 1, role="reported"), said("m-2", 2))
    told(desk, said("m-1", 1, text="other words", role="reported", is_edited=True))
    assert talk_of(desk, case) == ["m-1", "m-1", "m-2"]


def test_a_package_holds_context_captions_voices_and_what_was_not_sent(
    desk: Desk, signing: Path, tmp_path: Path, age_command: Any
) -> None:
    source = desk.casework.source()
    picture = desk.casework.upload(source, jpeg(1, (96, 64)), "image/jpeg")
    voice = desk.casework.upload(source, recordings.wav(), "audio/wav")
    case = told(
        desk,
        said("m-1", 1, reply_to="m-0", group="g-7", is_deleted=True),
        said("m-2", 2, media=picture, role="reported", edited_at="2026-11-22T10:43:00Z"),
        said("m-3", 3, text=None, media=voice),
        said("m-4", 4, text=None, not_sent="encrypted"),
    )
    desk.casework.published(case, by=desk.reviewer)
    sealed = desk.sealed(case)
    assert sealed.build_error == ""
    bag = desk.opened(sealed, tmp_path, age_command)
    (lines,) = [
        path.read_text().splitlines()
        for path in sorted((bag / "data/metadata/messages").glob("*0001.jsonl"))
    ]
    head, *messages = map(json.loads, lines)
    assert head["title"] == "Conversation chat/ß"
    first, second, third, fourth = messages
    assert (first["role"], first["reported"]) == ("Context", False)
    assert (first["reply_to"], first["group"], first["is_deleted"]) == ("m-0", "g-7", True)
    # One message: its words are the caption of its file.
    assert second["text"] == "markerword-m-2"
    assert len(second["exhibits"]) == 1
    assert second["edited_at"] == "2026-11-22T10:43:00Z"
    assert fourth["not_sent"] == "encrypted"
    assert "text" not in fourth
    exhibits = {
        each["platform_id"]: each
        for each in json.loads((bag / "data/metadata/exhibits.json").read_text())["exhibits"]
    }
    assert set(exhibits) == {"m-2", "m-3"}
    assert third["exhibits"] == [exhibits["m-3"]["id"]]
    assert exhibits["m-3"]["role"] == "Context"
    assert (exhibits["m-3"]["conversation"], exhibits["m-3"]["conversation_position"]) == (
        "chat/ß",
        3,
    )
    report = json.loads((bag / "data/metadata/reports.json").read_text())["reports"][0]
    assert report["in_group"] == "g-7"
    table = next((bag / "data/metadata/messages").glob("*0001.csv")).read_text("utf-8-sig")
    assert "[not sent to us]" in table
