"""The main job in one process, over HTTP where people and platforms use HTTP: quick, and to the end.

``tests/browser`` walks it in a browser, ``tests/test_demo.py`` with real processes.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pyrage
import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.audit_events import AuditEvent
from core.models import AuditEntry
from moderation import actions as moderation
from moderation.models import Case, CaseStatus, Delivery, DeliveryState
from referrals.models import Package, Recipient, Referral, ReferralState
from referrals.public_keys import fingerprint_of
from reports.actions import create_source, issue_key
from tests.background import work
from tests.casework import decide_form, grant_all, url
from tests.cast import signed_in
from tests.moderation.receiver import Receiver
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db(transaction=True)


class Platform:
    """A platform's script with its key."""

    def __init__(self) -> None:
        source = create_source(slug="app", name="App", kind="platform", actor=SYSTEM)
        scopes = ["reports:write", "media:write"]
        self.key = issue_key(source, scopes=scopes, actor=SYSTEM)[1]
        self.client = Client()

    def upload(self, data: bytes) -> str:
        from django.core.files.uploadedfile import SimpleUploadedFile

        file = SimpleUploadedFile("picture.jpg", data, "image/jpeg")
        answer = self.client.post("/api/v1/media", {"file": file}, headers=self._headers())
        assert answer.status_code == 201, answer.content
        return str(answer.json()["id"])

    def report(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        body = {"subject": {"account": "invented-1"}, "reason": "csam", "items": items}
        answer = self.client.post(
            "/api/v1/reports",
            json.dumps(body),
            content_type="application/json",
            headers=self._headers() | {"Idempotency-Key": uuid.uuid4().hex},
        )
        assert answer.status_code == 201, answer.content
        return dict(answer.json())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture
def platform(db: None) -> Platform:
    create_permissions(apps.get_app_config("moderation"), verbosity=0)
    return Platform()


def test_the_items_of_a_report_stay_in_the_order_in_which_they_were_sent(
    platform: Platform, reviewer: User
) -> None:
    texts = [f"sentence number {number}" for number in range(12)]
    platform.report([{"surface": "reported_message", "text": text} for text in texts])
    work()
    case = Case.objects.get()
    assert [row.item.text for row in case.case_items.all()] == texts


def test_a_report_ends_as_one_webhook_and_one_package(
    platform: Platform,
    receiver: Receiver,
    reviewer: User,
    legal: User,
    legal2: User,
    admin: User,
    settings: Any,
) -> None:
    keys = Path(settings.VAR_DIR) / "keys"
    call_command("init_signing", dir=str(keys), verbosity=0)
    settings.HOLDFAST_SIGNING_KEY_FILE = str(keys / "signing_key")
    _, receiver.secret = moderation.create_endpoint(
        name="Platform", url=receiver.url, verbs=[], actor=admin
    )
    for person in (reviewer, legal, legal2):
        grant_all(person)
    at_work, drafts, approves = (signed_in(Client(), who) for who in (reviewer, legal, legal2))

    media = platform.upload(jpeg(1))
    platform.report(
        [
            {"surface": "reported_message", "media": media},
            {"surface": "reported_message", "text": "an invented sentence"},
        ]
    )
    work()
    case = Case.objects.get()
    assert at_work.post(url("claim", case)).status_code == 303
    case.refresh_from_db()
    assert at_work.post(url("decide", case), decide_form(case)).status_code == 303
    assert receiver.ids == []  # Inside the undo window nothing leaves.
    decision = case.decisions.get()
    assert at_work.post(url("send_now", decision)).status_code == 303
    work()
    case.refresh_from_db()
    assert case.status == CaseStatus.DECIDED
    assert receiver.ids == [str(Delivery.objects.get(state=DeliveryState.DELIVERED).pk)]

    key = str(pyrage.x25519.Identity.generate().to_public())
    agency = {"name": "Invented agency", "keys": key}
    assert drafts.post(reverse("referrals:recipient_new"), agency).status_code == 302
    recipient = Recipient.objects.get()
    confirm = reverse("referrals:confirm_key", args=[recipient.pk, recipient.keys.get().pk])
    said = {"fingerprint": fingerprint_of(key)}
    assert approves.post(confirm, said).status_code == 302
    opened = drafts.post(reverse("referrals:new", args=[case.pk]), {"recipient": str(recipient.pk)})
    page = drafts.get(opened["Location"])
    referral = Referral.objects.get()
    form = page.context["draft"].form
    said = {name: form[name].value() or "" for name in form.fields} | {
        "legal_basis": "An invented law, section 1",
        "narrative": "An invented account of what was reported.",
        "incident_at": case.opened_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "incident_confirmed": "on",
        "next": "request",
    }
    lines = [exhibit["form"] for exhibit in page.context["exhibits"]]
    lines += [line for _, line in page.context["draft"].accounts]
    for line in lines:
        said |= {line.add_prefix(name): line[name].value() or "" for name in line.fields}
    said |= {f"account-{named.pk}-role": "suspect" for named in referral.named_accounts.all()}
    drafts.post(opened["Location"], said)
    referral.refresh_from_db()
    assert referral.state == ReferralState.AWAITING_APPROVAL
    approves.post(reverse("referrals:approve", args=[referral.pk]), {"version": referral.version})
    work()
    referral.refresh_from_db()
    assert referral.state == ReferralState.SEALED
    assert Package.objects.get().exhibit_count == 1
    work()
    assert len(receiver.ids) == 1
    assert AuditEntry.objects.filter(event=AuditEvent.PACKAGE_SEALED).count() == 1
    call_command("verify_audit", verbosity=0)
