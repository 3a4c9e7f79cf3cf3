"""Plots as plain geometry, for inline SVG. Everything is in the units of the drawing: 360 by 240."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hashing.learning.figures import BINS, At

__all__ = ["Plot", "precision_and_recall", "reliability", "score_counts"]

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 340, 24, 202
_STEPS = 5
_BARS = 40


@dataclass
class Plot:
    """One drawing. ``lines`` are (class, path), ``marks`` (x, y, class, words), ``bars`` rectangles."""

    title: str
    x_name: str
    y_name: str
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    marks: list[tuple[float, float, str, str]] = field(default_factory=list)
    bars: list[tuple[float, float, float, float, str]] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM
    middle: float = (LEFT + RIGHT) / 2


def _x(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 1)


def _y(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP), 1)


def _percent_ticks(place: Any) -> list[tuple[float, str]]:
    return [(place(step / _STEPS), f"{step * 100 // _STEPS} %") for step in range(_STEPS + 1)]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_x(x)} {_y(y)}" for x, y in points)


def _unit(title: str, x_name: str, y_name: str) -> Plot:
    return Plot(title, x_name, y_name, _percent_ticks(_x), _percent_ticks(_y))


def precision_and_recall(metrics: dict[str, Any], at: At | None = None) -> Plot:
    """Return precision over recall on the hold-out, with the chosen threshold marked."""
    plot = _unit("Precision over recall on the hold-out", "Recall", "Precision")
    positives = metrics["positives"] or 1
    points = [(right / positives, right / flagged) for _, right, flagged in metrics["curve"]]
    if points:
        plot.lines.append(("plot__line", _path(points)))
    if at is not None and at.flagged:
        words = (
            f"Threshold {at.threshold:.3f}: precision {at.precision:.0%}, recall {at.recall:.0%}"
        )
        x = _x(at.recall)
        low, high = _y(at.precision_low), _y(at.precision_high)
        plot.lines.append(("plot__interval", f"M{x} {low}L{x} {high}"))
        plot.marks.append((x, _y(at.precision), "plot__chosen", words))
    return plot


def reliability(metrics: dict[str, Any]) -> Plot:
    """Return how often texts of a score were confirmed: on the diagonal, a score is a probability."""
    plot = _unit("Calibration on the hold-out", "Score", "Confirmed")
    plot.lines.append(("plot__diagonal", _path([(0, 0), (1, 1)])))
    groups = metrics["reliability"]
    for score, share, size, low, high in groups:
        plot.lines.append(("plot__interval", f"M{_x(score)} {_y(low)}L{_x(score)} {_y(high)}"))
        words = f"Score {score:.0%}: {share:.0%} of {size} texts were confirmed"
        plot.marks.append((_x(score), _y(share), "plot__mark", words))
    if len(groups) > 1:
        plot.lines.append(("plot__line", _path([(score, share) for score, share, *_ in groups])))
    return plot


def score_counts(title: str, counts: Sequence[int], threshold: float | None) -> Plot:
    """Return how many texts got which score; the height is the share of the fullest step, by square root.

    Nearly all texts score near 0: without the root nobody would see those that matter.
    """
    plot = Plot(title, "Score", "Texts (root scale)", _percent_ticks(_x))
    per_bar = BINS // _BARS
    sums = [sum(counts[at * per_bar : (at + 1) * per_bar]) for at in range(_BARS)]
    highest = max(sums, default=0) or 1
    for share in (0.25, 1.0):
        plot.y_ticks.append((_y(share**0.5), f"{round(highest * share):,}"))
    width = (RIGHT - LEFT) / _BARS
    for at, number in enumerate(sums):
        top = _y((number / highest) ** 0.5)
        words = f"{at / _BARS:.1%} to {(at + 1) / _BARS:.1%}: {number:,} texts"
        plot.bars.append(
            (
                round(LEFT + at * width + 0.5, 1),
                top,
                round(width - 1, 1),
                round(BOTTOM - top, 1),
                words,
            )
        )
    if threshold is not None:
        x = _x(threshold)
        plot.lines.append(("plot__threshold", f"M{x} {TOP}L{x} {BOTTOM}"))
    return plot
