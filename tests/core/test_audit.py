"""The audit log: what is written, what the database refuses, what verify_audit finds."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from core import audit
from core.audit_check import check
from core.audit_events import AuditEvent
from core.context import RequestContext, working_for
from core.models import AuditEntry, AuditHead, Blob

EVENT = AuditEvent.AUDIT_VIEWED
PERSON = SimpleNamespace(pk=UUID(int=7), pseudonym="R-17")
ZEROS = "0" * 64


def write(number: int = 1, *, chain: str = "general") -> list[AuditEntry]:
    return [audit.record(EVENT, actor=PERSON, chain=chain, number=n) for n in range(1, number + 1)]


LINE = (
    '{"actor":{"id":"","kind":"system","label":"Holdfast"},\x1e,"chain":"general","client":"",'
    '"data":{},"event":"audit.viewed","ip":"","request":"",\x1e,"subject":{"id":"","type":""}}'
)


def insert(**changes: Any) -> None:
    """Send a line as the application does, with columns of one's own choice."""
    row: dict[str, Any] = {
        "chain": "general",
        "event": "audit.viewed",
        "actor_kind": "system",
        "actor_id": "",
        "actor_label": "Holdfast",
        "subject_type": "",
        "subject_id": "",
        "data": "{}",
        "ip": "",
        "request_id": "",
        "user_agent": "",
        "line": LINE,
    } | changes
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO core_auditentry ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
            list(row.values()),
        )


@contextmanager
def unguarded(table: str = "core_auditentry") -> Iterator[Any]:
    """Do what a superuser can: switch the triggers off, and on again."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield cursor
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.mark.django_db
class TestRecording:
    def test_a_line_says_who_did_what_from_where(self) -> None:
        context = RequestContext(request_id="req-12345678", ip="203.0.113.9", user_agent="Browser")
        with working_for(context):
            entry = audit.record(
                EVENT,
                actor=PERSON,
                chain="x",
                queue=UUID(int=1),
                at=datetime(2026, 1, 2, tzinfo=UTC),
            )
        entry.refresh_from_db()
        said = json.loads(entry.line)
        assert said["actor"] == {"kind": "person", "id": str(PERSON.pk), "label": "R-17"}
        assert said["ip"] == entry.ip == "203.0.113.9"
        assert said["request"] == entry.request_id == "req-12345678"
        assert said["client"] == "Browser"
        assert said["data"] == {
            "queue": str(UUID(int=1)),
            "at": "2026-01-02T00:00:00.000000Z",
        }
        assert list(said) == sorted(said)
        assert abs((datetime.now(UTC) - entry.at).total_seconds()) < 60

    def test_a_chain_can_be_checked_with_nothing_but_sha256(self) -> None:
        write(5)
        before = ZEROS
        for seq, line, digest in audit.chain_lines("general"):
            before = hashlib.sha256((before + "\n" + line).encode()).hexdigest()
            assert digest == before, seq
        assert audit.heads() == [("general", 5, before)]

    def test_a_case_has_a_chain_of_its_own(self) -> None:
        blob = Blob(pk=UUID(int=9))
        entry = audit.record(EVENT, actor=audit.SYSTEM, case=blob, chain="ignored", subject=blob)
        assert entry.chain == f"case:{UUID(int=9)}"
        assert (entry.subject_type, entry.subject_id) == ("core.blob", str(UUID(int=9)))
        assert entry.seq == 1

    def test_an_unknown_event_cannot_be_recorded(self) -> None:
        with pytest.raises(ValueError, match=r"made\.up"):
            audit.record("made.up", actor=None)

    def test_objects_have_no_business_in_the_log(self) -> None:
        with pytest.raises(TypeError):
            audit.record(EVENT, actor=None, thing=object())

    @pytest.mark.parametrize(
        "text", ["nul \x00", "half \ud800", 'quote " \\ \n', "ü 漢 🦊", "x" * 5000, "\u2028"]
    )
    def test_any_text_survives_the_way_into_the_database(self, text: str) -> None:
        entry = audit.record(EVENT, actor=None, text=text, **{"k\x00": 1.5})  # type: ignore[arg-type]  # A name that no caller would give.
        entry.refresh_from_db()
        assert json.loads(entry.line)["data"] == entry.data
        assert len(entry.data["text"]) <= 2000
        assert check().is_intact

    def test_numbers_keep_their_value(self) -> None:
        values = {
            "a": 2**70,
            "b": 0.1,
            "c": 1e300,
            "d": -0.0,
            "e": float("inf"),
            "f": 1e16,
            "g": 1.0,
        }
        audit.record(EVENT, actor=None, **values)  # type: ignore[arg-type]
        verdict = check()
        assert verdict.is_intact, verdict.breaks

    def test_without_an_actor_it_is_a_job_or_nobody(self) -> None:
        assert audit.record(EVENT, actor=None).actor_label == "not signed in"
        with working_for(RequestContext(job="scan_item")):
            entry = audit.record(EVENT, actor=None)
        assert (entry.actor_kind, entry.actor_id) == ("system", "scan_item")

    def test_recording_costs_one_round_trip(self, django_assert_num_queries: Any) -> None:
        with transaction.atomic(), django_assert_num_queries(1):
            audit.record(EVENT, actor=PERSON)

    def test_lines_of_many_chains_cost_one_round_trip(self, django_assert_num_queries: Any) -> None:
        subjects = [Blob(pk=UUID(int=n)) for n in (3, 1, 2)]
        about = [(blob, f"item:{blob.pk}", {"n": blob.pk.int}) for blob in subjects]
        audit.record(EVENT, actor=PERSON, chain=f"item:{UUID(int=2)}")
        with transaction.atomic(), django_assert_num_queries(1):
            entries = audit.record_each(EVENT, actor=PERSON, about=about)
        assert {(e.chain, e.seq, e.subject_id, e.data["n"]) for e in entries} == {
            (f"item:{UUID(int=n)}", 2 if n == 2 else 1, str(UUID(int=n)), n) for n in (1, 2, 3)
        }
        for entry in entries:
            assert AuditEntry.objects.get(pk=entry.pk).line == entry.line
        assert check().is_intact

    def test_a_chain_named_twice_is_an_error_and_writes_nothing(self) -> None:
        about: list[tuple[Blob, str, dict[str, Any]]] = [
            (Blob(pk=UUID(int=n)), "general", {}) for n in (1, 2)
        ]
        with pytest.raises(ValueError, match="one line"):
            audit.record_each(EVENT, actor=PERSON, about=about)
        assert audit.record_each(EVENT, actor=PERSON, about=[]) == []
        assert not AuditEntry.objects.exists()

    def test_a_rolled_back_action_leaves_no_line_and_no_gap(self) -> None:
        write(1)
        with transaction.atomic():
            write(1)
            transaction.set_rollback(True)
        write(1)
        assert list(AuditEntry.objects.values_list("seq", flat=True)) == [1, 2]


@pytest.mark.django_db
class TestTheDatabaseRefuses:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE core_auditentry SET event = 'x'",
            "UPDATE core_auditentry SET ip = ip",
            "DELETE FROM core_auditentry",
            "TRUNCATE core_auditentry",
            "UPDATE core_audithead SET seq = 1",
            "DELETE FROM core_audithead",
            "TRUNCATE core_audithead",
            f"INSERT INTO core_audithead VALUES ('y', 1, '{ZEROS}')",
        ],
    )
    def test_changes_by_anybody(self, statement: str) -> None:
        write(2)
        with pytest.raises(DatabaseError, match="audit: "), transaction.atomic():
            connection.cursor().execute(statement)
        assert check().is_intact

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"seq": 3}, "leave them out"),
            ({"prev_hash": ZEROS}, "leave them out"),
            ({"hash": ZEROS}, "leave them out"),
            ({"behind_ms": 5}, "leave them out"),
            ({"line": "{}"}, "no place for its time"),
            ({"line": None}, "no place for its time"),
            ({"line": '{"x":1,\x1e,\x1e}'}, "disagree"),
            ({"line": LINE.replace('"ip":""', '"ip":"","more":1')}, "disagree"),
            ({"line": LINE.replace('"ip"', '\n"ip"')}, "not written as the log writes"),
            ({"line": LINE.replace('"ip"', '"ip":"203.0.113.9","ip"')}, "not written as the log"),
            ({"event": "other"}, "disagree"),
            ({"actor_id": "other"}, "disagree"),
            ({"actor_label": "other"}, "disagree"),
            ({"ip": "203.0.113.9"}, "disagree"),
            ({"chain": "other"}, "disagree"),
            ({"data": '{"number": 99}'}, "disagree"),
            ({"at": "2020-01-01T00:00:00Z"}, "has the time of the database"),
            ({"at": "now"}, "has the time of the database"),
        ],
    )
    def test_entries_that_do_not_fit(self, changes: dict[str, Any], complaint: str) -> None:
        write(2)
        with pytest.raises(DatabaseError, match=complaint), transaction.atomic():
            insert(**changes)
        assert AuditEntry.objects.count() == 2
        insert()
        assert check().is_intact

    def test_the_time_is_never_before_the_last_entry_and_a_clock_behind_is_marked(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        last = write(1)[0]
        ahead = last.at + timedelta(hours=2)
        with unguarded("core_audithead") as cursor:
            cursor.execute("UPDATE core_audithead SET at = %s", [ahead])
        entry = write(1)[0]
        assert entry.at == ahead
        assert entry.behind_ms is not None
        assert 7_100_000 < entry.behind_ms <= 7_200_000
        assert json.loads(entry.line)["behind_ms"] == entry.behind_ms
        assert write(1, chain="other")[0].behind_ms is None
        call_command("verify_audit")
        said = capsys.readouterr().out
        assert "3 entries in 2 chains: intact" in said
        assert "1 entries were written while the database's clock lay behind" in said

    def test_an_entry_dated_before_its_predecessor_is_named(self) -> None:
        write(3)
        with unguarded() as cursor:
            cursor.execute("SELECT line, prev_hash FROM core_auditentry WHERE seq = 3")
            line, before = cursor.fetchone()
            said = json.loads(line) | {"at": "2020-01-01T00:00:00.000000Z"}
            line = audit.canonical(said)
            cursor.execute(
                "UPDATE core_auditentry SET at = '2020-01-01Z', line = %s, hash = %s WHERE seq = 3",
                [line, audit.link(before, line)],
            )
        assert [(found.seq, found.kind) for found in check().breaks] == [(3, "earlier")]

    def test_generated_history_is_for_the_owner_in_an_empty_log(self) -> None:
        then = datetime(2026, 1, 2, tzinfo=UTC)
        with audit.history(then):
            first = write(1)[0]
        with audit.history(then + timedelta(days=1)):
            second = write(1)[0]
            early = pytest.raises(DatabaseError, match="before the last entry")
            with audit.history(then), early, transaction.atomic():
                write(1)
        assert (first.at, second.seq, second.as_given) == (then, 2, True)
        assert json.loads(first.line)["as_given"] is True
        assert not write(1)[0].as_given
        late = pytest.raises(DatabaseError, match="has the time of the database")
        with audit.history(then + timedelta(days=2)), late, transaction.atomic():
            write(1, chain="fresh")
        verdict = check()
        assert verdict.is_intact
        assert verdict.as_given == 2

    @pytest.mark.parametrize("id", [-7, 0, 2**62])
    def test_an_entry_does_not_choose_its_id(self, id: int) -> None:
        before = write(1)[0].pk
        insert(id=id)
        after = write(1)[0].pk
        assert list(AuditEntry.objects.order_by("id").values_list("seq", flat=True)) == [1, 2, 3]
        assert before < after < before + 100

    def test_each_function_of_a_trigger_names_where_its_tables_are(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT proname FROM pg_proc WHERE proname LIKE 'holdfast%'"
                " AND 'search_path=public, pg_temp' <> ALL (coalesce(proconfig, '{}'))"
            )
            assert cursor.fetchall() == []

    def test_a_temporary_table_is_not_taken_for_the_heads(self) -> None:
        write(1)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE core_audithead (LIKE public.core_audithead)")
            try:
                assert write(1)[0].seq == 2  # By the real heads, though the other comes first.
            finally:
                cursor.execute("DROP TABLE pg_temp.core_audithead")


@pytest.mark.django_db
class TestVerifying:
    """As a superuser: switch the triggers off, change something, switch them on, verify."""

    def broken(self, **options: Any) -> list[tuple[str, int, str]]:
        return [(found.chain, found.seq, found.kind) for found in check(**options).breaks]

    def test_an_intact_log_says_so(self, capsys: pytest.CaptureFixture[str]) -> None:
        write(3)
        write(2, chain="case:1")
        call_command("verify_audit")
        assert "5 entries in 2 chains: intact" in capsys.readouterr().out

    def test_an_edited_line_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        write(5)
        with unguarded() as cursor:
            cursor.execute(
                "UPDATE core_auditentry SET line = replace(line, 'R-17', 'R-18'),"
                " actor_label = 'R-18' WHERE seq = 3"
            )
        assert self.broken() == [("general", 3, "changed")]
        with pytest.raises(SystemExit) as left:
            call_command("verify_audit")
        assert left.value.code == 1
        assert "chain general, entry 3" in capsys.readouterr().out

    def test_an_edited_line_with_a_new_hash_breaks_the_next(self) -> None:
        entry = write(5)[2]
        line = entry.line.replace("R-17", "R-18")
        with unguarded() as cursor:
            cursor.execute(
                "UPDATE core_auditentry SET line = %s, hash = %s, actor_label = 'R-18' WHERE seq = 3",
                [line, audit.link(entry.prev_hash, line)],
            )
        assert self.broken() == [("general", 4, "unlinked")]

    @pytest.mark.parametrize(
        "change",
        [
            "event = 'vault.verified'",
            "ip = '198.51.100.1'",
            "at = at + interval '1 second'",
            "data = '{}'",
            "actor_label = 'R-99'",
            "subject_id = 'x'",
            "user_agent = 'x'",
        ],
    )
    def test_columns_that_disagree_with_the_line_are_named(self, change: str) -> None:
        write(4)
        with unguarded() as cursor:
            cursor.execute(f"UPDATE core_auditentry SET {change} WHERE seq = 2")
        assert self.broken() == [("general", 2, "columns")]

    def test_an_entry_removed_in_the_middle_is_named(self) -> None:
        write(5)
        with unguarded() as cursor:
            cursor.execute("DELETE FROM core_auditentry WHERE seq = 3")
        assert self.broken() == [("general", 3, "missing")]

    def test_a_removed_entry_with_renumbered_followers_is_named(self) -> None:
        write(5)
        with unguarded() as cursor:
            cursor.execute("DELETE FROM core_auditentry WHERE seq = 3")
            cursor.execute("UPDATE core_auditentry SET seq = 3 WHERE seq = 4")
            cursor.execute("UPDATE core_auditentry SET seq = 4 WHERE seq = 5")
        assert self.broken() == [("general", 3, "unlinked")]

    def test_a_cut_end_is_named(self) -> None:
        write(5)
        write(2, chain="other")
        with unguarded() as cursor:
            cursor.execute("DELETE FROM core_auditentry WHERE chain = 'general' AND seq >= 4")
        assert self.broken() == [("general", 4, "cut")]

    def test_a_whole_chain_that_is_gone_is_named(self) -> None:
        write(5)
        with unguarded() as cursor:
            cursor.execute("DELETE FROM core_auditentry")
        assert self.broken() == [("general", 1, "missing")]

    def test_a_forged_head_is_named(self) -> None:
        write(2)
        with unguarded("core_audithead") as cursor:
            cursor.execute("UPDATE core_audithead SET hash = %s", [ZEROS])
        assert self.broken() == [("general", 2, "head")]
        with unguarded("core_audithead") as cursor:
            cursor.execute("DELETE FROM core_audithead")
        assert self.broken() == [("general", 2, "headless")]

    def test_only_a_kept_anchor_finds_a_rewritten_chain(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(4)
        kept = tmp_path / "heads.json"
        call_command("verify_audit", save_heads=str(kept))
        with unguarded() as cursor, unguarded("core_audithead"):
            cursor.execute("DELETE FROM core_auditentry")
            cursor.execute("DELETE FROM core_audithead")
        write(4)
        assert check().is_intact
        with pytest.raises(SystemExit):
            call_command("verify_audit", against=str(kept))
        assert "entry 4" in capsys.readouterr().out

    def test_an_anchor_finds_a_cut_end_with_a_forged_head(self) -> None:
        entries = write(4)
        anchor = {"general": (4, entries[3].hash)}
        with unguarded() as cursor, unguarded("core_audithead"):
            cursor.execute("DELETE FROM core_auditentry WHERE seq = 4")
            cursor.execute("UPDATE core_audithead SET seq = 3, hash = %s", [entries[2].hash])
        assert check().is_intact
        assert self.broken(anchor=anchor) == [("general", 4, "cut")]
        assert self.broken(anchor={"gone": (2, ZEROS)}) == [("gone", 1, "missing")]

    def test_growth_after_the_anchor_is_fine(self) -> None:
        entries = write(2)
        write(2)
        assert check(anchor={"general": (2, entries[1].hash)}).is_intact

    def test_one_broken_chain_does_not_hide_another(self) -> None:
        write(3, chain="a")
        write(3, chain="b")
        write(3, chain="c")
        with unguarded() as cursor:
            cursor.execute("UPDATE core_auditentry SET line = '{}' WHERE seq = 2 AND chain <> 'b'")
        assert self.broken() == [("a", 2, "changed"), ("c", 2, "changed")]
        assert self.broken(chain="b") == []

    def test_more_chains_than_fit_one_step_are_all_compared(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from core import audit_check

        monkeypatch.setattr(audit_check, "_STEP", 3)
        for number in range(10):
            write(2, chain=f"item:{number}")
        assert check().is_intact
        assert len(check(keep_heads=True).heads) == 10
        with unguarded() as cursor:
            cursor.execute("DELETE FROM core_auditentry WHERE chain = 'item:0'")
            cursor.execute("DELETE FROM core_auditentry WHERE chain = 'item:4' AND seq = 2")
            cursor.execute("DELETE FROM core_auditentry WHERE chain = 'item:9' AND seq = 1")
        assert self.broken() == [
            ("item:0", 1, "missing"),
            ("item:4", 2, "cut"),
            ("item:9", 1, "missing"),
        ]
        assert check().chains == 10

    def test_the_verdict_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        write(1)
        call_command("verify_audit", "--json")
        said = json.loads(capsys.readouterr().out)
        assert said == {
            "intact": True,
            "entries": 1,
            "chains": 1,
            "behind": 0,
            "most_behind_ms": 0,
            "as_given": 0,
            "rows_compared": True,
            "breaks": [],
        }

    def test_a_strange_anchor_is_refused_in_words(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="save-heads"):
            call_command("verify_audit", against=str(tmp_path / "nothing"))


@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def test_many_writers_on_one_chain_leave_no_gap(self) -> None:
        barrier = threading.Barrier(8)

        def work(thread: int) -> None:
            try:
                barrier.wait()
                for n in range(15):
                    with transaction.atomic():
                        audit.record(EVENT, actor=audit.SYSTEM, thread=thread, n=n)
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        seqs = list(AuditEntry.objects.order_by("seq").values_list("seq", flat=True))
        assert seqs == list(range(1, 121))
        assert check().is_intact
        assert AuditHead.objects.get().seq == 120

    def test_calls_that_name_the_same_chains_do_not_wait_in_a_circle(self) -> None:
        barrier = threading.Barrier(4)
        blobs = [Blob(pk=UUID(int=n)) for n in range(1, 9)]

        def work(thread: int) -> None:
            own = blobs if thread % 2 else blobs[::-1]
            try:
                barrier.wait()
                for n in range(10):
                    about = [(blob, f"item:{blob.pk}", {"n": n}) for blob in own]
                    audit.record_each(EVENT, actor=audit.SYSTEM, about=about)
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert {head.seq for head in AuditHead.objects.all()} == {40}
        assert check().is_intact

    def test_a_refusal_survives_the_rollback_of_its_action(self) -> None:
        with transaction.atomic():
            audit.record(EVENT, actor=PERSON)
            audit.record_apart(EVENT, actor=PERSON, case=Blob(pk=UUID(int=3)), why="role")
            transaction.set_rollback(True)
        entry = AuditEntry.objects.get()
        assert entry.chain == "refusals"
        assert entry.data == {"why": "role", "chain": f"case:{UUID(int=3)}"}

    def test_outside_a_transaction_a_refusal_is_an_ordinary_line(self) -> None:
        entry = audit.record_apart(EVENT, actor=PERSON, case=Blob(pk=UUID(int=3)))
        assert entry.chain == f"case:{UUID(int=3)}"
        assert AuditEntry.objects.count() == 1


def as_probe(cursor: Any, statement: str) -> None:
    """Run one statement with the rights of the application's role."""
    with transaction.atomic():
        cursor.execute("SET LOCAL ROLE holdfast_probe")
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_the_application_role_can_append_and_nothing_else() -> None:
    """The rights of production, statement by statement."""
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS holdfast_probe")
        cursor.execute("CREATE ROLE holdfast_probe")
    try:
        call_command("grant_app_role", role="holdfast_probe")
        write(1)
        refused = [
            "UPDATE core_auditentry SET event = 'x'",
            "DELETE FROM core_auditentry",
            "TRUNCATE core_auditentry",
            "TRUNCATE core_heartbeat",
            "UPDATE core_audithead SET seq = 9",
            f"INSERT INTO core_audithead VALUES ('y', 1, '{ZEROS}')",
            "ALTER TABLE core_auditentry DISABLE TRIGGER USER",
            "DROP TRIGGER holdfast_audit_no_change ON core_auditentry",
            "CREATE TABLE public.mine (id int)",
            "CREATE TEMPORARY TABLE core_auditentry (id int)",
            "CREATE TRIGGER mine BEFORE INSERT ON core_heartbeat EXECUTE FUNCTION holdfast_audit_refuse()",
            "SET session_replication_role = replica",
            "DELETE FROM django_migrations",
        ]
        with connection.cursor() as cursor:
            for statement in refused:
                with pytest.raises(DatabaseError) as caught:
                    as_probe(cursor, statement)
                cause = caught.value.__cause__
                assert isinstance(cause, psycopg.errors.InsufficientPrivilege), statement
            with transaction.atomic():
                cursor.execute("SET LOCAL ROLE holdfast_probe")
                write(2)
                dated = pytest.raises(DatabaseError, match="has the time of the database")
                with audit.history(datetime(2026, 1, 1, tzinfo=UTC)), dated, transaction.atomic():
                    write(1)
                cursor.execute(
                    "INSERT INTO core_heartbeat (name, kind, detail) VALUES ('x','y','{}')"
                )
                cursor.execute("DELETE FROM core_heartbeat")
                cursor.execute("RESET ROLE")
        assert check().is_intact
        assert AuditEntry.objects.count() == 3
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP OWNED BY holdfast_probe")
            cursor.execute("DROP ROLE holdfast_probe")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "sentence"), [("holdfast_nobody_made", "create it first"), (None, "superuser")]
)
def test_grants_to_a_role_that_cannot_be_bound_are_refused(role: str | None, sentence: str) -> None:
    role = role or connection.get_connection_params()["user"]
    with pytest.raises(CommandError, match=sentence):
        call_command("grant_app_role", role=role)
