"""Tables as text: one way to read CSV and one to write it. Values in, values out.

A quoted cell may hold line breaks, so what a line is cannot be told without reading what is before it: whoever
splits a file into lines first sees rows that nobody wrote. Everything here reads records, as RFC 4180 has them.

A spreadsheet takes a cell for a formula when it begins like one, and runs it. What is written gets an apostrophe in
front where a cell begins, behind white space or apostrophes, with ``=``, ``+``, ``-`` or ``@``, in ordinary or full
width, or with a tab or a line end (OWASP, CSV Injection). ``restored`` takes exactly these away again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = [
    "LONGEST_LINE",
    "LONGEST_RECORD",
    "Table",
    "csv_line",
    "lines",
    "plain",
    "restored",
    "separator_of",
]

LONGEST_LINE = 64 * 1024
"""Characters of one line."""
LONGEST_RECORD = 128 * 1024
"""Characters of one record, over all its lines."""
SEPARATORS = ",;\t|"

_FORMULA = "(?:[ \\t\\r\\n\\v\\f\\0\u00a0\u2000-\u200b\u3000\ufeff]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\\t\\r\\n])"
_IS_FORMULA: Callable[[str], re.Match[str] | None] = re.compile(f"'*{_FORMULA}").match
_IS_ESCAPED: Callable[[str], re.Match[str] | None] = re.compile(f"'+{_FORMULA}").match
_EXCEL = re.compile(r'"?sep=(.)"?')


def plain(cell: str) -> str:
    """Return a cell so that no spreadsheet runs it."""
    return f"'{cell}" if _IS_FORMULA(cell) else cell


def restored(cell: str) -> str:
    """Return what ``plain`` was given. Other cells stay as they are."""
    return cell[1:] if _IS_ESCAPED(cell) else cell


def csv_line(cells: Iterable[object]) -> str:
    """Return one record of a table that people may open in a spreadsheet, with its line end.

    The line end is CR LF (RFC 4180); with another one Python's writer would leave a bare CR inside a cell unquoted.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([plain(cell) if isinstance(cell, str) else cell for cell in cells])
    return out.getvalue()


def separator_of(first: str, fits: Callable[[Sequence[str]], bool]) -> str:
    """Return what separates the cells of a line: the one whose cells ``fit``, else the most frequent, else nothing."""
    by_count = sorted(SEPARATORS, key=lambda each: (-first.count(each), SEPARATORS.index(each)))
    for each in by_count:
        if each in first and fits(_cells(first, each)):
            return each
    if by_count[0] not in first or fits(first.split()):
        return ""
    return by_count[0]


def _cells(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error:
        return [text]


class Table:
    """The records of a text that comes in pieces, each as (number of its first line, cells).

    Empty lines, records whose cells are all empty, and lines that begin with ``#`` are passed over; the last only
    while ``has_comments`` is set. A first line ``sep=;``, as Excel writes it, names the separator. Where nothing
    separates, cells are words: at most ``words`` of them, the last with the rest of the line. Memory is bounded.
    """

    def __init__(
        self, pieces: Iterable[str], *, fits: Callable[[Sequence[str]], bool], words: int = 3
    ) -> None:
        self.has_comments = True
        self._lines = lines(pieces)
        self._fits = fits
        self._words = words
        self._first = 0
        """Number of the first line of the record that is being read; 0 between records."""
        self._length = 0

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Raises ValueError, with a sentence, for a line or record without end and for quotation marks that do not fit."""
        number, first = next(self._told(), (0, ""))
        if not number:
            return
        if said := _EXCEL.fullmatch(first.strip()):
            separator, begun = said.group(1), []
        else:
            separator, begun = separator_of(first.rstrip("\r\n"), self._fits), [(number, first)]
        self._rest = iter(begun)
        if not separator:
            yield from self._by_words(number, first)
            return
        # Strict: without that the end of a file inside quotation marks would swallow rows.
        reader = csv.reader(self._fed(), delimiter=separator, strict=True)
        while True:
            self._first = self._length = 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as broken:
                raise ValueError(_in_words(broken, self._first)) from None
            if any(cell.strip() for cell in cells):
                yield self._first, cells

    def _by_words(self, number: int, first: str) -> Iterator[tuple[int, list[str]]]:
        yield number, first.split(None, self._words - 1)
        for at, text in self._told():
            yield at, text.split(None, self._words - 1)

    def _told(self) -> Iterator[tuple[int, str]]:
        """Yield lines that can begin a record."""
        for number, text in self._lines:
            begin = text.lstrip()
            if begin and not (self.has_comments and begin.startswith("#")):
                yield number, text

    def _fed(self) -> Iterator[str]:
        """Hand the reader line after line. It asks for one at a time, so that what it asks for first begins a record."""
        while True:
            # Inside a record every line is part of it, whatever it looks like.
            found = next(self._rest, None) or next(
                self._told() if not self._first else self._lines, None
            )
            if found is None:
                return
            number, text = found
            self._first = self._first or number
            self._length += len(text)
            if self._length > LONGEST_RECORD:
                raise ValueError(
                    f"The row that begins on line {self._first:,} is longer than {LONGEST_RECORD:,} characters: "
                    "is a quotation mark never closed?"
                )
            yield text


def _in_words(broken: csv.Error, number: int) -> str:
    said = str(broken)
    if "unexpected end of data" in said:
        return f"The quotation mark in the row that begins on line {number:,} is never closed."
    if "expected after" in said:
        return (
            f"Line {number:,} is not readable as CSV: text follows a closing quotation mark. Write a quotation mark "
            "inside a quoted cell twice."
        )
    return f"Line {number:,} is not readable as CSV: {said}."


def lines(pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield (number, line) with its line end. Raises ValueError for one that never ends."""
    pending, number = "", 0
    for piece in pieces:
        pending += piece
        found = re.split(r"(\r\n|\n|\r(?!$))", pending)
        pending = found.pop()
        for at in range(0, len(found), 2):
            number += 1
            if len(found[at]) > LONGEST_LINE:
                raise ValueError(f"Line {number:,} is longer than {LONGEST_LINE:,} characters.")
            yield number, found[at] + found[at + 1]
        if len(pending) > LONGEST_LINE:
            raise ValueError(f"Line {number + 1:,} is longer than {LONGEST_LINE:,} characters.")
    if pending:
        yield number + 1, pending
