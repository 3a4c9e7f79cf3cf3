"""Charts over time as plain geometry, for inline SVG of 720 by 150."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Bar", "Chart", "bars", "lines", "spoken"]

WIDTH, HEIGHT = 720, 150
LEFT, RIGHT, TOP, BOTTOM = 52, 716, 10, 126


@dataclass(frozen=True)
class Bar:
    """A rectangle of a kind (a CSS class) with words for a tool tip."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    words: str


@dataclass
class Chart:
    """One drawing. ``rules`` are (y, words) of the scale, ``marks`` (x, words, anchor) of the time."""

    title: str
    summary: str
    bars: list[Bar] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    dots: list[tuple[float, float, str, str]] = field(default_factory=list)
    rules: list[tuple[float, str]] = field(default_factory=list)
    marks: list[tuple[float, str, str]] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    is_empty: bool = False
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    bottom: int = BOTTOM


def bars(
    title: str,
    summary: str,
    names: Sequence[str],
    stacks: Sequence[Sequence[tuple[str, int]]],
    *,
    marks: Sequence[str],
    legend: Sequence[tuple[str, str]],
) -> Chart:
    """Return stacked bars: one stack of (kind, number) for each name, from the bottom up."""
    chart = Chart(title, summary, legend=list(legend))
    _time(chart, marks)
    highest = max((sum(number for _, number in stack) for stack in stacks), default=0)
    chart.is_empty = not highest
    _scale(chart, nice(highest), "")
    top = nice(highest)
    step = (RIGHT - LEFT) / max(len(stacks), 1)
    for at, (name, stack) in enumerate(zip(names, stacks, strict=True)):
        y = float(BOTTOM)
        for kind, number in stack:
            if number:
                # What happened at all is seen: a single failure among thousands is two points high.
                height = max(number / top * (BOTTOM - TOP), 2.0)
                y -= height
                chart.bars.append(
                    Bar(
                        round(LEFT + at * step + 0.5, 1),
                        round(y, 1),
                        round(max(step - 1, 1), 1),
                        round(height, 1),
                        kind,
                        f"{name}: {number:,} {kind}",
                    )
                )
    return chart


def lines(
    title: str,
    summary: str,
    names: Sequence[str],
    series: Sequence[tuple[str, Sequence[float | None]]],
    *,
    marks: Sequence[str],
    legend: Sequence[tuple[str, str]],
) -> Chart:
    """Return lines of times in ms, one for each (kind, values); None is a gap."""
    chart = Chart(title, summary, legend=list(legend))
    _time(chart, marks)
    known = [value for _, values in series for value in values if value is not None]
    chart.is_empty = not known
    top = nice(max(known, default=0))
    _scale(chart, top, "ms")
    step = (RIGHT - LEFT) / max(len(names), 1)
    for kind, values in series:
        path, is_down = [], False
        for at, value in enumerate(values):
            if value is None:
                is_down = False
                continue
            x = round(LEFT + (at + 0.5) * step, 1)
            y = round(BOTTOM - value / top * (BOTTOM - TOP), 1)
            path.append(f"{'L' if is_down else 'M'}{x} {y}")
            is_down = True
            chart.dots.append((x, y, kind, f"{names[at]}: {kind} {spoken(value)}"))
        chart.lines.append((kind, "".join(path)))
    return chart


def nice(highest: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten; at least 1."""
    top = 1.0
    while top < highest:
        for factor in (2.0, 2.5, 2.0):
            top *= factor
            if top >= highest:
                break
    return top


def spoken(ms: float | None) -> str:
    """Return a time in words: 0.8 ms, 12 ms, 3.4 s, 5 min, 2 h."""
    if ms is None:
        return "–"
    if ms < 1000:
        return f"{ms:.1f} ms" if ms < 10 else f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _scale(chart: Chart, top: float, unit: str) -> None:
    for share in (0.0, 0.5, 1.0):
        value = top * share
        words = (
            spoken(value) if unit and value else f"{value:,.0f}" if value >= 1 or not value else ""
        )
        chart.rules.append((round(BOTTOM - share * (BOTTOM - TOP), 1), words))


def _time(chart: Chart, marks: Sequence[str]) -> None:
    last = max(len(marks) - 1, 1)
    for at, words in enumerate(marks):
        anchor = "start" if at == 0 else "end" if at == last else "middle"
        chart.marks.append((round(LEFT + (RIGHT - LEFT) * at / last, 1), words, anchor))
