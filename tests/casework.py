"""Cases for tests, made the way they come about: a source reports, a detector finds, routing places.

Used as fixtures: ``casework`` makes reports and cases, ``granted`` gives a person queues and categories.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.permissions import Permission
from core import vault
from core.audit import SYSTEM
from hashing import actions as hashing
from hashing.contract import Finding, FlagKind, could_not_scan
from hashing.models import Category
from moderation import actions
from moderation.access import policies_for
from moderation.models import Case, Decision, Outcome, Queue
from reports.actions import create_source, create_upload, submit_report, submit_scan
from reports.models import Item, Report, ScanState, Source, SourceKind, TrustLevel
from reports.payloads import ReportPayload, ScanPayload
from tests.pictures import jpeg

DETECTOR = ("invented", "1")


def hash_finding(category: str = Category.CSAM_KNOWN, *, distance: int = 4) -> Finding:
    """Return what a detector says about a drawn picture that stands on an invented list."""
    return Finding(
        kind=FlagKind.HASH_MATCH,
        score=0.9,
        summary="PDQ distance 4 of 31 to an entry of the list Invented A",
        evidence={
            "list_name": "Invented A",
            "list_version": 3,
            "algorithm": "pdq",
            "distance": distance,
            "threshold": 31,
        },
        category=category,
    )


def term_finding(span: tuple[int, int], category: str = Category.GROOMING) -> Finding:
    """Return what a detector says about a text that holds a marker word."""
    return Finding(
        kind=FlagKind.TERM_MATCH,
        score=0.6,
        summary="A term of the list Invented B",
        evidence={"list_name": "Invented B", "list_version": 1, "spans": [list(span)]},
        category=category,
    )


class Casework:
    """Makes sources, reports, items and cases with the real actions."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.count = 0

    def source(self, trust: str = TrustLevel.STANDARD, due_minutes: int | None = None) -> Source:
        """Return the source of a trust level."""
        key = f"{trust}-{due_minutes}"
        if key not in self.sources:
            kind = (
                SourceKind.TRUSTED_FLAGGER
                if trust == TrustLevel.TRUSTED
                else SourceKind.USER_REPORTS
            )
            self.sources[key] = create_source(
                slug=f"source-{len(self.sources)}-{uuid.uuid4().hex[:6]}",
                name=f"Source {trust}",
                kind=kind,
                trust=trust,
                due_minutes=due_minutes,
                is_own_platform=True,
                actor=SYSTEM,
            )
        return self.sources[key]

    def upload(self, source: Source, content: bytes, media_type: str) -> str:
        """Store media and return the reference that a report may use."""
        blob = vault.store_bytes(content, media_type=media_type)
        return str(create_upload(source, blob, actor=SYSTEM).pk)

    def report(
        self,
        account: str = "",
        *,
        group: str = "",
        reason: str = "csam",
        pictures: Sequence[bytes] = (),
        texts: Sequence[str] = (),
        media_type: str = "image/jpeg",
        trust: str = TrustLevel.STANDARD,
        due_minutes: int | None = None,
        description: str = "",
    ) -> Report:
        """Submit a report as a platform would. Nothing is scanned or routed yet."""
        self.count += 1
        source = self.source(trust, due_minutes)
        surface = "reported_message"
        items: list[dict[str, Any]] = [
            {"surface": surface, "media": self.upload(source, picture, media_type)}
            for picture in pictures
        ]
        items += [{"surface": surface, "text": text} for text in texts]
        subject = {"group": group} if group else {"account": account or f"invented-{self.count}"}
        payload = ReportPayload.model_validate(
            {"subject": subject, "reason": reason, "items": items, "description": description}
        )
        return submit_report(source, payload=payload, actor=SYSTEM)

    def scan_submission(self, text: str = "an invented name", account: str = "") -> Item:
        """Submit a profile name to be scanned without a report."""
        self.count += 1
        payload = ScanPayload.model_validate(
            {
                "subject": {"account": account or f"scanned-{self.count}"},
                "surface": "profile_name",
                "text": text,
            }
        )
        return submit_scan(self.source(), payload=payload, actor=SYSTEM)

    def scanned(self, item: Item, *findings: Finding, state: ScanState = ScanState.SCANNED) -> Item:
        """Record what a detector found on an item (nothing, if nothing is given)."""
        outcomes = [hashing.Outcome(*DETECTOR, list(findings))]
        return hashing.record_findings(item, outcomes, state=state)

    def failed_scan(self, item: Item) -> Item:
        """Record that a detector could not look at an item."""
        return self.scanned(
            item,
            could_not_scan("The picture", "it is broken", code="broken"),
            state=ScanState.FAILED,
        )

    def routed(self, report: Report, *findings: Finding) -> Case:
        """Scan every item of a report (the findings go to the first) and route the report."""
        for number, item in enumerate(report.items.order_by("received_at", "pk")):
            self.scanned(item, *(findings if number == 0 else ()))
        report.refresh_from_db()
        actions.route_report(report)
        report.refresh_from_db()
        assert report.route_error == ""
        return Case.objects.get(case_reports__report=report)

    def case(self, account: str = "", **said: Any) -> Case:
        """Return an open case of a report with one drawn picture, reported as abuse imagery."""
        said.setdefault("pictures", [jpeg(self.count + 1, (96, 64))])
        return self.routed(self.report(account, **said))

    def decided(self, case: Case, *, by: User, outcome: str = Outcome.CONFIRM_REFER) -> Decision:
        """Claim and decide a case; the decision is in its undo window."""
        actions.claim(case, actor=by)
        case.refresh_from_db()
        return actions.decide(case, actor=by, **verdict(case, outcome))

    def published(self, case: Case, *, by: User, outcome: str = Outcome.CONFIRM_REFER) -> Decision:
        """Decide a case and let the decision take effect."""
        decision = actions.send_now(self.decided(case, by=by, outcome=outcome), actor=by)
        assert actions.publish_decision(decision)
        decision.refresh_from_db()
        case.refresh_from_db()
        return decision


def verdict(case: Case, outcome: str = Outcome.CONFIRM_REFER, **changes: Any) -> dict[str, Any]:
    """Return what ``decide`` needs besides the case and the actor."""
    return {
        "policy": policies_for(case)[0],
        "outcome": outcome,
        "enforcements": ["no_action"] if outcome == Outcome.NOT_VIOLATING else ["ban_account"],
        "reason": "An invented reason that is long enough.",
        "case_version": case.version,
        "idempotency_key": uuid.uuid4().hex,
    } | changes


def decide_form(case: Case, outcome: str = Outcome.CONFIRM_REFER, **changes: Any) -> dict[str, Any]:
    """Return the fields that the page's form sends."""
    said = verdict(case, outcome)
    return said | {"policy": said["policy"].pk} | changes


def grant_all(person: User) -> User:
    """Give a person every queue (if the role works any) and every category."""
    if person.may(Permission.CASES_CLAIM):
        for queue in Queue.objects.all():
            actions.grant_queue(queue, to=person, actor=SYSTEM)
    for category in Category.values:
        actions.grant_category(category, to=person, actor=SYSTEM)
    return person


def url(name: str, subject: Case | Decision, **more: Any) -> str:
    """Return the address of a verb on a case or a decision."""
    return reverse(f"moderation:{name}", kwargs={"id": subject.pk, **more})


@pytest.fixture
def casework(db: None) -> Casework:
    """Return what makes reports and cases."""
    return Casework()


@pytest.fixture
def granted(db: None) -> Callable[[User], User]:
    """Return the function that gives a person every queue and category."""
    return grant_all


@pytest.fixture
def script() -> Client:
    """Return a client that asks for JSON, as a script does."""
    return Client(headers={"accept": "application/json"})
