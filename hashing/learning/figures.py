"""Figures of a classifier on texts it never saw, and the thresholds that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "At", "above", "at_threshold", "histogram", "measure", "threshold_for", "wilson"]

BINS = 200
"""Scores are counted in this many equal steps from 0 to 1."""

_POINTS = 400
_GROUPS = 10
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class At:
    """What a threshold does on the hold-out. Intervals are 95 % (Wilson 1927)."""

    threshold: float
    flagged: int
    right: int
    positives: int
    precision: float
    precision_low: float
    precision_high: float
    recall: float
    recall_low: float
    recall_high: float


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a share (Wilson 1927). Of nothing: 0 to 1."""
    if total == 0:
        return 0.0, 1.0
    share, zz = right / total, z * z / total
    middle = (share + zz / 2) / (1 + zz)
    reach = z / (1 + zz) * math.sqrt(share * (1 - share) / total + zz / (4 * total))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def histogram(scores: Floats | Sequence[float]) -> list[int]:
    """Return how many scores lie in each of ``BINS`` equal steps; 1.0 is in the last."""
    places = np.minimum((np.asarray(scores, dtype=float) * BINS).astype(int), BINS - 1)
    return np.bincount(places, minlength=BINS).tolist() if len(places) else [0] * BINS


def above(counts: Sequence[int], threshold: float) -> int:
    """Return how many of the counted scores reach a threshold, to the step it lies in."""
    return int(sum(counts[min(math.floor(threshold * BINS + 1e-9), BINS) :]))


def measure(labels: Sequence[bool], scores: Floats) -> dict[str, Any]:
    """Return the figures as JSON: ``average_precision``, ``brier``, ``curve``, ``reliability``, counts.

    ``curve`` holds ``[threshold, right, flagged]`` from the highest threshold down, at most 400 points;
    ``reliability`` holds ``[mean score, share confirmed, texts, low, high]`` of ten equally large groups.
    ``brier`` is the mean squared error of the probabilities (Brier 1950); ``brier_of_the_share`` is what
    always saying the share of confirmed texts would get.
    """
    truth = np.asarray(labels, dtype=bool)
    order = np.argsort(-scores, kind="stable")
    ranked, sorted_scores = truth[order], scores[order]
    ends = np.flatnonzero(np.append(np.diff(sorted_scores) != 0, True))
    right, flagged = np.cumsum(ranked)[ends], ends + 1
    positives, share = int(truth.sum()), float(truth.mean())
    gained = np.diff(right, prepend=0) / max(positives, 1)
    kept = np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _POINTS)).round().astype(int))
    curve = [
        [float(sorted_scores[ends[at]]), int(right[at]), int(flagged[at])] for at in kept.tolist()
    ]
    return {
        "positives": positives,
        "negatives": len(truth) - positives,
        "average_precision": float((gained * right / flagged).sum()),
        "brier": float(np.mean((scores - truth) ** 2)),
        "brier_of_the_share": share * (1 - share),
        "curve": curve,
        "reliability": _reliability(truth, scores),
        "histogram": histogram(scores),
    }


def _reliability(truth: NDArray[np.bool_], scores: Floats) -> list[list[float]]:
    groups = []
    order = np.argsort(scores, kind="stable")
    for part in np.array_split(order, min(_GROUPS, len(order))):
        confirmed, size = int(truth[part].sum()), len(part)
        low, high = wilson(confirmed, size)
        groups.append([float(scores[part].mean()), confirmed / size, size, low, high])
    return groups


def at_threshold(metrics: dict[str, Any], threshold: float) -> At:
    """Return what a threshold does on the hold-out, from its curve."""
    right = flagged = 0
    for limit, hits, count in metrics["curve"]:
        if limit < threshold:
            break
        right, flagged = hits, count
    positives = metrics["positives"]
    return At(
        threshold=threshold,
        flagged=flagged,
        right=right,
        positives=positives,
        precision=right / flagged if flagged else 0.0,
        precision_low=wilson(right, flagged)[0],
        precision_high=wilson(right, flagged)[1],
        recall=right / positives if positives else 0.0,
        recall_low=wilson(right, positives)[0],
        recall_high=wilson(right, positives)[1],
    )


def threshold_for(metrics: dict[str, Any], precision: float) -> float | None:
    """Return the threshold that finds most while its precision on the hold-out is at least this.

    None when no threshold gets there. A threshold that rests on fewer than five flagged texts is chance.
    """
    found = None
    for limit, right, flagged in metrics["curve"]:
        if flagged >= 5 and right / flagged >= precision:
            found = limit  # Further down the curve finds more.
    return found
