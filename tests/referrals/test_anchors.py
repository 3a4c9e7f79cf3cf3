"""Anchors: a cut-off end is found, in the database and in the store, also by somebody with every right."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.template.loader import render_to_string

from core import audit, doctor, operations, stages
from core.anchor_check import check_anchors
from core.anchors import Head, Tree, pack, unpack
from core.audit_job import last_check
from core.jobs import run_now
from core.models import AuditAnchor, AuditEntry
from referrals import anchoring, custody
from referrals.jobs import signing_key, sweep_anchors
from tests.referrals.authority import authority
from tests.referrals.desk import Desk

pytestmark = pytest.mark.django_db
EVENT = audit.AuditEvent.AUDIT_VIEWED


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: Any, signing: Path) -> Path:
    """Give each test a store of its own, and the keys."""
    folder = tmp_path / "anchors"
    backend = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(folder)},
    }
    settings.STORAGES = settings.STORAGES | {"anchors": backend}
    return folder


def write(chain: str, lines: int = 3) -> None:
    for number in range(lines):
        audit.record(EVENT, actor=audit.SYSTEM, chain=chain, number=number)


def make() -> AuditAnchor:
    return anchoring.make(AuditAnchor.Reason.ASKED, signer=signing_key())


def as_owner(table: str, statement: str) -> None:
    """Do what the owner can do to a table: without its triggers."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement)
        assert cursor.rowcount
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def cut(chain: str, above: int) -> None:
    """Cut the end of a chain off together with its head, as the owner can."""
    where = f"chain = '{chain}' AND seq"
    as_owner("core_auditentry", f"DELETE FROM core_auditentry WHERE {where} > {above}")
    as_owner(
        "core_audithead",
        f"UPDATE core_audithead SET (seq, hash) = (SELECT seq, hash FROM core_auditentry"
        f" WHERE {where} = {above}) WHERE chain = '{chain}'",
    )


def verify() -> tuple[str, bool]:
    """Return what the command says and whether it is content."""
    said = StringIO()
    try:
        call_command("verify_audit", "--anchors", stdout=said)
    except SystemExit:
        return said.getvalue(), False
    return said.getvalue(), True


def test_the_tree_is_the_one_of_the_rfc_and_of_packages() -> None:
    for size in (0, 1, 2, 3, 7, 8, 9, 100):
        tree = Tree()
        leaves = [f"case:{n} {n:064x}" for n in range(size)]
        for leaf in leaves:
            tree.add(leaf)
        assert tree.root == custody.tree_root(leaves), size


def test_a_list_comes_back_as_it_was() -> None:
    heads = [Head("a", 1, "0" * 64), Head("b c\n", 2, "1" * 64), Head("ü%20", 3, "f" * 64)]
    tree = Tree()
    packed = pack(heads, tree)
    assert packed == pack(heads, Tree())
    import io

    assert list(unpack(io.BytesIO(packed))) == heads


def test_an_end_cut_off_together_with_its_head_is_named() -> None:
    write("case:1")
    write("general")
    make()
    write("general")
    said, fine = verify()
    assert fine, said
    assert "1 anchors over 2 ends of chains" in said
    cut("case:1", 2)
    said, fine = verify()
    assert not fine
    assert "entries in 3 chains: intact" in said  # The chains alone show nothing.
    assert "Anchor 1: it saw 3 entries in chain case:1; the end was cut off" in said


def test_a_chain_that_did_not_grow_since_is_still_covered(monkeypatch: Any) -> None:
    monkeypatch.setattr("referrals.actions.anchors._OVERLAP", timedelta())
    write("case:1")
    make()
    write("general")
    second = make()
    assert "listed 2\n" in second.statement  # general, and the line about the first anchor.
    as_owner("core_auditentry", "DELETE FROM core_auditentry WHERE chain = 'case:1'")
    as_owner("core_audithead", "DELETE FROM core_audithead WHERE chain = 'case:1'")
    assert [p for p in check_anchors().problems if "case:1" in p] == [
        "Anchor 1: it saw 3 entries in chain case:1; the end was cut off or the chain removed"
    ]


def test_a_rewritten_entry_is_named() -> None:
    write("case:1")
    make()
    as_owner("core_auditentry", "UPDATE core_auditentry SET hash = repeat('0', 64) WHERE seq = 3")
    assert "Anchor 1: entry 3 of chain case:1 is not the one it saw" in check_anchors().problems


def test_what_only_the_store_or_only_the_database_has_is_named(store: Path) -> None:
    write("general")
    make(), make(), make()
    assert check_anchors().problems == []
    as_owner("core_auditanchor", "DELETE FROM core_auditanchor WHERE number = 3")
    (store / "00000002.json").unlink()
    assert check_anchors().problems == [
        "Anchor 2: its file is gone from the store; the database still has it",
        "Anchor 3: it is in the store, but its row is gone from the database",
    ]
    assert make().number == 4  # Never a number twice.
    assert check_anchors().problems[-1] == (
        "Anchor 4: it continues anchor 2, not 3: the database was set back"
    )


def test_an_anchor_of_somebody_else_is_named(store: Path) -> None:
    write("general")
    made = make()
    other = made.statement.replace("chains 1", "chains 9")
    as_owner("core_auditanchor", f"UPDATE core_auditanchor SET statement = '{other}'")
    assert check_anchors().problems == [
        "Anchor 1: the file in the store and the row in the database differ"
    ]
    path = store / "00000001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"statement": other}))
    assert check_anchors().problems == [
        "Anchor 1: its signature is not of any of our keys over this statement"
    ]


def test_a_list_that_was_exchanged_is_named(store: Path) -> None:
    write("general")
    make()
    (store / "00000001.heads.gz").write_bytes(pack([Head("general", 1, "0" * 64)], Tree()))
    assert "Anchor 1: its list of heads is not the one that was signed" in check_anchors().problems


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE core_auditanchor SET statement = 'x'",
        "UPDATE core_auditanchor SET stored_at = NULL",
        "DELETE FROM core_auditanchor",
        "TRUNCATE core_auditanchor",
    ],
)
def test_the_database_refuses_changes(statement: str) -> None:
    make()
    with pytest.raises(DatabaseError, match="audit: "), transaction.atomic():
        connection.cursor().execute(statement)


def test_a_night_without_the_worker_is_caught_up_and_once_a_day_is_enough() -> None:
    assert sweep_anchors() == 1
    assert sweep_anchors() == 0  # Asked for already.
    run_now("make_anchor")
    run_now("make_anchor")
    assert AuditAnchor.objects.filter(reason="nightly").count() == 1
    as_owner(
        "core_auditanchor",
        "UPDATE core_auditanchor SET made_at = made_at - interval '3 days'",
    )
    run_now("make_anchor")
    assert AuditAnchor.objects.filter(reason="nightly").count() == 2
    assert AuditEntry.objects.filter(event="audit.anchor.made", chain="anchors").count() == 2


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("", "The package worker has no signing key: set HOLDFAST_SIGNING_KEY_FILE"),
        ("/nowhere/signing_key", "The signing key file cannot be read by the package worker"),
    ],
)
def test_a_missing_signing_key_is_said_everywhere_until_it_is_there(
    settings: Any, path: str, sentence: str
) -> None:
    usual, settings.HOLDFAST_SIGNING_KEY_FILE = settings.HOLDFAST_SIGNING_KEY_FILE, path
    run_now("make_anchor")  # A state and not a failed job: nothing to be found in a log.
    assert not AuditAnchor.objects.exists()

    def said() -> list[str]:
        work = [each.says for each in doctor.examine() if each.topic == "work"]
        jobs = render_to_string("accounts/_jobs.html", {"overview": operations.overview()})
        state = render_to_string("accounts/_audit_anchor.html", {"check": last_check()})
        return [text for text in ("\n".join(work), jobs, state) if sentence in text]

    assert len(said()) == 3
    assert "The audit log gets no anchor." in said()[2]
    assert stages.records()["make_anchor"].failures == 0

    settings.HOLDFAST_SIGNING_KEY_FILE = usual
    run_now("make_anchor")
    assert AuditAnchor.objects.count() == 1
    assert not said()


def test_an_anchor_that_is_overdue_names_the_package_worker() -> None:
    def anchors() -> stages.Measured:
        (found,) = [each for each in stages.measure() if each.stage.key == "anchors"]
        return found

    run_now("make_anchor")
    assert not anchors().waiting
    for hours, is_late in ((30, False), (32, True)):
        as_owner(
            "core_auditanchor",
            f"UPDATE core_auditanchor SET made_at = now() - interval '{hours} hours'",
        )
        assert (anchors().waiting, anchors().is_late) == (1, is_late)
    assert anchors().processes == ("package-worker",)


def test_a_store_that_cannot_be_written_is_tried_again(store: Path) -> None:
    store.write_text("not a folder")
    made = make()
    assert AuditAnchor.objects.get(pk=made.pk).stored_at is None
    store.unlink()
    assert sweep_anchors() >= 1
    run_now("keep_anchors")
    assert AuditAnchor.objects.get(pk=made.pk).stored_at is not None
    assert check_anchors().problems == []
    assert storages["anchors"].exists("00000001.heads.gz")


def test_an_authority_stamps_the_statement_and_the_stamp_is_checked(
    settings: Any, store: Path, tmp_path: Path
) -> None:
    write("general")
    with authority() as tsa:
        settings.HOLDFAST_TSA_URL = tsa.url
        settings.HOLDFAST_TSA_CA_FILE = str(tsa.ca_file)
        settings.HOLDFAST_ANCHOR_ALLOW_PRIVATE = True
        tsa.is_up = False
        made = make()
        assert made.token is None
        tsa.is_up = True
        run_now("keep_anchors")
        verdict = check_anchors()
        assert (verdict.problems, verdict.stamped) == ([], 1)
        made.refresh_from_db()
        assert len(tsa.asked) == 2
        assert AuditEntry.objects.filter(event="audit.anchor.stamped").count() == 1
        # With stock tools, as an outsider would.
        (tmp_path / "statement").write_text(made.statement)
        answer = subprocess.run(
            [
                *("openssl", "ts", "-verify", "-data", str(tmp_path / "statement")),
                *("-in", str(store / "00000001.tsr"), "-CAfile", str(tsa.ca_file)),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "Verification: OK" in answer.stdout + answer.stderr
        second = make()
        (store / "00000002.tsr").write_bytes(bytes(made.token or b""))
        said = "\n".join(check_anchors().problems)
        assert "Anchor 2: its time stamps in the store and in the database differ" in said
        assert "Anchor 2: its time stamp does not hold" in said
        assert second.number == 2


def test_the_operators_endpoint_is_told_once(settings: Any, receiver: Any) -> None:
    settings.HOLDFAST_ANCHOR_WEBHOOK_URL = receiver.url
    settings.HOLDFAST_ANCHOR_ALLOW_PRIVATE = True
    made = make()
    run_now("keep_anchors")
    made.refresh_from_db()
    assert made.told_at is not None
    assert AuditEntry.objects.filter(event="audit.anchor.told").count() == 1


def test_a_package_carries_the_anchor_that_fixes_its_custody_log(
    desk: Desk, signing: Path, tmp_path: Path, age_command: str
) -> None:
    referral = desk.sealed()
    made = AuditAnchor.objects.get(reason="package")
    bag = desk.opened(referral, tmp_path, age_command)
    said = desk.read(bag, "custody/anchor.json")
    assert said["statement"] == made.statement
    proof = desk.read(bag, "custody/inclusion.json")
    assert f"root {proof['root']}\n" in made.statement
    assert anchoring.check_signature(said["statement"], said["signature"]) == ""
    # With the stock tool and the keys that an agency has.
    (tmp_path / "anchor.sig").write_text(said["signature"])
    answer = subprocess.run(
        [
            *("ssh-keygen", "-Y", "verify", "-f", str(signing / "allowed_signers")),
            *("-I", said["signer"], "-n", said["namespace"], "-s", str(tmp_path / "anchor.sig")),
        ],
        input=said["statement"].encode(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert verify()[1]
