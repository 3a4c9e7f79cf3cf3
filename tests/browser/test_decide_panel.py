"""The panel of the decision as a reviewer on a laptop has it: in sight, by keyboard, with no choice that cannot be saved."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from accounts.models import User
from accounts.permissions import Role
from moderation import actions
from moderation.models import Case, Decision, Policy, PolicyVersion
from tests.browser.conftest import Window
from tests.casework import Casework, grant_all
from tests.cast import make_person
from tests.in_sight import SIZES, faults_of_panel, hidden_focus
from tests.pictures import jpeg

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

REASON = "An invented reason that is long enough."


@pytest.fixture
def robin(tap: object) -> User:
    return grant_all(make_person("Robin Reed", Role.REVIEWER))


def held_case(casework: Casework, robin: User, **said: Any) -> Case:
    case = casework.case(**said)
    actions.claim(case, actor=robin)
    return case


def no_outcome(page: Page, heard: list[str]) -> None:
    """Send the form as somebody whose browser does not ask for what is missing."""
    page.evaluate(
        """() => {
          document.querySelector("#decide-form").noValidate = true;
          for (const box of document.querySelectorAll("[name=enforcements]:checked")) box.click();
        }"""
    )
    page.get_by_role("button", name="Confirm", exact=False).first.click()
    expect(page.locator(".error-summary")).to_be_visible()
    # The browser writes down every answer of 400 and above.
    heard[:] = [line for line in heard if "422" not in line]


def test_whatever_the_window_the_decision_is_in_sight_and_nothing_lies_on_it(
    window: Window, casework: Casework, robin: User, settings: Any, complaints: list[str]
) -> None:
    settings.HOLDFAST_UNDO_SECONDS = 900
    for number in range(3):
        casework.decided(casework.case(f"decided-{number}"), by=robin)
    # The most measures that an account can have, and the longest words that a policy can have.
    longest = PolicyVersion.objects.filter(policy__code="CS-3").latest("version")
    policy = Policy.objects.create(code="CS-3-LONG", category="grooming", title="long words " * 10)
    PolicyVersion.objects.create(
        policy=policy,
        version=1,
        summary="Invented words of a summary. " * 10,
        definition=longest.definition,
        severity=4,
        enforcements=longest.enforcements,
        usual_measures=["ban_account"],
        requires_referral=True,
    )
    case = held_case(casework, robin, reason="grooming", pictures=[jpeg(7, (96, 64))])
    page = window(robin)
    page.goto(f"/cases/{case.pk}/")
    expect(page.locator(".undo li")).to_have_count(3)
    expect(page.locator("#undo-bar")).to_contain_text("3 decisions can still be undone")
    found = [fault for size in SIZES for fault in faults_of_panel(page, size)]
    page.select_option("#id_policy", label="CS-3-LONG " + "long words " * 9 + "long words")
    expect(page.locator("#policy-choice")).to_contain_text("CS-3-LONG v1")
    # Nothing was tried yet, so nothing is wrong yet.
    expect(page.locator("#decide .errorlist")).to_have_count(0)
    no_outcome(page, complaints)
    summary = page.locator(".error-summary")
    for words in ("What you found", "What the platform should do", "Reason"):
        expect(summary).to_contain_text(words)
        expect(page.locator("#decide :is(label, legend)").filter(has_text=words)).to_have_count(1)
    expect(page.locator(".undo li")).to_have_count(3)
    for size in SIZES:
        found += faults_of_panel(page, size)
        found += hidden_focus(page, size)
    assert found == [], "\n".join(found)


def test_the_words_of_every_policy_fit_the_choice_of_it(
    window: Window, casework: Casework, robin: User
) -> None:
    case = held_case(casework, robin)
    page = window(robin)
    page.goto(f"/cases/{case.pk}/")
    for width, height in SIZES.values():
        page.set_viewport_size({"width": width, "height": height})
        cut = page.locator("#id_policy").evaluate(
            """(select) => {
              const style = getComputedStyle(select);
              const pen = document.createElement("canvas").getContext("2d");
              pen.font = style.font;
              const room = select.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
              return [...select.options].map((one) => one.text).filter((text) => pen.measureText(text).width > room);
            }"""
        )
        assert cut == [], (width, cut)


def test_what_cannot_be_recorded_cannot_be_chosen(
    window: Window, casework: Casework, robin: User
) -> None:
    case = held_case(casework, robin)
    page = window(robin)
    page.goto(f"/cases/{case.pk}/")
    box = {verb: page.locator(f"input[value={verb}]") for verb in ("ban_account", "no_action")}
    expect(box["ban_account"]).to_be_checked()  # It is usual for this policy.
    expect(page.locator("input[value=confirm]")).to_be_disabled()
    expect(page.locator("#outcome-impossible")).to_contain_text("asks for a referral")
    page.keyboard.press("3")
    expect(box["no_action"]).to_be_checked()
    expect(box["ban_account"]).to_be_disabled()
    expect(box["ban_account"]).not_to_be_checked()
    expect(page.locator("#enforcements-impossible")).to_contain_text("nothing was violated")
    expect(page.locator("#consequence")).to_contain_text("The platform is told nothing")
    page.keyboard.press("1")
    expect(box["ban_account"]).to_be_checked()
    expect(box["no_action"]).not_to_be_checked()
    expect(page.locator("#consequence")).to_contain_text("The platform is told: ban account")
    box["no_action"].check()
    expect(box["ban_account"]).to_be_disabled()
    expect(page.locator("#consequence")).to_contain_text(
        "told nothing; the case waits for legal staff"
    )
    box["no_action"].uncheck()
    expect(box["ban_account"]).to_be_checked()
    # Another policy brings its own usual measures, as long as nobody chose any.
    page.reload()
    page.select_option("#id_policy", label="GN-1 Spam and other")
    expect(page.locator("input[value=warn]")).to_be_checked()
    expect(page.locator("input[value=confirm]")).to_be_enabled()
    page.locator("input[value=limit_forwarding]").check()
    page.select_option("#id_policy", label="CS-3 Grooming and solicitation")
    expect(page.locator("#policy-choice")).to_contain_text("CS-3 v1")
    expect(page.locator("input[value=limit_forwarding]")).to_be_checked()
    expect(box["ban_account"]).not_to_be_checked()


def test_from_case_to_case_without_leaving_the_keyboard_and_back_with_all_that_was_said(
    window: Window, casework: Casework, robin: User, settings: Any
) -> None:
    settings.HOLDFAST_UNDO_SECONDS = 900
    first = held_case(casework, robin)
    second = casework.case()
    elsewhere = casework.case(reason="grooming", pictures=[])
    page = window(robin)
    page.goto(f"/cases/{first.pk}/")
    press(page, "KeyP", "з")  # As a Cyrillic layout gives it.
    expect(page.locator("#id_policy")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#id_policy")).not_to_be_focused()
    press(page, "Digit1", "&")  # As a French one gives it.
    expect(page.locator("input[value=confirm_refer]")).to_be_checked()
    reason = page.locator("#id_reason")
    reason.focus()
    page.keyboard.type(f"{REASON} nN1z")
    press(page, "KeyN", "т")
    expect(reason).to_have_value(f"{REASON} nN1z")
    page.keyboard.press("Escape")
    expect(reason).not_to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#keys-dialog")).to_contain_text("leave a field")
    expect(page.locator("#keys-dialog dt", has_text="Ctrl ⇧ ⏎")).to_have_count(1)
    page.keyboard.press("Escape")
    reason.focus()
    page.keyboard.press("Control+Shift+Enter")
    page.wait_for_url(f"**/cases/{second.pk}/")
    page.keyboard.press("3")
    reason.fill(REASON)
    page.keyboard.press("Control+Shift+Enter")
    # Nothing more waits here; what is due elsewhere is one press away.
    page.wait_for_url("**/queues/suspected-imagery/")
    expect(page.locator(".start")).to_contain_text("Grooming and solicitation")
    expect(page.locator(".start button")).to_be_focused()
    expect(page.locator(".undo li")).to_have_count(2)
    expect(page.locator(".undo li").first).to_contain_text(f"{second}: not a violation")
    page.locator(".undo li").nth(1).get_by_role("button").click()
    page.wait_for_url(f"**/cases/{first.pk}/")
    expect(reason).to_have_value(f"{REASON} nN1z")
    expect(page.locator("input[value=confirm_refer]")).to_be_checked()
    expect(page.locator("input[value=ban_account]")).to_be_checked()
    expect(page.locator("#taken-back")).to_be_visible()
    expect(page.locator(".undo li")).to_have_count(1)
    page.keyboard.press("z")
    page.wait_for_url(f"**/cases/{second.pk}/")
    expect(page.locator("input[value=not_violating]")).to_be_checked()
    expect(page.locator("input[value=no_action]")).to_be_checked()
    page.keyboard.press("1")  # The usual measures are not lost for having been put aside.
    expect(page.locator("input[value=ban_account]")).to_be_checked()
    assert Decision.objects.filter(undone_at=None).count() == 0
    page.goto("/")
    expect(page.locator(".start")).to_contain_text("Grooming and solicitation")
    page.locator(".start button").click()
    page.wait_for_url(f"**/cases/{elsewhere.pk}/")


def press(page: Page, code: str, key: str) -> None:
    """Press a key as another layout does: the same place on the keyboard, another character."""
    page.evaluate(
        """([code, key]) => document.activeElement.dispatchEvent(
          new KeyboardEvent("keydown", { code, key, bubbles: true, cancelable: true }))""",
        [code, key],
    )


def test_a_decision_without_a_connection_stays_on_the_page_and_a_slow_one_is_sent_once(
    window: Window, casework: Casework, robin: User, complaints: list[str]
) -> None:
    case = held_case(casework, robin)
    page = window(robin)
    page.goto(f"/cases/{case.pk}/")
    page.keyboard.press("1")
    page.locator("#id_reason").fill(REASON)
    sign_of_life = "**/favicon*"
    page.route(sign_of_life, lambda route: route.abort("connectionrefused"))
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast--danger")).to_contain_text("Nothing was changed")
    expect(page.locator("#id_reason")).to_have_value(REASON)
    assert not Decision.objects.exists()
    page.unroute(sign_of_life)
    complaints.clear()  # The browser itself says that the connection was refused.
    sent = []
    page.on("request", lambda asked: sent.append(asked.url) if asked.method == "POST" else None)
    # The page itself writes down what it showed, and presses once more: it is gone when the answer has come.
    page.evaluate(
        """() => {
          const confirm = document.querySelector(".decide__buttons button");
          new MutationObserver(() => {
            if (!("busy" in confirm.dataset) || sessionStorage.getItem("seen-busy")) return;
            const shown = [confirm.form.ariaBusy, document.documentElement.hasAttribute("data-progress")];
            sessionStorage.setItem("seen-busy", shown.join(" "));
            confirm.click();
          }).observe(document.documentElement, { attributes: true, subtree: true });
        }"""
    )

    def slowly(route: Route) -> None:
        time.sleep(1)
        route.continue_()

    page.route("**/decide/", slowly)
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/queues/*/")
    assert page.evaluate("sessionStorage.getItem('seen-busy')") == "true true"
    assert len([url for url in sent if url.endswith("/decide/")]) == 1
    assert Decision.objects.count() == 1
