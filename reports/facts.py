"""Who told a fact of the directory, since when it is so, and which of two tellings is newer.

Pure: values in, values out. ``facts`` of an account or a group is ``{field: [source, at, seen]}``: the key of the source
that told the present value, when it was first told to be so, and, if later, as of when it was told again (``seen``).

**Newest wins.** A telling with ``as_of`` is older than what is known if a later time was told of the same field. One
without speaks of now. A clock that is more than ``LEAD`` ahead does not count: its telling stands at the moment of its
arrival, or nobody else could correct it before that time comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

LEAD = timedelta(minutes=5)
"""How far a platform's clock may be ahead and still settle which of two tellings is newer."""

AHEAD = timedelta(hours=24)
"""Times that lie further in the future are accepted and marked: a phone's or a server's clock was wrong."""


def told_at(as_of: datetime | None, now: datetime) -> datetime:
    """Return the moment that a telling counts for."""
    if as_of is None or as_of > now + LEAD:
        return now
    return as_of.astimezone(UTC)


def newest(fact: Sequence[str] | None) -> datetime | None:
    """Return as of when a field was told last, or None if nobody told it."""
    return datetime.fromisoformat(fact[-1]) if fact else None


def since(fact: Sequence[str]) -> datetime:
    """Return since when a field is what it is."""
    return datetime.fromisoformat(fact[1])


def is_stale(fact: Sequence[str] | None, as_of: datetime | None, at: datetime) -> bool:
    """Return whether something newer is known than a telling of ``at``. Who speaks of now is never too late."""
    known = newest(fact)
    return as_of is not None and known is not None and at < known


def new_fact(source: str, at: datetime) -> list[str]:
    """Return the fact of a field that was told another value."""
    return [source, at.isoformat()]


def confirmed(fact: Sequence[str], at: datetime) -> list[str]:
    """Return the fact of a field that was told the same value again."""
    known = newest(fact)
    return [*fact[:2], at.isoformat()] if known is not None and at > known else list(fact)


def clock_ahead(payload: BaseModel, now: datetime) -> list[str]:
    """Return the fields of what was sent whose times lie more than ``AHEAD`` in the future."""
    return [name for name, at in _times(payload) if at > now + AHEAD]


def is_ahead(at: datetime | None, received: datetime) -> bool:
    """Return whether a time was further in the future than any clock should be when it was received."""
    return at is not None and at > received + AHEAD


def _times(value: Any, name: str = "") -> Iterator[tuple[str, datetime]]:
    if isinstance(value, datetime):
        yield name, value
        return
    inside: Iterator[tuple[Any, Any]] | None = None
    if isinstance(value, BaseModel):
        inside = (
            (field, value.__dict__[field])
            for field in type(value).model_fields
            if field in value.model_fields_set
        )
    elif isinstance(value, list):
        inside = iter(enumerate(value))
    elif isinstance(value, Mapping):
        return
    for field, member in inside or ():
        yield from _times(member, f"{name}.{field}" if name else str(field))
