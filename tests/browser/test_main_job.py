"""The main job as people do it, in real browsers: a report, a covered look, a decision, a package."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pyrage
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from accounts.models import User
from accounts.permissions import Role
from core.audit import SYSTEM
from core.audit_events import AuditEvent
from core.models import AuditEntry
from hashing import actions as hashing
from hashing.models import Category
from moderation.models import Case, CaseStatus, Decision, Reveal
from referrals.models import Package
from referrals.public_keys import fingerprint_of
from reports.models import Report
from tests.background import work
from tests.browser.conftest import Window, sign_in
from tests.browser.tap import Tap, traces
from tests.casework import Casework, grant_all
from tests.cast import PASSWORD, code_for, make_person
from tests.pictures import draw, encode, jpeg

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]

REASON = "Both pictures stand on the invented list; looked at for that."


def photo(seed: int) -> bytes:
    """Return a drawn picture with grain, as a camera has: flat colour looks alike in every JPEG file."""
    drawn = draw(seed, (640, 480))
    grain = Image.effect_noise(drawn.size, 90).convert("RGB")
    return encode(Image.blend(drawn, grain, 0.4))


def files(folder: Path) -> list[Path]:
    """Store two pictures in a folder, as on the disk of whoever reports."""
    paths = [folder / f"picture-{number}.jpg" for number in (1, 2)]
    for number, path in enumerate(paths):
        path.write_bytes(photo(4711 + number))
    return paths


def enter_report(page: Page, pictures: list[Path]) -> None:
    """Enter a report by hand, with its files, and see them being sent."""
    page.goto("/reports/new/")
    page.get_by_label("Id on the platform").fill("invented-4711")
    page.get_by_label("Reason").select_option("csam")
    page.get_by_label("What happened").fill("Two drawn pictures, sent to a group.")
    page.locator("#id_files").set_input_files([str(path) for path in pictures])
    expect(page.locator("[data-drop-files] li")).to_have_count(2)
    # What the bar shows is kept by the page's own observer: it is gone when the answer has come.
    page.evaluate(
        """() => {
          const bar = document.querySelector("[data-upload-bar]");
          new MutationObserver(() => {
            const shown = bar.querySelector("[data-upload-percent]").textContent;
            if (!bar.hidden) sessionStorage.setItem("seen-progress", shown);
          }).observe(bar, { attributes: true, childList: true, subtree: true, characterData: true });
        }"""
    )
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("was received and waits for its scan")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('seen-progress')") == "100 %"


def look(page: Page, number: int) -> bytes:
    """Return the preview of a file of the case, as the browser got it."""
    source = page.locator(".evidence__preview").nth(number).get_attribute("src")
    assert source
    answer = page.request.get(source)
    assert answer.ok
    assert "no-store" in answer.headers["cache-control"]
    return answer.body()


def decide_by_keyboard(page: Page) -> None:
    """Decide without touching a mouse: outcome, what to do, the reason, confirm."""
    page.keyboard.press(str(page.locator("input[value=confirm_refer]").get_attribute("data-key")))
    expect(page.locator("input[value=confirm_refer]")).to_be_checked()
    tab_to(page, "input[value=ban_account]")
    expect(page.locator("input[value=ban_account]")).to_be_checked()  # It is usual for this policy.
    tab_to(page, "#id_reason")
    page.keyboard.press("Control+A")
    page.keyboard.type(REASON)
    expect(page.locator("#consequence")).to_contain_text(re.compile("ban", re.IGNORECASE))
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/queues/*/")


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus, as somebody without a mouse has to."""
    for _ in range(80):
        if page.locator(selector).evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{selector} cannot be reached with Tab")


def test_from_a_report_to_a_package_and_no_byte_of_an_original_before_it_is_asked_for(
    window: Window,
    tap: Tap,
    casework: Casework,
    signing_key: Path,
    tmp_path: Path,
    age_command: str,
) -> None:
    robin = grant_all(make_person("Robin Reed", Role.REVIEWER))
    staff = make_person("Remy Rowe", Role.REVIEWER)
    lionel = grant_all(make_person("Lionel Lark", Role.LEGAL))
    lotte = grant_all(make_person("Lotte Lund", Role.LEGAL))
    pictures = files(tmp_path)
    originals = [path.read_bytes() for path in pictures]
    known = hashing.create_hash_list(
        name="Invented list", category=Category.CSAM_KNOWN, actor=SYSTEM
    )
    for data in originals:
        digest = hashlib.sha256(data).hexdigest()
        hashing.add_entry(known, algorithm="sha256", value=digest, actor=SYSTEM)

    enter_report(window(staff), pictures)
    work()
    case = Case.objects.get()
    assert case.category == Category.CSAM_KNOWN
    assert Report.objects.get().items.exclude(surface="report_description").count() == 2

    page = window()
    sign_in(page, robin)
    page.keyboard.press("Enter")  # "Start my next case" has the focus.
    page.wait_for_url(f"**/cases/{case.pk}/")
    expect(page.locator("[data-evidence][data-state=covered]")).to_have_count(2)
    work()  # A preview is made once somebody opened the case.
    page.reload()
    for number in range(2):
        preview = look(page, number)
        image = Image.open(io.BytesIO(preview))
        assert max(image.size) <= 480
        assert image.convert("RGB").getchannel(0).tobytes() == image.convert("L").tobytes()
        assert hashlib.sha256(preview).hexdigest() not in {
            hashlib.sha256(data).hexdigest() for data in originals
        }
    page.keyboard.press("v")
    expect(page.locator("[data-reveal-status]").first).to_contain_text("why you need to look")
    assert [traces(data, tap.received()) for data in originals] == [0, 0]
    assert not Reveal.objects.exists()

    reveal_both(page, tap, originals)
    reveals = list(Reveal.objects.order_by("issued_at"))
    assert [reveal.user for reveal in reveals] == [robin, robin]
    assert len({reveal.item_id for reveal in reveals}) == 2

    decide_undo_and_decide(page, case)
    work()
    case.refresh_from_db()
    assert case.status == CaseStatus.DECIDED

    second = window()
    sign_in(second, lotte)
    url = draft(window, lionel, second, str(pyrage_identity(tmp_path)))
    approve(second, url)
    work()
    fetch_and_verify(window(lionel), url, tmp_path, originals, age_command)
    assert sum(traces(data, tap.received()) > 0 for data in originals) == 2


def reveal_both(page: Page, tap: Tap, originals: list[bytes]) -> None:
    """Look at both: one while V is held, one for five seconds. Both are covered again."""
    page.keyboard.press("ArrowDown")  # The choice of a purpose has the focus since V asked for it.
    expect(page.locator("[data-reveal-purpose]").first).not_to_have_value("")
    page.keyboard.press("Tab")
    page.keyboard.down("v")
    original = page.locator(".evidence__original")
    expect(original).to_be_visible()
    page.keyboard.up("v")
    expect(original).to_have_count(0)
    arrived = [traces(data, tap.received()) > 0 for data in originals]
    assert sorted(arrived) == [False, True]  # The one that was asked for, and it alone.
    page.keyboard.press("d")
    page.keyboard.press("Shift+V")
    expect(original).to_be_visible()
    expect(original).to_have_count(0, timeout=8000)
    expect(page.locator("[data-evidence]:visible [data-reveal-status]")).to_contain_text(
        "Covered. Shown for 5"
    )
    expect(page.locator("[data-evidence][data-state=covered]")).to_have_count(2)


def decide_undo_and_decide(page: Page, case: Case) -> None:
    decide_by_keyboard(page)
    expect(page.locator("[data-undo]")).to_contain_text(f"{case}: confirm")
    page.keyboard.press("z")
    page.wait_for_url(f"**/cases/{case.pk}/")
    expect(page.get_by_text("is open again. Nothing was sent.")).to_be_visible()
    assert Decision.objects.filter(undone_at__isnull=False).count() == 1
    decide_by_keyboard(page)
    page.goto(f"/cases/{case.pk}/")
    page.get_by_role("button", name="Let it take effect now").click()
    expect(page.get_by_text("takes effect now")).to_be_visible()


def pyrage_identity(folder: Path) -> str:
    """Make the agency's key and return its public half."""
    identity = pyrage.x25519.Identity.generate()
    (folder / "agency.key").write_text(f"{identity}\n")
    return str(identity.to_public())


def draft(window: Window, person: User, second: Page, key: str) -> str:
    """Legal adds the agency, drafts, and asks for approval. Returns the path of the referral."""
    page = window()
    sign_in(page, person)
    page.goto("/recipients/new/")
    page.get_by_label("Agency").fill("Invented agency")
    page.locator("[name=keys]").fill(key)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/recipients/(?!new/)"))
    expect(page.get_by_text("Not confirmed")).to_be_visible()
    expect(page.get_by_role("link", name="Confirm")).to_have_count(0)
    confirm_key(second, key)
    page.goto("/referrals/")
    page.get_by_role("link", name="Draft referral").click()
    page.locator("select[name=recipient]").select_option(label="Invented agency")
    page.get_by_role("button", name="Open draft").click()
    page.get_by_label("Legal basis").fill("An invented law, section 1")
    page.get_by_label("Date and time of the incident").fill("2026-01-02T03:04:05")
    # The type is a proposal; the time that was typed is said already.
    page.get_by_label("What is proposed of the incident is right").check()
    page.get_by_label("Summary in words").fill("Two drawn pictures were reported by hand.")
    # Nobody but a person says which part an account plays.
    for part in page.locator("select[name^=account-][name$=-role]").all():
        part.select_option("suspect")
    page.get_by_role("button", name="Save and ask for approval").click()
    expect(page.get_by_text("Waiting for a second person").first).to_be_visible()
    expect(page.get_by_role("link", name="Look at it and approve")).to_have_count(0)
    return re.search(r"/referrals/[0-9a-f-]{36}/", page.url)[0]  # type: ignore[index]


def confirm_key(page: Page, key: str) -> None:
    """A second person types the fingerprint that the agency read out."""
    page.goto("/recipients/")
    page.get_by_role("link", name="Invented agency").click()
    page.get_by_role("link", name="Confirm").click()
    spoken = fingerprint_of(key).upper()
    said = page.get_by_label("Fingerprint that the agency read out")
    said.fill(f"{spoken[:16]} {spoken[16:]}")
    page.get_by_role("button", name="Confirm this key").click()
    expect(page.get_by_text("Not confirmed")).to_have_count(0)


def approve(page: Page, url: str) -> None:
    """A second person, in another browser, looks at what will leave and approves it."""
    page.goto(url)
    page.get_by_role("link", name="Look at it and approve").click()
    expect(page.get_by_text("Two drawn pictures were reported by hand.")).to_be_visible()
    page.get_by_role("button", name="Approve and seal").click()
    page.wait_for_url(f"**{url}")


def fetch_and_verify(
    page: Page, url: str, folder: Path, originals: list[bytes], age_command: str
) -> None:
    """Download what was sealed, open it with age and verify it with the script it carries."""
    page.goto(url)
    with page.expect_download() as sealed:
        page.get_by_role("link", name="Download package").click()
    path = folder / sealed.value.suggested_filename
    sealed.value.save_as(path)
    package = Package.objects.get()
    assert path.name == package.file_name
    assert hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256
    with page.expect_download() as keys:
        page.get_by_role("link", name="Signing keys").click()
    keys.value.save_as(folder / "allowed_signers")
    opened = subprocess.run(
        [age_command, "-d", "-i", str(folder / "agency.key"), str(path)],
        check=True,
        capture_output=True,
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(opened)) as archive:
        archive.extractall(folder / "opened", filter="data")
    (bag,) = (folder / "opened").iterdir()
    exhibits = {hashlib.sha256(p.read_bytes()).digest() for p in (bag / "data/media").iterdir()}
    assert exhibits == {hashlib.sha256(data).digest() for data in originals}
    done = subprocess.run(
        [
            *(sys.executable, "-I", str(bag / "data/documentation/verify_package.py"), str(path)),
            *("--identity", str(folder / "agency.key"), "--json"),
            *("--allowed-signers", str(folder / "allowed_signers")),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout)["verdict"] in {"green", "amber"}, done.stdout
    assert AuditEntry.objects.filter(event=AuditEvent.PACKAGE_DOWNLOADED).count() == 1


def test_a_case_is_found_and_decided_with_the_keyboard_alone(
    window: Window, casework: Casework
) -> None:
    robin = grant_all(make_person("Robin Reed", Role.REVIEWER))
    case = casework.case("invented-1", pictures=[jpeg(3, (96, 64))])
    page = window()
    sign_in_by_keyboard(page, robin)
    # The work that is due first has the focus; the lists of the queues are some steps further.
    expect(page.get_by_role("button", name="Start my next case")).to_be_focused()
    tab_to(page, f"#queue-figures a[href='/queues/{case.queue.slug}/']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/queues/*/")
    expect(page.get_by_role("button", name="Start next case")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/cases/{case.pk}/")
    page.keyboard.press("?")
    keys = page.locator("#keys-dialog")
    expect(keys).to_contain_text("Hold to view or hear the original")
    page.keyboard.press("Escape")
    expect(keys).not_to_be_visible()
    decide_by_keyboard(page)
    assert Decision.objects.get().made_by == robin


def sign_in_by_keyboard(page: Page, person: User) -> None:
    page.goto("/")
    expect(page.get_by_label("E-mail")).to_be_focused()
    page.keyboard.type(person.email)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Code")).to_be_focused()
    page.keyboard.type(code_for(person))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your work")).to_be_visible()
    page.wait_for_load_state("load")  # The page's script has set the focus by then.


def test_the_tap_and_the_search_notice_an_original(window: Window, tap: Tap) -> None:
    """The measure of this file can fail: what it looks for is found when it is there."""
    data = photo(4711)
    picture = data[data.index(b"\xff\xda") :]
    assert traces(data, [b"x" * 7 + picture[301:365] + b"y"]) >= 1
    assert traces(data, [b'src="data:image/jpeg;base64,' + base64.b64encode(data) + b'"']) > 100
    assert traces(data, [photo(4712), photo(4711)]) == 0  # The grain is new in each.
    page = window()
    page.goto("/sign-in/")
    assert any(b"Sign in" in stream for stream in tap.received())
