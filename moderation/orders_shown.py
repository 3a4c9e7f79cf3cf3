"""How the orders of a decision stand, in lines for a case's page: alike ones together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Prefetch

from moderation.models import (
    Decision,
    Enforcement,
    EnforcementState,
    OrderResult,
    Reversal,
    Verb,
)

MOST_LINES = 30
_LOUD = {EnforcementState.FAILED, EnforcementState.IMPOSSIBLE, EnforcementState.REFUSED}


_WORDS = dict([*Verb.choices, *Reversal.choices])
_OF_ITEMS = {Verb.REMOVE_MEDIA, Reversal.RESTORE_MEDIA}


def in_words(verb: str, count: int = 1) -> str:
    """Return so many orders of one kind in words: *Remove media of 2 items*, not one thing done twice."""
    word = _WORDS[verb]
    if count == 1:
        return word
    return f"{word} of {count} items" if verb in _OF_ITEMS else f"{word}, {count} orders"


def sums_of(decisions: Mapping[UUID, Decision]) -> dict[UUID, list[str]]:
    """Return the orders of decisions by decision, alike ones together, each as *what: where it stands*."""
    found: dict[UUID, list[str]] = {}
    rows = (
        Enforcement.objects.filter(decision__in=list(decisions))
        .order_by("decision", "verb", "state")
        .values_list("decision", "verb", "state")
        .annotate(count=Count("pk"))
    )
    for decision, verb, state, count in rows:
        said = f"{in_words(verb, count)}: {EnforcementState(state).label.lower()}"
        found.setdefault(decision, []).append(said)
    return found


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line: what was ordered, how often, where it stands, since when, and what the platform says of it."""

    verb: str
    state: str
    times: int = 1
    at: datetime | None = None
    words: str = ""
    tone: str = ""

    @property
    def what(self) -> str:
        """What was ordered, in words."""
        return in_words(self.verb, self.times)


def lines_of(decision: Decision) -> tuple[list[OrderLine], int]:
    """Return the orders of a decision as lines, and how many lines are left out.

    Thousands of pictures that were removed are one line; what the platform says of one in words has its own.
    """
    standing = Prefetch("results", OrderResult.objects.filter(stands=True))
    rows = decision.enforcements.prefetch_related(standing).order_by("sequence", "verb", "pk")
    lines = _together(rows.iterator(chunk_size=2000))
    lines.sort(key=lambda line: not line.tone)
    return lines[:MOST_LINES], max(0, len(lines) - MOST_LINES)


def _together(rows: Iterable[Enforcement]) -> list[OrderLine]:
    found: dict[tuple[str, str, str], OrderLine] = {}
    for row in rows:
        answered: list[OrderResult] = list(row.results.all())
        said = answered[0] if answered else None
        words = " ".join(filter(None, (said.code, said.detail))) if said else ""
        key = (row.verb, row.state, words)
        known = found.get(key)
        found[key] = OrderLine(
            row.verb,
            row.get_state_display().lower(),
            known.times + 1 if known else 1,
            said.counts_at if said else None,
            words,
            "danger" if row.state in _LOUD else "",
        )
    return list(found.values())
