"""A person writes rules, is told what is wrong by line, tries a text, compares versions and brings one back."""

from __future__ import annotations

from playwright.sync_api import expect

from accounts.models import User
from core.audit import SYSTEM
from hashing import actions, lookup, term_access
from hashing.models import Category
from tests.browser.conftest import Window


def test_rules_are_written_tried_compared_and_brought_back(
    window: Window, policy_admin: User, complaints: list[str]
) -> None:
    lookup.forget()
    words = actions.create_term_list(
        name="Marker words",
        category=Category.GROOMING,
        steps=["case", "marks", "lookalikes", "signs", "repeats", "spaced"],
        terms="markerword-alpha",
        actor=SYSTEM,
    )
    page = window(policy_admin)
    page.goto(f"/text-rules/{words.pk}/")
    page.get_by_role("link", name="Edit rules").click()
    rules = page.locator("textarea[name=terms]")
    rules.fill('marker\n/mark(?=er)/\n"alpha" near\nallow: marker pen')
    page.get_by_role("button", name="Save as a new version").click()
    said = page.locator(".error-summary")
    expect(said).to_contain_text("Line 2: The pattern cannot be used: looking ahead")
    expect(said).to_contain_text("Line 3: This is not a combination yet")
    expect(rules).to_have_value('marker\n/mark(?=er)/\n"alpha" near\nallow: marker pen')
    assert all("422" in each for each in complaints)  # A browser reports every refusal.
    complaints.clear()
    rules.fill('marker\n/mark\\d+/ {score=0.9}\n"alpha" near 3 "beta"\nallow: marker pen')
    rules.press("Control+Enter")
    expect(page.get_by_text("is now version 2")).to_be_visible()

    page.get_by_role("link", name="Try a text").click()
    page.locator("textarea[name=text]").fill(
        "Alpha and then beta; say m 4 r k 3 r, a MÁRKER pen, mark77."
    )
    page.get_by_role("button", name="Try", exact=True).click()
    trial = page.locator("#trial")
    expect(trial.locator("mark:not(.mark--quiet)")).to_have_text(
        ["Alpha", "beta", "m 4 r k 3 r", "mark77"]
    )
    expect(trial.locator("mark.mark--quiet")).to_have_text(["MÁRKER"])
    expect(trial).to_contain_text("signs for letters, letters set apart")
    expect(trial).to_contain_text("1 match inside an allowed phrase does not count")

    page.goto(f"/text-rules/{words.pk}/")
    page.get_by_role("link", name="Compare").click()
    expect(page.locator("del")).to_contain_text(["markerword-alpha"])
    expect(page.locator("ins")).to_have_count(4)
    page.get_by_role("button", name="Bring back").click()
    expect(page.get_by_text("are back, as version 3")).to_be_visible()
    assert [str(rule) for rule in term_access.rules_of(words)] == ["markerword-alpha"]
