"""The conversation beside what is reported: in order, with what is missing, who answers whom, and all of it covered."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.models import AuditEntry
from moderation import actions
from moderation.models import Case
from reports.actions import submit_report
from reports.models import Item
from reports.payloads import ReportPayload
from tests import recordings
from tests.casework import Casework, url
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db


def said(name: str, position: int | None = None, **more: Any) -> dict[str, Any]:
    """Return a message of the accused that is context, with a text that names it."""
    told: dict[str, Any] = {
        "surface": "reported_message",
        "external_id": name,
        "conversation": "chat/5",
        "sender": "accused",
        "role": "context",
        "text": f"markerword-{name}",
    }
    if position is not None:
        told["position"] = position
    told |= more
    return {key: value for key, value in told.items() if value is not None}


def told(casework: Casework, *items: dict[str, Any], **more: Any) -> Case:
    """Return the case of a report by an account about another one, with these messages."""
    document = {
        "subject": {"account": "accused"},
        "reporter": {"account": "victim"},
        "reason": "grooming",
        "items": list(items),
    } | more
    payload = ReportPayload.model_validate(document)
    return casework.routed(submit_report(casework.source(), payload=payload, actor=SYSTEM))


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def pane(client: Client, case: Case, query: str = "") -> str:
    """Return the conversation as the page shows it."""
    page = client.get(url("case", case) + query).content.decode()
    found = re.search(r'id="pane-conversation".*?(?=<div id="pane-match")', page, re.DOTALL)
    return found[0] if found else ""


def order(html: str) -> list[str]:
    """Return ids of messages in the order of the page, and gaps as their words."""
    names = {str(item.pk): item.external_id for item in Item.objects.all()}
    found = re.findall(
        r'id="message-([0-9a-f-]{36})"|class="talk__gap">.*?<span>(.*?)</span>', html, re.DOTALL
    )
    return [names[key] if key else gap for key, gap in found]


def test_it_is_in_order_with_its_gaps_and_covered(casework: Casework, at_work: Client) -> None:
    case = told(
        casework,
        said("m-14", 14, sender="victim", reply_to="m-12"),
        said("m-11", 11, reply_to="m-3"),
        said("m-12", 12, role="reported", edited_at="2026-11-22T10:43:00Z", is_deleted=True),
        said("m-13", 13, text=None, not_sent="encrypted"),
        said("m-17", 17, text=None, not_sent="own-code"),
    )
    html = pane(at_work, case)
    assert order(html) == [
        "m-11",
        "m-12",
        "m-13",
        "m-14",
        "Positions 15 to 16 were not sent",
        "m-17",
    ]
    assert "markerword" not in html  # No text is in the page before somebody asks for it.
    shown = words(html)
    assert "chat/5" in shown
    assert "Edited 2026-11-22 10:43 UTC Deleted by its sender" in shown
    assert "Not sent: the platform cannot read it" in shown
    assert "Not sent: “ own-code ”" in shown or "Not sent: “own-code”" in shown
    assert "Reply to m-3, which was not sent" in shown
    key = Item.objects.get(external_id="m-12").pk
    assert f'<a href="#message-{key}" data-unfolds><bdi>Reply to accused</bdi></a>' in html
    assert html.count("message--reported") == 1
    assert html.count("message--reporter") == 1


def test_what_comes_later_is_put_in_its_place_and_marked(
    casework: Casework, at_work: Client
) -> None:
    case = told(casework, said("m-1", 1), said("m-4", 4, role="reported"))
    assert order(pane(at_work, case)) == ["m-1", "Positions 2 to 3 were not sent", "m-4"]
    later = told(casework, said("m-3", 3), said("m-4", 4, role="reported"))
    assert later == case
    html = pane(at_work, case)
    assert order(html) == ["m-1", "Position 2 was not sent", "m-3", "m-4"]
    assert html.count("Arrived later, with R-") == 1
    assert "In 2 reports" in words(html)  # What both tell is one line.


def test_an_edit_that_comes_later_stands_beside_what_it_was(
    casework: Casework, at_work: Client
) -> None:
    case = told(casework, said("m-1", 1, role="reported"), said("m-2", 2))
    told(
        casework,
        said("m-1", 1, text="other words", role="reported", edited_at="2026-11-22T10:43:00Z"),
    )
    html = pane(at_work, case)
    assert order(html) == ["m-1", "m-1", "m-2"]
    assert words(html).count("One of 2 versions, from R-") == 2
    assert "Edited 2026-11-22 10:43 UTC" in words(html)


def test_chats_of_partners_do_not_mix(casework: Casework, at_work: Client) -> None:
    from reports.actions import create_source

    case = told(casework, said("m-1", 1, role="reported"), said("m-2", 2))
    hotline = create_source(slug="hotline", name="Hotline", kind="trusted_flagger", actor=SYSTEM)
    payload = ReportPayload.model_validate(
        {
            "subject": {"account": "accused"},
            "reason": "grooming",
            "items": [said("m-1", 1, text="of another chat"), said("m-9", 9)],
        }
    )
    assert casework.routed(submit_report(hotline, payload=payload, actor=SYSTEM)) == case
    assert order(pane(at_work, case)) == ["m-1", "m-2"]
    assert "Conversation 1 of 2" in words(pane(at_work, case))
    other = pane(at_work, case, "?conversation=2")
    assert order(other) == ["m-1", "Positions 2 to 8 were not sent", "m-9"]


def test_long_runs_far_from_what_is_reported_are_folded(
    casework: Casework, at_work: Client
) -> None:
    items = [said(f"m-{n}", n, role="reported" if n == 20 else "context") for n in range(40)]
    html = pane(at_work, told(casework, *items))
    assert re.findall(r"<summary>(.*?)</summary>", html) == ["15 messages more", "14 messages more"]
    assert order(html) == [f"m-{n}" for n in range(40)]


def test_each_stretch_begins_with_its_day(casework: Casework, at_work: Client) -> None:
    """What is in sight has a date, whatever is folded before it, and never the same one twice in a row."""
    items = [
        said(
            f"m-{n}",
            n,
            role="reported" if n == 20 else "context",
            content_at=f"2026-11-{22 + n // 30}T10:00:00Z",
        )
        for n in range(40)
    ]
    case = told(casework, *items)
    html = pane(at_work, case)
    stretches = html.split('class="talk__stretch"')[1:]
    days = [re.findall(r'class="talk__day(.*?)"><span>(\d+ \w+)', stretch) for stretch in stretches]
    assert days == [
        [("", "22 November")],
        [(" talk__day--again", "22 November")],
        [(" talk__day--again", "22 November"), ("", "23 November")],
    ]
    keys = {item.external_id: str(item.pk) for item in Item.objects.all()}
    where = reverse("moderation:conversation", kwargs={"id": case.pk})
    shown = at_work.get(where, {"from": keys["m-15"], "to": keys["m-25"]}).content.decode()
    assert 'class="talk__day talk__day--again"><span>22 November' in shown


def test_messages_are_counted_and_not_their_versions_or_gaps(
    casework: Casework, at_work: Client
) -> None:
    case = told(casework, *(said(f"m-{n}", n, role="reported") for n in (1, 2, 4)))
    told(casework, said("m-1", 1, text="other words", role="reported"))
    assert "3 messages, 1 in 2 versions" in words(pane(at_work, case))


def test_focus_goes_to_what_was_uncovered(casework: Casework, at_work: Client) -> None:
    """The button or link that had it is gone."""
    case = told(
        casework,
        said("m-1", 1, text=None, not_sent="deleted"),
        said("m-2", 2, role="reported"),
        said("m-3", 3),
    )
    assert "autofocus" not in pane(at_work, case)
    keys = {item.external_id: str(item.pk) for item in Item.objects.all()}
    where = reverse("moderation:conversation", kwargs={"id": case.pk})
    html = at_work.get(where, {"from": keys["m-1"], "to": keys["m-3"]}).content.decode()
    assert re.findall(r'id="message-(\S+)" tabindex="-1" autofocus', html) == [keys["m-2"]]
    one = reverse("moderation:text", kwargs={"id": case.pk, "item_id": keys["m-3"]})
    assert 'tabindex="-1" autofocus' in at_work.get(one).content.decode()


def test_texts_are_uncovered_together_and_each_is_recorded(
    casework: Casework, at_work: Client, script: Client
) -> None:
    case = told(
        casework,
        said("m-1", 1),
        said("m-2", 2, role="reported"),
        said("m-3", 3, text=None, not_sent="deleted"),
        said("m-4", 4),
    )
    where = reverse("moderation:conversation", kwargs={"id": case.pk})
    keys = {item.external_id: str(item.pk) for item in Item.objects.all()}
    ask = {"from": keys["m-1"], "to": keys["m-2"]}
    html = at_work.get(where, ask).content.decode()
    assert re.findall(r"markerword-m-\d", html) == ["markerword-m-1", "markerword-m-2"]
    shown = AuditEntry.objects.filter(event="media.text.shown", chain=f"case:{case.pk}")
    assert {line.subject_id for line in shown} == {keys["m-1"], keys["m-2"]}
    assert at_work.get(where, {"from": keys["m-1"], "to": "nonsense"}).status_code == 404
    other = told(casework, said("x-1", 1), said("x-2", 2), subject={"account": "somebody-else"})
    mixed = {"from": keys["m-1"], "to": str(other.case_items.all()[0].item_id)}
    assert at_work.get(where, mixed).status_code == 404


def test_a_caption_is_asked_for_on_its_card_and_in_the_conversation(
    casework: Casework, at_work: Client, robin: User
) -> None:
    media = casework.upload(casework.source(), jpeg(1, (96, 64)), "image/jpeg")
    case = told(casework, said("m-1", 1, role="reported", media=media), said("m-2", 2))
    item = Item.objects.get(external_id="m-1")
    page = at_work.get(url("case", case)).content.decode()
    assert "Sent with a caption of 14 characters, masked" in page
    assert "markerword" not in page
    assert f'data-evidence-to="evidence-{item.pk}" data-evidence-far' in page
    where = reverse("moderation:text", kwargs={"id": case.pk, "item_id": item.pk})
    assert f'id="said-{item.pk}"' in at_work.get(where, {"in": "conversation"}).content.decode()
    assert "markerword-m-1" in at_work.get(where).content.decode()


def test_a_voice_message_is_played_by_the_rules_of_reveals(
    casework: Casework, at_work: Client, robin: User
) -> None:
    source = casework.source()
    voice = casework.upload(source, recordings.wav(), "audio/wav")
    deaf = casework.upload(source, recordings.amr(), "audio/amr")
    case = told(
        casework,
        said("m-1", 1, role="reported", media=voice, text=None),
        said("m-2", 2, media=deaf, text=None),
    )
    actions.claim(case, actor=robin)
    page = at_work.get(url("case", case)).content.decode()
    assert "Hold to listen" in page
    assert "Why do you need to listen?" in page
    assert "need to look" not in page
    hold = page.partition("data-reveal-hold")[2].partition("</button>")[0]
    assert "#audio" in hold
    item = Item.objects.get(external_id="m-1")
    where = reverse("moderation:reveal", kwargs={"id": case.pk, "item_id": item.pk})
    issued = at_work.post(where, {"purpose": "assess"}).json()
    answer = at_work.get(issued["url"])
    assert answer["Content-Type"] == "audio/wav"
    assert answer.getvalue() == recordings.wav()
    closed = at_work.post(
        issued["close_url"],
        {"milliseconds": 0, "painted": "[]", "played": "[[0, 400]]", "film": 500},
    ).json()
    assert closed["words"] == "Opened, not heard"
    # What no browser plays is not handed out.
    item = Item.objects.get(external_id="m-2")
    where = reverse("moderation:reveal", kwargs={"id": case.pk, "item_id": item.pk})
    refused = at_work.post(where, {"purpose": "assess"}, headers={"accept": "application/json"})
    assert refused.json()["code"] == "unsafe_kind"


def test_an_account_s_case_names_the_group_and_a_group_s_case_who_sent_it(
    casework: Casework, at_work: Client
) -> None:
    case = told(
        casework,
        said("m-1", 1, role="reported", group="group-7"),
        said("m-2", 2, sender="victim"),
        subject={"account": "accused", "group": "group-7"},
    )
    page = words(at_work.get(url("case", case)).content.decode())
    assert "Account accused , in group-7" in page
    assert "Where it happened group-7 · 1 report names it, 1 item was written in it" in page
    about = told(casework, said("m-3", 3, role="reported"), said("m-4", 4), subject={"group": "g"})
    page = words(at_work.get(url("case", about)).content.decode())
    assert f"Who sent what is reported accused · 1 reported item {case}" in page


def test_nothing_is_ordered_removed_that_nobody_has(casework: Casework, at_work: Client) -> None:
    case = told(
        casework, said("m-1", 1, role="reported", text=None, not_sent="withheld"), said("m-2", 2)
    )
    assert not actions.has_media(case)


def test_a_list_of_messages_is_a_conversation_too(casework: Casework, at_work: Client) -> None:
    case = casework.case(texts=["one", "two"], pictures=[])
    html = pane(at_work, case)
    assert "Messages of R-" in html
    assert (
        'id="tab-match" aria-controls="pane-match" aria-selected="true"'
        in at_work.get(url("case", case)).content.decode()
    )
    assert pane(at_work, casework.case(texts=["alone"], pictures=[])) == ""
