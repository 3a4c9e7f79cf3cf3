"""Trying a detector at a browser: the answer of the worker comes by itself."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from accounts.models import User
from core.audit import SYSTEM
from hashing import actions
from hashing.jobs import sweep_detectors, try_detector
from hashing.models import DetectorSetting, DetectorTrial
from tests.browser.conftest import Window
from tests.pictures import jpeg

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


def test_a_detector_is_turned_on_and_tried_and_the_answer_comes_by_itself(
    window: Window, policy_admin: User
) -> None:
    sweep_detectors()
    setting = DetectorSetting.objects.get(name="nudity")
    actions.change_detector(setting, thresholds={"csam_suspected": 0.0}, actor=SYSTEM)
    page = window(policy_admin)
    page.goto("/detectors/")
    page.get_by_role("link", name="Nudity (open_nsfw)").click()
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("heading", name="Nudity (open_nsfw) On")).to_be_visible()
    drawn: Any = {"name": "drawn.jpg", "mimeType": "image/jpeg", "buffer": jpeg(3)}
    page.locator("input[type=file]").set_input_files(drawn)
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.get_by_role("heading", name="A worker looks at it")).to_be_visible()
    try_detector(str(DetectorTrial.objects.get().pk))
    expect(page.get_by_text("It probably shows nudity: open_nsfw says")).to_be_visible()
    expect(page.locator("#trial")).not_to_have_attribute("hx-trigger", "every 1s")


def test_nothing_to_try_is_said_at_once(
    window: Window, policy_admin: User, complaints: list[str]
) -> None:
    page = window(policy_admin)
    page.goto("/detectors/terms/")
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.locator("#trial")).to_contain_text("Give something to look at.")
    assert all("422" in said for said in complaints)
    complaints.clear()
