"""A session that ends at the moment of sending: nothing is recorded, and nothing that was entered is lost."""

from __future__ import annotations

import pyrage
import pytest
from playwright.sync_api import Page, expect

from accounts import actions as accounts
from accounts.models import SignIn, User
from moderation import actions as moderation
from moderation.models import Decision, Note
from referrals import actions as referrals
from referrals.models import Recipient, Referral
from tests.browser.conftest import Window
from tests.browser.tap import Tap
from tests.casework import Casework, grant_all
from tests.cast import PASSWORD, browser_cookie, code_for
from tests.pictures import jpeg

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

REASON = "Both pictures stand on the invented list; looked at for that."


def end_sessions(page: Page, person: User) -> None:
    """End what is open, as idleness does, while the page stands there and has asked all that it asks by itself."""
    page.wait_for_load_state("networkidle")
    for sign_in in SignIn.objects.filter(user=person, ended_at=None):
        accounts.end_sign_in(sign_in, because=SignIn.Ended.IDLE, actor=person)


def sign_in_again(page: Page, person: User) -> None:
    """Sign in on the page that the answer led to; it leads back by itself."""
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Code").fill(code_for(person))
    page.keyboard.press("Enter")


def come_back(page: Page, tap: Tap, person: User, path: str) -> None:
    """Come back in a session that is open again; a code works once, so not by another one."""
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.context.add_cookies([browser_cookie(tap.url, person)])
    page.goto(path)


def test_a_decision_and_a_note_stand_there_again(
    window: Window, tap: Tap, casework: Casework, reviewer: User, complaints: list[str]
) -> None:
    grant_all(reviewer)
    case = casework.case(pictures=[jpeg(3, (96, 64))])
    moderation.claim(case, actor=reviewer)
    page = window(reviewer)
    path = f"/cases/{case.pk}/"

    page.goto(path)
    page.locator("#note-text").fill("An invented note.")
    end_sessions(page, reviewer)
    page.get_by_role("button", name="Add note").click()
    come_back(page, tap, reviewer, path)
    expect(page.locator("#note-text")).to_have_value("An invented note.")
    expect(page.locator("[data-unsent]")).to_contain_text("Nothing was recorded.")
    page.get_by_role("button", name="Add note").click()
    expect(page.locator("#timeline")).to_contain_text("An invented note.")
    assert Note.objects.count() == 1

    page.reload()
    expect(page.locator("[data-unsent]")).to_have_count(0)
    expect(page.locator("#note-text")).to_have_value("")
    # Not the policy that the page offers by itself: what depends on it comes back with it.
    page.locator("#id_policy").select_option(index=1)
    policy = page.locator("#id_policy").input_value()
    expect(page.locator("input[value=ban_account]")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.locator("input[value=confirm_refer]").check()
    page.locator("input[value=ban_account]").check()
    page.locator("#id_reason").fill(REASON)
    end_sessions(page, reviewer)
    # Leaving the box asks what would follow, and that may lead to sign-in before the form does.
    page.keyboard.press("Control+Enter")
    # Also whoever gives up here knows what became of it.
    expect(page.locator("[data-unsent]")).to_contain_text("Nothing was recorded.")
    expect(page.locator("[data-unsent]")).to_contain_text("kept in this tab")
    sign_in_again(page, reviewer)
    page.wait_for_url(f"**{path}")
    expect(page.locator("#decide-form [data-unsent]")).to_contain_text("Nothing was recorded.")
    expect(page.locator("#id_policy")).to_have_value(policy)
    expect(page.locator("input[value=confirm_refer]")).to_be_checked()
    expect(page.locator("input[value=ban_account]")).to_be_checked()
    expect(page.locator("#id_reason")).to_have_value(REASON)
    # What follows from it is said before it is confirmed again.
    expect(page.locator("#consequence")).to_contain_text("ban")
    assert not Decision.objects.exists()
    page.get_by_role("button", name="Confirm", exact=True).click()
    page.wait_for_url("**/queues/*/")
    assert Decision.objects.get().reason == REASON
    # The browser writes down what was refused without a session; nothing else may be complained of.
    assert all("401" in said for said in complaints)
    complaints.clear()


def test_an_agency_and_a_draft_stand_there_again(
    window: Window, tap: Tap, casework: Casework, reviewer: User, legal: User, legal2: User
) -> None:
    grant_all(reviewer)
    grant_all(legal)
    page = window(legal)
    key = str(pyrage.x25519.Identity.generate().to_public())
    page.goto("/recipients/new/")
    page.get_by_label("Agency").fill("Invented agency")
    page.locator("[name=keys]").fill(key)
    end_sessions(page, legal)
    page.get_by_role("button", name="Save").click()
    come_back(page, tap, legal, "/recipients/new/")
    expect(page.locator("[data-unsent]")).to_contain_text("Nothing was recorded.")
    expect(page.get_by_label("Agency")).to_have_value("Invented agency")
    expect(page.locator("[name=keys]")).to_have_value(key)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Not confirmed")).to_be_visible()
    agency = Recipient.objects.get()

    case = casework.case(pictures=[jpeg(4, (96, 64))])
    casework.published(case, by=reviewer)
    entered = agency.keys.get()
    referrals.confirm_key(entered, fingerprint=entered.fingerprint, actor=legal2)
    referral = referrals.open_referral(case, recipient=agency, actor=legal)
    path = f"/referrals/{referral.pk}/"
    page.goto(path)
    page.get_by_label("Legal basis").fill("An invented law, section 1")
    page.get_by_label("Summary in words").fill("Half an hour of an invented summary.")
    end_sessions(page, legal)
    page.get_by_role("button", name="Save draft").click()
    sign_in_again(page, legal)
    page.wait_for_url(f"**{path}**")
    expect(page.locator("[data-unsent]")).to_contain_text("Nothing was recorded.")
    expect(page.get_by_label("Legal basis")).to_have_value("An invented law, section 1")
    summary = page.get_by_label("Summary in words")
    expect(summary).to_have_value("Half an hour of an invented summary.")
    assert Referral.objects.get().narrative == ""
    page.get_by_role("button", name="Save draft").click()
    expect(page.locator("[data-unsent]")).to_have_count(0)
    expect(summary).to_have_value("Half an hour of an invented summary.")
    assert Referral.objects.get().narrative == "Half an hour of an invented summary."
