"""A worker process is killed -9 in the middle of its work; another one and the sweeps finish it once."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from django.conf import settings as django_settings
from django.core.files.storage import storages
from django.core.management import call_command
from django.db.models.functions import Now

from accounts.models import User
from core.audit import SYSTEM
from core.audit_events import AuditEvent
from core.jobs import run_sweeps
from core.models import AuditEntry, Blob
from hashing import actions as hashing
from hashing.models import Category, Flag
from moderation import actions as moderation
from moderation.models import Case, Delivery, DeliveryState
from referrals import actions as referrals
from referrals.models import Package, Referral, ReferralState
from reports.models import Item, RouteState, ScanState
from tests.casework import Casework, grant_all
from tests.faults.conftest import Processes, never_ends
from tests.faults.waiting import wait_until
from tests.moderation.receiver import Receiver
from tests.pictures import jpeg

pytestmark = pytest.mark.runtime


def test_killed_while_it_scans(processes: Processes, casework: Casework) -> None:
    picture = jpeg(5, (320, 240))
    known = hashing.create_hash_list(
        name="Drawn pictures", category=Category.CSAM_KNOWN, actor=SYSTEM
    )
    report = casework.report("invented-1", pictures=[picture])
    blob = report.items.get().blob
    assert blob is not None
    hashing.add_entry(known, algorithm="sha256", value=blob.sha256, actor=SYSTEM)
    with never_ends(blob) as somebody_waits:
        victim = processes.worker("scan", "intake")
        somebody_waits()
        processes.kill(victim)

    item = report.items.get()
    assert (item.scan_state, item.scan_attempts) == (ScanState.WAITING, 1)
    assert not Flag.objects.exists()
    Item.objects.update(scan_due_at=Now())  # Its lease is over.
    processes.worker("scan", "intake")
    run_sweeps()

    wait_until(Case.objects.exists, what="the case of the scanned picture")
    item.refresh_from_db()
    assert (item.scan_state, item.route_state) == (ScanState.SCANNED, RouteState.ROUTED)
    assert Flag.objects.filter(item=item).count() == 1
    assert Case.objects.get().category == Category.CSAM_KNOWN
    assert AuditEntry.objects.filter(event=AuditEvent.ITEM_FLAGGED).count() == 1
    assert AuditEntry.objects.filter(event=AuditEvent.CASE_OPENED).count() == 1


class HoldingReceiver(Receiver):
    """Takes the first message and does not answer before it is told to."""

    def __init__(self) -> None:
        self.took, self.may_answer = threading.Event(), threading.Event()
        super().__init__()
        # Whoever asked is dead by the time of the answer.
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        super().take(body, headers)
        self.took.set()
        self.may_answer.wait(60)


def test_killed_while_it_sends_a_webhook(
    processes: Processes, casework: Casework, reviewer: User, admin: User, settings: Any
) -> None:
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = True
    receiver = HoldingReceiver()
    _, receiver.secret = moderation.create_endpoint(
        name="Platform", url=receiver.url, verbs=[], actor=admin
    )
    grant_all(reviewer)
    allowed = {"HOLDFAST_WEBHOOK_ALLOW_PRIVATE": "1"}
    try:
        for number in range(3):
            case = casework.case(f"invented-{number}", pictures=[])
            casework.published(case, by=reviewer)
        victim = processes.worker("deliver", kind="WarmWorker", **allowed)
        assert receiver.took.wait(60)
        processes.kill(victim)
        receiver.may_answer.set()

        under_way = Counter(receiver.ids)
        assert set(under_way.values()) == {1}
        assert not Delivery.objects.exclude(state=DeliveryState.PENDING).exists()
        Delivery.objects.update(locked_until=None, next_attempt_at=Now())  # The lease is over.
        processes.worker("deliver", kind="WarmWorker", **allowed)
        run_sweeps()

        wait_until(
            lambda: Delivery.objects.filter(state=DeliveryState.DELIVERED).count() == 3,
            what="three deliveries",
        )
    finally:
        receiver.may_answer.set()
        receiver.close()
    # Those that were under way came twice under one id with one body, so the platform acts on each once.
    assert receiver.bad == 0
    assert sorted(set(receiver.ids)) == sorted(str(row.pk) for row in Delivery.objects.all())
    came = Counter(receiver.ids)
    assert came == {str(row.pk): 1 + under_way[str(row.pk)] for row in Delivery.objects.all()}
    for name in under_way:
        first, again = (
            m for n, m in zip(receiver.ids, receiver.messages, strict=True) if n == name
        )
        assert first == again
    assert AuditEntry.objects.filter(event=AuditEvent.DELIVERY_CONFIRMED).count() == 3


def approved(casework: Casework, reviewer: User, legal: User, legal2: User) -> Referral:
    """Return a referral of one drawn picture that waits for its package."""
    for person in (reviewer, legal, legal2):
        grant_all(person)
    case = casework.case("invented-1", pictures=[jpeg(3, (320, 240))])
    casework.published(case, by=reviewer)
    agency = referrals.create_recipient(
        name="Invented agency",
        keys=str(pyrage.x25519.Identity.generate().to_public()),
        actor=legal,
    )
    for key in agency.keys.all():
        referrals.confirm_key(key, fingerprint=key.fingerprint, actor=legal2)
    referral = referrals.open_referral(case, recipient=agency, actor=legal)
    referral = referrals.update_draft(
        referral,
        changes=referrals.DraftChanges(
            recipient=agency,
            legal_basis="An invented law, section 1",
            incident_type="Known abuse imagery",
            incident_at=case.opened_at,
            incident_confirmed=True,
            narrative="An invented account of what was reported, long enough to be read.",
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
    referral = referrals.request_approval(referral, version=referral.version, actor=legal)
    return referrals.approve(referral, version=referral.version, actor=legal2)


def test_killed_while_it_builds_a_package(
    processes: Processes, casework: Casework, reviewer: User, legal: User, legal2: User
) -> None:
    keys = Path(django_settings.VAR_DIR) / "keys"
    call_command("init_signing", dir=str(keys), verbosity=0)
    signing = {"HOLDFAST_SIGNING_KEY_FILE": str(keys / "signing_key")}
    referral = approved(casework, reviewer, legal, legal2)
    with never_ends(Blob.objects.get()) as somebody_waits:
        victim = processes.worker("package", **signing)
        somebody_waits()
        processes.kill(victim)

    referral.refresh_from_db()
    assert (referral.state, referral.build_attempts) == (ReferralState.BUILDING, 1)
    assert not Package.objects.exists()
    processes.worker("package", **signing)
    run_sweeps()
    assert not Package.objects.exists()  # The dead builder could still be alive.
    Referral.objects.update(build_beat_at=Now() - timedelta(minutes=1))
    run_sweeps()

    package = wait_until(Package.objects.first, what="the package")
    referral.refresh_from_db()
    assert (referral.state, referral.build_attempts) == (ReferralState.SEALED, 2)
    store = storages["packages"]
    (folder,), _ = store.listdir(str(referral.pk))
    _, files = store.listdir(f"{referral.pk}/{folder}")
    assert [f"{referral.pk}/{folder}/{name}" for name in files] == [package.storage_name]
    assert store.size(package.storage_name) == package.size
    assert AuditEntry.objects.filter(event=AuditEvent.PACKAGE_SEALED).count() == 1
    run_sweeps()
    assert Package.objects.count() == 1
