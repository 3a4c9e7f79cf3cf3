"""Hundreds of lines at a time: one line of the log for them all, and each is taken, refused and found as if alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from core import bulk
from core.audit import SYSTEM
from core.audit_check import check
from core.audit_rows import differences
from core.models import AuditEntry
from referrals.describing.history import History, earlier_roles
from reports import batches, chunks
from reports.actions import submit_report
from reports.models import (
    Account,
    AccountIdentifier,
    ApiKey,
    Group,
    IdempotencyRecord,
    IpEvent,
    Item,
    Membership,
    Report,
    Source,
    SubjectChange,
)
from reports.payloads import ReportPayload
from tests.reports.conftest import Platform

pytestmark = pytest.mark.django_db


def account(number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "account",
        "external_id": f"u-{number}",
        "display_name": f"User {number}",
        "identifiers": [{"kind": "email", "value": f"u{number}@mail.example"}],
        "ip_events": [{"kind": "login", "ip": f"203.0.113.{number}", "at": "2026-11-22T10:31:00Z"}],
        "scan": False,
    } | more


def group(number: int, **more: Any) -> dict[str, Any]:
    link = f"https://chat.example/join/{number}"
    return {
        "type": "group",
        "external_id": f"g-{number}",
        "name": f"Group {number}",
        "invite_link": link,
        "scan": False,
    } | more


def member(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "membership", "group": f"g-{number % 2}", "account": f"u-{number}"} | more


def report(number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "report",
        "external_id": f"r-{number}",
        "subject": {"account": f"u-{number}"},
        "reason": "spam",
        "items": [{"surface": "reported_message", "text": f"words {number}"}],
    } | more


def scan(number: int) -> dict[str, Any]:
    return {
        "type": "scan",
        "subject": {"account": f"u-{number}"},
        "surface": "profile_name",
        "text": f"name {number}",
    }


def mixed(count: int = 4) -> list[dict[str, Any]]:
    """Return lines of every kind, in turns."""
    return [
        make(number) for number in range(count) for make in (report, member, account, scan, group)
    ]


@contextmanager
def unguarded(table: str) -> Iterator[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield cursor
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_kinds_in_turns_are_taken_together_and_the_log_names_each_row(platform: Platform) -> None:
    answer = platform.batch(mixed())
    assert (answer.status_code, answer.json()["accepted"]) == (200, 20)
    said = {entry.event: entry for entry in AuditEntry.objects.filter(chain__startswith="source:")}
    assert set(said) == {
        "directory.accounts.upserted",
        "directory.groups.upserted",
        "directory.memberships.upserted",
        "report.batch.submitted",
        "scan.batch.submitted",
    }
    entry = said["directory.accounts.upserted"]
    known = Account.objects.get(external_id="u-1")
    row = entry.data["rows"][entry.data["about"].index(str(known.pk))]
    assert row["changed"] == {"display_name": ["", "User 1"]}
    assert list(row["identifier_facts"]) == [str(known.identifiers.get().pk)]
    assert row["ip_events"] == 1
    entry = said["directory.memberships.upserted"]
    joined = [one for told in entry.data["rows"] for one in told["joined"]]
    assert [str(known.pk), "member", None, None] in joined
    entry = said["report.batch.submitted"]
    first = Report.objects.get(external_id="r-0")
    told = entry.data["rows"][entry.data["about"].index(str(first.pk))]
    assert told["items"] == [str(first.items.get().pk)]
    assert list(differences()) == []
    assert check(rows=True).is_intact


@pytest.mark.parametrize(
    ("table", "change", "named"),
    [
        ("reports_account", "UPDATE reports_account SET display_name = 'x' WHERE external_id = 'u-1'", "Account u-1"),
        ("reports_group", "UPDATE reports_group SET name = 'x' WHERE external_id = 'g-2'", "Group g-2"),
        ("reports_group", "DELETE FROM reports_group WHERE external_id = 'g-3'", "its row is gone"),
        ("reports_accountidentifier", "DELETE FROM reports_accountidentifier WHERE value LIKE 'u2@%'", "was told, and its row is gone"),
        ("reports_ipevent", "UPDATE reports_ipevent SET port = 9 WHERE host(ip) = '203.0.113.3'", "uses of IP addresses"),
        ("reports_report", "UPDATE reports_report SET reason = 'scam' WHERE external_id = 'r-2'", "does not say what was received"),
        ("reports_item", "UPDATE reports_item SET text = 'x' WHERE text = 'words 3'", "the text is not the one received"),
        ("reports_item", "UPDATE reports_item SET text = 'x' WHERE text = 'name 1'", "the text is not the one received"),
    ],
)  # fmt: skip
def test_a_row_of_a_group_that_is_changed_by_sql_is_named(
    platform: Platform, table: str, change: str, named: str
) -> None:
    assert platform.batch([*mixed(), group(3)]).status_code == 200
    Membership.objects.filter(group__external_id="g-3").delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM reports_subjectchange; DELETE FROM reports_grouplink")
    with unguarded(table) as cursor:
        cursor.execute(change)
        assert cursor.rowcount == 1
    (said,) = [difference.what for difference in differences()]
    assert named in said


def test_what_was_told_before_is_told_of_a_group_of_lines_as_of_one(platform: Platform) -> None:
    platform.batch([account(1), account(2), member(1, role="admin"), member(2)])
    later = [account(1, display_name="Later"), account(2, display_name="Later too")]
    answer = platform.batch([*later, member(1, role="owner"), member(3)])
    assert answer.json()["accepted"] == 4
    known = Account.objects.get(external_id="u-1")
    assert [(one.field, one.value) for one in History(known).earlier()] == [
        ("display_name", "User 1")
    ]
    places = Group.objects.get(external_id="g-1")
    (role,) = earlier_roles(places)[str(known.pk)]
    assert (role.field, role.value) == ("role", "admin")
    assert list(differences()) == []


def test_lines_about_one_thing_count_in_their_order(platform: Platform) -> None:
    names = ["One", "Two", "Three"]
    lines = [account(1, display_name=name) for name in names]
    lines += [
        member(1, role="owner"),
        member(1, role="admin"),
        member(1, left_at="2026-01-01T00:00:00Z"),
    ]
    assert platform.batch(lines).json()["accepted"] == 6
    assert Account.objects.get().display_name == "Three"
    known = History(Account.objects.get())
    assert [one.value for one in known.earlier()] == ["One", "Two"]
    stay = Membership.objects.get()
    assert (stay.role, stay.left_at is not None) == ("admin", True)
    assert list(differences()) == []


def test_what_changes_nothing_writes_nothing(platform: Platform) -> None:
    lines = [account(1), group(1), member(1), account(2), group(2), member(2)]
    assert platform.batch(lines).json()["unchanged"] == 0
    before = AuditEntry.objects.count(), SubjectChange.objects.count()
    times = list(Account.objects.order_by("pk").values_list("updated_at", flat=True))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = platform.batch(lines).json()
    assert (answer["accepted"], answer["unchanged"]) == (6, 6)
    assert all(result["unchanged"] for result in answer["results"])
    assert (AuditEntry.objects.count(), SubjectChange.objects.count()) == before
    assert list(Account.objects.order_by("pk").values_list("updated_at", flat=True)) == times
    wrote = [q["sql"] for q in queries if q["sql"].startswith(("INSERT INTO", "UPDATE"))]
    assert not [sql for sql in wrote if "core_auditentry" in sql or "reports_account" in sql]


def test_a_line_that_was_told_before_the_last_one_is_told_again(platform: Platform) -> None:
    """Only what was told last changes nothing: another line or request in between may have changed it."""
    first, second = account(1), account(1, display_name="Second")
    for line, name in ((first, "User 1"), (second, "Second"), (first, "User 1")):
        assert "unchanged" not in platform.batch([line]).json()["results"][0]
        assert Account.objects.get().display_name == name
    platform.put("/accounts/u-1", {"display_name": "By itself"})
    platform.batch([first])
    assert Account.objects.get().display_name == "User 1"
    # A line with other words that says nothing new is no change either.
    other = {"type": "account", "external_id": "u-1", "display_name": "User 1"}
    assert platform.batch([other]).json()["unchanged"] == 1


def test_a_bad_line_hinders_no_other_line_of_its_chunk(platform: Platform) -> None:
    lines = [
        report(1),
        report(2, items=[{"surface": "reported_message", "media": "0d0c2b5e-6a44-4a5e-9d0c-2f1f3a6b7c8d"}]),
        report(1),
        account(1, country="nl"),
        account(2),
        member(3, role="king"),
        report(3),
    ]  # fmt: skip
    found = platform.batch(lines).json()
    codes = [result.get("code", "accepted") for result in found["results"]]
    assert codes == [
        "accepted",
        "invalid",
        "duplicate_external_id",
        "invalid",
        "accepted",
        "invalid",
        "accepted",
    ]
    assert list(found["results"][1]["errors"]) == ["items.0.media"]
    assert found["results"][2]["existing"]["id"] == found["results"][0]["id"]
    assert {r.external_id for r in Report.objects.all()} == {"r-1", "r-3"}
    assert list(differences()) == []


def test_a_chunk_that_the_database_refuses_is_taken_line_by_line(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = chunks.submit_reports

    def refuses(source: Source, payloads: Any, **more: Any) -> Any:
        made = usual(source, payloads, **more)
        if len(payloads) > 1:
            raise IntegrityError("somebody was quicker")
        if payloads[0].external_id == "r-2":
            raise DataError("never")
        return made

    monkeypatch.setattr(chunks, "submit_reports", refuses)
    lines = [account(1), report(1), report(2), report(3), group(1)]
    answer = platform.batch(lines, Idempotency_Key="b")
    statuses = [result["status"] for result in answer.json()["results"]]
    assert statuses == ["accepted", "accepted", "rejected", "accepted", "accepted"]
    assert answer.json()["results"][2]["code"] == "busy"
    assert set(Report.objects.values_list("external_id", flat=True)) == {"r-1", "r-3"}
    assert Account.objects.get(external_id="u-1").display_name == "User 1"
    assert list(differences()) == []


def test_lines_that_were_taken_before_a_break_must_say_the_same_again(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "remember_batch", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # Everything was taken; the answer got lost.
        platform.batch([report(1), account(1)], Idempotency_Key="b")
    monkeypatch.undo()
    Account.objects.update(display_name="Changed since", told_digest="")
    answer = platform.batch([report(2), account(1)], Idempotency_Key="b").json()
    assert answer["results"][0]["code"] == "idempotency_key_reused"
    assert answer["results"][1]["status"] == "accepted"
    assert Report.objects.get().external_id == "r-1"
    assert Account.objects.get(external_id="u-1").display_name == "Changed since", "told once"
    assert IdempotencyRecord.objects.count() == 1


def test_a_duplicate_that_another_request_made_at_this_moment_is_named(
    platform: Platform, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reports.actions import submissions

    usual = submissions.bulk.insert
    others: list[Report] = []
    is_begun: list[bool] = []

    def late(rows: Any, **more: Any) -> Any:
        if not is_begun and rows and isinstance(rows[0], Report):
            is_begun.append(True)
            body = {k: v for k, v in report(1).items() if k != "type"}
            others.append(
                submit_report(source, payload=ReportPayload.model_validate(body), actor=SYSTEM)
            )
        return usual(rows, **more)

    monkeypatch.setattr(submissions.bulk, "insert", late)
    answer = platform.batch([report(1), report(2)]).json()
    assert answer["results"][0]["existing"]["id"] == str(others[0].pk)
    assert answer["results"][1]["status"] == "accepted"
    assert Report.objects.count() == 2
    assert Item.objects.count() == 2


def test_a_chunk_costs_the_same_number_of_statements_whatever_it_holds(
    issued: tuple[ApiKey, str],
) -> None:
    def cost(start: int, count: int) -> int:
        lines = mixed(start + count)[start * 5 :]
        read = [
            chunks.Line(number, json.dumps(line).encode()) for number, line in enumerate(lines, 1)
        ]
        with CaptureQueriesContext(connection) as queries:
            results = chunks.take_chunk(issued[0], read, chunks.Memory())
        assert all(result["status"] == "accepted" for result in results)
        return len(queries)

    cost(0, 2)
    assert cost(10, 40) <= cost(2, 2) + 2


def test_rows_are_inserted_whole_or_not_at_all() -> None:
    one, two = Account(external_id="a", username="x" * 201), Account(external_id="b")
    with pytest.raises(DataError):
        bulk.insert([one, two])


def test_rows_that_are_there_are_passed_over_and_fields_of_the_database_read_back() -> None:
    (first,) = bulk.insert([Account(external_id="a", username="first")])
    again = [Account(external_id="b"), Account(external_id="a"), Account(external_id="b")]
    (new,) = bulk.insert(again, unless_there=True)
    assert new is again[0]
    assert new.first_seen_at == Account.objects.get(pk=new.pk).first_seen_at
    first.username, first.joined_at = "later", None
    bulk.update([first], ["username", "joined_at"], now="updated_at")
    assert Account.objects.get(pk=first.pk).username == "later"
    rows = [
        AccountIdentifier(account=first, kind="phone", value=str(n), detail={"n": n})
        for n in (1, 2)
    ]
    bulk.insert(rows)
    assert [AccountIdentifier.objects.get(value=str(row.detail["n"])).pk for row in rows] == [
        r.pk for r in rows
    ]
    with pytest.raises(ValueError, match="keys of their own"):
        bulk.insert(rows[:0] or [IpEvent(account=first)], unless_there=True)


def test_a_line_that_names_a_file_is_refused_and_hinders_no_other(platform: Platform) -> None:
    lines = [
        {
            "type": "report",
            "external_id": f"rep-{number}",
            "subject": {"account": "u-1"},
            "reason": "spam",
            "items": [
                {"surface": "profile_photo", "file": "p"}
                if number == 3
                else {"surface": "profile_name", "text": "markerword-alpha"}
            ],
        }
        for number in range(6)
    ]
    results = platform.batch(lines).json()["results"]
    assert [line["status"] for line in results] == ["accepted"] * 3 + ["rejected"] + [
        "accepted"
    ] * 2
    assert "multipart" in str(results[3]["errors"])
