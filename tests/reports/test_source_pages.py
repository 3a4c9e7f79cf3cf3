"""Sources and keys in the hands of an administrator."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client

from accounts.models import User
from core.models import AuditEntry
from reports.models import ApiKey, Scope, Source
from tests.cast import signed_in
from tests.reports.conftest import Platform

pytestmark = pytest.mark.django_db
SOURCE = {"name": "Hotline", "slug": "hotline", "kind": "trusted_flagger", "trust": "trusted"}
KEY = {"name": "script", "scopes": [Scope.REPORTS_WRITE], "rate_per_minute": "60"}


def key_in(page: bytes) -> str:
    found = re.search(r"hf_[0-9a-f]{10}_[\w-]{43}", page.decode())
    assert found
    return found[0]


def test_a_source_is_created_gets_a_key_and_reports(admin_client: Client) -> None:
    assert "No source yet" in admin_client.get("/sources/").content.decode()
    assert admin_client.post("/sources/new/", SOURCE)["Location"] == "/sources/hotline/"
    assert "No key yet" in admin_client.get("/sources/hotline/").content.decode()
    answer = admin_client.post("/sources/hotline/keys/", KEY)
    text = key_in(answer.content)
    page = admin_client.get("/sources/hotline/").content.decode()
    assert text not in page
    assert text[:13] in page
    report = {"subject": {"account": "u"}, "reason": "spam"}
    assert Platform(text).post("/reports", report).status_code == 201
    assert not AuditEntry.objects.filter(line__contains=text[14:]).exists()


def test_a_key_is_rotated_and_revoked(admin_client: Client) -> None:
    admin_client.post("/sources/new/", SOURCE)
    old = key_in(admin_client.post("/sources/hotline/keys/", KEY).content)
    key = ApiKey.objects.get()
    answer = admin_client.post(f"/sources/hotline/keys/{key.pk}/rotate/")
    new = key_in(answer.content)
    assert "24 hours more" in answer.content.decode()
    assert "Replaced, still works" in admin_client.get("/sources/hotline/").content.decode()
    assert admin_client.post(f"/sources/hotline/keys/{key.pk}/rotate/").status_code == 409
    for text in (old, new):
        assert Platform(text).post("/reports", {}).status_code == 422
    admin_client.post(f"/sources/hotline/keys/{key.pk}/revoke/")
    assert Platform(old).post("/reports", {}).status_code == 401
    assert Platform(new).post("/reports", {}).status_code == 422
    assert "Revoked" in admin_client.get("/sources/hotline/").content.decode()


def test_the_list_says_when_a_key_was_last_used(admin_client: Client) -> None:
    def cell(name: str) -> str:
        page = admin_client.get("/sources/").content.decode()
        row = page.partition(f">{name}<")[2].partition("</tr>")[0]
        return row.partition('data-label="Key last used">')[2].partition("</td>")[0]

    admin_client.post("/sources/new/", SOURCE)
    first = key_in(admin_client.post("/sources/hotline/keys/", KEY).content)
    admin_client.post("/sources/hotline/keys/", {**KEY, "name": "another"})
    Source.objects.create(name="By hand", slug="by-hand", kind="staff")
    assert "never" in cell("Hotline")
    assert cell("By hand") == "–"  # Nobody has a key to it.
    # The latest of its keys, whether that key still works or not.
    assert Platform(first).post("/reports", {}).status_code == 422
    used = ApiKey.objects.get(prefix=first[3:13])
    assert used.last_used_at is not None
    used.revoked_at = Now()
    used.save()
    assert "never" not in cell("Hotline")
    assert f'datetime="{used.last_used_at:%Y-%m-%dT%H:%M:%S}' in cell("Hotline")


def test_pausing_a_source_closes_its_keys(admin_client: Client) -> None:
    admin_client.post("/sources/new/", SOURCE)
    text = key_in(admin_client.post("/sources/hotline/keys/", KEY).content)
    changed = {k: v for k, v in SOURCE.items() if k != "slug"} | {
        "due_minutes": "30",
        "tells_outcomes": "yes",
    }
    assert admin_client.post("/sources/hotline/edit/", changed).status_code == 302
    assert Source.objects.get().due_minutes == 30
    assert Platform(text).post("/reports", {}).status_code == 403
    assert "Paused" in admin_client.get("/sources/").content.decode()


def test_mistakes_are_said_at_their_field(admin_client: Client) -> None:
    admin_client.post("/sources/new/", SOURCE)
    again = admin_client.post("/sources/new/", SOURCE)
    assert again.status_code == 422
    assert "Another source has this short name" in again.content.decode()
    answer = admin_client.post("/sources/hotline/keys/", KEY | {"scopes": []})
    assert answer.status_code == 422
    past = KEY | {"expires_at": "2020-01-01T00:00"}
    assert "still to come" in admin_client.post("/sources/hotline/keys/", past).content.decode()
    assert not ApiKey.objects.exists()


def test_issuing_a_key_asks_for_fresh_proof(client: Client, admin: User) -> None:
    signed_in(client, admin)
    client.post("/sources/new/", SOURCE)
    admin.sign_ins.update(confirmed_at=Now() - timedelta(hours=1))
    answer = client.post("/sources/hotline/keys/", KEY)
    assert "hf_" not in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_scopes_stand_with_their_code_and_their_words_wherever_people_meet_them(
    admin_client: Client,
) -> None:
    admin_client.post("/sources/new/", SOURCE | {"is_own_platform": "on"})
    form = admin_client.get("/sources/hotline/").content.decode()
    for scope in Scope:
        assert f"{scope.label} <code>{scope.value}</code>" in form
    given = KEY | {"scopes": [Scope.REPORTS_WRITE, Scope.LINKS_WRITE]}
    issued = admin_client.post("/sources/hotline/keys/", given).content.decode()
    listed = admin_client.get("/sources/hotline/").content.decode()
    for scope in (Scope.REPORTS_WRITE, Scope.LINKS_WRITE):
        assert f"<code>{scope.value}</code> {scope.label}" in issued
        assert f'<li title="{scope.label}"><code>{scope.value}</code></li>' in listed


def test_a_source_says_whether_it_is_the_platform_itself(admin_client: Client) -> None:
    def fact() -> str:
        page = admin_client.get("/sources/hotline/").content.decode()
        return page.partition("<dt>The platform itself</dt><dd>")[2].partition(":")[0]

    admin_client.post("/sources/new/", SOURCE)
    assert fact() == "no"
    assert "The platform itself" not in admin_client.get("/sources/").content.decode()
    Source.objects.update(is_own_platform=True)
    assert fact() == "yes"
    assert "The platform itself" in admin_client.get("/sources/").content.decode()
