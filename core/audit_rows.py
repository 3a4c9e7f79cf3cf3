"""Comparing rows with the lines of the audit log that speak of them, in both directions.

The chains prove that no line was changed; they prove nothing about the tables that pages and packages are made from.
Each room says which of its rows the log knows (``Kind``) and registers them in ``HOLDFAST_AUDITED_ROWS``.
"""

from __future__ import annotations

import copy
import hashlib
from collections import defaultdict
from collections.abc import (
    Callable,
    Collection,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.module_loading import import_string

from core.audit import canonical, plain, told_of
from core.audit_events import GROUPS, AuditEvent
from core.models import AuditEntry

_STEP = 500
ENDS = frozenset({AuditEvent.PRACTICE_REMOVED})
"""Events that end a row rightly: a row that is gone and has such a line is no difference."""
_GROUP_STEP = 20
"""Lines about groups of rows that are read at once: each may say something of hundreds."""
MOST_NAMED = 200
"""Differences of one kind that are named; a table that was exchanged as a whole would name millions."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of row is compared.

    ``begins`` are the events that are recorded when such a row is made (with the row as subject), ``tells``
    all that speak of it. ``rows`` returns them, of one case or all. ``compare`` yields a sentence for each
    difference between a row and its lines, oldest first; ``gone`` says that a line's row is missing. A row of a
    kind with ``is_silent`` may be there before the log speaks of it; ``compare`` then gets no line.

    A line about a group of rows (``core.audit.record_group``) is handed on as one line for each row.
    """

    name: str
    model: type[models.Model]
    begins: frozenset[AuditEvent]
    tells: frozenset[AuditEvent]
    rows: Callable[[Any | None], models.QuerySet[Any]]
    compare: Callable[[Any, Sequence[AuditEntry]], Iterable[str]]
    gone: Callable[[AuditEntry], str]
    is_silent: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not what the log says, or a line without its row. ``chain`` and ``seq`` name the line."""

    chain: str
    seq: int
    what: str


def kinds() -> list[Kind]:
    """Return every kind that the rooms registered."""
    return [kind for path in settings.HOLDFAST_AUDITED_ROWS for kind in import_string(path)]


def digest(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of facts as canonical JSON: what a line keeps of texts that it must not hold."""
    return hashlib.sha256(canonical(plain(facts)).encode()).hexdigest()


def differences(
    *, case: models.Model | None = None, progress: Callable[[int, int], None] | None = None
) -> Iterator[Difference]:
    """Yield what does not agree, for one case or everything. Constant memory.

    Call it within one snapshot: a row and its line are committed together, but are read by two statements.
    Cost: two indexed look-ups for every 500 rows, and one for every 500 lines.
    """
    found = kinds()
    total = sum(kind.rows(case).count() for kind in found) if progress is not None else 0
    done = 0
    for kind in found:
        named = 0
        for batch, several in _both_ways(kind, case):
            for difference in several:
                named += 1
                if named <= MOST_NAMED:
                    yield difference
            done += batch
            if progress is not None and batch:
                progress(done, total)
        if named > MOST_NAMED:
            yield Difference("", 0, f"{named - MOST_NAMED} more {kind.name} do not agree")


def _both_ways(kind: Kind, case: models.Model | None) -> Iterator[tuple[int, list[Difference]]]:
    for rows in _batches(kind.rows(case).order_by("pk"), "pk"):
        yield len(rows), list(_compare(kind, rows))
    # One event after the other: the index by event and id then gives each piece without a sort.
    for event in sorted(kind.begins):
        lines = AuditEntry.objects.filter(event=event.value)
        if case is not None:
            lines = lines.filter(chain=f"case:{case.pk}")
        yield from _without_row(kind, lines, _GROUP_STEP if event in GROUPS else _STEP)


def _without_row(
    kind: Kind, lines: models.QuerySet[AuditEntry], step: int
) -> Iterator[tuple[int, list[Difference]]]:
    lines = lines.only("id", "chain", "seq", "event", "subject_type", "subject_id", "data")
    for entries in _batches(lines, "id", step):
        told = [part for entry in entries for part in _parts(entry)]
        there = {
            str(key)
            for key in kind.model._default_manager.filter(  # noqa: SLF001 — Django's own name for it
                pk__in=[part.subject_id for part in told]
            ).values_list("pk", flat=True)
        }
        gone = [part for part in told if part.subject_id not in there]
        ended = _ended(kind, {part.subject_id for part in gone})
        yield (
            0,
            [
                Difference(part.chain, part.seq, kind.gone(part))
                for part in gone
                if part.subject_id not in ended
            ],
        )


def _ended(kind: Kind, keys: set[str]) -> set[str]:
    """Return those of the missing rows whose end the log tells."""
    if not keys:
        return set()
    ends = AuditEntry.objects.filter(
        subject_type=kind.model._meta.label_lower,  # noqa: SLF001 — Django's own name
        subject_id__in=keys,
        event__in=[event.value for event in ENDS],
    )
    return set(ends.values_list("subject_id", flat=True))


def _parts(entry: AuditEntry, wanted: Container[str] | None = None) -> Iterator[AuditEntry]:
    """Yield a line as it speaks of each row (of those wanted) alone."""
    if entry.subject_id:
        yield entry
        return
    for key, said in told_of(entry).items():
        if wanted is None or key in wanted:
            part = copy.copy(entry)
            part.subject_id, part.data = key, said
            yield part


def _batches(rows: models.QuerySet[Any], key: str, step: int = _STEP) -> Iterator[list[Any]]:
    """Yield rows in pieces by rising key: a cursor over all of them would keep prefetched rows too."""
    rows = rows.order_by(key)
    piece = list(rows[:step])
    while piece:
        yield piece
        piece = list(rows.filter(**{f"{key}__gt": getattr(piece[-1], key)})[:step])


def lines_about(
    model: type[models.Model], keys: Collection[str], events: Collection[AuditEvent]
) -> dict[str, list[AuditEntry]]:
    """Return the lines of these events about rows, oldest first, by the key of the row.

    A line about a group of rows stands there as it speaks of that row alone. Costs two indexed look-ups, and the
    reading of each group's line.
    """
    found: dict[str, list[AuditEntry]] = defaultdict(list)
    names = [event.value for event in events]
    entries = AuditEntry.objects.filter(
        subject_type=model._meta.label_lower,  # noqa: SLF001 — Django's own name
        event__in=names,
    )
    for entry in entries.filter(subject_id__in=list(keys)):
        found[entry.subject_id].append(entry)
    wanted = frozenset(keys)
    groups = entries.filter(
        subject_id="", data__has_key="about", data__about__has_any_keys=list(keys)
    )
    if GROUPS.intersection(events):
        for entry in groups.iterator(chunk_size=_GROUP_STEP):
            for part in _parts(entry, wanted):
                found[part.subject_id].append(part)
    for lines in found.values():
        # By id: what several sources say of one account stands in several chains.
        lines.sort(key=lambda line: line.pk)
    return found


def _compare(kind: Kind, rows: list[Any]) -> Iterator[Difference]:
    lines = lines_about(kind.model, {str(row.pk) for row in rows}, kind.tells)
    for row in rows:
        own = lines.get(str(row.pk), [])
        begun = next((line for line in own if line.event in kind.begins), None)
        if begun is None and not kind.is_silent:
            yield Difference("", 0, f"{kind.name} {row}: the log has no line of it")
            continue
        for sentence in kind.compare(row, own):
            yield Difference(begun.chain if begun else "", begun.seq if begun else 0, sentence)
