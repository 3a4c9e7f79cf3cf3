"""The record proves the rows: what somebody changes behind the log's back is named, and nothing is sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from accounts.actions import rename
from accounts.permissions import Role
from core.audit import SYSTEM
from core.audit_check import check
from moderation import actions as moderation
from referrals.models import PackageDownload, Recipient, Referral, ReferralAccount, ReferralState
from reports.actions import create_source, upsert_account, upsert_group
from reports.models import Account, AccountIdentifier, IpEvent, SourceKind
from reports.payloads import AccountPayload, GroupPayload
from tests.casework import term_finding
from tests.cast import make_person
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
    "a viewing that nobody had": (
        "moderation_reveal",
        "UPDATE moderation_reveal SET painted_ms = 60000",
        "what was painted of it is not what the log says",
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
# What the application's role itself may change, or what only the owner can: either way it is named, not sealed.
# Each is made by the actions, then changed by SQL.
CHANGED = {
    "an item that joined another case": (
        "UPDATE moderation_caseitem SET case_version = case_version + 1",
        "joined it with another version than the log says",
    ),
    "an item taken out of its case": (
        "DELETE FROM moderation_caseitem WHERE item_id = (SELECT max(item_id::text)::uuid FROM moderation_caseitem)",
        "joined it, and its row is gone",
    ),
    "an item put into a case": (
        (
            "INSERT INTO moderation_caseitem (case_id, item_id, position, case_version) SELECT c.id, i.id, 9, 1"
            " FROM moderation_case c, reports_item i WHERE NOT EXISTS"
            " (SELECT 1 FROM moderation_caseitem o WHERE o.case_id = c.id AND o.item_id = i.id) LIMIT 1"
        ),
        "the log does not say that item",
    ),
    "a report taken out of its case": (
        "DELETE FROM moderation_casereport",
        "joined it, and its row is gone",
    ),
    "how the subject looked": (
        """UPDATE moderation_case SET subject_snapshot = subject_snapshot || '{"username": "another"}'""",
        "what its subject looked like is not what the log says",
    ),
    "another subject": (
        (
            "UPDATE moderation_case c SET account_id = (SELECT id FROM reports_account a"
            " WHERE a.id <> c.account_id LIMIT 1)"
        ),
        "it is about another account or group than the log says",
    ),
    "another queue": (
        "UPDATE moderation_case c SET queue_id = (SELECT id FROM moderation_queue q WHERE q.id <> c.queue_id LIMIT 1)",
        "it is in another queue than the log says",
    ),
    "a case removed": (
        "DELETE FROM moderation_case",
        "its row is gone",
    ),
    "another order": (
        "UPDATE moderation_enforcement SET verb = 'no_action'",
        "its orders are not the ones that it gave",
    ),
    "an order given to another decision": (
        "DELETE FROM moderation_enforcement",
        "its orders are not the ones that it gave",
    ),
    "a policy reworded": (
        "UPDATE moderation_policyversion SET definition = definition || ' And more.'",
        "does not say what it said when it was decided by",
    ),
    "a note reworded": (
        "UPDATE moderation_note SET text = 'another'",
        "its words are not the ones written",
    ),
    "a finding made weaker": (
        "UPDATE hashing_flag SET score = 0.1",
        "it is not what the scan found",
    ),
    "a finding set aside": (
        "UPDATE hashing_flag SET superseded_at = now()",
        "whether it still stands is not what the log says",
    ),
    "a finding removed": ("DELETE FROM hashing_flag", "its row is gone"),
    "a finding invented": (
        (
            "INSERT INTO hashing_flag (id, item_id, detector, detector_version, kind, category, score, summary,"
            " evidence, fingerprint) SELECT gen_random_uuid(), item_id, detector, detector_version, kind, category,"
            " score, summary, evidence, 'invented' FROM hashing_flag"
        ),
        "the log has no line of it",
    ),
    "a name of an account": (
        "UPDATE reports_account SET display_name = 'Another' WHERE external_id = 'told-of'",
        "its display_name is not what the platform told",
    ),
    "a name of an account that nobody described": (
        "UPDATE reports_account SET username = 'another' WHERE external_id <> 'told-of'",
        "its username is not what the platform told",
    ),
    "a name of a group": (
        "UPDATE reports_group SET name = 'Another'",
        "its name is not what the platform told",
    ),
    "another phone number": (
        "UPDATE reports_accountidentifier SET value = '+15550009999'",
        "is not what the platform told",
    ),
    "a phone number removed": (
        "DELETE FROM reports_accountidentifier",
        "was told, and its row is gone",
    ),
    "another address of a use": (
        "UPDATE reports_ipevent SET ip = '203.0.113.99' WHERE ip = '203.0.113.7'",
        "its uses of IP addresses are not what the platform told",
    ),
    "a use of an address invented": (
        (
            "INSERT INTO reports_ipevent (account_id, kind, ip, at, user_agent)"
            " SELECT account_id, kind, '203.0.113.98', at, user_agent FROM reports_ipevent LIMIT 1"
        ),
        "it has uses of IP addresses that the log does not know",
    ),
    "a role": (
        "UPDATE accounts_user SET role = 'administrator' WHERE role = 'reviewer'",
        "the role is not the one that the log says",
    ),
    "a name of a person": (
        "UPDATE accounts_user SET name = 'Another'",
        "name or e-mail address is not the one that the log says",
    ),
    "an account opened again": (
        "UPDATE accounts_user SET is_active = NOT is_active",
        "whether the account is open is not what the log says",
    ),
    "a person put in": (
        (
            "INSERT INTO accounts_user (id, email, name, pseudonym, role, password, is_active, theme, keys_enabled,"
            " failed_sign_ins, attempts_epoch) SELECT gen_random_uuid(), 'x@holdfast.example', name, 'R-99', role,"
            " password, true, theme, true, 0, 0 FROM accounts_user LIMIT 1"
        ),
        "the log has no line of it",
    ),
    "a grant taken": (
        "DELETE FROM guardian_userobjectpermission",
        "and the grant is gone",
    ),
    "a grant given": (
        (
            "INSERT INTO guardian_userobjectpermission (object_pk, content_type_id, permission_id, user_id)"
            " SELECT DISTINCT ON (content_type_id) object_pk, content_type_id, permission_id, u.id"
            " FROM guardian_userobjectpermission, accounts_user u WHERE u.email = 'told@holdfast.example'"
        ),
        "and the log does not say so",
    ),
    "another name of an agency": (
        "UPDATE referrals_recipient SET name = 'Another agency'",
        "its name is not what the log says",
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


def told_of(desk: Desk) -> None:
    """Bring about a row of each kind by the verbs: two cases, findings, notes, and a directory that changed."""
    case = desk.case(pictures=[jpeg(1), jpeg(2)], texts=["words"])
    second = desk.casework.routed(
        desk.casework.report("another-account", texts=["markerword-alpha"]), term_finding((0, 10))
    )
    moderation.add_note(second, text="An invented note.", actor=desk.reviewer)
    source = create_source(
        name="Own",
        slug="own-platform",
        kind=SourceKind.PLATFORM,
        is_own_platform=True,
        actor=SYSTEM,
    )
    for name in ("One", "Two"):
        account = AccountPayload.model_validate(
            {
                "display_name": name,
                "joined_at": "2026-01-02T03:04:05+02:00",
                "identifiers": [{"kind": "phone", "value": "+15550001001", "detail": {"as": name}}],
                "ip_events": [
                    {"kind": "login", "ip": ip, "at": "2026-03-02T12:00:00Z"}
                    for ip in ("203.0.113.7", "2001:DB8::1" if name == "One" else "203.0.113.8")
                ],
            }
        )
        upsert_account(source, "told-of", payload=account, actor=SYSTEM)
        group = GroupPayload.model_validate({"name": name, "member_count": 3})
        upsert_group(source, "told-of", payload=group, actor=SYSTEM)
    person = make_person("Told Of", Role.REVIEWER, email="told@holdfast.example", totp=False)
    rename(person, name="Told Again", actor=person)
    assert case.case_items.count() == 3


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


def test_a_row_of_each_kind_that_is_changed_by_sql_is_named(desk: Desk) -> None:
    """One after the other on the same rows: each change is taken back before the next."""
    told_of(desk)
    assert rows_named() == []
    missed: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for how, (statement, sentence) in CHANGED.items():
            with transaction.atomic():
                # The owner's own: no trigger refuses, and what is removed may leave a hole.
                cursor.execute("SET LOCAL session_replication_role = replica")
                cursor.execute(statement)
                assert cursor.rowcount > 0, how
                named = rows_named()
                if not any(sentence in what for what in named):
                    missed[how] = named
                transaction.set_rollback(True)
    assert missed == {}
    assert rows_named() == []


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


def test_a_look_that_was_closed_behind_the_log_is_named(desk: Desk) -> None:
    # The time between the opening and the closing bounds what counts as viewed.
    desk.case(reveals=["whole"]).reveals.update(closed_at=F("used_at") + timedelta(hours=1))
    assert any("whether and when it was closed" in what for what in rows_named())


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
