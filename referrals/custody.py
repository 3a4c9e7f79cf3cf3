"""The custody log of one case: its hash chain, its export, and the proof that nothing was cut off.

*Chain.* One JSON line per event; ``h₀`` is 64 zeros and ``hᵢ = SHA256(hᵢ₋₁ "\\n" lineᵢ)`` over the
hexadecimal text, so that ``sha256sum`` in a shell loop checks it.

*Tree.* A Merkle tree as in RFC 9162 §2.1 (leaf prefix 0x00, node prefix 0x01, SHA-256) over the
texts ``"<case id> <head>"`` of all cases. Its root fixes every log at once; an inclusion proof
shows that one case's log ends where the tree says, without showing any other case.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

ZERO = "0" * 64


class CustodyBroken(ValueError):
    """The custody log or its proof does not hold; the message names the first bad line."""


@dataclass(frozen=True, slots=True)
class ChainFault:
    """The first line (counted from 1) that does not follow from the ones before it."""

    line: int
    expected: str
    found: str

    def __str__(self) -> str:
        return f"custody line {self.line}: the chain says {self.found}, its content {self.expected}"


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Where one case's head sits in a tree over all cases, and the proof of it."""

    case_id: str
    head: str  # hash of the last custody line, hexadecimal
    index: int  # from 0
    tree_size: int
    root: str  # hexadecimal
    proof: tuple[str, ...]  # hexadecimal, from the leaf upwards
    built_at: datetime

    @property
    def leaf(self) -> str:
        return leaf_text(self.case_id, self.head)


@dataclass(frozen=True, slots=True)
class CustodyLog:
    """The custody lines of one case, oldest first, as the audit log stores them.

    `lines` are the canonical JSON texts (no newline inside), `inclusion` a proof whose head is the
    hash of the last line. Lines written after the tree was built belong to the next package.
    """

    lines: tuple[str, ...]
    inclusion: Inclusion

    def check(self) -> None:
        """Raise `CustodyBroken` unless the proof belongs to exactly these lines."""
        if not self.lines:
            raise CustodyBroken("The case has no custody lines.")
        for number, line in enumerate(self.lines, start=1):
            if "\n" in line or "\r" in line:
                raise CustodyBroken(f"custody line {number} holds a line break.")
        head = list(chain(self.lines))[-1]
        if head != self.inclusion.head:
            raise CustodyBroken(
                f"The custody log ends at {head}, the tree expects {self.inclusion.head}."
            )
        if not verify_inclusion(self.inclusion):
            raise CustodyBroken("The inclusion proof does not lead to its root.")


def link(previous: str, line: str) -> str:
    """The hash of one line, given the hash of the line before it."""
    return hashlib.sha256(f"{previous}\n{line}".encode()).hexdigest()


def chain(lines: Iterable[str], *, start: str = ZERO) -> Iterator[str]:
    """The hash after each line."""
    current = start
    for line in lines:
        current = link(current, line)
        yield current


def first_fault(lines: Sequence[str], hashes: Sequence[str]) -> ChainFault | None:
    """The first line whose stored hash does not follow, or a missing or surplus line."""
    current = ZERO
    for number in range(1, max(len(lines), len(hashes)) + 1):
        found = hashes[number - 1] if number <= len(hashes) else "nothing"
        if number > len(lines):
            return ChainFault(number, "nothing", found)
        current = link(current, lines[number - 1])
        if found != current:
            return ChainFault(number, current, found)
    return None


def export_lines(log: CustodyLog) -> bytes:
    """``audit.jsonl``: the lines, each with its newline."""
    return "".join(f"{line}\n" for line in log.lines).encode()


def export_chain(log: CustodyLog) -> bytes:
    """``audit.chain``: the hash after each line, one per line."""
    return "".join(f"{value}\n" for value in chain(log.lines)).encode()


def export_inclusion(
    log: CustodyLog, *, root_signature: str | None = None, namespace: str | None = None
) -> bytes:
    """``inclusion.json``. `root_signature` is an SSHSIG over `root_statement` if one was made."""
    proof = log.inclusion
    document: dict[str, object] = {
        "algorithm": "RFC 9162 Merkle tree, SHA-256, leaf prefix 00, node prefix 01",
        "case": proof.case_id,
        "head": proof.head,
        "index": proof.index,
        "leaf": proof.leaf,
        "lines": len(log.lines),
        "proof": list(proof.proof),
        "root": proof.root,
        "root_statement": root_statement(proof),
        "tree_built_at": utc_text(proof.built_at),
        "tree_size": proof.tree_size,
    }
    if root_signature is not None:
        document["root_signature"] = root_signature
        document["root_signature_namespace"] = namespace
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def root_statement(proof: Inclusion) -> str:
    """The one line that is signed to fix a tree: its size, root and time."""
    return f"custody-tree {proof.tree_size} {proof.root} {utc_text(proof.built_at)}\n"


def leaf_text(case_id: str, head: str) -> str:
    """The text of a leaf."""
    if not case_id or any(character.isspace() for character in case_id):
        raise CustodyBroken("A case id in the tree has no spaces.")
    return f"{case_id} {head}"


def prove_inclusion(
    heads: Sequence[tuple[str, str]], case_id: str, *, built_at: datetime
) -> Inclusion:
    """Build the tree over `(case id, head)` pairs, in the order given, and prove one case.

    Cost: about two hashes per case; a million cases take a few seconds and 32 MB.
    Raises `CustodyBroken` if the case is absent or listed twice.
    """
    positions = [number for number, (name, _head) in enumerate(heads) if name == case_id]
    if len(positions) != 1:
        raise CustodyBroken(f"The tree holds {len(positions)} heads of case {case_id}, not one.")
    index = positions[0]
    levels = _levels([_leaf_hash(leaf_text(name, head)) for name, head in heads])
    proof = []
    position = index
    for level in levels[:-1]:
        sibling = position ^ 1
        if sibling < len(level):
            proof.append(level[sibling].hex())
        position //= 2
    return Inclusion(
        case_id=case_id,
        head=heads[index][1],
        index=index,
        tree_size=len(heads),
        root=levels[-1][0].hex(),
        proof=tuple(proof),
        built_at=built_at,
    )


def tree_root(leaves: Sequence[str]) -> str:
    """The root over leaf texts; the root of an empty tree is SHA-256 of nothing (RFC 9162)."""
    if not leaves:
        return hashlib.sha256(b"").hexdigest()
    return _levels([_leaf_hash(leaf) for leaf in leaves])[-1][0].hex()


def verify_inclusion(proof: Inclusion) -> bool:
    """RFC 9162 §2.1.3.2."""
    if not 0 <= proof.index < proof.tree_size:
        return False
    try:
        path = [bytes.fromhex(value) for value in proof.proof]
        root = bytes.fromhex(proof.root)
    except ValueError:
        return False
    fn, sn = proof.index, proof.tree_size - 1
    current = _leaf_hash(proof.leaf)
    for sibling in path:
        if sn == 0 or len(sibling) != 32:
            return False
        if fn & 1 or fn == sn:
            current = _node_hash(sibling, current)
            while fn and not fn & 1:
                fn >>= 1
                sn >>= 1
        else:
            current = _node_hash(current, sibling)
        fn >>= 1
        sn >>= 1
    return sn == 0 and current == root


def _levels(leaves: list[bytes]) -> list[list[bytes]]:
    """Every level from the leaves to the root; an odd last node rises unchanged.

    This gives the same tree as the recursive definition of RFC 9162, which splits at the largest
    power of two below the size.
    """
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [_node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
        if len(below) % 2:
            above.append(below[-1])
        levels.append(above)
    return levels


def _leaf_hash(text: str) -> bytes:
    return hashlib.sha256(b"\x00" + text.encode()).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def utc_text(moment: datetime) -> str:
    """A time as every document of a package writes it: UTC, with the fraction of a second that is known."""
    if moment.tzinfo is None:
        raise ValueError("A time without a zone cannot stand in a custody document.")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
