"""How the orders of a decision stand, in lines for a case's page: alike ones together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Prefetch

from moderation.models import (
    Decision,
    Enforcement,
    EnforcementState,
    OrderResult,
)

MOST_LINES = 30
_LOUD = {EnforcementState.FAILED, EnforcementState.IMPOSSIBLE, EnforcementState.REFUSED}


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line: what was ordered, where it stands, since when, and what the platform says of it."""

    what: str
    state: str
    times: int = 1
    at: datetime | None = None
    words: str = ""
    tone: str = ""


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
            row.get_verb_display(),
            row.get_state_display().lower(),
            known.times + 1 if known else 1,
            said.counts_at if said else None,
            words,
            "danger" if row.state in _LOUD else "",
        )
    return list(found.values())
