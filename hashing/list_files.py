"""Reading hash lists of any size, row by row. Values in, values out.

Read are CSV with or without a heading, lines of "type hash" as ThreatExchange's file exchange has them, NDJSON, and
a JSON array or an object whose ``entries``, ``data``, ``hashes`` or ``signals`` is one. Objects name the algorithm
(``algorithm``, ``type``, ``signal_type``, ``hash_type``), the digest (``value``, ``hash``, ``digest``, ``indicator``,
``signal_str``) and a note. Memory does not grow with the file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from hashing.csv_lists import NOTE_LENGTH, Problem, Row, heading, normalised

__all__ = ["LONGEST_LINE", "read_rows"]

LONGEST_LINE = 64 * 1024
_PIECE = 1 << 16
_ARRAYS = ("entries", "data", "hashes", "signals")
_TYPE = ("algorithm", "type", "signal_type", "hash_type", "hashtype", "signaltype")
_VALUE = ("value", "hash", "digest", "hash_value", "indicator", "signal_str", "signal", "hashvalue")
_NOTE = ("note", "notes", "comment", "description")


def read_rows(stream: BinaryIO) -> Iterator[Row | Problem]:
    """Yield every row, good or bad, in order; numbers count lines or entries from 1.

    Raises ValueError with a sentence when the file is not readable as a list at all.
    """
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
        yield from _of_objects(_elements(rest))
    elif beginning[0] == "{" and not _is_ndjson(beginning):
        yield from _of_objects(_elements(_after_array_begins(rest)))
    elif beginning[0] == "{":
        yield from _of_objects(_json_lines(rest))
    else:
        yield from _of_lines(rest)


def _text(stream: BinaryIO) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        while piece := stream.read(_PIECE):
            if text := decoder.decode(piece):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text
    except UnicodeDecodeError:
        raise ValueError("The file is not text in UTF-8.") from None


def _joined(head: str, rest: Iterator[str]) -> Iterator[str]:
    yield head
    yield from rest


def _lines(pieces: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Yield (number, line) without line ends. Raises ValueError for one that never ends."""
    pending, number = "", 0
    for piece in pieces:
        pending += piece
        *whole, pending = re.split(r"\r\n|\n|\r(?!$)", pending)
        for line in whole:
            number += 1
            yield number, line
        if len(pending) > LONGEST_LINE:
            raise ValueError(f"Line {number + 1} is longer than {LONGEST_LINE:,} characters.")
    if pending.strip():
        yield number + 1, pending


def _is_ndjson(beginning: str) -> bool:
    first = beginning.splitlines()[0]
    try:
        said = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and not any(isinstance(said.get(key), list) for key in _ARRAYS)


# ── Lines ─────────────────────────────────────────────────────────────────────────────────────
def _of_lines(pieces: Iterator[str]) -> Iterator[Row | Problem]:
    order = {"algorithm": 0, "value": 1, "note": 2}
    separator = ""
    for number, line in _lines(pieces):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not separator:
            separator = max(",;\t", key=line.count)
            if not line.count(separator):
                separator = " "
            cells = _cells(line, separator)
            found = heading(cells) if separator != " " else None
            if found is not None:
                order = found
                continue
        yield _row(number, _cells(line, separator), order)


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split(None, 2)
    try:
        return next(csv.reader(io.StringIO(line), delimiter=separator))
    except (csv.Error, StopIteration):
        return [line]


def _row(number: int, cells: list[str], order: dict[str, int]) -> Row | Problem:
    cell = {name: cells[at].strip() for name, at in order.items() if at < len(cells)}
    return _checked(number, cell.get("algorithm", ""), cell.get("value", ""), cell.get("note", ""))


def _checked(number: int, algorithm: str, value: str, note: str) -> Row | Problem:
    try:
        known, digest = normalised(algorithm, value)
    except ValueError as wrong:
        return Problem(number, str(wrong))
    if len(note) > NOTE_LENGTH:
        return Problem(number, f"The note is longer than {NOTE_LENGTH} characters.")
    return Row(number, known, digest, note.replace("\x00", ""))


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────
def _json_lines(pieces: Iterator[str]) -> Iterator[Any]:
    for number, line in _lines(pieces):
        if line.strip():
            try:
                yield json.loads(line)
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
    decoder = json.JSONDecoder()
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


def _of_objects(elements: Iterator[Any]) -> Iterator[Row | Problem]:
    for number, element in enumerate(elements, start=1):
        if isinstance(element, Problem):
            yield element
        elif isinstance(element, dict):
            lowered = {str(key).lower(): value for key, value in element.items()}
            yield _checked(
                number, _first(lowered, _TYPE), _first(lowered, _VALUE), _first(lowered, _NOTE)
            )
        elif isinstance(element, list) and 2 <= len(element) <= 3:
            yield _row(
                number, [str(part) for part in element], {"algorithm": 0, "value": 1, "note": 2}
            )
        else:
            yield Problem(number, "An entry is an object with algorithm and value.")


def _first(said: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(said[name]) for name in names if said.get(name) is not None), "")
