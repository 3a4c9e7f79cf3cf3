"""Names and texts of strangers on every page: isolated, and what does not show in them spelt out."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client

from accounts.models import User
from core.audit import SYSTEM
from core.foreign import spelt
from hashing import actions as hashing
from moderation import actions
from moderation.models import Case
from referrals import actions as referrals
from reports.actions import submit_report, upsert_account, upsert_group
from reports.payloads import AccountPayload, GroupPayload, ReportPayload
from tests.casework import Casework, grant_all, hash_finding, term_finding, url
from tests.cast import signed_in
from tests.pictures import jpeg
from tests.referrals.desk import Desk

TURNED = "\u202egnp.evitcepsorp\u202d markername"
BLANK = "\u3164"
CONTROLS = "\u202e\u202d\u3164\u200b"
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "use", "wbr"}
PLAIN = {"title", "option", "textarea"}
"""Elements that hold text alone: nothing can be isolated in them."""
TYPED = {"value", "data-copy"}
"""Attributes that hold the very characters, to be sent or copied."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("an ordinary name", "an ordinary name"),
        ("\u202egnp.exe\u202c", "[U+202E]gnp.exe[U+202C]"),
        ("\u3164", "[U+3164]"),
        ("  ", "[U+0020 U+0020]"),
        ("\u200b\u200badmin", "[U+200B U+200B]admin"),
        ("ad\u00admin", "ad[U+00AD]min"),
        ("two\nlines", "two[U+000A]lines"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),
        ("\u200d", "[U+200D]"),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_does_not_show_is_spelt(text: str, shown: str) -> None:
    assert spelt(text) == shown


def test_a_text_keeps_its_lines() -> None:
    assert spelt("two\nlines\u202e", lines=True) == "two\nlines[U+202E]"


class Page(HTMLParser):
    """Reads a page: its links, and what a stranger's words do on it."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where, self.open, self.links, self.wrong = where, [], set(), []  # type: ignore[var-annotated]
        self.names = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        for name in ("href", "hx-get"):
            if target := said.get(name):
                self.links.add(urljoin(self.where, target))
        for name, value in attrs:
            if name not in TYPED and set(value or "") & set(CONTROLS):
                self.wrong.append(f"{self.where}: <{tag} {name}={value!r}>")
        if tag not in VOID:
            self.open.append((tag, said.get("dir") == "auto"))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        around = {tag for tag, _ in self.open}
        isolated = "bdi" in around or any(is_auto for _, is_auto in self.open)
        has_name = "markername" in data
        self.names += has_name
        if set(data) & set(CONTROLS) and not any(is_auto for _, is_auto in self.open):
            self.wrong.append(f"{self.where}: {data.strip()!r} turns its line, or shows nothing")
        elif has_name and not isolated and not around & PLAIN:
            self.wrong.append(f"{self.where}: {data.strip()!r} is not isolated in {self.open[-3:]}")


@pytest.fixture
def full_of_strangers(
    casework: Casework, reviewer: User, legal: User, legal2: User, lead: User
) -> Case:
    """Fill every place that a stranger can name, and return the open case about a group."""
    source = casework.source()
    for name in ("turned", "sender"):
        said = AccountPayload(username=TURNED, display_name=TURNED, profile_text=TURNED)
        upsert_account(source, name, payload=said, actor=SYSTEM)
    blank = GroupPayload(name=BLANK, description=f"{TURNED}\nsecond line")
    upsert_group(source, "blank-group", payload=blank, actor=SYSTEM)
    cases: list[Case] = []
    for subject in ({"account": "turned"}, {"group": "blank-group"}):
        media = casework.upload(source, jpeg(len(cases) + 1, (96, 64)), "image/jpeg")
        surface = {"surface": "reported_message", "sender": "sender", "name": TURNED}
        payload = ReportPayload.model_validate(
            {
                "subject": subject,
                "reason": "csam",
                "description": TURNED,
                "reporter": {"ref": "markername-reporter"},
                "items": [surface | {"media": media}, surface | {"text": TURNED}],
            }
        )
        report = submit_report(source, payload=payload, actor=SYSTEM)
        for item in report.items.filter(kind="text"):
            casework.scanned(item, term_finding((1, 4)))
        cases.append(casework.routed(report, hash_finding()))
    again = casework.routed(casework.report("turned", reason="grooming"))
    while hashing.rate_changed():
        pass
    grant_all(lead)
    desk = Desk(casework, reviewer, legal, legal2)
    casework.published(cases[0], by=desk.reviewer)
    referrals.open_referral(cases[0], recipient=desk.agency, actor=legal)
    actions.claim(cases[1], actor=desk.reviewer)
    assert again.account == cases[0].account
    return cases[1]


def crawl(client: Client) -> tuple[dict[str, Page], list[str]]:
    """Read every page that can be reached from the first one by following links."""
    found: dict[str, Page] = {}
    waiting = ["/"]
    while waiting:
        where = waiting.pop()
        answer = client.get(where)
        if answer.status_code != 200 or "html" not in answer.headers["Content-Type"]:
            found[where] = Page(where)
            continue
        page = found[where] = Page(where)
        page.feed(answer.content.decode())
        for link in page.links:
            parts = urlsplit(link)
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            kept = parts.netloc or not target.startswith("/") or target in found
            if not kept and target not in waiting and not target.startswith(("/static/", "/api/")):
                waiting.append(target)
        assert len(found) < 400, "the pages have no end"
    return found, [wrong for page in found.values() for wrong in page.wrong]


@pytest.mark.django_db
def test_no_page_lets_a_strangers_name_into_its_own_line(
    full_of_strangers: Case, reviewer: User, lead: User, legal: User, policy_admin: User
) -> None:
    seen: dict[str, int] = {}
    for person in (reviewer, lead, legal, policy_admin):
        pages, wrong = crawl(signed_in(Client(), person))
        assert wrong == []
        seen |= {where: page.names for where, page in pages.items() if page.names}
    # The name does stand where it belongs, or nothing was tried.
    for part in ("/queues/", "/cases/", "/risk/", "/referrals/"):
        assert any(where.startswith(part) for where in seen), (part, sorted(seen))


@pytest.mark.django_db
def test_an_invisible_name_is_shown_by_its_code_point_and_its_id(
    full_of_strangers: Case, reviewer: User
) -> None:
    page = signed_in(Client(), reviewer).get(url("case", full_of_strangers)).content.decode()
    assert "<bdi>[U+3164]</bdi> (<bdi>blank-group</bdi>)" in page
    assert "<bdi>[U+202E]gnp.evitcepsorp[U+202D] markername</bdi> (<bdi>sender</bdi>)" in page


@pytest.mark.django_db
def test_the_texts_of_the_subject_are_masked_wherever_they_stand(
    full_of_strangers: Case, reviewer: User
) -> None:
    page = signed_in(Client(), reviewer).get(url("case", full_of_strangers)).content.decode()
    before, said, _ = page.partition("second line")
    assert said
    assert before.rindex("<details><summary>Show the text</summary>") > before.rindex("</details>")
