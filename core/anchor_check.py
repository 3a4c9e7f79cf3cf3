"""Checking anchors: signed, linked, in the database and in the store, and every chain still as they saw it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.storage import Storage, storages
from django.db import connection
from django.utils.module_loading import import_string

from core.anchors import (
    GENESIS,
    STORE,
    AnchorUnreadable,
    Head,
    Statement,
    Tree,
    file_name,
    heads_name,
    number_of,
    token_name,
    unpack,
)
from core.audit_check import snapshot
from core.models import AuditAnchor

_STEP = 1000
MOST_NAMED = 200


@dataclass(slots=True)
class AnchorVerdict:
    """What a check of the anchors came to. ``problems`` are sentences, the first of each chain or anchor."""

    anchors: int = 0
    heads: int = 0
    stamped: int = 0
    newest: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        """Whether nothing differs; without an anchor there is nothing that could."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON."""
        return {
            "intact": self.is_intact,
            "anchors": self.anchors,
            "heads": self.heads,
            "stamped": self.stamped,
            "newest": self.newest,
            "problems": self.problems,
        }


@dataclass(frozen=True, slots=True)
class _Found:
    """One anchor as the store or the database has it."""

    statement: str
    signature: str


def check_anchors(*, progress: Callable[[int, int], None] | None = None) -> AnchorVerdict:
    """Check every anchor, oldest first, from the store and from the database.

    Names: an anchor that only one of them has, or that they tell differently; one without one of our signatures, or
    that continues none before it; a list that does not lead to its root; a time stamp that does not hold; and, once
    for each, a chain that no longer has the entry that an anchor saw last. Memory does not grow with the chains.
    """
    verdict = AnchorVerdict()
    with snapshot():
        store = storages[STORE]
        # The store first: a row is there before its file, so that a new one looks like no removed one.
        files = _numbers(store)
        rows = set(AuditAnchor.objects.values_list("number", flat=True))
        everything = sorted(files | rows)
        seen: dict[str, int] = {GENESIS: 0}
        cut: set[str] = set()
        for done, number in enumerate(everything, start=1):
            row = AuditAnchor.objects.filter(pk=number).first()
            _Check(verdict, store, number, row, cut, has_file=number in files).run(seen)
            verdict.anchors += 1
            verdict.newest = number
            if progress is not None:
                progress(done, len(everything))
    del verdict.problems[MOST_NAMED:]
    return verdict


def _numbers(store: Storage) -> set[int]:
    try:
        names = store.listdir("")[1]
    except FileNotFoundError:
        return set()
    return {number for name in names if (number := number_of(name)) is not None}


class _Check:
    def __init__(
        self,
        verdict: AnchorVerdict,
        store: Storage,
        number: int,
        row: AuditAnchor | None,
        cut: set[str],
        *,
        has_file: bool,
    ) -> None:
        self.verdict = verdict
        self.store = store
        self.number = number
        self.row = row
        self.cut = cut
        self.has_file = has_file

    def say(self, what: str) -> None:
        self.verdict.problems.append(f"Anchor {self.number}: {what}")

    def run(self, seen: dict[str, int]) -> None:
        try:
            found = self._found()
            if found is None:
                return
            statement = Statement.parse(found.statement)
            if statement.number != self.number:
                self.say(f"its statement is that of anchor {statement.number}")
            if problem := import_string(settings.HOLDFAST_ANCHOR_SIGNATURES)(
                found.statement, found.signature
            ):
                self.say(problem)
            self._link(statement, seen)
            self._stamp(found.statement)
            self._heads(statement)
        except AnchorUnreadable as refused:
            self.say(str(refused))

    def _found(self) -> _Found | None:
        row = self.row
        in_row = _Found(row.statement, row.signature) if row is not None else None
        if not self.has_file:
            # Not yet written is no fault of the row; gone after it was written is.
            if row is not None and row.stored_at is not None:
                self.say("its file is gone from the store; the database still has it")
            return in_row
        with self.store.open(file_name(self.number)) as stream:
            try:
                said = json.loads(stream.read())
                in_file = _Found(str(said["statement"]), str(said["signature"]))
            except (ValueError, KeyError, TypeError):
                self.say("its file is not readable")
                return in_row
        if in_row is None:
            self.say("it is in the store, but its row is gone from the database")
        elif in_row != in_file:
            self.say("the file in the store and the row in the database differ")
        return in_file

    def _link(self, statement: Statement, seen: dict[str, int]) -> None:
        before = seen.get(statement.previous)
        newest = max(seen.values())
        if before is None:
            self.say("it continues an anchor that is neither in the store nor in the database")
        elif before != newest:
            self.say(f"it continues anchor {before}, not {newest}: the database was set back")
        seen[statement.sha256] = statement.number

    def _stamp(self, statement: str) -> None:
        token = bytes(self.row.token) if self.row is not None and self.row.token else None
        name = token_name(self.number)
        if self.store.exists(name):
            with self.store.open(name) as stream:
                in_file = stream.read()
            if token is not None and token != in_file:
                self.say("its time stamps in the store and in the database differ")
            token = in_file
        if token is None:
            return
        self.verdict.stamped += 1
        if problem := import_string(settings.HOLDFAST_ANCHOR_STAMPS)(token, statement.encode()):
            self.say(problem)

    def _open(self) -> BinaryIO:
        name = heads_name(self.number)
        if self.store.exists(name):
            return self.store.open(name)  # type: ignore[return-value]
        if self.row is not None:
            return io.BytesIO(bytes(self.row.heads))
        raise AnchorUnreadable("its list of heads is gone")

    def _heads(self, statement: Statement) -> None:
        tree = Tree()
        with self._open() as stream:
            for heads in _pieces(unpack(stream)):
                for head in heads:
                    tree.add(head.leaf)
                self._compare(heads)
        if (tree.size, tree.root) != (statement.listed, statement.root):
            self.say("its list of heads is not the one that was signed")

    def _compare(self, heads: list[Head]) -> None:
        self.verdict.heads += len(heads)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT e.chain, e.hash FROM core_auditentry e "
                "JOIN unnest(%s::text[], %s::bigint[]) AS k(chain, seq) USING (chain, seq)",
                [[head.chain for head in heads], [head.seq for head in heads]],
            )
            there = dict(cursor.fetchall())
        for head in heads:
            if there.get(head.chain) == head.hash or head.chain in self.cut:
                continue
            self.cut.add(head.chain)
            if head.chain in there:
                self.say(f"entry {head.seq} of chain {head.chain} is not the one it saw")
            else:
                self.say(
                    f"it saw {head.seq} entries in chain {head.chain}; the end was cut off or the chain removed"
                )


def _pieces(heads: Iterator[Head]) -> Iterator[list[Head]]:
    piece: list[Head] = []
    for head in heads:
        piece.append(head)
        if len(piece) == _STEP:
            yield piece
            piece = []
    if piece:
        yield piece
