"""The record: lines cannot be forged or dated back, rows agree with their lines, and a cut-off end is found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg

from tests.proofs import proof
from tests.proofs.installation import Installation

LINE = (
    '{"actor":{"id":"","kind":"system","label":"Holdfast"},\x1e,"chain":"proof","client":"",'
    '"data":{},"event":"person.unlocked","ip":"","request":"",\x1e,"subject":{"id":"","type":""}}'
)
COLUMNS: dict[str, Any] = {
    "chain": "proof",
    "event": "person.unlocked",
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
}
FORGED: dict[str, dict[str, Any]] = {
    "a line of NULLs": {"line": "{}"},
    "a line dated back": {"at": "2020-01-01T00:00:00Z"},
    "a line dated forward": {"at": "2200-01-01T00:00:00Z"},
    "a number of one's own": {"seq": 7},
    "a hash of one's own": {"hash": "0" * 64},
    "columns that say something else": {"actor_label": "Lucia"},
}
REFUSED = [
    "UPDATE reports_item SET blob_id = (SELECT max(blob_id::text)::uuid FROM reports_item) WHERE blob_id IS NOT NULL",
    "UPDATE reports_item SET text = text || 'x' WHERE kind = 'text'",
    "UPDATE reports_report SET description = description || 'x'",
    "DELETE FROM reports_item",
    "UPDATE moderation_decision SET made_by_id = (SELECT id FROM accounts_user u WHERE u.id <> made_by_id LIMIT 1)",
    "DELETE FROM moderation_caseitem",
    "DELETE FROM moderation_enforcement",
    "UPDATE moderation_policyversion SET definition = 'another'",
    "UPDATE referrals_referral SET narrative = 'another' WHERE state = 'sealed'",
    "DELETE FROM referrals_exhibit",
    "UPDATE core_blob SET sha256 = repeat('0', 64)",
    "UPDATE core_auditentry SET event = 'x'",
    "DELETE FROM core_auditentry",
    "DELETE FROM core_auditanchor",
    "UPDATE core_audithead SET seq = 1",
    "ALTER TABLE reports_item DISABLE TRIGGER USER",
]


@proof(
    "The application's database role forges no line and changes nothing received or decided",
    quick=True,
)
def forging(place: Installation) -> str:
    with place.database() as link:
        for what, changes in FORGED.items():
            row = COLUMNS | changes
            names, gaps = ", ".join(row), ", ".join(["%s"] * len(row))
            _refused(
                link, f"INSERT INTO core_auditentry ({names}) VALUES ({gaps})", what, *row.values()
            )
        for statement in REFUSED:
            _refused(link, statement, statement)
    left = place.rows("SELECT count(*) FROM core_auditentry WHERE chain = 'proof'")[0][0]
    assert left == 0, f"{left} forged lines stayed"
    return f"{len(FORGED)} forged lines and {len(REFUSED)} statements refused"


def _refused(link: psycopg.Connection[Any], statement: str, what: str, *values: Any) -> None:
    try:
        with link.transaction():
            changed = link.execute(statement, values or None).rowcount
    except psycopg.DatabaseError:
        return
    raise AssertionError(f"{what}: was taken ({changed} rows)")


@proof("What the owner of the database changes behind the log is named, also a cut-off end")
def tampering(place: Installation) -> str:
    place.wait("an anchor", lambda: place.rows("SELECT 1 FROM core_auditanchor"))
    listed = place.rows("SELECT min(through_id) FROM core_auditanchor")[0][0]
    fine = place.manage("verify_audit", "--anchors")
    assert fine.returncode == 0, f"not intact before: {fine.stdout[-500:]} {fine.stderr[-500:]}"
    (text,) = place.rows("SELECT id FROM reports_item WHERE kind = 'text' LIMIT 1")[0]
    first, second = place.rows(
        "SELECT DISTINCT ON (blob_id) id, blob_id FROM reports_item WHERE blob_id IS NOT NULL LIMIT 2"
    )
    decided, author = place.rows("SELECT id, made_by_id FROM moderation_decision LIMIT 1")[0]
    chain, end = place.rows(
        "SELECT e.chain, max(e.seq) FROM core_auditentry e WHERE e.chain LIKE 'item:%%' "
        "GROUP BY e.chain HAVING max(e.seq) > 1 AND max(e.id) <= %s LIMIT 1",
        listed,
    )[0]
    with place.database(owner=True) as owner, _entry_kept(owner, chain, end):
        _behind(
            owner, "reports_item", "UPDATE reports_item SET text = text || 'x' WHERE id = %s", text
        )
        _exchange(owner, first, second)
        _behind(
            owner,
            "moderation_decision",
            "UPDATE moderation_decision SET made_by_id = (SELECT id FROM accounts_user"
            " WHERE id <> made_by_id LIMIT 1) WHERE id = %s",
            decided,
        )
        try:
            said = place.manage("verify_audit", "--anchors")
        finally:
            _exchange(owner, (first[0], second[1]), (second[0], first[1]))
            _behind(
                owner,
                "reports_item",
                "UPDATE reports_item SET text = left(text, -1) WHERE id = %s",
                text,
            )
            _behind(
                owner,
                "moderation_decision",
                "UPDATE moderation_decision SET made_by_id = %s WHERE id = %s",
                author,
                decided,
            )
    assert said.returncode == 1, f"was found intact: {said.stdout[-500:]} {said.stderr[-500:]}"
    for sentence in (
        f"Item {text}",
        "the text is not the one received",
        f"Item {first[0]}",
        f"Item {second[0]}",
        "the file is not the one received",
        f"Decision {decided}",
        "it names another author than the log",
        f"it saw {end} entries in chain {chain}; the end was cut off",
    ):
        assert sentence in said.stdout, f"not named: {sentence!r} in {said.stdout[-2000:]}"
    again = place.manage("verify_audit", "--anchors")
    assert again.returncode == 0, f"not intact after: {again.stdout[-500:]}"
    return "a text, two files, an author and a cut-off end named; intact before and after"


def _behind(owner: psycopg.Connection[Any], table: str, statement: str, *values: Any) -> None:
    with owner.transaction():
        owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        assert owner.execute(statement, values).rowcount, statement
        owner.execute("SET CONSTRAINTS ALL IMMEDIATE")  # Else the table is still in use.
        owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def _exchange(owner: psycopg.Connection[Any], one: Any, other: Any) -> None:
    exchange = "UPDATE reports_item SET blob_id = %s WHERE id = %s"
    _behind(owner, "reports_item", exchange, other[1], one[0])
    _behind(owner, "reports_item", exchange, one[1], other[0])


@contextlib.contextmanager
def _entry_kept(owner: psycopg.Connection[Any], chain: str, end: int) -> Iterator[None]:
    """Cut the last entry of a chain off together with its head for the block, and put both back."""
    entry, head = "core_auditentry", "core_audithead"
    with owner.transaction():
        owner.execute(
            "CREATE TEMP TABLE kept AS SELECT * FROM core_auditentry WHERE chain = %s AND seq = %s",
            [chain, end],
        )
        owner.execute(
            "CREATE TEMP TABLE kept_head AS SELECT * FROM core_audithead WHERE chain = %s", [chain]
        )
    _behind(owner, entry, "DELETE FROM core_auditentry WHERE chain = %s AND seq = %s", chain, end)
    _behind(
        owner,
        head,
        "UPDATE core_audithead h SET seq = e.seq, hash = e.hash, at = e.at FROM core_auditentry e"
        " WHERE e.chain = h.chain AND e.seq = %s AND h.chain = %s",
        end - 1,
        chain,
    )
    try:
        yield
    finally:
        _behind(owner, entry, "INSERT INTO core_auditentry OVERRIDING SYSTEM VALUE TABLE kept")
        _behind(
            owner,
            head,
            "UPDATE core_audithead h SET seq = k.seq, hash = k.hash, at = k.at FROM kept_head k"
            " WHERE k.chain = h.chain",
        )
