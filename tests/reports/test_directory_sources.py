"""The directory is what the platform says of itself; what others say stands in their reports."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.errors import Invalid, Refused
from core.models import AuditEntry
from reports import actions
from reports.models import Account, Scope, Source, SourceKind
from reports.payloads import AccountPayload, GroupPayload
from tests.cast import signed_in
from tests.reports.conftest import Platform


@pytest.fixture
def hotline(db: None) -> Source:
    return actions.create_source(
        slug="outside", name="Outside", kind=SourceKind.TRUSTED_FLAGGER, actor=SYSTEM
    )


def test_a_key_of_another_source_cannot_be_given_the_directory(hotline: Source) -> None:
    with pytest.raises(Invalid, match="not marked as the platform's own"):
        actions.issue_key(hotline, scopes=[Scope.DIRECTORY_WRITE], actor=SYSTEM)
    assert not hotline.keys.exists()


def test_a_flaggers_key_cannot_rewrite_the_directory(
    platform: Platform, source: Source, issued: tuple[object, str]
) -> None:
    """Also a key that was issued while its source was taken for the platform."""
    assert (
        platform.put("/accounts/u-1", {"display_name": "Told by the platform"}).status_code == 200
    )
    Source.objects.filter(pk=source.pk).update(is_own_platform=False)
    bodies = {
        "/accounts/u-1": {"display_name": "Rewritten", "country": "ZZ"},
        "/groups/g-1": {"name": "Rewritten"},
        "/groups/g-1/members": {"members": [{"account": "u-1", "role": "owner"}]},
    }
    for path, body in bodies.items():
        answer = platform.put(path, body)
        assert answer.status_code == 403, path
        assert "platform's own" in answer.json()["detail"]
    line = {"type": "account", "external_id": "u-1", "display_name": "Rewritten"}
    (result,) = platform.batch([line]).json()["results"]
    assert (result["status"], result["code"]) == ("rejected", "not_own_platform")
    account = Account.objects.get()
    assert (account.display_name, account.country) == ("Told by the platform", "")
    report = {"subject": {"account": "u-1"}, "reason": "spam", "description": "Seen there."}
    assert platform.post("/reports", report).status_code == 201


def test_every_writer_of_the_directory_asks(hotline: Source) -> None:
    with pytest.raises(Refused):
        actions.upsert_account(hotline, "a", payload=AccountPayload(), actor=SYSTEM)
    with pytest.raises(Refused):
        actions.upsert_group(hotline, "g", payload=GroupPayload(), actor=SYSTEM)
    with pytest.raises(Refused):
        actions.upsert_memberships(hotline, "g", members=[], actor=SYSTEM)
    assert not Account.objects.exists()


def test_old_values_stay_in_the_log(platform: Platform) -> None:
    phone = {"kind": "phone", "value": "+12025550199"}
    platform.put("/accounts/u-1", {"display_name": "One", "identifiers": [phone]})
    said = {"display_name": "Two", "identifiers": [phone | {"verified": True}]}
    platform.put("/accounts/u-1", said)
    entry = AuditEntry.objects.filter(event="directory.account.upserted").latest("pk")
    assert entry.data["changed"] == {"display_name": ["One", "Two"]}
    (identifier,) = entry.data["identifiers_changed"].values()
    assert identifier == {"verified": [None, True]}
    members = {"members": [{"account": "u-1", "role": "member"}]}
    platform.put("/groups/g-1/members", members)
    members["members"][0]["role"] = "owner"
    platform.put("/groups/g-1/members", members)
    entry = AuditEntry.objects.filter(event="directory.members.upserted").latest("pk")
    assert entry.data["changed"] == {str(Account.objects.get().pk): {"role": ["member", "owner"]}}


def test_an_administrator_marks_the_platforms_own_source(admin: User, hotline: Source) -> None:
    browser = signed_in(Client(), admin)
    edit = reverse("reports:source_edit", args=[hotline.slug])
    said = {
        "name": "Outside",
        "kind": "platform",
        "trust": "internal",
        "is_own_platform": "on",
        "tells_outcomes": "yes",
        "is_active": "on",
    }
    assert browser.post(edit, said).status_code == 302
    hotline.refresh_from_db()
    assert hotline.is_own_platform
    entry = AuditEntry.objects.get(event="source.changed")
    assert entry.data["new"]["is_own_platform"] is True
    issue = reverse("reports:key_issue", args=[hotline.slug])
    key = {"name": "k", "scopes": ["directory:write"], "rate_per_minute": 60}
    assert browser.post(issue, key).status_code == 200
    assert hotline.keys.count() == 1
