"""Reading hash lists from CSV. Values in, values out; nothing is guessed that could be wrong.

Columns: algorithm, value, note. A heading line is optional and may name them in any order and in other common
words; the separator may be a comma, a semicolon or a tab. Values are trimmed and put in lower case.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from hashing.digests import BITS

__all__ = ["Parsed", "Problem", "Row", "heading", "normalised", "parse"]

NOTE_LENGTH = 500
PROBLEMS_KEPT = 200
_SHOWN = 40

ALGORITHMS = {
    "md5": "md5",
    "sha1": "sha1",
    "sha256": "sha256",
    "pdq": "pdq",
    "pdqhash": "pdq",
    "phash": "phash",
    "dhash": "dhash",
    "whash": "whash",
    "imagepdq": "pdq",
    "photopdq": "pdq",
    "videomd5": "md5",
    "photomd5": "md5",
    "hashpdq": "pdq",
    "hashmd5": "md5",
    "hashsha1": "sha1",
    "hashsha256": "sha256",
}
"""Ways to write an algorithm, without case, spaces, ``-`` and ``_``."""

_HEADINGS = {
    "algorithm": "algorithm",
    "algo": "algorithm",
    "type": "algorithm",
    "hashtype": "algorithm",
    "signaltype": "algorithm",
    "value": "value",
    "hash": "value",
    "digest": "value",
    "hashvalue": "value",
    "signal": "value",
    "note": "note",
    "notes": "note",
    "comment": "note",
    "description": "note",
}


@dataclass(frozen=True)
class Row:
    """A good line of the file; ``number`` counts lines as an editor shows them, from 1."""

    number: int
    algorithm: str
    value: str
    note: str


@dataclass(frozen=True)
class Problem:
    """A line that cannot be taken, and why."""

    number: int
    reason: str


@dataclass
class Parsed:
    """What a file holds. ``refused`` counts all bad lines, ``problems`` holds the first 200 of them."""

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0
    duplicates: int = 0

    def refuse(self, number: int, reason: str) -> None:
        """Note a bad line."""
        self.refused += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(Problem(number, reason))


def normalised(algorithm: str, value: str) -> tuple[str, str]:
    """Return algorithm and digest as they are stored. Raises ValueError with a sentence."""
    key = re.sub(r"[\s_-]", "", algorithm).lower()
    if not key:
        raise ValueError("The algorithm is missing.")
    known = ALGORITHMS.get(key)
    if known is None:
        raise ValueError(
            f"“{_short(algorithm)}” is not an algorithm that is known here: "
            "use md5, sha1, sha256, pdq, phash, dhash or whash."
        )
    digest = re.sub(r"\s+", "", value).lower().removeprefix("0x")
    if not digest:
        raise ValueError("The value is missing.")
    wanted = BITS[known] // 4
    if not re.fullmatch(r"[0-9a-f]+", digest):
        raise ValueError(f"“{_short(value)}” is not hexadecimal.")
    if len(digest) != wanted:
        raise ValueError(
            f"{known} values have {wanted} hexadecimal digits, this one has {len(digest)}."
        )
    return known, digest


def parse(stream: BinaryIO, *, most_rows: int) -> Parsed:
    """Read a whole file. Raises ValueError with a sentence when it is not readable as CSV at all."""
    parsed = Parsed()
    seen: set[tuple[str, str]] = set()
    order = {"algorithm": 0, "value": 1, "note": 2}
    for count, (number, cells) in enumerate(_lines(stream)):
        if count == 0 and (found := heading(cells)) is not None:
            order = found
            continue
        if len(parsed.rows) + parsed.refused >= most_rows:
            raise ValueError(f"The file has more than {most_rows:,} rows.")
        cell = {name: cells[at].strip() for name, at in order.items() if at < len(cells)}
        note = cell.get("note", "")
        try:
            algorithm, value = normalised(cell.get("algorithm", ""), cell.get("value", ""))
        except ValueError as problem:
            parsed.refuse(number, str(problem))
            continue
        if len(note) > NOTE_LENGTH:
            parsed.refuse(number, f"The note is longer than {NOTE_LENGTH} characters.")
            continue
        if (algorithm, value) in seen:
            parsed.duplicates += 1
            continue
        seen.add((algorithm, value))
        parsed.rows.append(Row(number, algorithm, value, note.replace("\x00", "")))
    if not parsed.rows and not parsed.refused:
        raise ValueError("The file holds no rows.")
    return parsed


def heading(cells: list[str]) -> dict[str, int] | None:
    """Return where the columns are if this line is a heading, else None. Raises ValueError."""
    names = [re.sub(r"[\s_-]", "", cell).lower() for cell in cells]
    order: dict[str, int] = {}
    for at, name in enumerate(names):
        if name in _HEADINGS:
            order.setdefault(_HEADINGS[name], at)
    if "value" not in order and "algorithm" not in order:
        return None
    missing = [name for name in ("algorithm", "value") if name not in order]
    if missing:
        raise ValueError(f"The heading line names no column “{missing[0]}”.")
    return order


def _lines(stream: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every line that is not blank. Raises ValueError."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        first = text.readline(100_000)
        separator = max(",;\t", key=first.count)
        reader = csv.reader(itertools.chain([first], text), delimiter=separator)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except UnicodeDecodeError:
        raise ValueError("The file is not text in UTF-8.") from None
    except csv.Error as broken:
        raise ValueError(f"The file is not readable as CSV: {broken}.") from None
    finally:
        text.detach()


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
