"""The one script of the pages, in a real browser against answers made up by the test.

No server and no database: every request of the page is answered here, so a test also knows exactly
which requests were made.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.template import engines
from playwright.sync_api import Page, Route, expect

from core.middleware import CONTENT_SECURITY_POLICY
from tests.clips import clip
from tests.machine import LONGEST_WAIT_MS

# The pages under test link to nothing; base.html leaves out every address that does not exist.
urlpatterns: list[object] = []
pytestmark = pytest.mark.urls(__name__)

ORIGIN = "http://holdfast.test"
STATIC = Path(settings.BASE_DIR) / "static"
# A drawn picture: one square in one colour, with nothing to parse.
PICTURE = b"""<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><rect width="90" height="60" fill="teal"/></svg>"""

CASE = """
{% extends "base.html" %}
{% block content %}
  <div class="lease" id="lease" data-heartbeat-url="/beat" data-lease-expires="{{ lease_until }}">Yours</div>
  <div class="card" data-evidence-set>
    <div class="strip">
      <button type="button" class="strip__item" data-evidence-to="evidence-1" aria-label="File 1">1</button>
      <button type="button" class="strip__item" data-evidence-to="evidence-2" aria-label="File 2">2</button>
    </div>
    {% include "ui/evidence_cover.html" with id=1 position=1 total=2 kind="image" title="Image" viewed="never" reveal_url="/reveal" purposes=purposes active=True only %}
    {% include "ui/evidence_cover.html" with id=2 position=2 total=2 kind="image" title="Image" viewed="never" reveal_url="/reveal" purposes=purposes only %}
  </div>
  <form method="post" action="/note" id="note-form">
    <label for="note">Note</label>
    <textarea id="note" name="note" data-draft-key="case-1" data-key="c"></textarea>
    <label><input type="radio" name="outcome" value="confirm" data-key="1"> Confirm</label>
    <button type="submit" data-key="mod+enter" data-needs-lease>Decide</button>
  </form>
  <div id="part">before</div>
  <button type="button" id="swap" hx-get="/part" hx-target="#part" hx-swap="outerHTML">Swap</button>
{% endblock %}
"""


class Site:
    """Answers the requests of one page and remembers them."""

    def __init__(self, page: Page) -> None:
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        self.answers: dict[str, Callable[[Route], None]] = {}
        self.context: dict[str, object] = {"user": {"pseudonym": "R-17"}}
        self.errors: list[str] = []
        self.page = page
        page.set_default_timeout(LONGEST_WAIT_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path.startswith(settings.STATIC_URL):
            file = STATIC / path.removeprefix(settings.STATIC_URL)
            route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file)[0])
            return
        self.requests.append((route.request.method, path, parse_qs(route.request.post_data or "")))
        if path in self.answers:
            self.answers[path](route)
        elif path == "/":
            self.show(route, CASE)
        elif path == "/reveal":
            answer = {"url": "/original", "expires": "2100-01-01T00:00:00Z", "close_url": "/close"}
            route.fulfill(body=json.dumps(answer), content_type="application/json")
        elif path == "/original":
            route.fulfill(body=PICTURE, content_type="image/svg+xml")
        else:
            route.fulfill(status=204)

    def show(self, route: Route, source: str, status: int = 200) -> None:
        """Answer with a page made of our own templates, under the real policy for content."""
        purposes = [("assess", "To assess the report")]
        context = {"purposes": purposes, "lease_until": "2100-01-01T00:00:00Z"} | self.context
        html = engines["django"].from_string(source).render(context)
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Content-Type": "text/html"}
        route.fulfill(status=status, body=html, headers=headers)

    def asked(self, path: str) -> list[dict[str, list[str]]]:
        return [values for _, asked, values in self.requests if asked == path]

    def open(self) -> None:
        self.page.goto(ORIGIN + "/")
        expect(self.page.locator("#evidence-1")).to_have_attribute("data-state", "covered")

    def choose_purpose(self) -> None:
        self.page.select_option("#purpose-1", "assess")
        self.page.locator("h1").evaluate("() => document.activeElement.blur()")


@pytest.fixture
def site(page: Page) -> Iterator[Site]:
    site = Site(page)
    yield site
    assert site.errors == []


def test_nothing_is_fetched_before_a_purpose_is_chosen(site: Site) -> None:
    site.open()
    site.page.keyboard.press("v")
    expect(site.page.locator("#evidence-1 [data-reveal-status]")).to_contain_text(
        "why you need to look"
    )
    assert site.asked("/reveal") == []
    assert site.asked("/original") == []


def test_an_original_is_shown_grey_while_v_is_held_and_its_time_is_reported(site: Site) -> None:
    site.open()
    site.choose_purpose()
    site.page.keyboard.down("v")
    original = site.page.locator(".evidence__original")
    expect(original).to_be_visible()
    expect(original).to_have_class("evidence__original evidence__original--grey")
    assert str(original.get_attribute("src")).startswith("blob:")
    site.page.wait_for_timeout(300)
    site.page.keyboard.up("v")
    expect(original).to_have_count(0)
    assert site.asked("/reveal") == [{"purpose": ["assess"]}]
    site.page.wait_for_timeout(100)
    (report,) = site.asked("/close")
    assert 200 <= int(report["milliseconds"][0]) < 5000


def held_for(site: Site, milliseconds: int, meanwhile: str = "") -> dict[str, list[str]]:
    """Hold V until the original was shown for so long by the page's clock; return what was reported."""
    before = len(site.asked("/close"))
    site.page.keyboard.down("v")
    expect(site.page.locator(".evidence__original")).to_be_visible()
    if meanwhile:
        site.page.evaluate(meanwhile)
    site.page.evaluate(
        "wait => new Promise(done => { const end = performance.now() + wait;"
        " const look = now => now > end ? done() : requestAnimationFrame(look); look(0); })",
        milliseconds,
    )
    with site.page.expect_response("**/close"):
        site.page.keyboard.up("v")
    return site.asked("/close")[before]


def painted(report: dict[str, list[str]]) -> list[int]:
    return [int(each) for each in json.loads(report["painted"][0])]


def test_what_is_painted_is_measured_and_the_servers_words_stand_on_the_card(site: Site) -> None:
    said = {"viewed": "full", "words": "Viewed by you, 1.2 s"}
    site.answers["/close"] = lambda route: route.fulfill(
        body=json.dumps(said), content_type="application/json"
    )
    site.open()
    site.choose_purpose()
    report = held_for(site, 1200)
    (stretch,) = painted(report)
    assert 1000 <= stretch <= int(report["milliseconds"][0]) + 50
    expect(site.page.locator("#evidence-1 [data-reveal-viewed]")).to_have_text(said["words"])
    expect(site.page.locator("[data-evidence-to=evidence-1]")).to_have_attribute(
        "data-viewed", "full"
    )


@pytest.mark.parametrize(
    "hidden",
    [
        "document.querySelector('.evidence__original').style.transform = 'translateX(-200vw)'",
        "document.querySelector('.evidence__original').style.transform = 'translateY(200vh)'",
        "document.querySelector('.evidence__original').src = 'data:,'",
        """(() => { const over = document.createElement('div');
            over.style.cssText = 'position: fixed; inset: 0; z-index: 90; background: red; opacity: 0.5';
            document.querySelector('#dock, main').append(over); })()""",
    ],
    ids=["beside the window", "below the window", "nothing to show", "below something of the page"],
)
def test_what_is_not_in_the_window_is_not_painted(site: Site, hidden: str) -> None:
    site.open()
    site.choose_purpose()
    assert sum(painted(held_for(site, 1500, hidden))) < 500


def test_an_original_is_brought_into_the_window_and_where_half_of_it_has_no_room_it_says_so(
    site: Site,
) -> None:
    site.open()
    site.choose_purpose()
    site.page.set_viewport_size({"width": 1280, "height": 460})
    site.page.evaluate(
        "(() => { const room = document.createElement('div'); room.style.height = '900px';"
        " document.querySelector('[data-evidence-set]').before(room); scrollTo(0, 0); })()"
    )
    site.page.keyboard.down("v")
    original = site.page.locator(".evidence__original")
    expect(original).to_be_visible()
    assert original.evaluate("node => holdfastShareInSight(node)") >= 0.5
    status = site.page.locator("#evidence-1 [data-reveal-status]")
    expect(status).to_contain_text("Covers when you let go")
    expect(status).not_to_contain_text("Less than half")
    original.evaluate("node => { node.style.marginTop = '2000px'; }")
    expect(status).to_contain_text("does not count as viewed")
    site.page.keyboard.up("v")


def test_what_comes_back_into_the_window_is_another_stretch(site: Site) -> None:
    site.open()
    site.choose_purpose()
    away = """(() => { const style = document.querySelector('.evidence__original').style;
        setTimeout(() => { style.transform = 'translateX(-200vw)'; }, 700);
        setTimeout(() => { style.transform = ''; }, 1400); })()"""
    stretches = painted(held_for(site, 2300, away))
    assert len(stretches) == 2
    assert sum(stretches) < 2000


def test_of_a_film_the_ranges_that_were_played_are_measured(site: Site) -> None:
    film = clip(1, 4, codec="libvpx", container="webm")
    site.answers["/original"] = lambda route: route.fulfill(body=film, content_type="video/webm")
    site.open()
    site.choose_purpose()
    play = "document.querySelector('video').play()"
    report = held_for(site, 1200, play)
    assert 3500 <= int(report["film"][0]) <= 4500
    ((start, end),) = json.loads(report["played"][0])
    assert start <= 200
    assert 600 <= end - start <= 2500
    # A jump is not played, and a film that stands still is not either.
    jump = "document.querySelector('video').currentTime = 3"
    report = held_for(site, 900, jump)
    assert json.loads(report["played"][0]) == []
    assert sum(painted(report)) >= 500


def test_letting_go_before_the_bytes_arrive_never_shows_them(site: Site) -> None:
    held: list[Route] = []
    site.answers["/original"] = held.append
    site.open()
    site.choose_purpose()
    site.page.keyboard.down("v")
    expect(site.page.locator("#evidence-1")).to_have_attribute("data-state", "loading")
    site.page.wait_for_timeout(100)
    site.page.keyboard.up("v")
    expect(site.page.locator("#evidence-1")).to_have_attribute("data-state", "covered")
    site.page.wait_for_timeout(200)
    expect(site.page.locator(".evidence__original")).to_have_count(0)
    assert [report["milliseconds"] for report in site.asked("/close")] == [["0"]]


def test_a_timed_reveal_covers_itself_after_five_seconds(site: Site) -> None:
    site.open()
    site.choose_purpose()
    site.page.keyboard.press("Shift+V")
    expect(site.page.locator(".evidence__original")).to_be_visible()
    expect(site.page.locator(".evidence__original")).to_have_count(0, timeout=7000)
    site.page.wait_for_timeout(100)
    (report,) = site.asked("/close")
    assert 4900 <= int(report["milliseconds"][0]) < 6500


@pytest.mark.parametrize(
    "cover",
    [
        lambda page: page.keyboard.press("Escape"),
        lambda page: page.evaluate("window.dispatchEvent(new Event('blur'))"),
        lambda page: page.evaluate("window.dispatchEvent(new Event('offline'))"),
        lambda page: page.keyboard.press("d"),
    ],
    ids=["escape", "other window", "offline", "next file"],
)
def test_a_reveal_is_covered_at_once_by(site: Site, cover: Callable[[Page], None]) -> None:
    site.open()
    site.choose_purpose()
    site.page.keyboard.press("Shift+V")
    expect(site.page.locator(".evidence__original")).to_be_visible()
    cover(site.page)
    expect(site.page.locator(".evidence__original")).to_have_count(0, timeout=500)


def test_a_refused_reveal_says_why_and_stays_covered(site: Site) -> None:
    problem = {"title": "Refused", "detail": "Your lease on this case has ended."}
    site.answers["/reveal"] = lambda route: route.fulfill(
        status=409, body=json.dumps(problem), content_type="application/problem+json"
    )
    site.open()
    site.choose_purpose()
    site.page.keyboard.press("Shift+V")
    expect(site.page.locator("#evidence-1 [data-reveal-status]")).to_have_text(problem["detail"])
    expect(site.page.locator("#evidence-1")).to_have_attribute("data-state", "covered")
    assert site.asked("/original") == []


def test_a_lease_that_ran_out_covers_and_disables(site: Site) -> None:
    site.context["lease_until"] = "2020-01-01T00:00:00Z"
    site.answers["/beat"] = lambda route: route.fulfill(
        status=409,
        content_type="text/html",
        body='<div class="lease lease--lost" id="lease">R-22 took this.</div>',
    )
    site.open()
    expect(site.page.locator("#lease")).to_have_text("R-22 took this.")
    expect(site.page.get_by_role("button", name="Decide")).to_be_disabled()
    site.choose_purpose()
    site.page.keyboard.press("Shift+V")
    assert site.asked("/reveal") == []


def test_single_keys_are_off_while_typing_and_can_be_switched_off(site: Site) -> None:
    site.open()
    confirm = site.page.locator("input[value=confirm]")
    site.page.keyboard.press("c")
    site.page.keyboard.type("1 d v")
    expect(site.page.locator("#note")).to_have_value("1 d v")
    expect(confirm).not_to_be_checked()
    site.page.locator("#note").evaluate("node => node.blur()")
    site.page.keyboard.press("1")
    expect(confirm).to_be_checked()
    site.context["keys_off"] = True
    site.open()
    site.page.keyboard.press("1")
    expect(site.page.locator("input[value=confirm]")).not_to_be_checked()


def test_a_refused_form_keeps_what_was_typed_and_an_accepted_one_forgets_it(site: Site) -> None:
    site.open()
    site.page.fill("#note", "Invented text.")
    site.answers["/note"] = lambda route: site.show(route, '{% extends "ui/refused.html" %}', 409)
    site.page.keyboard.press("Control+Enter")
    expect(site.page.locator("[data-refused]").first).to_be_visible()
    site.page.wait_for_load_state("load")  # The script has seen the refusal by then.
    site.open()
    expect(site.page.locator("#note")).to_have_value("Invented text.")
    site.answers["/note"] = lambda route: site.show(route, CASE)
    site.page.keyboard.press("Control+Enter")
    site.page.wait_for_url("**/note")
    expect(site.page.locator("#note")).to_have_value("")
    site.open()
    expect(site.page.locator("#note")).to_have_value("")


SIGN_IN = '{% extends "base_signed_out.html" %}{% block heading %}Sign in{% endblock %}'
PLAIN = '{% extends "base.html" %}'
ASKS = """
{% extends "base.html" %}
{% block content %}
  <section data-asks="carries"><form method="post" action="/note"><label>Password <input type="password" name="confirm_password"></label>
  <button type="submit">Confirm</button></form><a href="/">Cancel</a></section>
{% endblock %}
"""


def send(site: Site, answer: str, status: int = 200) -> None:
    """Fill in the form, send it, and wait until the script has seen the answer."""
    site.page.fill("#note", "Invented text.")
    site.page.check("input[value=confirm]")
    site.answers["/note"] = lambda route: site.show(route, answer, status)
    site.page.keyboard.press("Control+Enter")
    site.page.wait_for_url("**/note")
    site.page.wait_for_load_state("load")


def stands_there_again(site: Site, sentence: str) -> None:
    site.open()
    expect(site.page.locator("#note")).to_have_value("Invented text.")
    expect(site.page.locator("input[value=confirm]")).to_be_checked()
    said = site.page.locator("#note-form [data-unsent]")
    expect(said).to_contain_text(sentence)
    expect(said).to_be_focused()


@pytest.mark.parametrize(
    ("answer", "status", "sentence"),
    [
        (SIGN_IN, 200, "Nothing was recorded."),
        (SIGN_IN, 404, "Nothing was recorded."),
        (PLAIN, 403, "Nothing was recorded."),
        (PLAIN, 503, "It is not known whether this was recorded."),
        (ASKS, 403, "Nothing was recorded."),
    ],
    ids=["signed out", "not found", "not allowed", "broken", "asked who it is, and gone elsewhere"],
)
def test_only_an_ordinary_page_after_it_means_that_a_form_was_taken(
    site: Site, answer: str, status: int, sentence: str
) -> None:
    site.open()
    send(site, answer, status)
    stands_there_again(site, sentence)
    # It stays so until it is sent and taken.
    site.page.fill("#note", "Invented text, and more.")
    site.open()
    expect(site.page.locator("#note")).to_have_value("Invented text, and more.")
    site.answers["/note"] = lambda route: site.show(route, CASE)
    site.page.locator("#note").press("Control+Enter")
    site.page.wait_for_url("**/note")
    expect(site.page.locator("#note")).to_have_value("")
    site.open()
    expect(site.page.locator("#note")).to_have_value("")
    expect(site.page.locator("[data-unsent]")).to_have_count(0)


def test_what_was_saved_though_more_was_refused_is_not_called_unrecorded(site: Site) -> None:
    site.open()
    saved = CASE.replace("{% block content %}", "{% block content %}<div data-saved>Saved</div>")
    send(site, saved, 409)
    expect(site.page.locator("[data-unsent]")).to_have_count(0)
    site.open()
    expect(site.page.locator("#note")).to_have_value("")


@pytest.mark.parametrize("status", [409, 422])
def test_a_page_that_holds_the_refused_form_says_for_itself_what_became_of_it(
    site: Site, status: int
) -> None:
    site.open()
    send(site, CASE, status)
    expect(site.page.locator("#note-form")).to_be_visible()
    expect(site.page.locator("[data-unsent]")).to_have_count(0)
    # A text is kept, as a refused form's always is; nothing is said, and nothing else comes back.
    site.open()
    expect(site.page.locator("#note")).to_have_value("Invented text.")
    expect(site.page.locator("input[value=confirm]")).not_to_be_checked()
    expect(site.page.locator("[data-unsent]")).to_have_count(0)


def test_a_form_that_was_proved_and_taken_is_forgotten(site: Site) -> None:
    site.open()
    send(site, ASKS, 403)
    site.answers["/note"] = lambda route: site.show(route, CASE)
    site.page.get_by_role("button", name="Confirm").click()
    expect(site.page.locator("#note")).to_be_visible()
    site.open()
    expect(site.page.locator("#note")).to_have_value("")
    expect(site.page.locator("[data-unsent]")).to_have_count(0)


def test_what_has_no_form_any_more_is_said_and_can_be_discarded_where_it_has(site: Site) -> None:
    site.open()
    send(site, SIGN_IN)
    site.answers["/"] = lambda route: site.show(route, PLAIN)
    site.page.goto(ORIGIN + "/")
    expect(site.page.locator("[data-unsent]")).to_contain_text("kept in this tab")
    del site.answers["/"]
    stands_there_again(site, "Nothing was recorded.")
    site.page.get_by_role("button", name="Discard what I entered").click()
    expect(site.page.locator("[data-unsent]")).to_have_count(0)
    expect(site.page.locator("#note")).to_have_value("")


def test_no_password_and_no_file_is_kept(site: Site) -> None:
    secret = """{% extends "base.html" %}{% block content %}<form method="post" action="/note"><input name="name" aria-label="Name">
    <input type="password" name="token" aria-label="Token"><input name="code" autocomplete="one-time-code" aria-label="Code">
    <button type="submit">Send</button></form>{% endblock %}"""
    site.answers["/"] = lambda route: site.show(route, secret)
    site.answers["/note"] = lambda route: site.show(route, SIGN_IN)
    site.page.goto(ORIGIN + "/")
    for label in ("Name", "Token", "Code"):
        site.page.get_by_label(label).fill(f"invented {label}")
    site.page.get_by_role("button", name="Send").click()
    site.page.wait_for_url("**/note")
    kept = site.page.evaluate("JSON.stringify(sessionStorage)")
    assert "invented Name" in kept
    assert "invented Token" not in kept
    assert "invented Code" not in kept


@pytest.mark.parametrize(
    "released",
    [
        {"key": "\u221a", "code": "KeyV"},
        {"key": "\u043c", "code": "KeyV"},
        {"key": "v", "code": ""},
        {"key": "Meta", "code": "MetaLeft"},
    ],
    ids=["with Option held", "on another layout", "without a code", "on a Mac with Command"],
)
def test_letting_go_of_the_key_covers_whatever_character_it_gives_by_then(
    site: Site, released: dict[str, str]
) -> None:
    site.open()
    site.choose_purpose()
    site.page.keyboard.down("v")
    expect(site.page.locator(".evidence__original")).to_be_visible()
    site.page.evaluate(
        "init => document.body.dispatchEvent(new KeyboardEvent('keyup', {...init, bubbles: true}))",
        released,
    )
    expect(site.page.locator(".evidence__original")).to_have_count(0, timeout=1000)


def test_each_look_begins_grey(site: Site) -> None:
    site.open()
    site.choose_purpose()
    original = site.page.locator(".evidence__original")
    site.page.keyboard.down("v")
    expect(original).to_have_class("evidence__original evidence__original--grey")
    site.page.keyboard.press("g")
    expect(original).to_have_class("evidence__original")
    site.page.keyboard.up("v")
    expect(original).to_have_count(0)
    site.page.keyboard.press("g")  # Nor is colour chosen before anything is seen.
    site.page.keyboard.down("v")
    expect(original).to_have_class("evidence__original evidence__original--grey")
    expect(site.page.locator("#evidence-1 [data-reveal-colour]")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_the_next_person_on_the_machine_does_not_get_a_draft(site: Site) -> None:
    site.context["user"] = {"pseudonym": "R-17"}
    site.open()
    site.page.fill("#note", "Invented text.")
    site.context["user"] = {"pseudonym": "R-22"}
    site.open()
    expect(site.page.locator("#note")).to_have_value("")
    assert "Invented" not in site.page.evaluate("JSON.stringify(sessionStorage)")
    site.context["user"] = {"pseudonym": "R-17"}
    site.open()
    expect(site.page.locator("#note")).to_have_value("")


def test_a_conflict_is_shown_in_place_and_a_failure_changes_nothing(site: Site) -> None:
    site.open()
    site.answers["/part"] = lambda route: route.fulfill(
        status=500, content_type="text/html", body="<p>trace</p>"
    )
    site.page.click("#swap")
    expect(site.page.locator(".toast--danger")).to_contain_text("Nothing was changed")
    expect(site.page.locator("#part")).to_have_text("before")
    site.answers["/part"] = lambda route: route.fulfill(
        status=409, content_type="text/html", body='<div id="part">R-22 decided this.</div>'
    )
    site.page.click("#swap")
    expect(site.page.locator("#part")).to_have_text("R-22 decided this.")


def test_the_help_lists_the_keys_of_the_page(site: Site) -> None:
    site.open()
    site.page.keyboard.press("?")
    dialog = site.page.locator("#keys-dialog")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Cover everything at once")
    expect(dialog).to_contain_text("Confirm")


TABS = """
{% extends "base.html" %}
{% block content %}
  <section data-tabs>
    <div role="tablist" aria-label="Context">
      <button type="button" role="tab" aria-controls="pane-match" aria-selected="true">Match</button>
      <button type="button" role="tab" aria-controls="pane-reports" aria-selected="false">Reports</button>
    </div>
    <div id="pane-match" role="tabpanel">Matches</div>
    <div id="pane-reports" role="tabpanel">Reports</div>
  </section>
{% endblock %}
"""


def test_a_link_into_a_tab_opens_that_tab(site: Site) -> None:
    site.answers["/tabs"] = lambda route: site.show(route, TABS)
    site.page.goto(f"{ORIGIN}/tabs?reports=2#pane-reports")
    expect(site.page.locator("#pane-reports")).to_be_visible()
    expect(site.page.locator("#pane-match")).to_be_hidden()
    site.page.goto(f"{ORIGIN}/tabs")
    expect(site.page.locator("#pane-match")).to_be_visible()
    expect(site.page.locator("#pane-reports")).to_be_hidden()


COUNTED = """
{% extends "base.html" %}
{% block content %}
  <form method="post" action="/span">
    <label for="until">Until</label><input id="until" name="until" value="11:00">
    <p data-if-unchanged>5 deliveries are in this span.</p>
    <button name="then" value="count">Count them</button>
    <button name="then" value="send" data-if-unchanged>Send 5 again</button>
  </form>
{% endblock %}
"""


def test_what_was_counted_is_not_offered_once_a_field_was_changed(site: Site) -> None:
    site.answers["/span"] = lambda route: site.show(route, COUNTED)
    site.page.goto(f"{ORIGIN}/span")
    send = site.page.get_by_role("button", name="Send 5 again")
    expect(send).to_be_visible()
    site.page.get_by_label("Until").fill("12:00")
    expect(send).to_be_hidden()
    expect(site.page.get_by_text("5 deliveries are in this span.")).to_be_hidden()
    expect(site.page.get_by_role("button", name="Count them")).to_be_visible()
