"""A worker process is killed -9 while it reads a list or rates groups; another one does it once, and whole."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from core import vault
from core.audit import SYSTEM
from core.jobs import run_sweeps
from hashing import actions
from hashing.models import Category, HashEntry, HashImport, ImportState, RiskScore, StagedRow
from reports.actions import upsert_account, upsert_group, upsert_memberships
from reports.models import SubjectChange
from reports.payloads import AccountPayload, GroupPayload, MembersPayload
from tests.casework import Casework
from tests.faults.conftest import Processes
from tests.faults.waiting import wait_until

pytestmark = pytest.mark.runtime

ROWS = 120_000


def test_killed_while_it_reads_a_list(processes: Processes) -> None:
    known = actions.create_hash_list(
        name="Drawn pictures", category=Category.CSAM_KNOWN, actor=SYSTEM
    )
    before = actions.add_entry(known, algorithm="pdq", value=f"{7:064x}", actor=SYSTEM)
    text = "".join(f"pdq,{number:064x}\n" for number in range(1, ROWS + 1)).encode()
    blob = vault.store_bytes(text, name="list.csv")
    asked = actions.ask_import(known, blob, file_name="list.csv", actor=SYSTEM)
    victim = processes.worker("long")
    wait_until(StagedRow.objects.exists, what="the first rows of the import")
    processes.kill(victim)

    asked.refresh_from_db()
    assert asked.state == ImportState.READING
    assert 0 < asked.rows < ROWS
    assert HashEntry.objects.count() == 1, "nothing of it is on the list before it is whole"
    HashImport.objects.update(due_at=Now())  # Nobody staged a batch for three minutes.
    processes.worker("long")
    run_sweeps()

    wait_until(
        lambda: HashImport.objects.get().state == ImportState.DONE, what="the end of the import"
    )
    asked.refresh_from_db()
    assert (asked.rows, asked.added, asked.known, asked.attempts) == (ROWS, ROWS - 1, 1, 2)
    assert not StagedRow.objects.exists()
    assert actions.undo_import(asked, actor=SYSTEM) == ROWS - 1
    assert HashEntry.objects.get(retired_at=None) == before


def test_killed_while_it_rates(processes: Processes, casework: Casework) -> None:
    source = casework.source()
    members = [{"account": f"m{number}"} for number in range(40)]
    upsert_group(source, "g", payload=GroupPayload(name="drawn", scan=False), actor=SYSTEM)
    upsert_memberships(
        source, "g", members=MembersPayload.model_validate({"members": members}), actor=SYSTEM
    )
    banned = AccountPayload.model_validate({"platform_status": "banned"})
    for number in range(4):
        upsert_account(source, f"m{number}", payload=banned, actor=SYSTEM)
    marks = SubjectChange.objects.count()
    with transaction.atomic(), connection.cursor() as cursor:
        # It stops where it wants to write scores, with everything read and nothing committed.
        cursor.execute("LOCK TABLE hashing_riskscore IN SHARE MODE")
        victim = processes.worker("default")
        run_sweeps_beside("compute_risk")
        wait_until(_waits_for_the_scores, what="a worker that rates")
        processes.kill(victim)
    wait_until(lambda: not _waits_for_the_scores(), what="the end of its connection")
    assert SubjectChange.objects.count() == marks
    assert not RiskScore.objects.exists()

    processes.worker("default")
    run_sweeps()
    wait_until(
        lambda: RiskScore.objects.filter(group__external_id="g", score__gt=0).exists(),
        what="the score of the group",
    )
    wait_until(lambda: not SubjectChange.objects.exists(), what="the end of the marks")
    said = [each["text"] for each in RiskScore.objects.get(group__external_id="g").contributions]
    assert said[0] == "4 of 40 members banned"


def run_sweeps_beside(name: str) -> None:
    """Wake a worker at once: this test holds a transaction open, after which ``enqueue`` would wait."""
    from core import jobs

    jobs._push(jobs.registered(name), [0])


def _waits_for_the_scores() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted "
            "AND relation = 'hashing_riskscore'::regclass)"
        )
        return bool(cursor.fetchone()[0])
