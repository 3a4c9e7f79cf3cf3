"""Reading the audit log as an auditor: filters, pages, exports. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.module_loading import import_string

from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.audit_words import subject_in_words, words_of
from core.foreign import plain_dashes
from core.models import AuditEntry
from core.tables import csv_line

ENTRIES_ON_A_PAGE = 50
_CSV_COLUMNS = [
    "id",
    "at",
    "chain",
    "seq",
    "event",
    "actor_kind",
    "actor_id",
    "actor_label",
    "subject_type",
    "subject_id",
    "ip",
    "request_id",
    "data",
    "prev_hash",
    "hash",
]


def entries_for(user: User, **wanted: Any) -> QuerySet[AuditEntry]:
    """Return the entries an auditor asked for, newest first; nobody else sees any.

    Understands ``event``, ``area`` (the part before the first dot), ``actor`` (pseudonym or id),
    ``case`` (its id), ``chain``, ``subject`` (an id), ``ip``, ``start`` and ``end`` (dates in UTC, both
    included), ``after_reset`` (what was done in an account that administrators had let somebody into anew).
    Empty values do not narrow.
    """
    if not user.may(Permission.AUDIT_VIEW):
        return AuditEntry.objects.none()
    found = AuditEntry.objects.order_by("-id")
    wanted = {name: value for name, value in wanted.items() if value}
    for name in ("event", "chain", "ip"):
        if name in wanted:
            found = found.filter(**{name: wanted[name]})
    if "area" in wanted:
        # By name, not by beginning: a list of whole names is served by the index of events (the usual
        # collations serve no beginning), alone or together with the one of times.
        area = f"{wanted['area']}."
        found = found.filter(event__in=[e.value for e in AuditEvent if e.startswith(area)])
    if "actor" in wanted:
        actor = wanted["actor"]
        found = found.filter(Q(actor_label__iexact=actor) | Q(actor_id=actor))
    if "case" in wanted:
        found = found.filter(chain=f"case:{wanted['case']}")
    if "after_reset" in wanted:
        found = found.filter(data__has_key="after_reset")
    if "subject" in wanted:
        found = found.filter(subject_id=wanted["subject"])
    if "start" in wanted:
        found = found.filter(at__gte=datetime.combine(wanted["start"], time.min, UTC))
    if "end" in wanted:
        after = wanted["end"] + timedelta(days=1)
        found = found.filter(at__lt=datetime.combine(after, time.min, UTC))
    return found


def case_meant(text: str) -> str:
    """Return the id of the case that somebody typed, by its id or a number people know; empty if none is meant.

    Rooms above know numbers of cases, reports and referrals (``settings.HOLDFAST_CASE_NUMBERS``).
    """
    text = text.strip()
    try:
        return str(UUID(text))
    except ValueError:
        pass
    for path in settings.HOLDFAST_CASE_NUMBERS:
        if (found := import_string(path)(plain_dashes(text).upper())) is not None:
            return str(found)
    return ""


def _row_of(entry: AuditEntry) -> tuple[str, str]:
    """Return the kind and id of the row that leads from a line to a case: its chain's, else its subject's."""
    kind, _, key = entry.chain.partition(":")
    if kind in {"case", "item"}:
        return kind, key
    return entry.subject_type.rpartition(".")[2], entry.subject_id


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as a page shows it: what happened and of what, in words, and the case that it belongs to."""

    entry: AuditEntry
    words: str
    subject: str
    case: str
    """``C-000010``; empty where no case knows the row."""


def lines_of(entries: Sequence[AuditEntry]) -> list[Line]:
    """Return entries in words. One look for the numbers of all their cases (``settings.HOLDFAST_CASES_OF_ROWS``)."""
    rows = [_row_of(entry) for entry in entries]
    cases = import_string(settings.HOLDFAST_CASES_OF_ROWS)(rows)
    return [
        Line(entry, words_of(entry), subject_in_words(entry), cases.get(row, ""))
        for entry, row in zip(entries, rows, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Slice:
    """Some entries, and where older and newer ones are. No counting: the log may hold millions."""

    entries: list[AuditEntry]
    older: int | None
    newer: int | None

    @property
    def lines(self) -> list[Line]:
        """The entries in words."""
        return lines_of(self.entries)


def slice_of(
    entries: QuerySet[AuditEntry], *, before: int | None = None, after: int | None = None
) -> Slice:
    """Return one page of ``entries``: those before or after an entry's id, else the newest."""
    size = ENTRIES_ON_A_PAGE
    if after is not None:
        rows = list(entries.filter(pk__gt=after).order_by("id")[: size + 1])
        more, rows = len(rows) > size, rows[:size][::-1]
        return Slice(rows, rows[-1].pk if rows else None, rows[0].pk if more and rows else None)
    rows = list((entries if before is None else entries.filter(pk__lt=before))[: size + 1])
    more, rows = len(rows) > size, rows[:size]
    is_first = before is None or not entries.filter(pk__gte=before).exists()
    return Slice(rows, rows[-1].pk if more else None, rows[0].pk if rows and not is_first else None)


@dataclass(frozen=True, slots=True)
class Detail:
    """One entry, its neighbours in the chain, and whether its own hash holds."""

    entry: AuditEntry
    previous: AuditEntry | None
    next: AuditEntry | None
    holds: bool


def get_entry_for(user: User, id: int) -> Detail:
    """Return one entry for an auditor. Raises Http404 when not visible."""
    entry = entries_for(user).filter(pk=id).first()
    if entry is None:
        raise Http404
    chain = AuditEntry.objects.filter(chain=entry.chain)
    previous = chain.filter(seq=entry.seq - 1).first()
    before = previous.hash if previous else audit.GENESIS
    holds = entry.prev_hash == before and audit.link(before, entry.line) == entry.hash
    holds = holds and json.loads(entry.line) == audit.document_of(entry)
    return Detail(entry, previous, chain.filter(seq=entry.seq + 1).first(), holds)


def as_ndjson(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    """Yield one JSON document per line: the hashed line itself and its hashes. Constant memory."""
    rows = entries.order_by("id").values_list("line", "prev_hash", "hash")
    for line, prev_hash, digest in rows.iterator(chunk_size=1000):
        yield f'{{"line":{json.dumps(line)},"prev_hash":"{prev_hash}","hash":"{digest}"}}\n'


def as_csv(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    """Yield a CSV table, oldest first. Constant memory."""
    rows, size = [csv_line(_CSV_COLUMNS)], 0
    for entry in entries.order_by("id").iterator(chunk_size=1000):
        rows.append(csv_line(_cell(entry, column) for column in _CSV_COLUMNS))
        size += len(rows[-1])
        if size > 64 * 1024:
            yield "".join(rows)
            rows, size = [], 0
    yield "".join(rows)


def _cell(entry: AuditEntry, column: str) -> str:
    value = getattr(entry, column)
    if column == "at":
        return audit.timestamp(value)
    if column == "data":
        return audit.canonical(value)
    return str(value)
