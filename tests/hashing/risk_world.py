"""A small platform told of by the real actions, for tests of risk and links."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from core.audit import SYSTEM
from hashing import actions
from hashing.models import RiskScore
from reports.actions import (
    submit_report,
    submit_scan,
    upsert_account,
    upsert_group,
    upsert_memberships,
)
from reports.models import Account, Group, Source
from reports.payloads import (
    AccountPayload,
    GroupPayload,
    MembersPayload,
    ReportPayload,
    ScanPayload,
)
from tests.casework import Casework
from tests.pictures import jpeg

AN_HOUR_AGO = timezone.now() - timedelta(hours=1)


class World:
    """A small platform, told of by the real actions."""

    def __init__(self, casework: Casework) -> None:
        self.casework = casework
        self.source: Source = casework.source()

    def account(self, name: str, **said: Any) -> Account:
        payload = AccountPayload.model_validate({"scan": False} | said)
        return upsert_account(self.source, name, payload=payload, actor=SYSTEM)

    def group(self, name: str, members: list[str], **said: Any) -> Group:
        upsert_group(
            self.source,
            name,
            payload=GroupPayload.model_validate({"name": name, "scan": False} | said),
            actor=SYSTEM,
        )
        payload = MembersPayload.model_validate(
            {"members": [{"account": each} for each in members]}
        )
        upsert_memberships(self.source, name, members=payload, actor=SYSTEM)
        return Group.objects.get(external_id=name)

    def report(self, subject: dict[str, str], reporter: str) -> None:
        said = {"subject": subject, "reason": "csam", "reporter": {"account": reporter}}
        submit_report(self.source, payload=ReportPayload.model_validate(said), actor=SYSTEM)

    def item(self, subject: dict[str, str], surface: str, *findings: Any, **said: Any) -> Any:
        said.setdefault("text", "an invented text")
        payload = ScanPayload.model_validate({"subject": subject, "surface": surface} | said)
        item = submit_scan(self.source, payload=payload, actor=SYSTEM)
        return self.casework.scanned(item, *findings)

    def picture(self, subject: dict[str, str], number: int, *findings: Any) -> Any:
        surface = "group_photo" if "group" in subject else "profile_photo"
        media = self.casework.upload(self.source, jpeg(number, (96, 64)), "image/jpeg")
        payload = ScanPayload.model_validate(
            {"subject": subject, "surface": surface, "media": media}
        )
        return self.casework.scanned(
            submit_scan(self.source, payload=payload, actor=SYSTEM), *findings
        )

    def settle(self) -> int:
        """Rate until nothing is marked; return how many rounds that took."""
        for work in actions.open_works():
            while actions.do_batch(work):
                pass
        rounds = 0
        while actions.rate_changed():
            rounds += 1
            assert rounds < 50, "ratings mark each other for ever"
        return rounds


def score(subject: Account | Group) -> RiskScore:
    kind = "account" if isinstance(subject, Account) else "group"
    return RiskScore.objects.get(**{kind: subject})


def said_of(subject: Account | Group) -> dict[str, str]:
    return {each["key"]: each["text"] for each in score(subject).contributions}
