"""People at browsers: each with a window of their own, all of them behind one tap on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.core.management import call_command
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts.models import User
from tests.browser.tap import Tap
from tests.cast import PASSWORD, browser_cookie, code_for
from tests.machine import LONGEST_WAIT_MS

Window = Callable[..., Page]


@pytest.fixture
def tap(live_server: Any) -> Iterator[Tap]:
    """Return the tap; browsers go to ``tap.url``."""
    create_permissions(apps.get_app_config("moderation"), verbosity=0)
    port = urlsplit(live_server.url).port
    assert port
    made = Tap(port)
    yield made
    made.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Collect what browsers say against the pages: errors, and blocks by the content policy."""
    heard: list[str] = []
    yield heard
    assert heard == []


@pytest.fixture
def window(browser: Browser, tap: Tap, complaints: list[str]) -> Iterator[Window]:
    """Return a function that opens a browser of somebody's own; with a person, signed in."""
    opened: list[BrowserContext] = []

    def open_one(person: User | None = None, **options: Any) -> Page:
        context = browser.new_context(
            base_url=tap.url, viewport={"width": 1440, "height": 900}, **options
        )
        opened.append(context)
        if person is not None:
            context.add_cookies([browser_cookie(tap.url, person)])
        page = context.new_page()
        page.set_default_timeout(LONGEST_WAIT_MS)
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text) if said.type in {"error", "warning"} else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_one
    for context in opened:
        context.close()


def sign_in(page: Page, person: User) -> None:
    """Sign in as people do: address, pass phrase, and the code that the authenticator app shows."""
    page.goto("/")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Code").fill(code_for(person))
    page.keyboard.press("Enter")
    expect(page).to_have_url(page.url.split("/sign-in/")[0].rstrip("/") + "/")


@pytest.fixture
def signing_key(settings: Any) -> Path:
    """Make the keys that packages are signed and kept with, for a worker in this process."""
    keys = Path(settings.VAR_DIR) / "keys"
    call_command("init_signing", dir=str(keys), verbosity=0)
    settings.HOLDFAST_SIGNING_KEY_FILE = str(keys / "signing_key")
    return keys
