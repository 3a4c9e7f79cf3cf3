"""Whether the texts of today still look like those a classifier was approved on.

The population stability index compares two distributions of scores; it is the symmetric Kullback-Leibler
(Jeffreys) divergence over ten groups. Below 0.1 nothing moved, from 0.25 on the population is another one
(Siddiqi 2006, Credit Risk Scorecards, chapter 9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hashing.learning.figures import above, wilson

__all__ = ["LEAST_SCORES", "MOVED", "Watch", "stability", "watch"]

MOVED = 0.25
LEAST_SCORES = 500
LEAST_VERDICTS = 20
_GROUPS = 10
_FEWEST_EXPECTED = 10


@dataclass(frozen=True)
class Watch:
    """What a look at the scores of the last days gave. ``reasons`` is empty while nothing moved."""

    scores: int
    stability: float | None
    flagged_share: float | None
    expected_share: float | None
    confirmed: int
    judged: int
    precision: float | None
    precision_low: float
    precision_high: float
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"reasons": list(self.reasons)}


def stability(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index of two histograms with equal steps.

    Steps are joined into ten groups that are equally full in ``before``; half a text is added to each, so
    that an empty group gives a large, finite figure.
    """
    groups = _groups(before)
    old = [sum(before[a:b]) + 0.5 for a, b in groups]
    new = [sum(now[a:b]) + 0.5 for a, b in groups]
    index = 0.0
    for one, other in zip(old, new, strict=True):
        p, q = one / sum(old), other / sum(new)
        index += (q - p) * math.log(q / p)
    return index


def _groups(counts: Sequence[int]) -> list[tuple[int, int]]:
    groups: list[tuple[int, int]] = []
    total, start, passed = sum(counts), 0, 0
    for place, count in enumerate(counts):
        passed += count
        full = passed >= total * (len(groups) + 1) / _GROUPS
        if full and len(groups) < _GROUPS - 1 and place + 1 < len(counts):
            groups.append((start, place + 1))
            start = place + 1
    return [*groups, (start, len(counts))]


def watch(
    *,
    reference: Sequence[int],
    recent: Sequence[int],
    threshold: float,
    confirmed: int,
    judged: int,
    wanted_precision: float,
) -> Watch:
    """Return whether a classifier drifts, by this written rule. It drifts when

    1. the stability index of at least 500 recent scores against the reference is 0.25 or more, or
    2. it flags more than three times, or less than a third of, the share that the reference foretold
       (at least ten flags foretold or seen), or
    3. of at least 20 of its flags that people judged, so few were confirmed that the wanted precision
       lies above the 95 % interval.
    """
    reasons: list[str] = []
    scores, known = sum(recent), sum(reference)
    index: float | None = None
    share: float | None = None
    expected: float | None = None
    if scores >= LEAST_SCORES and known:
        index = stability(reference, recent)
        share = above(recent, threshold) / scores
        expected = above(reference, threshold) / known
        if index >= MOVED:
            reasons.append(
                f"The scores are spread differently than when it was approved "
                f"(stability index {index:.2f}, {MOVED} is the limit)."
            )
        if max(share, expected) * scores >= _FEWEST_EXPECTED and not (
            expected / 3 <= share <= expected * 3
        ):
            reasons.append(
                f"It flags {share:.2%} of the texts; {expected:.2%} were foretold when it was approved."
            )
    low, high = wilson(confirmed, judged)
    if judged >= LEAST_VERDICTS and high < wanted_precision:
        reasons.append(
            f"People confirmed {confirmed} of {judged} of its flags ({confirmed / judged:.0%}); "
            f"{wanted_precision:.0%} was wanted."
        )
    return Watch(
        scores=scores,
        stability=index,
        flagged_share=share,
        expected_share=expected,
        confirmed=confirmed,
        judged=judged,
        precision=confirmed / judged if judged else None,
        precision_low=low,
        precision_high=high,
        reasons=tuple(reasons),
    )
