"""Reading hash lists of any size, row by row: for the page, the command, the worker and exchanges alike.

Values in, values out. Read are CSV with or without a heading, lines of "type hash" as ThreatExchange's file exchange has them, NDJSON, and
a JSON array or an object whose ``entries``, ``data``, ``hashes`` or ``signals`` is one. Objects name the algorithm
(``algorithm``, ``type``, ``signal_type``, ``hash_type``), the digest (``value``, ``hash``, ``digest``, ``indicator``,
``signal_str``), a note, and ``retired_at`` with ``retired_reason``. Memory does not grow with the file.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO

from core.tables import LONGEST_LINE, Table, lines, restored
from hashing.csv_lists import (
    FIRST_ORDER,
    Parsed,
    Problem,
    Row,
    checked,
    fits,
    heading,
    ignored_of,
)

__all__ = ["parse", "read_rows"]

_PIECE = 1 << 16
MOST_IGNORED = 20
_ARRAYS = ("entries", "data", "hashes", "signals")
_TYPE = ("algorithm", "type", "signal_type", "hash_type", "hashtype", "signaltype")
_VALUE = (
    "value",
    "hash",
    "digest",
    "hash_value",
    "indicator",
    "signal_str",
    "signal_val",
    "signal",
    "hashvalue",
)
_NOTE = ("note", "notes", "comment", "description")


def parse(stream: BinaryIO, *, most_rows: int, now: datetime) -> Parsed:
    """Read a whole file; ``now`` is the time. Raises ValueError with a sentence when it is not readable as a list at all."""
    parsed = Parsed()
    seen: set[tuple[str, str]] = set()
    ignored: dict[str, None] = {}
    for each in read_rows(stream, ignored, now=now):
        if len(parsed.rows) + parsed.refused >= most_rows:
            raise ValueError(f"The file has more than {most_rows:,} rows.")
        if isinstance(each, Problem):
            parsed.refuse(each)
        elif (each.algorithm, each.value) in seen:
            parsed.duplicates += 1
        else:
            seen.add((each.algorithm, each.value))
            parsed.rows.append(each)
    if not parsed.rows and not parsed.refused:
        raise ValueError("The file holds no rows.")
    parsed.ignored = tuple(ignored)
    return parsed


def read_rows(
    stream: BinaryIO, ignored: dict[str, None] | None = None, *, now: datetime
) -> Iterator[Row | Problem]:
    """Yield every row, good or bad, in order; numbers count lines or entries from 1.

    The names of columns that are not read are put in ``ignored``; no row can have been retired after ``now``.
    Raises ValueError with a sentence when the file is not readable as a list at all.
    """
    ignored = {} if ignored is None else ignored
    text = _text(stream)
    head = ""
    for piece in text:
        head += piece
        if head.strip() or len(head) > _PIECE:
            break
    beginning = head.lstrip()
    if not beginning:
        raise ValueError("The file is empty.")
    rest = _joined(head, text)
    if beginning[0] == "[":
        yield from _of_objects(_elements(rest), ignored, now)
    elif beginning[0] == "{" and not _is_ndjson(beginning):
        yield from _of_objects(_elements(_after_array_begins(rest)), ignored, now)
    elif beginning[0] == "{":
        yield from _of_objects(_json_lines(rest), ignored, now)
    else:
        yield from _of_table(rest, ignored, now)


def _text(stream: BinaryIO) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        while piece := stream.read(_PIECE):
            if piece[:2] in {b"\xff\xfe", b"\xfe\xff"}:
                raise ValueError(
                    "The file is not text in UTF-8 but in UTF-16, as Excel’s “Unicode text” is: save it as “CSV UTF-8”."
                )
            if text := decoder.decode(piece):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text
    except UnicodeDecodeError:
        raise ValueError("The file is not text in UTF-8.") from None


def _joined(head: str, rest: Iterator[str]) -> Iterator[str]:
    yield head
    yield from rest


def _is_ndjson(beginning: str) -> bool:
    first = beginning.splitlines()[0]
    try:
        said = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and not any(isinstance(said.get(key), list) for key in _ARRAYS)


# ── Tables ────────────────────────────────────────────────────────────────────────────────────
def _of_table(
    pieces: Iterator[str], ignored: dict[str, None], now: datetime
) -> Iterator[Row | Problem]:
    table = Table(pieces, fits=fits)
    order = FIRST_ORDER
    names: list[str] = []
    for count, (number, cells) in enumerate(table):
        if count == 0 and (found := heading(cells)) is not None:
            order, names = found, cells
            ignored |= dict.fromkeys(ignored_of(cells))
            # A row may begin with its note, and a note with any sign.
            table.has_comments = 0 in (order["algorithm"], order["value"])
            continue
        yield _row(number, cells, order, names, now=now)


def _row(
    number: int,
    cells: Sequence[str],
    order: Mapping[str, int],
    names: Sequence[str] = (),
    *,
    now: datetime,
) -> Row | Problem:
    said = {name: restored(cells[at].strip()) for name, at in order.items() if at < len(cells)}
    used = set(order.values())
    others = {
        name: cells[at] for at, name in enumerate(names) if at not in used and at < len(cells)
    }
    if any(cell.strip() for cell in cells[len(names) if names else len(order) :]):
        columns = len(names) or len(order)
        return Problem(
            number,
            f"The row has {len(cells)} cells, the table {columns} columns: is a separator inside a note? Then quote the note.",
        )
    return checked(number, said, others, now=now)


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────
def _json_lines(pieces: Iterator[str]) -> Iterator[Any]:
    for number, line in lines(pieces):
        if line.strip():
            try:
                yield json.loads(line, object_pairs_hook=_object)
            except (ValueError, RecursionError):
                yield Problem(number, "The line is not JSON.")


def _after_array_begins(pieces: Iterator[str]) -> Iterator[str]:
    """Yield the text from the first list under a known name on. Raises ValueError."""
    pattern = re.compile(r'"(?:' + "|".join(_ARRAYS) + r')"\s*:\s*(?=\[)')
    pending = ""
    for piece in pieces:
        pending += piece
        if found := pattern.search(pending):
            yield pending[found.end() :]
            yield from pieces
            return
        if len(pending) > 16 * _PIECE:
            break
    raise ValueError(f"The JSON object holds no list called {', '.join(_ARRAYS)}.")


def _elements(pieces: Iterator[str]) -> Iterator[Any]:
    """Yield the elements of a JSON array one by one. Raises ValueError where it is not one."""
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    pending, number = next(pieces, "").lstrip()[1:], 0
    is_over = False
    while True:
        pending = pending.lstrip().removeprefix(",").lstrip()
        if pending.startswith("]"):
            return
        try:
            element, end = decoder.raw_decode(pending)
        except (ValueError, RecursionError):
            end = 0
        # A number at the end of a piece may go on in the next one.
        if not end or (end == len(pending) and not is_over):
            piece = next(pieces, None)
            if piece is None:
                if is_over or not pending:
                    raise ValueError(f"The JSON ends or breaks after entry {number:,}.") from None
                is_over = True
            elif len(pending) > 16 * LONGEST_LINE:
                raise ValueError(f"Entry {number + 1:,} is not JSON.") from None
            pending += piece or ""
            continue
        number += 1
        pending = pending[end:]
        yield element


def _of_objects(
    elements: Iterator[Any], ignored: dict[str, None], now: datetime
) -> Iterator[Row | Problem]:
    for number, element in enumerate(elements, start=1):
        if isinstance(element, Problem):
            yield element
        elif isinstance(element, dict):
            yield _of_object(number, element, ignored, now)
        elif isinstance(element, list) and 2 <= len(element) <= 3:
            yield _row(number, [_text_of(part) for part in element], FIRST_ORDER, now=now)
        else:
            yield Problem(number, "An entry is an object with algorithm and value.")


class _Unclear(dict[str, Any]):
    """An object that names something twice."""

    def __init__(self, pairs: list[tuple[str, Any]], name: str) -> None:
        super().__init__(pairs)
        self.name = name


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object as it was written: of a name that comes twice, the last value would stand in silence."""
    seen: set[str] = set()
    for name, _value in pairs:
        if name.lower() in seen:
            return _Unclear(pairs, name)
        seen.add(name.lower())
    return dict(pairs)


def _of_object(
    number: int, element: dict[Any, Any], ignored: dict[str, None], now: datetime
) -> Row | Problem:
    if isinstance(element, _Unclear):
        return Problem(
            number, f"The entry names “{element.name}” twice: nobody can tell which one counts."
        )
    lowered = {str(key).lower(): value for key, value in element.items()}
    for names in (_TYPE, _VALUE):
        given = [name for name in names if lowered.get(name) is not None]
        if len({_text_of(lowered[name]).lower() for name in given}) > 1:
            return Problem(
                number,
                f"“{given[0]}” and “{given[1]}” of the entry mean the same and differ: nobody can tell which one counts.",
            )
    found = {
        "algorithm": _first(lowered, _TYPE),
        "value": _first(lowered, _VALUE),
        "note": _first(lowered, _NOTE),
        "retired_at": _first(lowered, ("retired_at",)),
        "retired_reason": _first(lowered, ("retired_reason",)),
    }
    known = {*_TYPE, *_VALUE, *_NOTE, "retired_at", "retired_reason"}
    others = {key: _text_of(value) for key, value in lowered.items() if key not in known}
    if len(ignored) < MOST_IGNORED:
        ignored |= dict.fromkeys(ignored_of(others))
    return checked(number, found, others, now=now)


def _text_of(value: Any) -> str:
    """Return what a JSON value says, as it would be written in a table."""
    if value is None or value is False or value in ([], {}):
        return ""
    return str(value).strip()


def _first(said: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((_text_of(said[name]) for name in names if said.get(name) is not None), "")
