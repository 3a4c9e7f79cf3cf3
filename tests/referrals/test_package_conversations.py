"""A conversation leaves in its order, with what is missing in it, its context as context, and what became of messages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from core.audit import SYSTEM
from moderation import actions as moderation
from moderation.models import Case
from referrals import actions, contents
from referrals.describing import describe_conversations
from referrals.describing.cases import describe_case
from referrals.describing.words import conversations_of
from referrals.message_files import messages_jsonl
from referrals.models import Referral
from referrals.summary import summary_pdf
from reports.actions import submit_report
from reports.payloads import ReportPayload
from tests import recordings
from tests.casework import hash_finding, verdict
from tests.pictures import jpeg
from tests.referrals.desk import Desk, page
from tests.referrals.sealing import spec
from tests.referrals.test_package_summary import text_of

pytestmark = pytest.mark.django_db


def page_text(answer: Any) -> str:
    """Return a page with its lines as one, without what isolates strangers' words from ours."""
    return re.sub(r"</?bdi>", "", " ".join(answer.content.decode().split()))


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
    # The first line calls the conversation what its messages call it, and counts messages, not lines.
    assert {head["conversation"], *(each["conversation"] for each in messages)} == {"chat/ß"}
    assert (head["messages"], head["lines"], head["not_sent"]) == (4, 4, 1)
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
    assert exhibits["m-2"]["recognised_as"] == "JPEG picture"
    assert exhibits["m-3"]["recognised_as"] == "WAV recording"
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


def test_what_is_counted_are_messages_not_wordings_and_gaps(desk: Desk) -> None:
    case = told(desk, said("m-1", 1, role="reported"), said("m-2", 2), said("m-6", 6))
    told(desk, said("m-1", 1, text="other words", role="reported", is_edited=True))
    told(desk, said("m-7", 7, text=None, not_sent="encrypted"))
    talk = conversations_of(case, {})[0]
    assert talk.counts.messages == 4
    assert talk.size_in_words == (
        "4 messages, 1 in several versions, 1 without content, which was not sent to us, "
        "positions 3 to 5 were not sent"
    )
    facts = spec(conversations=(talk,), exhibits=())
    head = json.loads(messages_jsonl(facts, talk).splitlines()[0])
    assert (head["messages"], head["lines"], head["in_several_versions"]) == (4, 6, 1)
    assert head["gaps"] == ["Positions 3 to 5 were not sent"]
    shown = " ".join(text_of(summary_pdf(facts)).split())
    assert "Conversation chat/ß 4 messages, 1 in several versions" in shown
    assert shown.count("Version: one of 2 of this message") == 2


def test_draft_and_approval_say_what_leaves_of_conversations_and_exhibits(
    desk: Desk, author: Client, second: Client
) -> None:
    source = desk.casework.source()
    reported = desk.casework.upload(source, jpeg(1, (96, 64)), "image/jpeg")
    around = desk.casework.upload(source, jpeg(2, (96, 64)), "image/jpeg")
    case = told(
        desk,
        said("m-4", 4, role="reported", media=reported, group="g-7"),
        said("m-5", 5, media=around, text=None, sender="bystander"),
        said("m-8", 8, text=None, not_sent="encrypted"),
    )
    desk.casework.published(case, by=desk.reviewer)
    draft = desk.draft(case)
    pages = [page_text(author.get(page("detail", draft)))]
    waiting = actions.request_approval(draft, version=draft.version, actor=desk.author)
    pages.append(page_text(second.get(page("approve", waiting))))
    for shown in pages:
        card = shown.partition('id="conversations"')[2].partition("</section>")[0]
        assert "Go along" in card
        assert "Conversation chat/ß" in card
        assert (
            "3 messages, 1 without content, which was not sent to us, positions 6 to 7 were not sent"
            in card
        )
        assert (
            "Reported: reported message of accused, conversation chat/ß, position 4, group g-7, "
            "with a caption of 14 characters, R-"
        ) in shown
        assert (
            "Context: reported message of bystander, conversation chat/ß, position 5, R-" in shown
        )
        assert "markerword-m-4" not in shown
    Referral.objects.filter(pk=waiting.pk).update(include_messages=False)
    shown = page_text(second.get(page("approve", waiting)))
    assert "Stay behind" in shown.partition('id="conversations"')[2].partition("</section>")[0]


def test_a_case_with_very_many_messages_says_so_and_orders_none(
    desk: Desk, author: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = told(desk, said("m-4", 4, role="reported"), said("m-5", 5))
    desk.casework.published(case, by=desk.reviewer)
    monkeypatch.setattr(contents, "MOST_COUNTED", 1)
    draft = desk.draft(case)
    assert "2 messages, texts and files: too many" in page_text(author.get(page("detail", draft)))


def test_an_order_about_several_items_is_one_step(desk: Desk) -> None:
    case = desk.casework.case(pictures=[jpeg(1), jpeg(2)])
    moderation.claim(case, actor=desk.reviewer)
    case.refresh_from_db()
    said = verdict(case, enforcements=["ban_account", "remove_media"])
    decision = moderation.decide(case, actor=desk.reviewer, **said)
    moderation.send_now(decision, actor=desk.reviewer)
    assert moderation.publish_decision(decision)
    case.refresh_from_db()
    facts = describe_case(
        actions.open_referral(case, recipient=desk.agency, actor=desk.author), decision
    )
    assert facts.enforcements == (
        "Ban account: waiting to be sent",
        "Remove media of 2 items: waiting to be sent",
    )
