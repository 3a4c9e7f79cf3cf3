"""Conversations: which messages may be told together, and in which order they are read.

A message's ``position`` settles its place, whatever the order in which it was listed, when it was sent by its sender's
clock, and in which report it came. A message without one stands behind the message listed before it in its report. Two
versions of one message (an edit that came later) stand side by side, in the order in which they came. Numbers that
nobody sent are gaps: what a reader must not take for silence.

Pure: values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

LAST_POSITION = 2**53 - 1
"""The largest position: what JSON numbers keep exactly (RFC 8259, section 6)."""


class Told(Protocol):
    """An item as its sender tells it."""

    external_id: str
    conversation: str | None
    reply_to: str | None
    position: int | None


def problems_of(items: Sequence[Told]) -> dict[str, list[str]]:
    """Return what is wrong between the items of one report: field → sentences. Empty when nothing is.

    A place is taken once in a conversation, but for versions of one message, which share their ``external_id``.
    """
    problems: dict[str, list[str]] = {}
    taken: dict[tuple[str, int], tuple[int, str]] = {}
    for index, item in enumerate(items):
        if item.reply_to and item.reply_to == item.external_id:
            problems[f"items.{index}.reply_to"] = ["A message cannot be a reply to itself."]
        if item.position is None:
            continue
        place = (item.conversation or "", item.position)
        other, name = taken.setdefault(place, (index, item.external_id))
        if other != index and not (name and name == item.external_id):
            problems[f"items.{index}.position"] = [
                f"items.{other} has this place in the conversation already."
            ]
    return problems


@dataclass(frozen=True, slots=True)
class Entry:
    """A message on its way into order. ``arrival`` is the number of its report, ``listed`` its place in that."""

    key: Any
    arrival: int
    listed: int
    position: int | None = None
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Places ``first`` to ``last`` of a conversation, of which nothing was sent."""

    first: int
    last: int

    @property
    def words(self) -> str:
        """What to say of it, without a full stop."""
        if self.first == self.last:
            return f"Position {self.first} was not sent"
        return f"Positions {self.first} to {self.last} were not sent"


def in_order(entries: Iterable[Entry]) -> list[Entry | Gap]:
    """Return the messages of one conversation as they are read, with the gaps between their positions."""
    by_report: dict[int, list[Entry]] = {}
    for entry in entries:
        by_report.setdefault(entry.arrival, []).append(entry)
    for listed in by_report.values():
        listed.sort(key=lambda entry: entry.listed)
    known: dict[str, int] = {}
    for arrival in sorted(by_report):
        for entry in by_report[arrival]:
            if entry.position is not None and entry.external_id:
                known.setdefault(entry.external_id, entry.position)
    placed = [
        (*place, entry.arrival, number, entry)
        for arrival in sorted(by_report)
        for number, (place, entry) in enumerate(_placed(by_report[arrival], known))
    ]
    placed.sort(key=lambda row: row[:-1])
    found: list[Entry | Gap] = []
    last: int | None = None
    for *_, entry in placed:
        if entry.position is not None:
            if last is not None and entry.position > last + 1:
                found.append(Gap(last + 1, entry.position - 1))
            last = entry.position
        found.append(entry)
    return found


_Place = tuple[bool, int, int]


def _placed(listed: Sequence[Entry], known: dict[str, int]) -> list[tuple[_Place, Entry]]:
    """Return the messages of one report with their places: without one (last), position, before or behind it."""
    positions = [
        known.get(entry.external_id) if entry.position is None else entry.position
        for entry in listed
    ]
    first = next((each for each in positions if each is not None), None)
    if first is None:
        return [((True, 0, 0), entry) for entry in listed]
    found: list[tuple[_Place, Entry]] = []
    before: int | None = None
    for entry, position in zip(listed, positions, strict=True):
        if position is not None:
            before = position
            found.append(((False, position, 0), entry))
        elif before is None:
            found.append(((False, first, -1), entry))
        else:
            found.append(((False, before, 1), entry))
    return found
