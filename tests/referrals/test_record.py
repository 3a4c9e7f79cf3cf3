"""The record proves the rows: what somebody changes behind the log's back is named, and nothing is sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from core.audit_check import check
from referrals.models import PackageDownload, Recipient, Referral, ReferralAccount, ReferralState
from reports.models import Account, AccountIdentifier, IpEvent
from tests.pictures import jpeg
from tests.referrals.desk import Desk

pytestmark = pytest.mark.django_db

TAMPERING = {
    "files exchanged": (
        "reports_item",
        (
            "UPDATE reports_item a SET blob_id = b.blob_id FROM reports_item b"
            " WHERE a.blob_id IS NOT NULL AND b.blob_id IS NOT NULL AND a.blob_id <> b.blob_id"
        ),
        "the file is not the one received",
    ),
    "a text changed": (
        "reports_item",
        "UPDATE reports_item SET text = text || 'x' WHERE kind = 'text'",
        "the text is not the one received",
    ),
    "another sender": (
        "reports_item",
        "UPDATE reports_item SET external_id = 'another'",
        "other facts are not the ones received",
    ),
    "a report reworded": (
        "reports_report",
        "UPDATE reports_report SET reason = 'other'",
        "it does not say what was received",
    ),
    "reveals made complete": (
        "moderation_reveal",
        "UPDATE moderation_reveal SET is_complete = NOT is_complete",
        "how much of it was served is not what the log says",
    ),
    "a reveal given to another person": (
        "moderation_reveal",
        (
            "UPDATE moderation_reveal SET user_id = (SELECT id FROM accounts_user u"
            " WHERE u.id <> user_id LIMIT 1)"
        ),
        "it names another person than the log",
    ),
    "a reveal never opened": (
        "moderation_reveal",
        "UPDATE moderation_reveal SET used_at = NULL",
        "whether and when it was opened is not what the log says",
    ),
    "a reveal removed": ("moderation_reveal", "DELETE FROM moderation_reveal", "its row is gone"),
    "another person entered the key": (
        "referrals_recipientkey",
        (
            "UPDATE referrals_recipientkey SET entered_by_id = (SELECT id FROM accounts_user u"
            " WHERE u.id NOT IN (entered_by_id, confirmed_by_id) LIMIT 1)"
        ),
        "another person entered it than the log says",
    ),
    "another decider": (
        "moderation_decision",
        (
            "UPDATE moderation_decision SET made_by_id = (SELECT id FROM accounts_user u"
            " WHERE u.id <> made_by_id LIMIT 1)"
        ),
        "it names another author than the log",
    ),
    "another outcome": (
        "moderation_decision",
        "UPDATE moderation_decision SET outcome = 'confirm'",
        "the outcome is not the one decided",
    ),
    "another day of decision": (
        "moderation_decision",
        "UPDATE moderation_decision SET published_at = published_at - interval '1 day'",
        "whether and when it took effect is not what the log says",
    ),
}
# What the steps of a referral themselves change can be refused by no trigger.
APPROVED = {
    "reworded after approval": (
        "UPDATE referrals_referral SET narrative = narrative || ' More.'",
        "it is not what was approved",
    ),
    "another approver": (
        (
            "UPDATE referrals_referral SET approved_by_id = (SELECT id FROM accounts_user u"
            " WHERE u.id NOT IN (approved_by_id, drafted_by_id, requested_by_id) LIMIT 1)"
        ),
        "its approval is not what the log says",
    ),
    "another author": (
        (
            "UPDATE referrals_referral SET drafted_by_id = (SELECT id FROM accounts_user u"
            " WHERE u.id NOT IN (approved_by_id, drafted_by_id, requested_by_id) LIMIT 1)"
        ),
        "it names another author than the log",
    ),
    "other keys": (
        "UPDATE referrals_referral SET approved_keys = '[\"age1other\"]'",
        "it is not what was approved",
    ),
    "an exhibit left out": (
        "UPDATE referrals_exhibit SET is_included = NOT is_included",
        "it is not what was approved",
    ),
}

# Nothing changes these at any step, so the database refuses it to everybody but the owner of the tables.
REFUSED = (
    "DELETE FROM moderation_caseitem",
    "UPDATE moderation_caseitem SET joined_at = joined_at - interval '1 day'",
    "DELETE FROM moderation_casereport",
    "DELETE FROM moderation_enforcement",
    "UPDATE moderation_enforcement SET verb = 'warn'",
    "UPDATE moderation_policyversion SET definition = 'another'",
    "DELETE FROM moderation_policyversion",
    "DELETE FROM referrals_recipientkey",
    "UPDATE referrals_referral SET narrative = 'another'",
    "UPDATE referrals_referral SET state = 'draft'",
    "DELETE FROM referrals_referral",
    "UPDATE referrals_exhibit SET is_included = NOT is_included",
    "DELETE FROM referrals_exhibit",
    "UPDATE referrals_referralaccount SET role = 'witness'",
    "DELETE FROM referrals_referralaccount",
    "DELETE FROM referrals_packagedownload",
    "UPDATE referrals_packagedownload SET at = at - interval '1 day'",
    "DELETE FROM reports_ipevent",
    "UPDATE reports_ipevent SET port = 1",
    "UPDATE reports_accountidentifier SET value = 'another'",
    "DELETE FROM reports_accountidentifier",
)


@contextmanager
def unguarded(table: str) -> Iterator[Any]:
    """Do what the owner can: switch a table's triggers off, and on again."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield cursor
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def rows_named() -> list[str]:
    return [found.what for found in check(rows=True).breaks]


def approved(desk: Desk) -> Any:
    return desk.approved(desk.case(reveals=["whole"], pictures=[jpeg(1), jpeg(2)], texts=["words"]))


@pytest.mark.parametrize("how", TAMPERING)
def test_rows_changed_behind_the_log_are_refused_then_named_and_never_sealed(
    desk: Desk, how: str
) -> None:
    table, statement, sentence = TAMPERING[how]
    referral = approved(desk)
    assert rows_named() == []
    with pytest.raises(DatabaseError, match=r"record: |is never changed"), transaction.atomic():
        connection.cursor().execute(statement)
    with unguarded(table) as cursor:
        cursor.execute(statement)
        assert cursor.rowcount > 0
    assert any(sentence in what for what in rows_named()), rows_named()
    built = desk.build(referral)
    assert built.state == ReferralState.BUILD_FAILED
    assert "Nothing was sealed" in built.build_error


@pytest.mark.parametrize("how", APPROVED)
def test_a_referral_changed_after_its_approval_is_named_and_never_sealed(
    desk: Desk, how: str
) -> None:
    statement, sentence = APPROVED[how]
    referral = approved(desk)
    # Where approval itself is guarded (who approves which keys), the owner can still do it.
    with unguarded("referrals_referral") as cursor:
        cursor.execute(statement)
    assert any(sentence in what for what in rows_named()), rows_named()
    built = desk.build(referral)
    assert built.state == ReferralState.BUILD_FAILED
    assert sentence in built.build_error


def test_a_sealed_package_agrees_and_a_changed_one_is_named(
    desk: Desk, signing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    referral = desk.build(approved(desk))
    assert referral.state == ReferralState.SEALED
    call_command("verify_audit")
    assert "intact" in capsys.readouterr().out
    with unguarded("referrals_package") as cursor:
        cursor.execute("UPDATE referrals_package SET sha256 = repeat('0', 64)")
    with pytest.raises(SystemExit):
        call_command("verify_audit")
    assert f"Package {referral.package.file_name}: its sha256 is not what was sealed" in (
        capsys.readouterr().out
    )


def test_a_row_without_a_line_is_named(desk: Desk) -> None:
    case = desk.case(reveals=["whole"])
    reveal = case.reveals.get()
    reveal.pk, reveal.token_hash = None, "f" * 64
    reveal._state.adding = True
    reveal.id = type(reveal)._meta.get_field("id").get_default()
    reveal.save(force_insert=True)
    assert any("the log has no line of it" in what for what in rows_named())


def test_what_belongs_to_a_sealed_referral_stays_as_it_is(desk: Desk, signing: Path) -> None:
    sealed = desk.build(approved(desk))
    assert sealed.state == ReferralState.SEALED
    account = sealed.case.account or Account.objects.create(external_id="told-of")
    AccountIdentifier.objects.create(account=account, kind="email", value="a@mail.example")
    IpEvent.objects.create(account=account, kind="login", ip="203.0.113.7", at=sealed.created_at)
    assert ReferralAccount.objects.filter(referral=sealed).exists()
    PackageDownload.objects.create(package=sealed.package, user=desk.second)
    for statement in REFUSED:
        refused = pytest.raises(DatabaseError, match="record: ")
        with refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_a_temporary_table_is_not_taken_for_the_keys_that_were_confirmed(desk: Desk) -> None:
    referral = approved(desk)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE referrals_recipientkey AS SELECT recipient_id, 'age1forged' AS text,"
            " now() AS confirmed_at, NULL::timestamptz AS ended_at, gen_random_uuid() AS entered_by_id"
            " FROM public.referrals_recipientkey"
        )
        try:
            with pytest.raises(DatabaseError, match="nobody confirmed"), transaction.atomic():
                cursor.execute("UPDATE referrals_referral SET approved_keys = '[\"age1forged\"]'")
        finally:
            cursor.execute("DROP TABLE pg_temp.referrals_recipientkey")
    assert referral.approved_keys


def test_an_approval_does_not_move_to_another_agency(desk: Desk) -> None:
    approved(desk)
    other = Recipient.objects.create(slug="other", name="Another agency")
    with pytest.raises(DatabaseError, match="nobody confirmed"), transaction.atomic():
        Referral.objects.update(recipient=other)
