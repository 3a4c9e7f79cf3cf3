"""Files of links found outside: one link a line, CSV, or JSON lines. Values in, values out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from reports.links import NotALink, link_key

__all__ = ["LONGEST_PLACE", "MOST_ROWS", "LinkProblem", "LinkRow", "read_links"]

MOST_ROWS = 1_000_000
LONGEST_LINE = 8_192
"""Bytes."""
LONGEST_PLACE = 120
_HEADINGS = {"link", "url", "invite_link", "invite"}
_COLUMNS = {"link": "link", "url": "link", "invite_link": "link", "invite": "link"} | {
    "place": "place",
    "source": "place",
    "found_on": "place",
    "seen_at": "seen_at",
    "date": "seen_at",
}


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One link, where it stood (empty: the import's own place) and when it was seen."""

    key: str
    link: str
    place: str
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class LinkProblem:
    """A row that cannot be used, counted from 1, and why."""

    number: int
    reason: str


def read_links(stream: BinaryIO) -> Iterator[LinkRow | LinkProblem]:
    """Yield the rows of a file, in bounded memory. Empty lines and lines that begin with ``#`` are passed over.

    A first line that names columns (``link``, ``place``, ``seen_at``, in any order) is a heading. Raises
    ValueError, with a sentence, for a file that is not UTF-8 text or has more than ``MOST_ROWS`` rows.
    """
    columns: list[str] | None = None
    delimiter = ","
    count = 0
    number = 0
    while True:
        raw = stream.readline(LONGEST_LINE + 1)
        if not raw:
            return
        number += 1
        if len(raw) > LONGEST_LINE and not raw.endswith(b"\n"):
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(LONGEST_LINE)
            yield LinkProblem(number, f"The line has more than {LONGEST_LINE:,} bytes.")
            continue
        line = _text(raw, number).strip()
        if not line or line.startswith("#"):
            continue
        count += 1
        if count > MOST_ROWS:
            raise ValueError(f"The file has more than {MOST_ROWS:,} rows. Split it.")
        if line.startswith("{"):
            yield _from_json(line, number)
            continue
        if columns is None:
            delimiter = next((each for each in ("\t", ";", ",") if each in line), ",")
            cells = _cells(line, delimiter, number)
            names = [cell.strip().lower() for cell in cells]
            if set(names) & _HEADINGS and all(name in _COLUMNS for name in names if name):
                columns = [_COLUMNS.get(name, "") for name in names]
                continue
            columns = ["link", "place", "seen_at"]
        cells = _cells(line, delimiter, number)
        if len(cells) > len(columns):
            yield LinkProblem(
                number, f"The row has {len(cells)} columns; at most {len(columns)} are known."
            )
            continue
        said = dict(zip(columns, cells, strict=False))
        yield _row(said.get("link", ""), said.get("place", ""), said.get("seen_at", ""), number)


def _text(raw: bytes, number: int) -> str:
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"Line {number} is not UTF-8 text. Save the file as UTF-8.") from None
    if "\x00" in text:
        raise ValueError(f"Line {number} holds a NUL character: this is no text file.")
    return text


def _cells(line: str, delimiter: str, number: int) -> list[str]:
    """Raises ValueError for a cell that goes on in the next line: what stands there is no row of its own."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error as broken:
        if "unexpected end of data" in str(broken):
            raise ValueError(
                f"Line {number:,} has a quotation mark that is not closed on it. A cell of a file of links is one line."
            ) from None
        return [line]  # The row is then refused as no link.


def _from_json(line: str, number: int) -> LinkRow | LinkProblem:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return LinkProblem(number, "The line begins like JSON and is none.")
    link = said.get("link") or said.get("url") or said.get("invite_link") or ""
    place, seen = said.get("place", ""), said.get("seen_at", "")
    if not all(isinstance(each, str) for each in (link, place, seen)):
        return LinkProblem(number, "link, place and seen_at are texts.")
    return _row(link, place, seen, number)


def _row(link: str, place: str, seen_at: str, number: int) -> LinkRow | LinkProblem:
    try:
        key = link_key(link)
    except NotALink as no:
        return LinkProblem(number, str(no))
    place = place.strip()
    if len(place) > LONGEST_PLACE or "\x00" in place:
        return LinkProblem(number, f"A place has at most {LONGEST_PLACE} characters.")
    seen = None
    if seen_at.strip():
        try:
            seen = datetime.fromisoformat(seen_at.strip())
        except ValueError:
            return LinkProblem(number, "The date is not like 2026-11-22 or 2026-11-22T10:42:00Z.")
        seen = seen if seen.tzinfo else seen.replace(tzinfo=UTC)
        if not 1990 <= seen.year <= 2200:
            return LinkProblem(number, "The date lies between 1990 and 2200.")
    return LinkRow(key, link.strip(), place, seen)
