"""Two videos side by side and what of the one shows the other, as plain geometry for inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hashing.videos import clock

__all__ = ["Film", "Stretch", "film_of"]

WIDTH, LEFT, RIGHT = 280, 0, 280
# Small enough that its words can be read in the narrow pane of a case.
TOP, BOTTOM, BAR = 18, 74, 12


@dataclass(frozen=True)
class Stretch:
    """A part of the video that came in, and the part of the listed one that it shows."""

    points: str
    above: tuple[float, float]
    below: tuple[float, float]
    mine: str
    theirs: str


@dataclass(frozen=True)
class Film:
    """The drawing: two bars and the stretches between them, with words for people who do not see it."""

    summary: str
    length: str
    listed_length: str
    stretches: Sequence[Stretch] = field(default_factory=tuple)
    width: int = WIDTH
    top: int = TOP
    bottom: int = BOTTOM
    bar: int = BAR


def film_of(evidence: Mapping[str, Any]) -> Film | None:
    """Return the drawing of a finding's evidence; None when it holds no stretches (another kind, or an older one)."""
    pairs = evidence.get("pairs")
    if not pairs:
        return None
    mine = max(float(evidence.get("duration_s") or 0), *(float(pair[1]) for pair in pairs), 1.0)
    theirs = max(float(evidence.get("listed_s") or 0), *(float(pair[3]) for pair in pairs), 1.0)
    stretches = []
    for a, b, c, d in pairs:
        x1, x2 = _place(a, mine), _place(b, mine)
        x3, x4 = _place(c, theirs), _place(d, theirs)
        low, high = TOP + BAR, BOTTOM
        stretches.append(
            Stretch(
                points=f"{x1},{low} {x2},{low} {x4},{high} {x3},{high}",
                above=(x1, max(round(x2 - x1, 1), 1.5)),
                below=(x3, max(round(x4 - x3, 1), 1.5)),
                mine=f"{clock(int(a * 1000))}–{clock(int(b * 1000))}",
                theirs=f"{clock(int(c * 1000))}–{clock(int(d * 1000))}",
            )
        )
    said = "; ".join(f"{each.mine} shows {each.theirs} of it" for each in stretches[:5])
    return Film(
        summary=f"What this video shows of the listed one: {said}"
        + ("; and more" if len(stretches) > 5 else ""),
        length=clock(int(mine * 1000)),
        listed_length=clock(int(theirs * 1000)),
        stretches=tuple(stretches),
    )


def _place(second: float, length: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * min(max(second / length, 0.0), 1.0), 1)
