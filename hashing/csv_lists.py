"""What a row of a hash list is, and what is wrong with one. Values in, values out; nothing is guessed.

Columns: algorithm, value, note, retired_at, retired_reason. A heading line is optional and may name them in any
order and in other common words. Values are trimmed and put in lower case. A column that may take a row out of
force and is not understood is never passed over: the rows that it speaks of are refused.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hashing.digests import BITS

__all__ = [
    "COLUMNS",
    "FIRST_ORDER",
    "Parsed",
    "Problem",
    "Row",
    "check_listable",
    "check_named_once",
    "check_other",
    "checked",
    "fits",
    "heading",
    "ignored_of",
    "normalised",
]

NOTE_LENGTH = 500
AHEAD = timedelta(days=1)
"""How far in the future a retirement may seem to lie: a time without an offset may be the local one, and clocks differ."""
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
    "signalval": "value",
    "signalstr": "value",
    "indicator": "value",
    "retiredat": "retired_at",
    "retiredreason": "retired_reason",
}

COLUMNS = ("algorithm", "value", "note", "retired_at", "retired_reason")
"""The columns of an exported list."""
FIRST_ORDER = {"algorithm": 0, "value": 1, "note": 2}
"""Where the columns are in a file without a heading."""

_MEANING = frozenset(
    {"deleted", "isdeleted", "removed", "retired", "isretired", "revoked", "withdrawn", "invalid"}
    | {"deletedat", "removedat", "revokedat", "withdrawnat", "expired", "expiredat", "expires"}
    | {"expiresat", "validuntil", "falsepositive", "isfalsepositive", "negative", "isnegative"}
    | {"disabled", "inactive", "allowlisted", "whitelisted", "harmless"}
)
"""Columns that take a row out of force, wherever they say anything."""
_STANDING = frozenset({"active", "isactive", "enabled", "isenabled", "status", "state", "valid"})
"""Columns that take a row out of force, wherever they do not say that it is in force."""
_NO = frozenset({"", "0", "false", "no", "n", "f", "none", "null", "-"})
_YES = frozenset(
    {"", "1", "true", "yes", "y", "t", "active", "enabled", "valid", "in force", "ok"}
    | {"confirmed", "verified", "approved"}
)

_MEANINGLESS = {
    ("md5", "d41d8cd98f00b204e9800998ecf8427e"): "the empty file",
    ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"): "the empty file",
    (
        "sha256",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ): "the empty file",
    ("pdq", "0" * 64): "pictures without any detail, as every black one is",
    ("pdq", "f" * 64): "no picture at all",
    ("phash", "0" * 16): "pictures without any detail, as every black one is",
    ("phash", "8" + "0" * 15): "pictures of one colour",
    ("dhash", "0" * 16): "pictures of one colour",
    ("whash", "0" * 16): "pictures without any detail, as every black one is",
    ("whash", "f" * 16): "pictures of one colour",
}
"""Digests that say nothing of what they were made of: on a list they would match whatever is empty."""


@dataclass(frozen=True)
class Row:
    """A good row of the file; ``number`` counts lines as an editor shows them, from 1, or entries.

    With ``retired_at`` the entry was out of force where the file was made, and has ``retired_reason``.
    """

    number: int
    algorithm: str
    value: str
    note: str
    retired_at: datetime | None = None
    retired_reason: str = ""


@dataclass(frozen=True)
class Problem:
    """A line that cannot be taken, and why."""

    number: int
    reason: str


@dataclass
class Parsed:
    """What a file holds. ``refused`` counts all bad rows, ``problems`` holds the first 200 of them.

    ``ignored`` names columns that were not read.
    """

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0
    duplicates: int = 0
    ignored: tuple[str, ...] = ()

    def refuse(self, problem: Problem) -> None:
        """Note a bad row."""
        self.refused += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(problem)


def normalised(algorithm: str, value: str) -> tuple[str, str]:
    """Return algorithm and digest as they are stored. Raises ValueError with a sentence."""
    key = _key(algorithm)
    if not key:
        raise ValueError("The algorithm is missing.")
    known = ALGORITHMS.get(key)
    if known is None:
        if re.fullmatch(r"(?:0x)?(?:[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})", key):
            raise ValueError(
                "A digest stands where the algorithm belongs: write its algorithm before it, as in md5,<digest>."
            )
        raise ValueError(
            f"“{_short(algorithm)}” is not an algorithm that is known here: "
            "use md5, sha1, sha256, pdq, phash, dhash or whash."
        )
    digest = re.sub(r"\s+", "", value).lower().removeprefix("0x")
    if not digest:
        raise ValueError("The value is missing.")
    wanted = BITS[known] // 4
    if not re.fullmatch(r"[0-9a-f]+", digest):
        raise ValueError(f"“{_short(value)}” is not hexadecimal{_help(value, wanted)}.")
    if len(digest) != wanted:
        raise ValueError(
            f"{known} values have {wanted} hexadecimal digits, this one has {len(digest)}."
        )
    return known, digest


def _help(value: str, wanted: int) -> str:
    """Return what is likely to have happened to a digest of ``wanted`` hexadecimal digits, to go on a sentence with."""
    value = value.strip()
    if re.fullmatch(r"\d+(?:[.,]\d+)?[eE]\+\d+", value):
        return ": a spreadsheet took it for a number and its digits are lost. Export the column as text"
    if value.startswith(("'", '="')):
        return ": a spreadsheet's sign for text stands before it. Take it away"
    if re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", value) and len(value.rstrip("=")) == -(
        -wanted * 4 // 6
    ):
        return ": it looks like base64. Write it in hexadecimal digits"
    return ""


def check_listable(algorithm: str, value: str) -> None:
    """Raise ValueError, with a sentence, for a digest that says nothing of what it was made of."""
    if what := _MEANINGLESS.get((algorithm, value)):
        raise ValueError(
            f"This {algorithm} is that of {what}: on a list it would match all of them."
        )


def checked(
    number: int, said: Mapping[str, str], others: Mapping[str, str], *, now: datetime
) -> Row | Problem:
    """Return one row from its cells by column, and from those of columns that are not read; ``now`` is the time."""
    try:
        algorithm, value = normalised(said.get("algorithm", ""), said.get("value", ""))
        check_listable(algorithm, value)
        for name, cell in others.items():
            check_other(name, cell)
        retired_at = _retired_at(said.get("retired_at", ""), now)
    except ValueError as wrong:
        return Problem(number, str(wrong))
    note, reason = said.get("note", ""), said.get("retired_reason", "")
    for name, text in (("note", note), ("reason of its retirement", reason)):
        if len(text) > NOTE_LENGTH:
            return Problem(number, f"The {name} is longer than {NOTE_LENGTH} characters.")
    if reason and retired_at is None:
        return Problem(number, "It has a retired_reason and no retired_at: is it in force or not?")
    reason = reason.replace("\x00", "") or RETIRED_BEFORE
    return Row(
        number,
        algorithm,
        value,
        note.replace("\x00", ""),
        retired_at,
        reason if retired_at else "",
    )


RETIRED_BEFORE = "It was retired in the list that was imported, without a reason."


def _retired_at(said: str, now: datetime) -> datetime | None:
    if not said or _key(said) in _NO:
        return None
    at = None
    with contextlib.suppress(ValueError):
        at = datetime.fromisoformat(said)
    if at is None or not 1990 <= at.year <= 2200:
        raise ValueError(
            f"“{_short(said)}” is not a time: retired_at is written as 2026-11-22T10:42:00Z, or left empty."
        )
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at > now + AHEAD:
        raise ValueError(
            f"retired_at “{_short(said)}” lies in the future: is the entry in force or not? Leave it empty until then."
        )
    return at


def check_other(name: str, cell: str) -> None:
    key, said = _key(name), cell.strip().lower()
    if (key in _MEANING and said not in _NO) or (key in _STANDING and said not in _YES):
        raise ValueError(
            f"The column “{_short(name)}” says “{_short(cell)}”, which may take the row out of force and is not read here: "
            "leave the row out, or mark it by retired_at and retired_reason."
        )


def fits(cells: Sequence[str]) -> bool:
    """Return whether a first line, cut into these cells, is that of a list: a heading, or a row with an algorithm."""
    try:
        return len(cells) > 1 and (_key(cells[0]) in ALGORITHMS or heading(cells) is not None)
    except ValueError:
        return True  # A heading that lacks something, which is said where it is read.


def ignored_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the columns among some names that are not read, each once, at most 20. Of several notes the first is read."""
    found: dict[str, None] = {}
    has_note = False
    for each in names:
        meaning = _HEADINGS.get(_key(each))
        if each and (meaning is None or (meaning == "note" and has_note)):
            found[_short(each)] = None
        has_note = has_note or meaning == "note"
    return tuple(found)[:20]


_DIGEST = re.compile(r"(0x)?[0-9a-fA-F]{16,}", re.ASCII)


def heading(cells: Sequence[str]) -> dict[str, int] | None:
    """Return where the columns are if this line is a heading, else None. Raises ValueError.

    A line with a digest is none, whatever words its note has: no column is named so.
    """
    if any(_DIGEST.fullmatch(cell.strip()) for cell in cells):
        return None
    names = [_key(cell) for cell in cells]
    order: dict[str, int] = {}
    for at, name in enumerate(names):
        if name in _HEADINGS:
            order.setdefault(_HEADINGS[name], at)
    kinds = [cells[at].strip() for at, name in enumerate(names) if name in ALGORITHMS]
    if "value" not in order and "algorithm" not in order:
        if len(kinds) > 1 or (kinds and order):
            raise ValueError(
                f"The file has a column for each kind of digest ({', '.join(kinds[:4])}). Write one row for each digest, "
                "with the columns algorithm, value and note."
            )
        return None
    missing = [name for name in ("algorithm", "value") if name not in order]
    if missing:
        raise ValueError(f"The heading line names no column “{missing[0]}”.")
    check_named_once(cells, {name: meant for name, meant in _HEADINGS.items() if meant != "note"})
    return order


def check_named_once(cells: Iterable[str], meanings: Mapping[str, str]) -> None:
    """Raise ValueError, with a sentence, where two columns have one name or, by ``meanings``, one meaning."""
    seen: dict[str, str] = {}
    for cell in cells:
        name = _key(cell)
        meaning = meanings.get(name, name)
        if not name:
            continue
        if meaning not in seen:
            seen[meaning] = cell
        elif _key(seen[meaning]) == name:
            raise ValueError(
                f"The heading line names the column “{_short(cell)}” twice: keep one of them, nobody can tell which one counts."
            )
        else:
            raise ValueError(
                f"The columns “{_short(seen[meaning])}” and “{_short(cell)}” of the heading line mean the same ({meaning}): "
                "keep one of them, nobody can tell which one counts."
            )


def _key(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
