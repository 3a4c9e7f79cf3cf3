"""The list of faults names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import tests.faults

TESTS = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^ {4}(\S.*?\S) +(\S+\.py)::(\w+)$", re.MULTILINE)
FAULTS = [
    *("truncated", "huge dimensions", "wrong type", "animated", "zero bytes", "100 MB"),
    *("malformed JSON", "unknown ids", "expired key", "revoked key", "duplicates in parallel"),
    *("two claimers", "decision after the lease", "approver equal to author", "killed -9 in scan"),
    *(
        "killed -9 in webhook",
        "killed -9 in package building",
        "Valkey wiped",
        "PostgreSQL restarted",
    ),
]


def test_every_fault_has_a_test_and_every_named_test_exists() -> None:
    rows = ROW.findall(tests.faults.__doc__ or "")
    for fault in FAULTS:
        assert any(what.startswith(fault) for what, _, _ in rows), fault
    for what, file, name in rows:
        tree = ast.parse((TESTS / file).read_text())
        known = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in known, f"{what}: {file} has no {name}"
