"""An account's stays in a group: what one sentence of the platform means for those that are known.

A leave keeps who somebody was and since when; a return begins another stay. What is left out stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

MEMBER = "member"
"""The role of a member of whom nobody said another one."""

_FIRST = datetime.min.replace(tzinfo=UTC)


class Stay(Protocol):
    """One stay: from ``joined_at`` (None is unknown) until ``left_at`` (None is: still there)."""

    role: str
    joined_at: datetime | None
    left_at: datetime | None


S = TypeVar("S", bound=Stay)


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of a member. None was not said."""

    role: str | None = None
    joined_at: datetime | None = None
    left_at: datetime | None = None


def stay_meant(stays: Iterable[S], told: Told) -> S | None:
    """Return the known stay that is spoken of, or None when it is another one.

    In this order: the stay that began then; the one that ended then; one that ended after this beginning, which is
    then its own; the present one; the last one that ended, if a leave corrects it. Whoever is named as a member
    after leaving has come back, unless with a beginning before that leave.
    """
    known = sorted(stays, key=_order)
    for stay in known:
        if told.joined_at is not None and stay.joined_at == told.joined_at:
            return stay
    for stay in known:
        if told.left_at is not None and stay.left_at == told.left_at and _one_unknown(stay, told):
            return stay
    ended = [stay for stay in known if stay.left_at is not None]
    present = known[-1] if len(known) > len(ended) else None
    is_before = present is None or _before(told.joined_at, present.joined_at)
    if told.joined_at is not None and told.left_at is None and is_before:
        for stay in ended:
            if _before(told.joined_at, stay.left_at):
                return stay
    if present is not None:
        return None if told.left_at and _before(told.left_at, present.joined_at) else present
    if told.left_at is None or told.joined_at is not None or not ended:
        return None
    return ended[-1] if _before(ended[-1].joined_at, told.left_at) else None


def _one_unknown(stay: Stay, told: Told) -> bool:
    return stay.joined_at is None or told.joined_at is None


def _before(one: datetime | None, other: datetime | None) -> bool:
    """Return whether ``one`` may lie before ``other``: True if the earlier one is unknown, False if the later one is."""
    return other is not None and (one is None or one < other)


def _order(stay: Stay) -> tuple[bool, datetime]:
    return stay.left_at is None, stay.left_at or stay.joined_at or _FIRST
