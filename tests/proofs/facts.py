"""What was told leaves: a marker in every field of the API and of the draft, looked for in the sealed package."""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage

from config.demo.browser import Browser, Page
from config.sample.content import LISTED_SEEDS
from config.sample.pictures import draw, encode
from referrals import forms
from referrals.describing.left_out import FIELDS
from referrals.public_keys import fingerprint_of
from tests.markers import Documents, Filler, missing
from tests.proofs import proof
from tests.proofs.installation import Installation
from tests.story import FILES, Story


@proof("Every fact that is told leaves with the package, or page and package say that it does not")
def every_fact_leaves(place: Installation) -> str:
    filler = Filler()
    story = Story(filler)
    case = _decided(place, _told(place, story))
    identity = pyrage.x25519.Identity.generate()
    referral, shown = _approved(place, filler, case, str(identity.to_public()))
    with tempfile.TemporaryDirectory(prefix="holdfast-facts-") as name:
        data = _opened(place, referral, identity, Path(name))
        documents = Documents(data)
        lost = missing(filler.markers, documents)
        unsaid = [path for path in lost if path not in FIELDS]
        assert not unsaid, "stands in no file: " + ", ".join(unsaid)
        for path in lost:
            assert FIELDS[path] in shown, f"the page does not say that {path} is left out"
            assert documents.holds(FIELDS[path]), f"the package does not say it of {path}"
    return f"{len(filler.markers)} markers, {len(lost)} of them said to be left out, none lost"


def _told(place: Installation, story: Story) -> str:
    """Tell everything over the API; return the report's id."""

    def put(path: str, document: Any) -> None:
        answer = place.api("PUT", path, json=document)
        assert answer.status_code == 200, answer.text

    def uploads() -> Iterator[str]:
        # The first one stands on the sample list, so that a case opens whatever the reason is called.
        for seed in (LISTED_SEEDS[0], *range(9_000, 9_000 + FILES)):
            file = ("drawn.jpg", encode(draw(seed)), "image/jpeg")
            yield place.api("POST", "media", files={"file": file}).json()["id"]

    for name, said in story.accounts().items():
        put(f"accounts/{name}", said)
    put(f"groups/{story.group}", story.group_before())
    put(f"groups/{story.group}/members", {"members": story.members("account")})
    answer = place.api("POST", "reports", json=story.report("account", uploads()))
    assert answer.status_code == 201, answer.text
    put(f"groups/{story.group}", story.group_after())
    return str(answer.json()["id"])


def _decided(place: Installation, report: str) -> str:
    """Wait for the case of the report and decide it for referral; return the case's id."""

    def opened() -> str:
        rows = place.rows(
            "SELECT c.id FROM moderation_case c JOIN moderation_casereport j ON j.case_id = c.id "
            "WHERE j.report_id = %s AND c.category = 'csam_known'",
            report,
        )
        return str(rows[0][0]) if rows else ""

    case = place.wait("the case of the report", opened, seconds=120)
    browser = place.signed_in("reviewer")
    url = f"/cases/{case}/"
    page = browser.get(url)
    browser.send(page, page.form(f"{url}claim/"))
    page = browser.get(url)
    form = page.form("decide/", having="outcome")
    reason = "Proof: a drawn picture that stands on the sample list."
    verbs = form.options.get("enforcements", [])[:1]
    browser.send(page, form, outcome="confirm_refer", enforcements=verbs, reason=reason)
    page = browser.get(url)
    browser.send(page, page.form("send-now/"))
    return case


def _approved(place: Installation, filler: Filler, case: str, key: str) -> tuple[str, str]:
    """Draft with a marker in every field, and approve; return the referral's address and what the approver saw."""
    author, second = place.signed_in("legal"), place.signed_in("legal", skip=1)
    agency = f"Proof agency {filler.tag}"
    page = author.get("/recipients/new/")
    page = author.send(page, page.form(having="name"), name=agency, keys=key)
    _confirmed(second, page, key)
    url = f"/referrals/new/{case}/"
    # Not there until the decision took effect.
    place.wait("the case for legal", lambda: agency in author.http.get(url).text)
    page = author.get(url)
    option = re.search(rf'<option value="([^"]+)">{re.escape(agency)}', page.text)
    assert option, "the new agency cannot be chosen"
    page = author.send(page, page.form(having="recipient"), recipient=option[1])
    referral = re.findall(r"/referrals/[0-9a-f-]{36}/", page.url)[0]
    form = page.form(having="narrative")
    given = {
        "version": form.values["version"],
        "recipient": form.values["recipient"],
        "include_messages": "on",
        "incident_confirmed": "on",
        "narrative": f"{filler.text('draft.narrative')} and words enough to be acted on by them.",
    }
    sent = filler.form(forms.DraftForm, "draft", given)
    for name in sorted({name.rpartition("-")[0] for name in form.values if "-" in name}):
        if name.startswith("exhibit-"):
            chosen = {"is_included": "on", "relevance": "supplemental", "left_out_reason": ""}
            said = filler.form(forms.ExhibitForm, "draft.exhibit", chosen)
        else:
            said = filler.form(
                forms.AccountForm, "draft.account", {"is_included": "on", "role": "witness"}
            )
        sent |= {f"{name}-{field}": value for field, value in said.items()}
    author.send(page, form, **sent, next="request")
    page = second.get(f"{referral}approve/")
    second.send(page, page.form(having="version"))
    return referral, page.text


def _confirmed(second: Browser, page: Page, key: str) -> None:
    found = second.get(page.url)
    link = re.search(r'href="(/recipients/[^"]+/confirm/)"', found.text)
    assert link, "the new key cannot be confirmed"
    found = second.get(link[1])
    second.send(found, found.form(having="fingerprint"), fingerprint=fingerprint_of(key))


def _opened(
    place: Installation, referral: str, identity: pyrage.x25519.Identity, folder: Path
) -> Path:
    """Wait for the package, fetch it and open it with the agency's key; return its data folder."""
    browser = place.signed_in("legal")

    def sealed() -> bool:
        text = browser.get(f"{referral}state/").text
        assert "could not be built" not in text, " ".join(text.split())[:500]
        return "Download package" in text

    place.wait("the package", sealed, seconds=120)
    tar = pyrage.decrypt(browser.get(f"{referral}package/").content, [identity])
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top / "data"
