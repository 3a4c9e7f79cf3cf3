"""Checking the audit log: the first bad entry of each chain, whoever changed it and however."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from core.audit import GENESIS, canonical, document_of, link
from core.audit_rows import differences
from core.models import AuditEntry, AuditHead

_STEP = 2000


@dataclass(frozen=True, slots=True)
class Break:
    """The first bad place of a chain. ``seq`` is the entry's number, ``what`` a sentence."""

    chain: str
    seq: int
    kind: str
    what: str


@dataclass(slots=True)
class Verdict:
    """What a check came to. ``heads`` is where each good chain ended: keep it elsewhere.

    ``behind`` counts entries that were written while the database's clock lay before the entry before them,
    ``most_behind_ms`` how far at most; ``as_given`` those of generated history. Neither is a break.
    """

    entries: int = 0
    chains: int = 0
    behind: int = 0
    most_behind_ms: int = 0
    as_given: int = 0
    rows_compared: bool = False
    breaks: list[Break] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def is_intact(self) -> bool:
        return not self.breaks

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON, without the heads."""
        return {
            "intact": self.is_intact,
            "entries": self.entries,
            "chains": self.chains,
            "behind": self.behind,
            "most_behind_ms": self.most_behind_ms,
            "as_given": self.as_given,
            "rows_compared": self.rows_compared,
            "breaks": [asdict(found) for found in self.breaks],
        }


def check(
    *,
    chain: str | None = None,
    anchor: Mapping[str, tuple[int, str]] | None = None,
    progress: Callable[[int, int], None] | None = None,
    keep_heads: bool = False,
    rows: bool = False,
) -> Verdict:
    """Read every entry of all chains (or one), in order, and name the first bad one of each.

    Finds entries that were changed, removed in the middle, added, renumbered or cut off at the end, and columns
    that disagree with the hashed line. Somebody with every right can rewrite a whole chain and its head: only
    an ``anchor`` kept elsewhere (chain → number and hash) finds that. Constant memory, unless
    ``keep_heads`` asks for every chain's end. ``progress`` gets entries read and entries there are.
    ``rows`` also compares the tables with the lines that speak of them; that is for all chains only.
    """
    verdict = Verdict()
    with snapshot():
        heads = AuditHead.objects.order_by("chain")
        entries = AuditEntry.objects.order_by("chain", "seq")
        if chain is not None:
            heads = heads.filter(chain=chain)
            entries = entries.filter(chain=chain)
        total = entries.count()
        walk = _Walk(verdict, dict(anchor or {}), keep_heads=keep_heads)
        for entry in entries.iterator(chunk_size=_STEP):
            walk.step(entry)
            if progress is not None and verdict.entries % _STEP == 0:
                progress(verdict.entries, total)
        walk.end_chain()
        walk.compare_with_heads()
        bare = heads.exclude(Exists(AuditEntry.objects.filter(chain=OuterRef("chain"))))
        for head in bare.iterator(chunk_size=_STEP):
            walk.gone(head.chain, head.seq)
        walk.finish(chain)
        if rows and chain is None:
            _compare_rows(verdict, progress)
    verdict.breaks.sort(key=lambda found: (found.chain, found.seq))
    if progress is not None:
        progress(verdict.entries, total)
    return verdict


def _compare_rows(verdict: Verdict, progress: Callable[[int, int], None] | None) -> None:
    verdict.rows_compared = True
    verdict.breaks += [
        Break(found.chain, found.seq, "row", found.what) for found in differences(progress=progress)
    ]


@contextmanager
def snapshot() -> Iterator[None]:
    """Read entries and heads as of one moment, though others go on writing."""
    if connection.in_atomic_block:  # Too late to choose; only tests get here.
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


@dataclass(frozen=True, slots=True)
class _End:
    chain: str
    seq: int
    hash: str
    broken: bool


class _Walk:
    def __init__(
        self, verdict: Verdict, anchor: dict[str, tuple[int, str]], *, keep_heads: bool
    ) -> None:
        self.verdict = verdict
        self.anchor = anchor
        self.keep_heads = keep_heads
        self.ends: list[_End] = []  # Chains read to their end, not yet compared with their heads.
        self.chain: str | None = None
        self.seq = 0
        self.hash = GENESIS
        self.at: datetime | None = None
        self.broken = False

    def step(self, entry: AuditEntry) -> None:
        self.verdict.entries += 1
        if entry.chain != self.chain:
            self.end_chain()
            self.chain, self.seq, self.hash, self.broken = entry.chain, 0, GENESIS, False
            self.at = None
            self.verdict.chains += 1
        if self.broken:
            return  # One break is enough: everything after it hangs in the air.
        found = self._fault(entry)
        if found is not None:
            self.broken = True
            seq = self.seq + 1 if found[0] == "missing" else entry.seq
            self._report(entry.chain, seq, *found)
            return
        self.seq, self.hash, self.at = entry.seq, entry.hash, entry.at
        self._note_clock(entry)
        if self.anchor.get(entry.chain, (0, ""))[0] == entry.seq:
            expected = self.anchor.pop(entry.chain)[1]
            if expected != entry.hash:
                self.broken = True
                what = "it is not the entry that the anchor saw here"
                self._report(entry.chain, entry.seq, "rewritten", what)

    def _fault(self, entry: AuditEntry) -> tuple[str, str] | None:
        if entry.seq != self.seq + 1:
            return "missing", f"the entry was removed: number {entry.seq} comes after {self.seq}"
        if entry.prev_hash != self.hash:
            return "unlinked", "it does not continue the entry before it"
        if link(entry.prev_hash, entry.line) != entry.hash:
            return "changed", "its line or its hash was changed after it was written"
        try:
            said = json.loads(entry.line)
        except ValueError:
            return "changed", "its line is not readable"
        document = document_of(entry)
        if canonical(said) != canonical(document):
            names = sorted(k for k in document if said.get(k) != document[k]) or ["line"]
            return "columns", f"its columns disagree with its line: {', '.join(names)}"
        if canonical(said) != entry.line:
            # A member named twice would show one reader this and another that.
            return "changed", "its line is not written as the log writes lines"
        if self.at is not None and entry.at < self.at:
            return "earlier", "it is dated before the entry before it"
        return None

    def _note_clock(self, entry: AuditEntry) -> None:
        if entry.as_given:
            self.verdict.as_given += 1
        if entry.behind_ms is not None:
            self.verdict.behind += 1
            self.verdict.most_behind_ms = max(self.verdict.most_behind_ms, entry.behind_ms)

    def _report(self, chain: str, seq: int, kind: str, what: str) -> None:
        self.verdict.breaks.append(Break(chain, seq, kind, what))

    def end_chain(self) -> None:
        if self.chain is not None:
            self.ends.append(_End(self.chain, self.seq, self.hash, self.broken))
            self.chain = None
        if len(self.ends) >= _STEP:
            self.compare_with_heads()

    def compare_with_heads(self) -> None:
        names = [end.chain for end in self.ends]
        heads = {
            head.chain: (head.seq, head.hash) for head in AuditHead.objects.filter(chain__in=names)
        }
        for end in self.ends:
            self._compare(end, heads.get(end.chain))
        self.ends.clear()

    def _compare(self, end: _End, head: tuple[int, str] | None) -> None:
        seen = self.anchor.pop(end.chain, None)
        if end.broken:
            return
        if head is None:
            what = "the chain has entries but its head is missing"
            self._report(end.chain, end.seq, "headless", what)
        elif head[0] > end.seq:
            what = f"the end was cut off: the chain had {head[0]} entries"
            self._report(end.chain, end.seq + 1, "cut", what)
        elif head != (end.seq, end.hash):
            what = "the chain's head names another last entry"
            self._report(end.chain, end.seq, "head", what)
        elif seen is not None:
            what = f"the end was cut off: the anchor saw {seen[0]} entries"
            self._report(end.chain, end.seq + 1, "cut", what)
        elif self.keep_heads:
            self.verdict.heads[end.chain] = (end.seq, end.hash)

    def gone(self, chain: str, seq: int) -> None:
        self.verdict.chains += 1
        self.anchor.pop(chain, None)
        self._report(chain, 1, "missing", f"the whole chain of {seq} entries was removed")

    def finish(self, only: str | None) -> None:
        for chain, (seq, _) in self.anchor.items():
            if only is None or chain == only:
                what = f"the anchor saw {seq} entries; the chain is gone"
                self._report(chain, 1, "missing", what)
