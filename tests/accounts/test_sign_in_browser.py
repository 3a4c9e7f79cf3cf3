"""One walk in a real browser: password, set-up with the secret from the page, idle warning, sign-out."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models.functions import Now
from playwright.sync_api import Page, expect

from accounts import actions
from accounts.models import SignIn
from accounts.permissions import Role
from tests.cast import PASSWORD, make_person, totp_code

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """Collect what the browser says against the pages: errors, and blocks by the content policy."""
    heard: list[str] = []
    page.on("console", lambda m: heard.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


def fill_sign_in(page: Page, email: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_newcomer_sets_up_the_second_factor_and_uses_it_the_next_time(
    page: Page, live_server: Any, complaints: list[str]
) -> None:
    person = make_person("Nina New", Role.ADMINISTRATOR, totp=False)
    page.goto(f"{live_server.url}/people/")
    fill_sign_in(page, person.email)
    expect(page.get_by_role("heading", name="Set up your second factor")).to_be_visible()
    assert page.get_by_role("img", name=re.compile("QR code")).locator("svg path").count() >= 1
    secret = page.locator("#totp-secret").inner_text().replace(" ", "")
    page.get_by_role("textbox", name="Code").fill(totp_code(secret))
    page.get_by_role("button", name="Check the code").click()
    expect(page.locator("#recovery-codes li")).to_have_count(10)
    page.get_by_role("link", name="I have kept them").click()
    expect(page).to_have_url(f"{live_server.url}/people/")

    page.locator("details.menu summary", has_text=person.pseudonym).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{live_server.url}/sign-in/")

    page.goto(f"{live_server.url}/people/")
    fill_sign_in(page, person.email)
    page.get_by_role("textbox", name="Code").fill(totp_code(secret, steps=1))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    assert complaints == []


def test_the_idle_warning_appears_and_staying_takes_it_away(
    page: Page, live_server: Any, settings_idle: None, complaints: list[str]
) -> None:
    from tests.cast import browser_cookie

    person = make_person("Ida Idle", Role.AUDITOR)
    page.context.add_cookies([browser_cookie(live_server.url, person)])
    page.goto(f"{live_server.url}/account/")
    expect(page.get_by_text("Still there?")).to_be_visible()
    page.get_by_role("button", name="Stay signed in").click()
    expect(page.get_by_text("Still there?")).to_have_count(0)
    SignIn.objects.update(last_seen_at=Now() - timedelta(minutes=settings.HOLDFAST_IDLE_MINUTES))
    expect(page).to_have_url(
        re.compile(re.escape(f"{live_server.url}/sign-in/?next=%2Faccount%2F"))
    )
    assert [c for c in complaints if "401" not in c] == []


@pytest.fixture
def settings_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warn 58 of 60 seconds before the end instead of after most of the time."""
    from accounts import idle

    monkeypatch.setattr(settings, "HOLDFAST_IDLE_MINUTES", 1)
    monkeypatch.setattr(idle, "WARN_BEFORE", timedelta(seconds=58))


def test_a_one_time_link_fills_itself_in_and_stays_in_no_address(
    page: Page, live_server: Any, complaints: list[str]
) -> None:
    admin = make_person("Ada Arnold", Role.ADMINISTRATOR)
    _, token = actions.invite(
        email="nina@holdfast.example", name="Nina", role=Role.REVIEWER, actor=admin
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{live_server.url}/invitation/#{token}")
    expect(page.get_by_role("heading", name="Create your account")).to_be_visible()
    expect(page.get_by_label("Your name")).to_have_value("Nina")
    assert page.url == f"{live_server.url}/invitation/"
    assert not [url for url in asked if token in url.partition("#")[0]]
    assert complaints == []
