"""The legal desk in tests: cases come in by reports and decisions, packages leave by the worker's job.

``Desk`` holds two legal colleagues with every category, an agency whose secret key the test keeps, and
the signing keys of the installation. Every state is reached by the actions that clicks call.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
from django.core.files.storage import storages
from django.db import connection
from django.db.models import F
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.jobs import run_now
from core.models import AuditEntry
from moderation import actions as moderation
from moderation.models import Case
from referrals import actions
from referrals.models import RecipientKey, Referral
from tests.casework import Casework, grant_all, url, verdict
from tests.cast import signed_in

NARRATIVE = "An invented account sent an invented drawing to an invented group on Monday at noon."


class Desk:
    """Legal work on cases of one reviewer."""

    def __init__(self, casework: Casework, reviewer: User, author: User, second: User) -> None:
        self.casework = casework
        self.reviewer = grant_all(reviewer)
        self.author, self.second = grant_all(author), grant_all(second)
        self.key = pyrage.x25519.Identity.generate()
        self.agency = actions.create_recipient(
            name="Invented Agency", keys=str(self.key.to_public()), actor=self.author
        )
        self.confirm_keys()

    def confirm_keys(self) -> None:
        """Have the second person confirm what the author entered."""
        for key in self.agency.keys.filter(confirmed_at=None, ended_at=None):
            actions.confirm_key(key, fingerprint=key.spoken.upper(), actor=self.second)

    def enter_key(self, text: str) -> RecipientKey:
        """Enter a key as the author; nobody has confirmed it."""
        return actions.enter_keys(self.agency, keys=text, actor=self.author)[0]

    # ── Cases ─────────────────────────────────────────────────────────────────────────────────
    def case(self, account: str = "", *, reveals: Sequence[str] = (), **said: Any) -> Case:
        """Return a case decided for referral. ``reveals``: "viewed", "whole" or "part", of the first picture."""
        case = self.casework.case(account, **said)
        moderation.claim(case, actor=self.reviewer)
        for how in reveals:
            self.reveal(case, how)
        case.refresh_from_db()
        decision = moderation.decide(case, actor=self.reviewer, **verdict(case))
        moderation.send_now(decision, actor=self.reviewer)
        assert moderation.publish_decision(decision)
        case.refresh_from_db()
        return case

    def reveal(self, case: Case, how: str) -> None:
        """Have the reviewer look at the case's first original through the pages."""
        browser = signed_in(Client(), self.reviewer)
        item = case.case_items.order_by("position")[0].item
        issued = browser.post(
            url("reveal", case, item_id=item.pk),
            {"purpose": "assess"},
            headers={"accept": "application/json"},
        ).json()
        answer: Any = browser.get(issued["url"])
        if how in {"whole", "viewed"}:
            assert b"".join(answer.streaming_content)
            if how == "viewed":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_sleep(1.05)")  # Nobody claims more time than passed.
                said = {"milliseconds": "1050", "painted": "[1000]"}
                assert browser.post(issued["close_url"], said).status_code == 200
        else:
            stream = answer._iterator
            next(stream)
            next(stream)
            stream.close()  # The browser went away.

    # ── Referrals ─────────────────────────────────────────────────────────────────────────────
    def draft(self, case: Case | None = None, **changes: Any) -> Referral:
        """Return a draft with everything that approval asks for."""
        case = case or self.case()
        referral = actions.open_referral(case, recipient=self.agency, actor=self.author)
        return self.write(referral, **changes)

    def write(self, referral: Referral, **changes: Any) -> Referral:
        """Fill in the words of a draft."""
        said: dict[str, Any] = {
            "recipient": referral.recipient,
            "legal_basis": "An invented provision",
            "incident_type": "An invented incident",
            "incident_at": datetime(2026, 3, 2, 12, tzinfo=UTC),
            "narrative": NARRATIVE,
            "urgency_reason": "",
            "include_messages": True,
            "exhibits": {},
            "accounts": {
                named.pk: actions.AccountChange(role="suspect", is_included=named.is_included)
                for named in referral.named_accounts.filter(role="")
            },
        }
        return actions.update_draft(
            referral,
            changes=actions.DraftChanges(**said | changes),
            version=referral.version,
            actor=self.author,
        )

    def awaiting(self, case: Case | None = None, **changes: Any) -> Referral:
        """Return a referral whose author asked for approval."""
        draft = self.draft(case, **changes)
        return actions.request_approval(draft, version=draft.version, actor=self.author)

    def approved(self, case: Case | None = None, **changes: Any) -> Referral:
        """Return a referral that the second person approved; nothing is built yet."""
        waiting = self.awaiting(case, **changes)
        return actions.approve(waiting, version=waiting.version, actor=self.second)

    def sealed(self, case: Case | None = None, **changes: Any) -> Referral:
        """Return a referral whose package the worker's job has built."""
        return self.build(self.approved(case, **changes))

    def build(self, referral: Referral) -> Referral:
        """Run the worker's job, as the queue would."""
        run_now("build_package", referral.pk)
        return Referral.objects.get(pk=referral.pk)

    # ── What is left behind ───────────────────────────────────────────────────────────────────
    def opened(self, referral: Referral, folder: Path, age: str) -> Path:
        """Decrypt the sealed package with the stock ``age`` and unpack it; return the bag's folder."""
        sealed = folder / referral.package.file_name
        with storages["packages"].open(referral.package.storage_name) as stream:
            sealed.write_bytes(stream.read())
        identity = folder / "agency.key"
        identity.write_text(f"{self.key}\n")
        tar = folder / "p.tar"
        subprocess.run(
            [age, "-d", "-i", str(identity), "-o", str(tar), str(sealed)], check=True, timeout=60
        )
        with tarfile.open(tar) as archive:
            archive.extractall(folder, filter="data")
        return folder / str(referral)

    def read(self, bag: Path, path: str) -> Any:
        """Return a JSON document of an opened package."""
        return json.loads((bag / "data" / path).read_text())


def page(name: str, referral: Referral) -> str:
    """Return the address of one of a referral's pages or verbs."""
    return reverse(f"referrals:{name}", kwargs={"referral_id": referral.pk})


def form(referral: Referral, **changes: Any) -> dict[str, Any]:
    """Return what the draft's form sends when nobody changed anything."""
    said: dict[str, Any] = {
        "version": referral.version,
        "recipient": referral.recipient_id,
        "legal_basis": referral.legal_basis,
        "incident_type": referral.incident_type,
        "incident_at": "2026-03-02T12:00:00",
        "narrative": referral.narrative,
        "urgency_reason": referral.urgency_reason,
        "include_messages": "on",
    }
    for row in referral.exhibits.all():
        said |= {
            f"exhibit-{row.pk}-is_included": "on",
            f"exhibit-{row.pk}-relevance": row.relevance,
            f"exhibit-{row.pk}-note": row.note,
            f"exhibit-{row.pk}-left_out_reason": row.left_out_reason,
        }
    for named in referral.named_accounts.all():
        said |= {
            f"account-{named.pk}-is_included": "on",
            f"account-{named.pk}-role": named.role,
        }
    said |= changes
    return {name: value for name, value in said.items() if value is not None}


def events(referral: Referral) -> list[str]:
    """Return the names of what the case's custody log says about referrals and packages, in order."""
    chain = AuditEntry.objects.filter(chain=f"case:{referral.case_id}").order_by("seq")
    names = chain.values_list("event", flat=True)
    return [name for name in names if name.startswith(("referral.", "package."))]


def stored_files(referral: Referral) -> list[str]:
    """Return every file that the package store holds for a referral."""
    folder = Path(storages["packages"].path(str(referral.pk)))
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def let_the_builder_go_silent(referral: Referral) -> None:
    """Move the last sign of life back, as if a minute had passed."""
    Referral.objects.filter(pk=referral.pk).update(
        build_beat_at=F("build_beat_at") - timedelta(minutes=1)
    )


def spoil(case: Case) -> Path:
    """Change one byte of the case's first original in the vault; doing it again puts it right."""
    blob = case.case_items.order_by("position")[0].item.blob
    assert blob is not None
    path = Path(storages["vault"].path(blob.storage_name))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))
    return path


__all__ = [
    "NARRATIVE",
    "Desk",
    "events",
    "form",
    "let_the_builder_go_silent",
    "page",
    "spoil",
    "stored_files",
]
