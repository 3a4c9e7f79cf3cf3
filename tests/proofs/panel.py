"""The panel of the decision is in sight whatever the window: measured in a real browser on the running installation."""

from __future__ import annotations

from playwright.sync_api import Page, sync_playwright

from tests.in_sight import SIZES, faults_of_panel
from tests.machine import chromium
from tests.proofs import proof
from tests.proofs.installation import Installation

REASON = "An invented reason for the proof."


def _decide(page: Page) -> None:
    page.keyboard.press("1")
    page.locator("#id_reason").fill(REASON)
    before = page.url
    page.keyboard.press("Control+Shift+Enter")
    page.wait_for_url(lambda url: url != before)
    if "/cases/" not in page.url:
        # The queue is empty now, and its page offers what is due in another one.
        page.locator(".start button").click()
        page.wait_for_url("**/cases/*/")


@proof("the panel of a decision is in sight and uncovered at five sizes of a window", quick=True)
def the_panel_at_five_sizes(place: Installation) -> str:
    cookies = [
        {"name": one.name, "value": one.value or "", "url": place.address}
        for one in place.signed_in("reviewer").http.cookies.jar
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**chromium())
        context = browser.new_context(base_url=place.address)
        context.add_cookies(cookies)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto("/")
        resume = page.get_by_role("link", name="Resume")
        if resume.count():
            resume.first.click()
        else:
            page.locator(".start button").click()
        page.wait_for_url("**/cases/*/")
        _decide(page)
        _decide(page)
        page.wait_for_selector(".undo li:nth-child(2)")
        # An empty form, sent by a browser that does not ask for what is missing: an error for every field.
        page.evaluate(
            """() => {
              document.querySelector("#decide-form").noValidate = true;
              for (const box of document.querySelectorAll("[name=enforcements]:checked")) box.click();
            }"""
        )
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".error-summary")
        page.wait_for_selector(".undo li:nth-child(2)")
        found = [fault for size in SIZES for fault in faults_of_panel(page, size)]
        windows = page.locator(".undo li").count()
        for _ in range(windows):
            page.keyboard.press("Escape")
            with page.expect_navigation():
                page.keyboard.press("z")
            page.wait_for_load_state("networkidle")
        browser.close()
    assert not found, "\n".join(found)
    return f"{len(SIZES)} windows, an error summary, {windows} decisions that can be undone: all in sight"
