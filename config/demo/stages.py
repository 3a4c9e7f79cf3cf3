"""The main job, stage by stage: each does what one person or the platform does, and checks what came back."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyrage
from django.conf import settings

from config.demo.browser import Browser, DemoFailed, Page
from config.demo.stack import Installation
from config.sample import content
from config.sample.people import STEP_SECONDS, Credential, code_now
from config.sample.pictures import draw, variants
from holdfast_client import File, Holdfast, Patience
from referrals.package import signature_namespace
from referrals.public_keys import fingerprint_of
from referrals.recipe import recipe
from toy_platform import Message, ToyPlatform, User

_CASE_LINK = re.compile(r'href="(/cases/[0-9a-f-]{36}/)"')
_REFERRAL_LINK = re.compile(r"/referrals/[0-9a-f-]{36}/")
WAIT = 120.0
MARKER = "markerword-alpha"


class Run:
    """What one stage leaves for the next."""

    def __init__(
        self, place: Installation, platform: ToyPlatform, receives_at: str, out: Path
    ) -> None:
        self.place, self.platform, self.out = place, platform, out
        self.receives_at = receives_at
        # Everything is on this machine: what is not answered soon has stopped.
        self.client = Holdfast(
            place.address, place.keys.get("app-reports", ""), patience=Patience(tries=4)
        )
        self.tag = uuid.uuid4().hex[:8]
        self.account = f"demo-{self.tag}"
        self.report_ids: list[str] = []
        self.case_url = ""
        self.case_number = ""
        self.referral_url = ""
        self.package = ""
        self.originals: set[str] = set()
        self.identity = pyrage.x25519.Identity.generate()
        self._signed_in: dict[str, Browser] = {}

    def close(self) -> None:
        """Sign nobody out, but close every connection."""
        self.client.close()
        for browser in self._signed_in.values():
            browser.http.close()

    # ── People ────────────────────────────────────────────────────────────────────────────────
    def person(self, role: str, *, skip: int = 0) -> Browser:
        """Return a browser in which the sample person of a role is signed in with both factors."""
        credential = self.place.person(role, skip=skip)
        email = credential["email"]
        if email not in self._signed_in:
            self._signed_in[email] = self._sign_in(credential)
        return self._signed_in[email]

    def _sign_in(self, credential: Credential) -> Browser:
        browser = Browser(self.place.address)
        page = browser.get("/sign-in/")
        page = browser.send(
            page,
            page.form(having="password"),
            email=credential["email"],
            password=credential["password"],
        )
        for _ in range(3):
            form = page.form(having="code")
            answer = browser.http.post(
                page.url,
                data={**form.values, "code": code_now(credential["totp_secret"])},
                headers={"Referer": page.url},
            )
            if answer.status_code < 400 and "/sign-in/" not in str(answer.url):
                return browser
            # Each code works once; somebody may have used this one. The next comes by itself.
            time.sleep(STEP_SECONDS - time.time() % STEP_SECONDS + 0.1)
        raise DemoFailed(f"{credential['email']} could not sign in")

    def wait(self, what: str, look: Callable[[], str], *, seconds: float = WAIT) -> str:
        """Ask ``look`` until it answers something. Raises DemoFailed after ``seconds``."""
        end = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > end:
                raise DemoFailed(f"{what} did not happen within {seconds:.0f} s")
            time.sleep(0.3)
        return found


# ── The platform ──────────────────────────────────────────────────────────────────────────────
def connect_platform(run: Run) -> str:
    """An administrator tells Holdfast where the platform listens."""
    browser = run.person("administrator")
    page = browser.get("/webhooks/new/")
    form = page.form(having="url")
    page = browser.send(page, form, name=f"Demo platform {run.tag}", url=run.receives_at)
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", page.text)
    if secret is None:
        raise DemoFailed("the page did not show the new endpoint's secret")
    run.platform.secret = secret[0]
    return f"webhooks go to {run.receives_at}"


def send_reports(run: Run) -> str:
    """The platform describes its people, and two of them report what a third one sent."""
    toy, chat = run.platform, f"chat-{run.tag}"
    toy.holdfast = run.client
    for name in (run.account, f"demo-reporter-{run.tag}-0", f"demo-reporter-{run.tag}-1"):
        toy.users[name] = User(name)
    toy.users[run.account].facts = _account(run)
    seed = content.LISTED_SEEDS[0]
    photos = [variants(draw(seed))["smaller"][0], variants(draw(seed))["cropped"][0]]
    toy.back_fill()
    for number, photo in enumerate(photos):
        # Bytes of its own for each run, so that every original is one that no run before has stored.
        original = photo + run.tag.encode()
        run.originals.add(hashlib.sha256(original).hexdigest())
        reporter, name = f"demo-reporter-{run.tag}-{number}", f"msg-{run.tag}-{number}"
        toy.messages[name] = Message(
            name,
            f"{chat}-{number}",
            run.account,
            datetime.now(UTC),
            f"A demo message with {MARKER}.",
            File(f"picture-{number}.jpg", original),
        )
        words = "Demo report: a drawn picture that stands on the sample list."
        said = {"reporter": reporter, "reason": "csam", "words": words}
        first, again = toy.report(name, **said), toy.report(name, **said)
        if first != again:
            raise DemoFailed("the same report sent twice was taken twice")
        [found] = run.client.reports(external_id=f"report-{reporter}-{name}")
        run.report_ids.append(found["id"])
    return f"{len(run.report_ids)} reports on {run.account}, each sent twice and taken once"


def _account(run: Run) -> dict[str, object]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "username": f"demo.{run.tag}",
        "display_name": "Demo Person",
        "profile_url": f"https://messenger.example/u/demo.{run.tag}",
        "joined_at": "2026-01-05T09:30:00Z",
        "identifiers": [
            {"kind": "phone", "value": "+1 202 555 0142", "verified": True},
            {"kind": "email", "value": f"demo-{run.tag}@mail.example", "verified": True},
            {"kind": "device", "value": f"device-{run.tag}", "detail": {"model": "Sample phone"}},
        ],
        "ip_events": [
            {"kind": "login", "ip": "203.0.113.77", "port": 50123, "at": now},
            {"kind": "upload", "ip": "2001:db8::77", "port": 50124, "at": now},
        ],
    }


def await_scans(run: Run) -> str:
    """The workers scan, and routing opens a case."""

    def all_in_review() -> str:
        answers = [run.client.report(report) for report in run.report_ids]
        states = {item["scan_state"] for answer in answers for item in answer["items"]}
        if states != {"scanned"} or any(a["state"] == "received" for a in answers):
            return ""
        return ", ".join(answer["number"] for answer in answers)

    return f"{run.wait('scanning and routing', all_in_review)} scanned and in review"


# ── The reviewer ──────────────────────────────────────────────────────────────────────────────
def claim_case(run: Run) -> str:
    """A reviewer finds the case, sees why it is there, and takes a lease on it."""
    browser = run.person("reviewer")

    def find() -> str:
        page = browser.get("/cases/")
        page = browser.send(page, page.form("/cases/", having="q"), q=run.account)
        # One case found is opened at once; several are listed.
        links = [urlsplit(page.url).path] if "?" not in page.url else _CASE_LINK.findall(page.text)
        for link in links:
            if "Known abuse imagery" in browser.get(link).text:
                return str(link)
        return ""

    run.case_url = run.wait("the case of known imagery", find)
    page = browser.get(run.case_url)
    page = browser.send(page, page.form(f"{run.case_url}claim/"))
    number = re.search(r"C-\d{6}", page.text)
    run.case_number = number[0] if number else ""
    if not any("decide/" in form.action for form in page.forms()):
        raise DemoFailed("the case was claimed but cannot be decided")
    return f"{run.case_number} leased"


def look_at_media(run: Run) -> str:
    """Previews first; no byte of an original until a reveal with a purpose, and then only once."""
    browser = run.person("reviewer")
    page = browser.get(run.case_url)
    previews = sorted(set(re.findall(r'src="([^"]*/preview/[^"]*)"', page.text)))
    for preview in previews:
        picture = browser.get(preview.replace("&amp;", "&"))
        if hashlib.sha256(picture.content).hexdigest() in run.originals:
            raise DemoFailed("a preview carried an original's bytes")
    reveals = re.findall(r'data-reveal-url="([^"]+)"', page.text)
    if len(previews) < 2 or len(reveals) < 2:
        raise DemoFailed(
            f"{len(previews)} previews and {len(reveals)} reveals on offer, not 2 each"
        )
    token = str(page.form(having="csrfmiddlewaretoken").values["csrfmiddlewaretoken"])
    answer = browser.post(reveals[0], token=token, purpose="check_match")
    issued = _ok(answer)
    shown = browser.get(issued["url"])
    if hashlib.sha256(shown.content).hexdigest() not in run.originals:
        raise DemoFailed("the reveal did not show the original")
    if "no-store" not in shown.headers.get("cache-control", ""):
        raise DemoFailed("the original may be cached")
    if browser.http.get(issued["url"]).status_code < 400:
        raise DemoFailed("the one-time address worked twice")
    # A program has no screen: it reports nothing painted, and the record must not say that anybody viewed it.
    words = _ok(browser.post(issued["close_url"], token=token, milliseconds="0"))["words"]
    if words != "Opened, not viewed":
        raise DemoFailed(f"nothing was on a screen, and the card says: {words}")
    return (
        f"{len(previews)} previews served, 1 of {len(reveals)} originals fetched once; no screen showed it, "
        f"so the record says “{words}”"
    )


def decide(run: Run) -> str:
    """The reviewer decides and lets it take effect at once instead of waiting out the undo window."""
    browser = run.person("reviewer")
    page = browser.get(run.case_url)
    form = page.form("decide/", having="outcome")
    verbs = form.options.get("enforcements", [])
    wanted: list[str] = [verb for verb in ("ban_account", "remove_media") if verb in verbs]
    browser.send(
        page,
        form,
        outcome="confirm_refer",
        enforcements=wanted,
        reason="Demo: both pictures stand on the sample list.",
    )
    page = browser.get(run.case_url)
    browser.send(page, page.form("send-now/"))
    return f"confirm and refer: {', '.join(wanted)}"


def await_webhooks(run: Run) -> str:
    """The platform receives signed orders, one ban and one removal for each picture, and carries them out."""
    toy = run.platform
    orders = toy.wait_for(3, matching=run.account, seconds=WAIT)
    if len(orders) != 3:
        raise DemoFailed(f"{len(orders)} orders arrived, not 3 ({toy.refused} refused)")
    toy.work()
    removed = [each for each in toy.messages.values() if each.is_removed]
    if not toy.users[run.account].is_banned or len(removed) != 2:
        raise DemoFailed(f"the platform did not do what it was told: {toy.results}")
    return f"{len(orders)} orders, signatures valid, carried out"


def disconnect_platform(run: Run) -> str:
    """The demo's receiver will be gone in a moment, so the administrator switches its address off."""
    browser = run.person("administrator")
    page = browser.get("/webhooks/")
    for link in dict.fromkeys(re.findall(r"/webhooks/[0-9a-f-]{36}/", page.text)):
        page = browser.get(link)
        if f"Demo platform {run.tag}" in page.text:
            form = page.form(having="is_active")
            form.values.pop("is_active", None)
            browser.send(page, form)
            return "its address is switched off again"
    raise DemoFailed("the new endpoint is not in the list")


# ── Legal ─────────────────────────────────────────────────────────────────────────────────────
def draft_referral(run: Run) -> str:
    """Legal adds the agency's key, drafts the referral and asks for approval."""
    browser = run.person("legal")
    page = browser.get("/recipients/new/")
    agency = f"Demo agency {run.tag}"
    public = str(run.identity.to_public())
    page = browser.send(page, page.form(having="name"), name=agency, keys=public)
    confirm_key(run, page, public)
    case_id = run.case_url.strip("/").rsplit("/", 1)[-1]

    def page_to_open() -> str:
        return "yes" if agency in browser.get(f"/referrals/new/{case_id}/").text else ""

    run.wait("the case for legal", page_to_open)
    page = browser.get(f"/referrals/new/{case_id}/")
    option = re.search(rf'<option value="([^"]+)">{re.escape(agency)}', page.text)
    if option is None:
        raise DemoFailed("the new agency cannot be chosen")
    page = browser.send(page, page.form(having="recipient"), recipient=option[1])
    run.referral_url = _REFERRAL_LINK.findall(page.url)[0]
    form = page.form(having="narrative")
    # Nobody but a person says which part an account plays, or that what is proposed of the incident is right.
    parts = {name: "suspect" for name in form.values if re.fullmatch(r"account-\d+-role", name)}
    browser.send(
        page,
        form,
        **parts,
        incident_confirmed="on",
        legal_basis="Demo: report of apparent abuse by a provider",
        narrative=(
            "Two drawn pictures that stand on the sample list were reported by two people within a "
            "minute. The account was banned and the pictures were removed."
        ),
        next="request",
    )
    return "draft complete, approval asked for"


def confirm_key(run: Run, page: Page, public: str) -> None:
    """A second person confirms the key with the fingerprint that the agency would read out."""
    second = run.person("legal", skip=1)
    found = second.get(page.url)
    link = re.search(r'href="(/recipients/[^"]+/confirm/)"', found.text)
    if link is None:
        raise DemoFailed("the new key cannot be confirmed")
    found = second.get(link[1])
    second.send(found, found.form(having="fingerprint"), fingerprint=fingerprint_of(public))


def approve(run: Run) -> str:
    """The author may not approve; a second person does."""
    author = run.person("legal")
    own = author.get(f"{run.referral_url}approve/")
    if any(form.values.get("version") and "approve" in own.url for form in own.forms()):
        raise DemoFailed("the author was offered to approve the own referral")
    second = run.person("legal", skip=1)
    page = second.get(f"{run.referral_url}approve/")
    second.send(page, page.form(having="version"))
    return "approved by a second person"


def await_package(run: Run) -> str:
    """The package worker reads every original again, signs, encrypts and stores."""
    browser = run.person("legal")

    def state() -> str:
        text = browser.get(f"{run.referral_url}state/").text
        if "could not be built" in text:
            raise DemoFailed(f"the package could not be built: {' '.join(text.split())[:500]}")
        return text if "Download package" in text else ""

    run.wait("sealing the package", state)
    return "sealed"


def hand_out(run: Run) -> str:
    """The package, its checksum, the signing keys, the agency's key and the recipe go to the folder."""
    browser = run.person("legal")
    sealed = browser.get(f"{run.referral_url}package/")
    run.package = _file_name(sealed)
    line = browser.get(f"{run.referral_url}package.sha256")
    signers = browser.get("/referrals/allowed-signers")
    if hashlib.sha256(sealed.content).hexdigest() != line.text.split()[0]:
        raise DemoFailed("the package is not what its checksum says")
    files = {
        run.package: sealed.content,
        f"{run.package}.sha256": line.content,
        "recipient.agekey": f"{run.identity}\n".encode(),
        "allowed_signers": signers.content,
        "VERIFY.txt": _recipe(run, signers.text).encode(),
    }
    for name, data in files.items():
        path = run.out / name
        path.touch(mode=0o600)
        path.write_bytes(data)
    return f"{run.package}, {len(sealed.content):,} bytes"


def _recipe(run: Run, signers: str) -> str:
    name = run.package.removesuffix(".tar.age")
    principal = signers.split(maxsplit=1)[0]
    return recipe(
        name,
        principal=principal,
        namespace=signature_namespace(settings.HOLDFAST_DOMAIN),
        identity="recipient.agekey",
    )


def _file_name(page: Page) -> str:
    found = re.search(r'filename="([^"/\\]+)"', page.headers.get("content-disposition", ""))
    if found is None or not found[1].endswith(".tar.age"):
        raise DemoFailed("the download has no package's name")
    return found[1]


def _ok(response: httpx.Response) -> Any:
    if response.status_code >= 400:
        raise DemoFailed(
            f"{response.request.method} {response.url} answered {response.status_code}: "
            f"{response.text[:400]}"
        )
    return json.loads(response.text) if response.content else {}


STAGES: list[tuple[str, Callable[[Run], str]]] = [
    ("The platform's webhook address", connect_platform),
    ("Reports in", send_reports),
    ("Scanned and routed", await_scans),
    ("Claimed", claim_case),
    ("Looked at", look_at_media),
    ("Decided", decide),
    ("Carried out by the platform", await_webhooks),
    ("Platform disconnected", disconnect_platform),
    ("Referral drafted", draft_referral),
    ("Approved", approve),
    ("Package built", await_package),
    ("Handed out", hand_out),
]
