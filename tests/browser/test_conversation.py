"""The conversation of a case in a browser: by keyboard, covered until asked for, with voices that play and cover again."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from accounts.permissions import Role
from core.audit import SYSTEM
from moderation import actions
from moderation.models import Case, Reveal
from reports.actions import submit_report
from reports.payloads import ReportPayload
from tests import recordings
from tests.browser.conftest import Window
from tests.casework import Casework, grant_all
from tests.cast import make_person
from tests.pictures import jpeg

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def robin(tap: object) -> User:
    return grant_all(make_person("Robin Reed", Role.REVIEWER))


@pytest.fixture
def held(casework: Casework, robin: User) -> Case:
    """Return a case of forty messages, one of them reported with a picture and one with a voice."""
    source = casework.source()

    def said(number: int, **more: Any) -> dict[str, Any]:
        return {
            "surface": "reported_message",
            "external_id": f"m-{number}",
            "conversation": "chat",
            "position": number,
            "sender": "accused" if number % 2 else "victim",
            "role": "context",
            "text": f"markerword {number}",
        } | more

    items = [said(number) for number in range(40) if number != 17]
    items[20] |= {"role": "reported", "reply_to": "m-2"}
    items[20]["media"] = casework.upload(source, jpeg(3, (96, 64)), "image/jpeg")
    voice = said(40, media=casework.upload(source, recordings.wav(seconds=8), "audio/wav"))
    del voice["text"]
    payload = ReportPayload.model_validate(
        {
            "subject": {"account": "accused"},
            "reporter": {"account": "victim"},
            "reason": "grooming",
            "items": [*items, voice],
        }
    )
    case = casework.routed(submit_report(source, payload=payload, actor=SYSTEM))
    actions.claim(case, actor=robin)
    return case


def test_it_is_read_by_keyboard_and_covered_until_asked_for(
    window: Window, held: Case, robin: User
) -> None:
    page: Page = window(robin, reduced_motion="reduce")
    page.goto(f"/cases/{held.pk}/")
    pane = page.locator("#pane-conversation")
    expect(pane.locator(".message--reported")).to_be_visible()
    expect(pane.locator(".talk__gap")).to_have_text("Position 17 was not sent")
    expect(pane).not_to_contain_text("markerword")
    # What it answers lies in a fold: following the reply opens it.
    target = pane.locator(".message").filter(has=page.locator("time, .message__covered")).nth(2)
    expect(target).not_to_be_visible()
    pane.get_by_role("link", name="Reply to victim").press("Enter")
    expect(pane.locator(".message:target")).to_be_in_viewport()
    show = pane.get_by_role("button", name="Show these 10 texts")
    show.focus()
    page.keyboard.press("Enter")
    expect(pane).to_contain_text("markerword 20")
    expect(pane).not_to_contain_text("markerword 30")
    expect(page.locator(".message:focus")).to_contain_text("markerword 16")
    # A picture is looked at on its card: the link goes there, focus and all.
    pane.get_by_role("link", name="Go to its card").first.press("Enter")
    card = page.locator("[data-evidence][data-active]")
    expect(card).to_be_focused()
    expect(card).to_contain_text("Sent with a caption of 13 characters")


def test_a_voice_plays_while_it_is_held_and_goes_on_where_it_ended(
    window: Window, held: Case, robin: User
) -> None:
    page: Page = window(robin, reduced_motion="reduce")
    page.goto(f"/cases/{held.pk}/")
    page.locator("#pane-conversation details").last.evaluate("fold => (fold.open = true)")
    page.locator("#pane-conversation").get_by_role("link", name="Go to its card").last.click()
    card = page.locator("[data-evidence][data-active]")
    expect(card).to_contain_text("Voice or sound")
    card.locator("[data-reveal-purpose]").select_option("assess")
    hold = card.get_by_role("button", name="Hold to listen")
    hold.focus()
    page.keyboard.down("v")
    voice = card.locator("audio")
    expect(voice).to_be_visible()
    page.wait_for_function("() => document.querySelector('audio').currentTime > 0.7")
    page.keyboard.up("v")
    expect(voice).to_have_count(0)
    expect(card.locator("[data-reveal-viewed]")).to_contain_text("Heard in part by you")
    page.keyboard.down("v")
    page.wait_for_function("() => (document.querySelector('audio') || {}).currentTime > 1")
    page.keyboard.press("Escape")
    expect(voice).to_have_count(0)
    page.keyboard.up("v")
    assert Reveal.objects.filter(item__kind="audio").count() == 2
