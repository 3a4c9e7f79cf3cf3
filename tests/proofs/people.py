"""Nobody becomes somebody else, and no stranger keeps anybody out."""

from __future__ import annotations

import re
import uuid

from config.demo.browser import Browser
from tests.proofs import proof
from tests.proofs.installation import Installation

PASS_PHRASE = "an invented pass phrase of a proof"
WHY = "Tried by make proofs; nobody wants it."


def _guess(place: Installation, email: str, password: str, browser: Browser | None = None) -> int:
    """Send an e-mail and a password; return the status, 302 when the code is asked next."""
    browser = browser or Browser(place.address)
    page = browser.get("/sign-in/")
    values = {**page.form(having="password").values, "email": email, "password": password}
    answer = browser.http.post(
        "/sign-in/", data=values, headers={"Referer": page.url}, follow_redirects=False
    )
    return answer.status_code


@proof("Wrong passwords of strangers keep nobody out", quick=True)
def strangers(place: Installation) -> str:
    person = place.person("lead")
    own = place.signed_in("lead", fresh=True)
    page = own.get("/account/")
    own.send(page, page.form("sign-out"))
    statuses = [_guess(place, person["email"], "a wrong guess") for _ in range(12)]
    assert 429 in statuses, f"twelve guesses were answered {statuses}"
    known = _guess(place, person["email"], person["password"], own)
    assert known == 302, f"the person's own browser got {known}"
    return f"12 guesses, {statuses.count(429)} held back; the person's own browser went on"


@proof("Wrong passwords of strangers do not stop a session at work", quick=True)
def at_work(place: Installation) -> str:
    person = place.person("administrator")
    browser = place.signed_in("administrator")
    statuses = [_guess(place, person["email"], "a wrong guess") for _ in range(12)]
    page = browser.get("/confirm/")
    form = page.form(having="confirm_password")
    page = browser.send(page, form, confirm_password=person["password"])
    assert "/confirm/" not in page.url, "the right password was refused in an open session"
    return f"{statuses.count(429)} of 12 guesses held back; the session confirmed at once"


@proof("A session without a second factor reaches nothing", quick=True)
def without_factor(place: Installation) -> str:
    admin = place.signed_in("administrator")
    email = f"proof-{uuid.uuid4().hex[:8]}@sample.example"
    page = admin.get("/people/invite/")
    page = admin.send(
        page,
        page.form(having="email"),
        name="Proof",
        email=email,
        role="reviewer",
        confirm_password=place.person("administrator")["password"],
    )
    found = re.search(r"/invitation/#([\w-]+)", page.text)
    assert found, "the invitation shows no link with its token in the fragment"
    browser = Browser(place.address)
    page = browser.get("/invitation/")
    page = browser.send(page, page.form(having="token"), token=found[1])
    page = browser.send(
        page,
        page.form(having="new_password"),
        name="Proof",
        new_password=PASS_PHRASE,
        repeat_password=PASS_PHRASE,
    )
    tried = ["/", "/cases/", "/queues/", "/reports/new/", "/policies/", "/account/", "/people/"]
    for address in tried:
        at = browser.get(address).url
        assert "/account/second-factor/" in at, f"{address} was answered at {at}"
    return f"{len(tried)} addresses, each led to set-up"


@proof("One administrator alone cannot become another person", quick=True)
def alone(place: Installation) -> str:
    admin = place.signed_in("administrator")
    proof_of = {"confirm_password": place.person("administrator")["password"]}
    email = place.person("reviewer")["email"]
    ((person,),) = place.rows("SELECT id FROM accounts_user WHERE email = %s", email)
    page = admin.get(f"/people/{person}/")
    page = admin.send(page, page.form("second-factor/reset"), reason=WHY, **proof_of)
    ((request,),) = place.rows(
        "SELECT id FROM accounts_accountrequest WHERE person_id = %s "
        "AND confirmed_at IS NULL AND closed_at IS NULL",
        person,
    )
    token = str(page.form(f"{request}/cancel").values["csrfmiddlewaretoken"])
    said = admin.post(f"/people/requests/{request}/confirm/", token=token, **proof_of).status_code
    page = admin.get("/people/requests/")
    admin.send(page, page.form(f"{request}/cancel"))
    kept = place.rows("SELECT 1 FROM mfa_authenticator WHERE user_id = %s", person)
    assert said == 409, f"confirming one's own request was answered {said}"
    assert kept, "the second factor is gone"
    return "the reset waited for another administrator; confirming it oneself was refused"
