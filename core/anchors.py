"""Anchors: where all chains of the audit log ended at one moment, in a form that can be kept elsewhere.

The chains alone cannot show that somebody with every right cut off their ends together with the heads. An anchor can:
it lists the end of every chain that grew since the one before, and its *statement* fixes that list and all earlier
ones, in seven lines of ASCII::

    holdfast-anchor 1
    number 17
    made 2026-11-27T02:00:00.000000Z
    previous <SHA-256 of the statement before, or 64 zeros>
    chains <chains there are>
    listed <chains in this list>
    root <RFC 9162 tree over the list, SHA-256>

The *list* is one line for each chain, ``chain seq hash``, sorted by the bytes of the chain's name, which is percent-encoded so that
it holds no space. A leaf of the tree is ``chain hash``; the hash covers the number. A chain that did not grow stands in an
earlier list, which ``previous`` fixes: the roots together cover all heads, at the cost of what changed.

Signing, storing and sending are the package worker's work (``referrals``); nothing here writes.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import quote, unquote

from core.audit import GENESIS, timestamp

_STATEMENT = re.compile(
    r"holdfast-anchor 1\nnumber ([0-9]{1,18})\nmade ([0-9TZ:.-]{27})\nprevious ([0-9a-f]{64})\n"
    r"chains ([0-9]{1,18})\nlisted ([0-9]{1,18})\nroot ([0-9a-f]{64})\n"
)
_LINE = re.compile(rb"([!-~]+) ([0-9]{1,18}) ([0-9a-f]{64})\n")
NIGHTLY = "anchors"
"""Under this name the pages of health say what keeps anchors from being made."""

STORE = "anchors"
"""The storage where the files lie."""

__all__ = [
    "GENESIS",
    "NIGHTLY",
    "STORE",
    "AnchorUnreadable",
    "Head",
    "Statement",
    "Tree",
    "file_name",
    "heads_name",
    "number_of",
    "pack",
    "token_name",
    "unpack",
]


class AnchorUnreadable(ValueError):
    """A statement or list that is not as this module writes them; the message says what."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where one chain ended."""

    chain: str
    seq: int
    hash: str

    @property
    def name(self) -> str:
        """The chain's name as the list has it."""
        return quote(self.chain, safe=":-_.~")

    @property
    def leaf(self) -> str:
        """The text of its leaf in the tree."""
        return f"{self.name} {self.hash}"


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed. ``previous`` and ``root`` are hexadecimal SHA-256."""

    number: int
    made_at: datetime
    previous: str
    chains: int
    listed: int
    root: str

    @property
    def text(self) -> str:
        """The seven lines."""
        return (
            f"holdfast-anchor 1\nnumber {self.number}\nmade {timestamp(self.made_at)}\n"
            f"previous {self.previous}\nchains {self.chains}\nlisted {self.listed}\nroot {self.root}\n"
        )

    @property
    def sha256(self) -> str:
        """What the next anchor calls ``previous``, and what a time-stamp authority is shown."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def parse(cls, text: str) -> Statement:
        """Read a statement. Raises AnchorUnreadable."""
        found = _STATEMENT.fullmatch(text)
        if found is None:
            raise AnchorUnreadable("its statement is not readable")
        number, made, previous, chains, listed, root = found.groups()
        try:
            at = datetime.strptime(made, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            raise AnchorUnreadable("its time is not readable") from None
        return cls(int(number), at, previous, int(chains), int(listed), root)


class Tree:
    """The root of an RFC 9162 tree (§2.1.1) over texts that come one by one; memory grows with their logarithm."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[
            tuple[int, bytes]
        ] = []  # Height and hash of each full tree, highest first.

    def add(self, leaf: str) -> None:
        """Add the next leaf."""
        height, node = 0, hashlib.sha256(b"\x00" + leaf.encode()).digest()
        while self._peaks and self._peaks[-1][0] == height:
            node = hashlib.sha256(b"\x01" + self._peaks.pop()[1] + node).digest()
            height += 1
        self._peaks.append((height, node))
        self.size += 1

    @property
    def root(self) -> str:
        """The root over the leaves so far; of none, the SHA-256 of nothing."""
        if not self._peaks:
            return hashlib.sha256(b"").hexdigest()
        node = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node.hex()


def pack(heads: Iterable[Head], tree: Tree) -> bytes:
    """Return the list of heads as a gzip file, and add each to the tree. The same list gives the same bytes."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    pieces = []
    for head in heads:
        pieces.append(packer.compress(f"{head.name} {head.seq} {head.hash}\n".encode()))
        tree.add(head.leaf)
    pieces.append(packer.flush())
    return b"".join(pieces)


def unpack(stream: BinaryIO) -> Iterator[Head]:
    """Yield the heads of a packed list. Raises AnchorUnreadable."""
    try:
        with gzip.open(stream) as lines:
            while line := lines.readline(2000):
                found = _LINE.fullmatch(line)
                if found is None:
                    raise AnchorUnreadable("its list is not readable")
                name, seq, digest = found.groups()
                yield Head(unquote(name.decode()), int(seq), digest.decode())
    except (OSError, EOFError, zlib.error):
        raise AnchorUnreadable("its list is not readable") from None


def file_name(number: int) -> str:
    """Return the name of an anchor's file: statement, signature, signer, as JSON."""
    return f"{number:08d}.json"


def heads_name(number: int) -> str:
    """Return the name of the file with an anchor's list of heads."""
    return f"{number:08d}.heads.gz"


def token_name(number: int) -> str:
    """Return the name of the file with the answer of the time-stamp authority."""
    return f"{number:08d}.tsr"


def number_of(name: str) -> int | None:
    """Return the number of the anchor whose file this is, or None for any other file."""
    found = re.fullmatch(r"([0-9]{8})\.json", name)
    return int(found.group(1)) if found else None
