"""The custody chain and the tree that fixes its end."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referrals import custody
from referrals.custody import CustodyBroken, CustodyLog
from referrals.verifier import verify_package as verifier
from tests.referrals import sealing

AT = datetime(2026, 3, 2, tzinfo=UTC)

# The roots of the first leaves of the well-known test data of Certificate Transparency, computed here
# by the recursive definition of RFC 9162, section 2.1.1, which the module does not use.


def recursive_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = recursive_root(leaves[:split]), recursive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_the_chain_can_be_checked_with_sha256sum_in_a_shell_loop(tmp_path: Path) -> None:
    log = sealing.custody()
    (tmp_path / "audit.jsonl").write_bytes(custody.export_lines(log))
    (tmp_path / "audit.chain").write_bytes(custody.export_chain(log))
    loop = (
        "p=$(printf '0%.0s' $(seq 64)); while IFS= read -r l; do "
        'p=$(printf \'%s\\n%s\' "$p" "$l" | sha256sum | cut -c1-64); echo $p; done < audit.jsonl'
    )
    result = subprocess.run(
        ["bash", "-c", f"{loop} | cmp - audit.chain"], cwd=tmp_path, check=False
    )
    assert result.returncode == 0


def test_the_first_bad_line_is_named() -> None:
    lines = ["a", "b", "c", "d"]
    hashes = list(custody.chain(lines))
    assert custody.first_fault(lines, hashes) is None
    for number in range(1, 5):
        edited = list(lines)
        edited[number - 1] += "!"
        fault = custody.first_fault(edited, hashes)
        assert fault is not None
        assert fault.line == number
    cut = custody.first_fault(lines[:3], hashes)
    assert cut is not None
    assert (cut.line, cut.expected) == (4, "nothing")
    longer = custody.first_fault([*lines, "e"], hashes)
    assert longer is not None
    assert (longer.line, longer.found) == (5, "nothing")


@given(st.lists(st.text(max_size=8), min_size=1, max_size=70))
def test_the_root_is_the_one_rfc_9162_defines(leaves: list[str]) -> None:
    assert custody.tree_root(leaves) == recursive_root([leaf.encode() for leaf in leaves]).hex()


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert custody.tree_root([]) == hashlib.sha256().hexdigest()


@given(size=st.integers(1, 70), data=st.data())
def test_every_case_of_every_tree_has_a_proof_that_both_verifiers_accept(
    size: int, data: st.DataObject
) -> None:
    heads = [(f"case:{number}", f"{number:064x}") for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    proof = custody.prove_inclusion(heads, f"case:{index}", built_at=AT)
    assert proof.root == custody.tree_root([custody.leaf_text(*head) for head in heads])
    assert custody.verify_inclusion(proof)
    document = {
        "index": proof.index,
        "tree_size": proof.tree_size,
        "root": proof.root,
        "proof": list(proof.proof),
    }
    assert verifier._included(proof.leaf, document)
    for wrong in (
        replace(proof, head="f" * 64),
        replace(proof, index=proof.index + 1),
        replace(proof, root="0" * 64),
        replace(proof, proof=(*proof.proof, "0" * 64)),
        replace(proof, proof=("zz",)),
        replace(proof, tree_size=proof.index),
    ):
        assert not custody.verify_inclusion(wrong)
    assert not verifier._included(f"{proof.leaf}x", document)


def test_a_log_must_end_where_its_proof_says() -> None:
    log = sealing.custody()
    log.check()
    for lines in (log.lines[:-1], (*log.lines, "{}"), (), ("{}\n", *log.lines[1:])):
        with pytest.raises(CustodyBroken):
            CustodyLog(lines, log.inclusion).check()
    with pytest.raises(CustodyBroken):
        CustodyLog(log.lines, replace(log.inclusion, root="0" * 64)).check()


def test_a_case_that_is_absent_or_listed_twice_has_no_proof() -> None:
    heads = [("case:1", "a"), ("case:2", "b"), ("case:2", "c")]
    for case in ("case:2", "case:3"):
        with pytest.raises(CustodyBroken, match="not one"):
            custody.prove_inclusion(heads, case, built_at=AT)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        custody.utc_text(datetime(2026, 1, 1))  # noqa: DTZ001 -- the point of the test
