"""How risky a group or an account is: a written sum over what is known of it, and nothing else.

A score is 0 to 100, the sum of contributions. Each contribution comes from one *signal*: a value (a count,
a share or a score), the value from which on it counts, the value at which it counts in full, and the most
points it may give. Between the two it grows in proportion. Weights are data (``RiskPolicy``), so that people
can read, change and try them; ``hashing.risk_signals`` holds the signals, their defaults and the sentences.

An additive point score after the manner of credit scorecards (Siddiqi, *Credit risk scorecards*, 2006) rather
than a learned model: each point can be named, checked and contested by the person who decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from hashing.risk_signals import (
    ACCOUNT_SIGNALS,
    GROUP_SIGNALS,
    PHANTOMS,
    AccountFacts,
    Facts,
    GroupFacts,
    Signal,
    Weight,
)

__all__ = [
    "ACCOUNT_SIGNALS",
    "DEFAULTS",
    "GROUP_SIGNALS",
    "HIGHEST",
    "PHANTOMS",
    "AccountFacts",
    "Contribution",
    "GroupFacts",
    "Signal",
    "Standing",
    "Step",
    "Terms",
    "Weight",
    "assess",
    "facts_from",
    "news_of",
    "next_step",
    "problems_of",
    "recheck_after",
    "signals_of",
    "total_of",
    "weights_of",
]

HIGHEST = 100


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one signal adds to a score, in whole points, and why: "9 of 210 members banned"."""

    key: str
    points: int
    text: str


DEFAULTS: dict[str, dict[str, dict[str, float]]] = {
    kind: {each.key: asdict(each.default) for each in signals}
    for kind, signals in (("group", GROUP_SIGNALS), ("account", ACCOUNT_SIGNALS))
}


def signals_of(facts: Facts | str) -> tuple[Signal, ...]:
    """Return the signals of ``group`` or ``account``, given as a word or as facts."""
    if isinstance(facts, str):
        return GROUP_SIGNALS if facts == "group" else ACCOUNT_SIGNALS
    return GROUP_SIGNALS if isinstance(facts, GroupFacts) else ACCOUNT_SIGNALS


def weights_of(stored: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, Weight]:
    """Return the weights of ``group`` or ``account`` from a policy's data; the default where one is absent."""
    said = stored.get(kind, {})
    found = {}
    for signal in signals_of(kind):
        row = said.get(signal.key)
        found[signal.key] = (
            Weight(int(row["points"]), float(row["full"])) if row else signal.default
        )
    return found


def problems_of(signal: Signal, weight: Weight) -> list[str]:
    """Return what is wrong with a weight, in sentences; nothing for a good one."""
    said = []
    if not 0 <= weight.points <= HIGHEST:
        said.append(f"{signal.label}: points lie between 0 and {HIGHEST}.")
    most = 1.0 if signal.unit in {"share", "score"} else 10_000.0
    if not (math.isfinite(weight.full) and max(signal.least, 0.0) <= weight.full <= most):
        said.append(
            f"{signal.label}: “in full at” lies between {max(signal.least, 0.01):g} and {most:g}."
        )
    elif weight.full <= 0:
        said.append(f"{signal.label}: “in full at” is more than 0.")
    return said


def assess(facts: Facts, weights: Mapping[str, Weight]) -> list[Contribution]:
    """Return what adds to the score, most points first. Signals that give no point are left out.

    A signal gives ``points × min(1, value / full)``, rounded to whole points, and nothing below its least
    value. More of anything never gives fewer points.
    """
    found = []
    for signal in signals_of(facts):
        weight = weights.get(signal.key, signal.default)
        value = float(signal.value(facts))
        if value <= 0 or value < signal.least or weight.full <= 0:
            continue
        points = math.floor(weight.points * min(value / weight.full, 1.0) + 0.5)
        if points > 0:
            found.append(Contribution(signal.key, points, signal.say(facts)))
    return sorted(found, key=lambda each: (-each.points, each.key))


def total_of(contributions: list[Contribution]) -> int:
    """Return the score, 0 to 100: the sum of the points, cut at 100."""
    return min(sum(each.points for each in contributions), HIGHEST)


def news_of(facts: Facts, weights: Mapping[str, Weight], *, is_judged: bool) -> int:
    """Return the part of the score, 0 to 100, that may ask again: without what our own verdicts gave.

    A verdict about a subject is no news of it. Of one that was judged already (``is_judged``), neither is what
    happened to others around it: bans of its members or neighbours, and groups that crossed.
    """
    if isinstance(facts, AccountFacts):
        facts = replace(facts, confirmed=0)
        if is_judged:
            facts = replace(facts, device=0, ip=0, prefix=0, groups=0, runs=0)
    elif is_judged:
        facts = replace(facts, banned=0, linked=0)
    return total_of(assess(facts, weights))


def facts_from(kind: str, stored: Mapping[str, Any]) -> Facts:
    """Return facts from their stored form; what is unknown to this version is left out."""
    shape = GroupFacts if kind == "group" else AccountFacts
    known = {each.name for each in fields(shape)}
    return shape(**{name: value for name, value in stored.items() if name in known})


# ── Crossing the threshold ────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Terms:
    """When a score brings a case. ``drop`` is how far below the threshold it must fall to count as below."""

    open_at: int
    drop: int = 10
    raise_by: int = 10


@dataclass(frozen=True, slots=True)
class Standing:
    """What is remembered of a subject between two assessments."""

    is_above: bool = False
    asked_score: int | None = None
    """The news (``news_of``) at which a case was last asked for, or the subject was decided."""
    quiet_until: datetime | None = None
    """After a decision of "not violating" nobody is asked again before this moment."""
    is_judged: bool = False
    """Whether people confirmed a violation of this very subject."""


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from a new score: ``ask`` for a case or not, and ``reason`` for a "no" that may surprise."""

    standing: Standing
    ask: bool
    reason: str = ""


def next_step(
    before: Standing,
    score: int,
    *,
    terms: Terms,
    now: datetime,
    gone: bool,
    news: int | None = None,
) -> Step:
    """Return whether a new score asks for a case. ``news`` is the part that may ask again (``news_of``), the whole
    score when not given. The written rule:

    1. Below the threshold nobody is asked. A subject that was above counts as above until it falls ``drop``
       points under it, so that a score that wavers does not ask again and again.
    2. A subject that the platform has banned or closed already (``gone``) is not asked about.
    3. Crossing the threshold asks once. While above, a score whose news rose by ``raise_by`` points since it was
       last asked about asks again: the open case becomes more urgent, or a new one opens. Our own verdicts are
       no news: they raise the score and ask nobody.
    4. After a decision of "not violating" nobody is asked for a while, unless the score has risen by
       ``raise_by`` points since.
    5. A subject that people confirmed a violation of asks again only by such news, however long ago it was.
    """
    news = score if news is None else news
    is_above = score >= terms.open_at or (before.is_above and score > terms.open_at - terms.drop)
    is_quiet = before.quiet_until is not None and now < before.quiet_until
    # What was asked about is remembered while it stays above, and as long as it is quiet.
    remembers = (before.is_above and is_above) or is_quiet or before.is_judged
    asked = before.asked_score if remembers else None
    quiet_until = before.quiet_until if is_quiet else None
    standing = Standing(is_above, asked, quiet_until, before.is_judged)
    if score < terms.open_at:
        return Step(standing, ask=False)
    if gone:
        return Step(standing, ask=False, reason="The platform has banned or closed it already.")
    rose = asked is None or news >= asked + terms.raise_by
    if before.is_judged and not rose:
        reason = "It was decided already, and nothing new came since."
        return Step(standing, ask=False, reason=reason)
    if is_quiet and not rose:
        return Step(standing, ask=False, reason="People found no violation not long ago.")
    if not rose:
        return Step(standing, ask=False, reason="A case was opened for it already.")
    return Step(Standing(is_above, news, quiet_until, before.is_judged), ask=True)


def recheck_after(facts: Facts) -> timedelta | None:
    """Return when facts grow old by themselves: members who joined lately, reports of the last weeks."""
    if isinstance(facts, GroupFacts) and (facts.joined or facts.left or facts.same_ip):
        return timedelta(days=1)
    return timedelta(days=7) if facts.reporters else None
