"""axe on every kind of page, in both colours: what it finds would keep somebody out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from accounts.models import User
from accounts.permissions import Role
from core import vault
from core.audit import SYSTEM
from hashing import actions as hashing
from hashing import health, jobs
from hashing.jobs import sweep_detectors
from hashing.models import Category, Exchange, HashImport, HashList, LinkImport, RiskScore
from moderation import actions as moderation
from moderation.jobs import make_preview
from moderation.models import Case, Outcome
from referrals import actions as referrals
from tests.background import work
from tests.browser.conftest import Window
from tests.casework import Casework, grant_all, hash_finding, term_finding
from tests.cast import make_person
from tests.pictures import jpeg

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]

AXE = Axe()
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
EVERYTHING = {"runOnly": {"type": "tag", "values": STANDARDS}}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


@dataclass
class World:
    """People and something for every page to show."""

    people: dict[str, User]
    pages: dict[str, list[str]]


@pytest.fixture
def world(tap: object, casework: Casework, signing_key: Path) -> World:
    people = {
        role.value: grant_all(make_person(f"{role.label} One", role))
        if role in {Role.REVIEWER, Role.LEAD, Role.LEGAL}
        else make_person(f"{role.label} One", role)
        for role in Role
    }
    second = grant_all(make_person("Legal Two", Role.LEGAL))
    reviewer, legal = people[Role.REVIEWER], people[Role.LEGAL]
    case = mixed_case(casework)
    moderation.claim(case, actor=reviewer)
    moderation.add_note(case, text="An invented note for the next person.", actor=people[Role.LEAD])
    casework.case("invented-8", reason="spam", pictures=[])
    moderation.create_endpoint(
        name="Platform",
        url="https://platform.example/hooks",
        verbs=[],
        actor=people["administrator"],
    )
    sent = [refer(casework, reviewer, legal, second, number) for number in range(2)]
    referrals.approve(sent[0], version=sent[0].version, actor=second)
    work()
    sweep_detectors()
    health.flush(at_once=True)
    hash_list = hashing.create_hash_list(
        name="Drawn pictures", category=Category.CSAM_KNOWN, actor=SYSTEM
    )
    hashing.add_entry(hash_list, algorithm="md5", value="0" * 31 + "1", actor=SYSTEM)
    exchange, imported, links, score = of_detection(casework, hash_list, people["policy_admin"])
    return World(
        people,
        {
            Role.REVIEWER: [
                *("/", "/queues/", f"/queues/{case.queue.slug}/", f"/cases/{case.pk}/"),
                *("/cases/", "/reports/", "/reports/new/", "/policies/", "/account/"),
            ],
            Role.POLICY_ADMIN: [
                *("/", "/hash-lists/", f"/hash-lists/{hash_list.pk}/", "/text-rules/"),
                *("/hash-lists/new/", "/text-rules/new/", "/text-rules/try/", "/policies/"),
                *("/detectors/", "/detectors/nudity/", "/detectors/nudity/settings/"),
                *("/detectors/known_image/", "/exchanges/", "/exchanges/new/ncmec/"),
                *(f"/exchanges/{exchange.pk}/", f"/hash-list-imports/{imported.pk}/"),
                *(f"/hash-lists/{hash_list.pk}/import/", f"/hash-lists/{hash_list.pk}/videos/"),
                *(f"/hash-lists/{hash_list.pk}/threshold/", "/match/", "/match/digest/"),
                *("/risk/weights/", "/risk/links/new/"),
                *("/risk/links/", f"/risk/links/{links.pk}/", "/classifiers/"),
            ],
            Role.LEGAL: [
                *("/", "/referrals/", f"/referrals/{sent[0].pk}/", f"/referrals/{sent[1].pk}/"),
                *("/recipients/", "/recipients/new/"),
            ],
            Role.AUDITOR: ["/", "/audit/"],
            Role.LEAD: [
                *("/", "/deliveries/", f"/cases/{case.pk}/"),
                *("/risk/", f"/risk/{score.pk}/", "/risk/links/"),
            ],
            Role.ADMINISTRATOR: [
                *("/", "/people/", "/people/invite/", "/jobs/", "/webhooks/", "/sources/"),
                *("/queues/access/", f"/people/{reviewer.pk}/"),
            ],
        },
    )


def of_detection(
    casework: Casework, hash_list: HashList, person: User
) -> tuple[Exchange, HashImport, LinkImport, RiskScore]:
    """Return an exchange, an import with a bad row, an import of links and a score, all with something to show."""
    exchange = hashing.create_exchange(
        kind="file",
        name="A partner's file",
        category=Category.CSAM_KNOWN,
        values={"path": "nowhere.csv"},
        actor=person,
    )
    jobs.fetch_exchange(str(exchange.pk))
    blob = vault.store_bytes(b"pdq,not a digest\n", name="list.csv")
    imported = hashing.ask_import(hash_list, blob, file_name="list.csv", actor=person)
    jobs.read_import(str(imported.pk))
    blob = vault.store_bytes(b"https://chat.example/join/one\n", name="links.csv")
    links = hashing.ask_link_import(blob, place="example directory", actor=person)
    jobs.read_links(str(links.pk))
    casework.scanned(casework.scan_submission(), hash_finding())
    while hashing.rate_changed():
        pass
    return exchange, imported, links, RiskScore.objects.order_by("-score")[0]


def mixed_case(casework: Casework) -> Case:
    """Return a case with two pictures (one previewed, one not yet) and a flagged text."""
    text = "an invented sentence around markerword-alpha and a few words more"
    report = casework.report(
        "invented-7", pictures=[jpeg(1, (320, 240)), jpeg(2, (240, 320))], texts=[text]
    )
    first, second = report.items.filter(kind="image")
    words = report.items.get(kind="text")
    casework.scanned(first, hash_finding())
    casework.failed_scan(second)
    casework.scanned(words, term_finding((28, 44)))
    report.refresh_from_db()
    case = moderation.route_report(report)
    assert case is not None
    make_preview(str(first.blob_id))
    return case


def refer(casework: Casework, reviewer: User, legal: User, second: User, number: int) -> Any:
    """Return a referral that waits for its approval."""
    case = casework.case(f"invented-{number}", pictures=[jpeg(number + 5, (96, 64))])
    casework.published(case, by=reviewer, outcome=Outcome.CONFIRM_REFER)
    key = str(pyrage.x25519.Identity.generate().to_public())
    agency = referrals.create_recipient(name=f"Agency {number}", keys=key, actor=legal)
    entered = agency.keys.get()
    referrals.confirm_key(entered, fingerprint=entered.fingerprint, actor=second)
    referral = referrals.open_referral(case, recipient=agency, actor=legal)
    referral = referrals.update_draft(
        referral,
        changes=referrals.DraftChanges(
            recipient=agency,
            legal_basis="An invented law, section 1",
            incident_type="Known abuse imagery",
            incident_at=case.opened_at,
            incident_confirmed=True,
            narrative="An invented account of what was reported.",
            urgency_reason="",
            include_messages=True,
            exhibits={},
            accounts={
                named.pk: referrals.AccountChange(role="not said", is_included=True)
                for named in referral.named_accounts.all()
            },
        ),
        version=referral.version,
        actor=legal,
    )
    return referrals.request_approval(referral, version=referral.version, actor=legal)


def violations(page: Page, options: dict[str, Any]) -> list[str]:
    """Return what axe finds on the page, a line for each element."""
    found = AXE.run(page, options=options)
    return [
        f"{page.url} {wrong['id']}: {node['html'][:200]} {node['failureSummary']}"
        for wrong in found.response["violations"]
        for node in wrong["nodes"]
    ]


def in_both_colours(page: Page, path: str) -> list[str]:
    """Look at a page in light; in dark only the contrast is another."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    answer = page.goto(path)
    assert answer is not None
    assert answer.ok, (path, answer.status)
    found = violations(page, EVERYTHING)
    light = page.evaluate("getComputedStyle(document.body).color")
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    # The browser draws the other colours a moment after it was told.
    page.wait_for_function("before => getComputedStyle(document.body).color !== before", arg=light)
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return found + [f"dark {line}" for line in violations(page, CONTRAST)]


def test_axe_finds_nothing(window: Window, world: World) -> None:
    wrong = in_both_colours(window(), "/sign-in/")
    for role, paths in world.pages.items():
        page = window(world.people[role])
        for path in paths:
            wrong += in_both_colours(page, path)
        page.context.close()
    assert wrong == [], "\n".join(wrong)


def test_axe_would_find_something(window: Window) -> None:
    page = window()
    page.goto("/sign-in/")
    assert violations(page, EVERYTHING) == []
    page.evaluate("document.querySelector('form').append(document.createElement('input'))")
    assert [line for line in violations(page, EVERYTHING) if " label: " in line]
    page.evaluate("document.querySelector('h1').style.color = '#ddd'")
    assert [line for line in violations(page, CONTRAST) if " color-contrast: " in line]
