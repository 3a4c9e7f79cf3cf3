"""Reading labelled texts from CSV or NDJSON. Values in, values out.

Columns or keys: ``text``, ``label``, and if known ``date`` (ISO 8601), ``subject``, ``surface``. CSV needs the
heading line; comma, semicolon or tab. A label is one of two words: yes, true, 1, positive, violation,
confirmed; or no, false, 0, negative, harmless.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "LARGEST_FILE",
    "MOST_ROWS",
    "Parsed",
    "Problem",
    "Row",
    "from_stored",
    "parse",
    "to_store",
]

MOST_ROWS = 200_000
LARGEST_FILE = 50 * 1024 * 1024
LONGEST_TEXT = 20_000
_LONGEST_SUBJECT = 200
_PROBLEMS_KEPT = 200
_YES = {"yes", "true", "1", "positive", "violation", "confirmed"}
_NO = {"no", "false", "0", "negative", "harmless"}
_COLUMNS = {
    "text": "text",
    "message": "text",
    "label": "label",
    "class": "label",
    "date": "date",
    "time": "date",
    "at": "date",
    "subject": "subject",
    "account": "subject",
    "group": "subject",
    "surface": "surface",
}


@dataclass(frozen=True)
class Row:
    """A good row; ``number`` counts lines of the file from 1."""

    number: int
    text: str
    label: bool
    at: datetime | None = None
    subject: str = ""
    surface: str = ""


@dataclass(frozen=True)
class Problem:
    """A row that cannot be taken, and why. The text itself is not repeated."""

    number: int
    reason: str


@dataclass
class Parsed:
    """What a file holds. ``refused`` counts all bad rows, ``problems`` holds the first 200."""

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0

    @property
    def positives(self) -> int:
        """How many rows say yes."""
        return sum(row.label for row in self.rows)


def parse(data: bytes, *, surfaces: Collection[str] = ()) -> Parsed:
    """Read a whole file. Raises ValueError with a sentence when it is neither CSV nor NDJSON."""
    if len(data) > LARGEST_FILE:
        raise ValueError("The file is larger than 50 MB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("The file is not text in UTF-8.") from None
    if not text.strip():
        raise ValueError("The file holds no rows.")
    lines = _json_lines(text) if text.lstrip().startswith("{") else _csv_lines(text)
    parsed = Parsed()
    for number, said in lines:
        if len(parsed.rows) + parsed.refused >= MOST_ROWS:
            raise ValueError(f"The file has more than {MOST_ROWS:,} rows; divide it.")
        try:
            parsed.rows.append(_row(number, said, surfaces))
        except ValueError as problem:
            parsed.refused += 1
            if len(parsed.problems) < _PROBLEMS_KEPT:
                parsed.problems.append(Problem(number, str(problem)))
    if not parsed.rows and not parsed.refused:
        raise ValueError("The file holds no rows.")
    return parsed


def _json_lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None


def _csv_lines(text: str) -> Iterator[tuple[int, Any]]:
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str | None] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                names = [_COLUMNS.get(cell.strip().lower()) for cell in cells]
                missing = [name for name in ("text", "label") if name not in names]
                if missing:
                    raise ValueError(f"The heading line names no column “{missing[0]}”.")
                continue
            pairs = zip(names, cells, strict=False)
            yield reader.line_num, {name: cell for name, cell in pairs if name}
    except csv.Error:
        raise ValueError(f"The file is not readable as CSV near line {reader.line_num}.") from None


def _row(number: int, said: Any, surfaces: Collection[str]) -> Row:
    if not isinstance(said, dict):
        raise ValueError("The row is not a JSON object.")  # noqa: TRY004 — a sentence for the report
    values = {_COLUMNS.get(str(key).lower(), ""): value for key, value in said.items()}
    text = values.get("text")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("The text is missing.")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"The text is longer than {LONGEST_TEXT:,} characters.")
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("The text holds characters that are no text.")
    subject = str(values.get("subject") or "").strip()
    if len(subject) > _LONGEST_SUBJECT:
        raise ValueError(f"The subject is longer than {_LONGEST_SUBJECT} characters.")
    surface = str(values.get("surface") or "").strip()
    if surface and surfaces and surface not in surfaces:
        raise ValueError(f"“{surface[:40]}” is not a surface; use {', '.join(sorted(surfaces))}.")
    return Row(
        number, text, _label(values.get("label")), _date(values.get("date")), subject, surface
    )


def _label(said: Any) -> bool:
    word = str(said if said is not None else "").strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    if not word:
        raise ValueError("The label is missing.")
    raise ValueError(f"“{word[:40]}” is not a label; use yes or no.")


def _date(said: Any) -> datetime | None:
    word = str(said if said is not None else "").strip()
    if not word:
        return None
    try:
        at = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(f"“{word[:40]}” is not a date; write 2026-01-31.") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def to_store(rows: list[Row]) -> bytes:
    """Return rows as they are kept, encrypted, by the vault: NDJSON in one spelling."""
    lines = (
        json.dumps(
            {
                "text": row.text,
                "label": row.label,
                "date": row.at.isoformat() if row.at else "",
                "subject": row.subject,
                "surface": row.surface,
                "row": row.number,
            },
            sort_keys=True,
            ensure_ascii=False,
        )
        for row in rows
    )
    return "\n".join(lines).encode()


def from_stored(data: bytes) -> Iterator[Row]:
    """Yield the rows of what ``to_store`` wrote."""
    for line in data.decode().split("\n"):
        said = json.loads(line)
        yield Row(
            said["row"],
            said["text"],
            said["label"],
            _date(said["date"]),
            said["subject"],
            said["surface"],
        )
