"""Requests to erase: recorded, carried out where nothing is evidence, told honestly."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.utils import DatabaseError
from django.test import Client

from accounts.models import User
from core.audit import SYSTEM
from core.audit_check import check
from core.errors import Invalid
from core.models import AuditEntry
from reports import actions
from reports.models import (
    Account,
    AccountIdentifier,
    Erasure,
    Group,
    GroupLink,
    IpEvent,
    Membership,
    Report,
    Scope,
    Source,
    SourceKind,
)
from tests.casework import Casework, hash_finding
from tests.cast import signed_in
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db
MakeReport = Callable[..., dict[str, Any]]
ACCOUNT = {
    "scan": False,
    "username": "alex",
    "display_name": "Alex",
    "profile_text": "an invented text",
    "platform_status": "active",
    "identifiers": [{"kind": "email", "value": "alex@mail.example"}],
    "ip_events": [{"kind": "login", "ip": "203.0.113.7", "at": "2026-11-22T10:31:00Z"}],
}
ASKED = {"account": "user-1", "reason": "request", "requested_at": "2026-11-27T10:00:00Z"}


def told(platform: Platform) -> None:
    for name in ("user-1", "user-2"):
        assert platform.put(f"/accounts/{name}", ACCOUNT).status_code == 200
    platform.put(
        "/groups/g-1", {"name": "G", "invite_link": "https://chat.example/+x", "scan": False}
    )
    members = [{"account": name} for name in ("user-1", "user-2")]
    platform.put("/groups/g-1/members", {"members": members})


def intact() -> None:
    verdict = check(rows=True)
    assert verdict.is_intact, verdict.breaks


def test_whoever_was_never_reported_is_forgotten_at_once(platform: Platform) -> None:
    told(platform)
    answer = platform.post("/erasures", ASKED | {"external_id": "er-1"})
    assert answer.status_code == 202, answer.content
    said = answer.json()
    assert (said["state"], said["account"], said["group"]) == ("done", "user-1", None)
    assert said["erased"] == {"facts": 4, "identifiers": 1, "ip_events": 1, "memberships": 1}
    assert [each["what"] for each in said["kept"]] == ["log"]
    assert "audit log" in said["kept"][0]["why"]
    account = Account.objects.get(external_id="user-1")
    assert (account.username, account.display_name, account.profile_text) == ("", "", "")
    assert account.platform_status == ""
    other = Account.objects.get(external_id="user-2")
    for model in (AccountIdentifier, IpEvent, Membership):
        assert [row.account for row in model.objects.all()] == [other]
    intact()
    # The log names nobody who asked: only what was told before stands there.
    lines = AuditEntry.objects.filter(event__in=["erasure.asked", "directory.account.erased"])
    assert not any("user-1" in entry.line or "alex" in entry.line for entry in lines)
    assert platform.get(f"/erasures/{said['id']}").json() == said
    # What is told later is taken as always, and is no difference either.
    assert platform.put("/accounts/user-1", ACCOUNT).status_code == 200
    assert Account.objects.get(external_id="user-1").username == "alex"
    assert AccountIdentifier.objects.filter(account__external_id="user-1").count() == 1
    intact()


def test_a_group_is_forgotten_too(platform: Platform) -> None:
    told(platform)
    asked = {"group": "g-1", "reason": "group_closed", "requested_at": "2026-11-27T10:00:00Z"}
    said = platform.post("/erasures", asked).json()
    assert said["erased"] == {"facts": 2, "invite_links": 1, "memberships": 2}
    assert Group.objects.get().name == ""
    assert not GroupLink.objects.exists()
    intact()


@pytest.mark.parametrize("role", ["subject", "reporter", "sender", "scan"])
def test_whoever_was_named_in_a_report_or_case_waits_visibly(
    platform: Platform,
    a_report: MakeReport,
    casework: Casework,
    admin: User,
    legal: User,
    role: str,
) -> None:
    told(platform)
    item = {"surface": "reported_message", "text": "hello", "sender": "user-2"}
    report = a_report(subject={"account": "user-2"}, items=[item])
    if role == "subject":
        report["subject"] = {"account": "user-1"}
    elif role == "reporter":
        report["reporter"] = {"account": "user-1"}
    elif role == "sender":
        item["sender"] = "user-1"
    else:
        scan = {"subject": {"account": "user-1"}, "surface": "profile_name", "text": "x"}
        assert platform.post("/scans", scan).status_code == 201
        from moderation import actions as moderation
        from reports.models import Item

        found = casework.scanned(Item.objects.get(), hash_finding())
        moderation.route_item(found)
    if role != "scan":
        assert platform.post("/reports", report).status_code == 201
    answer = platform.post("/erasures", ASKED | {"external_id": "er-1"})
    said = answer.json()
    assert (answer.status_code, said["state"], said["erased"]) == (202, "waiting", {})
    assert [each["what"] for each in said["kept"]] == ["needed", "log"]
    assert said["kept"][0]["until"] is None
    assert Account.objects.get(external_id="user-1").username == "alex"
    assert IpEvent.objects.count() == 2
    for person in (admin, legal):
        page = signed_in(Client(), person).get("/erasures/").content.decode()
        assert "user-1" in page
        assert "Waiting" in page
        assert "1 request waits" in page
        assert "Kept whole: named in a report, a case or a referral." in page
    intact()


def test_reasons_are_words_and_codes_of_the_platform_stay_codes(
    platform: Platform, admin: User
) -> None:
    for number, reason in enumerate(("request", "account_closed", "own_code")):
        asked = ASKED | {"account": f"nobody-{number}", "reason": reason}
        assert platform.post("/erasures", asked).status_code == 202
    page = signed_in(Client(), admin).get("/erasures/").content.decode()
    cells = re.findall(r'data-label="Reason">(.*?)</td>', page)
    assert [re.sub(r"<[^>]+>", "", cell) for cell in cells] == [
        "own_code",
        "The account was closed",
        "The person asked",
    ]


def test_a_scan_alone_is_kept_and_named_and_places_in_reported_groups_too(
    platform: Platform, a_report: MakeReport
) -> None:
    told(platform)
    platform.put("/groups/g-2", {"name": "Other"})
    platform.put("/groups/g-2/members", {"members": [{"account": "user-1"}]})
    platform.post(
        "/scans", {"subject": {"account": "user-1"}, "surface": "profile_name", "text": "x"}
    )
    platform.post("/reports", a_report(subject={"group": "g-1"}, items=[]))
    said = platform.post("/erasures", ASKED).json()
    assert said["state"] == "done"
    assert said["erased"]["memberships"] == 1
    assert [each["what"] for each in said["kept"]] == ["log", "memberships", "scanned"]
    stays = Membership.objects.filter(account__external_id="user-1")
    assert [stay.group.external_id for stay in stays] == ["g-1"]
    intact()


def test_nobody_is_made_by_asking_to_forget_them(platform: Platform) -> None:
    said = platform.post("/erasures", ASKED).json()
    assert (said["state"], said["kept"][0]["what"]) == ("done", "unknown")
    assert not Account.objects.exists()
    assert Erasure.objects.get().subject_id == "user-1"


def test_the_same_request_twice_is_one(platform: Platform) -> None:
    told(platform)
    asked = ASKED | {"external_id": "er-1"}
    first, again = platform.post("/erasures", asked), platform.post("/erasures", asked)
    assert first.json() == again.json()
    assert Erasure.objects.count() == 1
    by_key = [platform.post("/erasures", ASKED, idempotency_key="k-1") for _ in range(2)]
    assert by_key[1]["Idempotent-Replayed"] == "true"
    assert by_key[0].json() == by_key[1].json()
    other = platform.post("/erasures", asked | {"account": "user-2"})
    problem = problem_of(other, 409)
    assert problem["code"] == "duplicate_external_id"
    assert problem["existing"]["id"] == first.json()["id"]
    assert Account.objects.get(external_id="user-2").username == "alex"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"account": None}, ""),
        ({"group": "g"}, ""),
        ({"reason": "Wanted To"}, "reason"),
        ({"requested_at": "yesterday"}, "requested_at"),
        ({"requested_at": None}, "requested_at"),
        ({"wish": 1}, "wish"),
    ],
)
def test_what_makes_no_sense_is_named(
    platform: Platform, changes: dict[str, Any], field: str
) -> None:
    assert field in problem_of(platform.post("/erasures", ASKED | changes), 422)["errors"]
    assert not Erasure.objects.exists()


def test_only_the_platform_itself_may_ask_and_reads_its_own(
    platform: Platform, source: Source
) -> None:
    hotline = actions.create_source(
        slug="line", name="Line", kind=SourceKind.TRUSTED_FLAGGER, actor=SYSTEM
    )
    with pytest.raises(Invalid):
        actions.issue_key(hotline, scopes=[Scope.ERASURES_WRITE], actor=SYSTEM)
    key = platform.post("/erasures", ASKED).json()["id"]
    other = actions.create_source(
        slug="own", name="Own", kind=SourceKind.PLATFORM, is_own_platform=True, actor=SYSTEM
    )
    stranger = Platform(actions.issue_key(other, scopes=[Scope.ERASURES_WRITE], actor=SYSTEM)[1])
    problem_of(stranger.get(f"/erasures/{key}"), 404)
    without = Platform(actions.issue_key(source, scopes=[Scope.STATUS_READ], actor=SYSTEM)[1])
    problem_of(without.post("/erasures", ASKED), 403)


def test_a_test_key_forgets_nobody_real(platform: Platform, source: Source) -> None:
    told(platform)
    trial = Platform(
        actions.issue_key(
            source, scopes=[Scope.ERASURES_WRITE], is_test=True, actor=SYSTEM
        )[1]
    )  # fmt: skip
    said = trial.post("/erasures", ASKED).json()
    assert (said["account"], said["kept"][0]["what"]) == ("user-1", "unknown")
    assert Account.objects.get(external_id="user-1").username == "alex"


def test_the_database_itself_erases_nobody_who_was_reported(
    platform: Platform, a_report: MakeReport
) -> None:
    told(platform)
    platform.post("/reports", a_report())
    platform.post("/erasures", ASKED)
    Erasure.objects.update(state="carrying_out")
    for model in (AccountIdentifier, IpEvent):
        rows = model.objects.filter(account__external_id="user-1")
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.delete()
    Erasure.objects.update(state="waiting")
    with pytest.raises(DatabaseError), transaction.atomic():
        IpEvent.objects.filter(account__external_id="user-2").delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        Erasure.objects.update(subject_id="user-2")
    with pytest.raises(DatabaseError), transaction.atomic():
        Erasure.objects.all().delete()


def test_facts_that_are_gone_without_a_request_are_found(platform: Platform) -> None:
    told(platform)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        AccountIdentifier.objects.filter(account__external_id="user-2").delete()
        Account.objects.filter(external_id="user-2").update(username="")
        cursor.execute("SET session_replication_role = origin")
    found = [each.what for each in check(rows=True).breaks]
    assert any("its row is gone" in what for what in found)
    assert any("username" in what for what in found)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["report", "erasure"])
def test_a_report_that_arrives_meanwhile_comes_before_or_after_and_never_between(
    issued: Any, a_report: MakeReport, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(issued[1])
    told(platform)
    inside, go = threading.Event(), threading.Event()
    answers: dict[str, Any] = {}
    from reports.actions import erasures, submissions

    held = (submissions, "facts_of_report") if first == "report" else (erasures, "note_changes")
    real = getattr(*held)

    def slowly(*args: Any, **kwargs: Any) -> Any:
        inside.set()
        assert go.wait(20)
        return real(*args, **kwargs)

    monkeypatch.setattr(*held, slowly)

    def send(name: str, path: str, document: Any) -> None:
        try:
            answers[name] = Platform(issued[1]).post(path, document)
        finally:
            connections.close_all()

    work = {"report": ("/reports", a_report()), "erasure": ("/erasures", ASKED)}
    begun = threading.Thread(target=send, args=(first, *work[first]))
    begun.start()
    assert inside.wait(20)
    other = threading.Thread(
        target=send, args=("after", *work["erasure" if first == "report" else "report"])
    )
    other.start()
    if first == "erasure":
        waiting_for_the_other()  # Its account is held until the erasure has ended.
        go.set()
    other.join(30)
    go.set()
    begun.join(30)
    # Either way the erasure came first, whole, and the report stands on what was left.
    statuses = {name: answer.status_code for name, answer in answers.items()}
    assert statuses == (
        {"report": 201, "after": 202} if first == "report" else {"erasure": 202, "after": 201}
    )
    asked = answers["after" if first == "report" else "erasure"].json()
    assert (asked["state"], asked["erased"]["ip_events"]) == ("done", 1)
    assert Report.objects.get().account == Account.objects.get(external_id="user-1")
    assert not IpEvent.objects.filter(account__external_id="user-1").exists()
    monkeypatch.undo()
    platform.put("/accounts/user-1", ACCOUNT)
    assert platform.post("/erasures", ASKED).json()["state"] == "waiting"
    intact()


def waiting_for_the_other() -> None:
    """Return once a session waits for another one's lock."""
    import time

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.05)
    raise AssertionError("nobody waited")
