"""Two means two: one person's key opens no package, and a partner's key describes no account."""

from __future__ import annotations

import uuid

import pyrage

from referrals.public_keys import fingerprint_of
from tests.proofs import proof
from tests.proofs.installation import Installation


@proof("One legal person cannot make a key of her own count", quick=True)
def own_key(place: Installation) -> str:
    browser = place.signed_in("legal")
    key = str(pyrage.x25519.Identity.generate().to_public())
    page = browser.get("/recipients/new/")
    page = browser.send(
        page, page.form(having="name"), name=f"Proof {uuid.uuid4().hex[:8]}", keys=key
    )
    ((key_id, recipient),) = place.rows(
        "SELECT id, recipient_id FROM referrals_recipientkey WHERE text = %s", key
    )
    page = browser.get(f"/recipients/{recipient}/keys/{key_id}/confirm/")
    offered = [form for form in page.forms() if "fingerprint" in form.values]
    assert not offered, "who entered a key is offered to confirm it"
    token = browser.get("/recipients/new/").form(having="name").values["csrfmiddlewaretoken"]
    confirm = f"/recipients/{recipient}/keys/{key_id}/confirm/"
    browser.post(confirm, token=str(token), fingerprint=fingerprint_of(key))
    ((confirmed,),) = place.rows(
        "SELECT confirmed_at FROM referrals_recipientkey WHERE id = %s", key_id
    )
    assert confirmed is None, "one person entered and confirmed a key"
    return "entered, fingerprint sent by the same person: not confirmed"


@proof("The key of a hotline cannot rewrite the directory", quick=True)
def directory(place: Installation) -> str:
    said = {"display_name": "Rewritten by a partner"}
    for path in ("accounts/u-1001", "groups/g-2001"):
        answer = place.api("PUT", path, key="hotline", json=said)
        assert answer.status_code == 403, f"PUT {path} was answered {answer.status_code}"
    found = place.rows(
        "SELECT 1 FROM reports_account WHERE display_name = %s", said["display_name"]
    )
    assert not found, "the account was rewritten"
    return "2 requests, 2 × 403"
