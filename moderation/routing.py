"""Where a report or an item goes: a pure function over facts and rules.

Rules are data (``RoutingRule``), read in the order of their position. The first one that matches
places the case; every later one that matches as well is kept as a further reason, which can only raise
the severity and shorten the time. The score orders a queue and never hides anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

TRUST_POINTS = {"standard": 0.0, "internal": 3.0, "trusted": 8.0}
"""What the word of a source adds to the score, by ``TrustLevel``."""

SEVERITY_POINTS = 20.0
HIGHEST_SEVERITY = 5
CERTAINTY_POINTS = 10.0

ABOUT_ONE_FLAG = frozenset({"flag_kinds", "categories", "detectors", "surfaces", "min_score"})
"""Conditions that one and the same flag has to meet together."""

ABOUT_THE_WHOLE = frozenset({"reasons", "trust", "source_kinds", "subject", "has_report"})

KNOWN_CONDITIONS = ABOUT_ONE_FLAG | ABOUT_THE_WHOLE


@dataclass(frozen=True, slots=True)
class FlagFact:
    """One finding, as far as routing cares."""

    kind: str
    category: str
    score: float
    summary: str
    detector: str = ""
    surface: str = ""
    acts_automatically: bool = False
    """An exact match of a list that two people let act by itself: the highest severity, at once."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a report, or about one item without a report."""

    subject: str
    """``account`` or ``group``."""
    source_kind: str
    trust: str
    source_name: str = ""
    source_due_minutes: int | None = None
    reason: str = ""
    has_report: bool = False
    """A person reported it; a scan-only submission has nobody's claim behind it."""
    scan_pending: bool = False
    """Something in it has not been scanned yet, and the wait for that is over."""
    flags: tuple[FlagFact, ...] = ()
    hint: FlagFact | None = None
    """The surest note that asks for priority. It brings no case; it raises the order of one that is there."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of routing."""

    id: int
    name: str
    conditions: Mapping[str, Any]
    category: str
    queue_id: int
    severity: int
    due_minutes: int
    explanation: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a case is where it is, in words. ``rule_id`` is None for what no rule said."""

    rule_id: int | None
    text: str
    severity: int
    score: float


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the case goes, how urgent it is and why."""

    category: str
    queue_id: int
    severity: int
    due_minutes: int
    score: float
    reasons: tuple[Reason, ...] = field(default_factory=tuple)


class NoRule(Exception):
    """No rule matched. The seeded rules end with one without conditions, so this is a broken set."""


def needs_case(facts: Facts) -> bool:
    """Return whether the facts need a person at all.

    A person's report always does. A scan-only submission does when anything was found or when
    anything could not be looked at: what was not scanned is never "no match".
    """
    return facts.has_report or facts.scan_pending or bool(facts.flags)


def route(facts: Facts, rules: Iterable[Rule]) -> Placement:
    """Place the facts by the first rule that matches. Raises NoRule when none does.

    A rule that cannot be read (an unknown condition) is passed over and named among the reasons: it
    must neither stop the others nor fail in silence.
    """
    matched: list[tuple[Rule, FlagFact | None]] = []
    unreadable: list[Rule] = []
    for rule in rules:
        if set(rule.conditions) - KNOWN_CONDITIONS:
            unreadable.append(rule)
            continue
        is_match, flag = _matches(rule.conditions, facts)
        # A rule for everything else speaks only when nothing more particular did.
        if is_match and (rule.conditions or not matched):
            matched.append((rule, flag))
    if not matched:
        raise NoRule(_names(unreadable) or "there is no routing rule for everything else")
    first = matched[0][0]
    severity = max(rule.severity for rule, _ in matched)
    automatic = next((flag for flag in facts.flags if flag.acts_automatically), None)
    if automatic is not None:
        severity = HIGHEST_SEVERITY
    certainty = max((flag.score for flag in facts.flags), default=0.0)
    if facts.hint is not None:
        certainty = max(certainty, facts.hint.score)
    score = score_of(severity=severity, certainty=certainty, trust=facts.trust)
    reasons = [
        Reason(
            rule.id,
            _sentence(rule, flag, facts),
            rule.severity,
            score_of(
                severity=rule.severity, certainty=flag.score if flag else 0.0, trust=facts.trust
            ),
        )
        for rule, flag in matched
    ]
    if facts.hint is not None:
        reasons.append(Reason(None, f"Looked at earlier: {facts.hint.summary}"[:500], 1, 0.0))
    if automatic is not None:
        reasons.append(
            Reason(
                None,
                f"A list that acts automatically holds exactly this: {automatic.summary}"[:500],
                HIGHEST_SEVERITY,
                score,
            )
        )
    if facts.scan_pending:
        reasons.append(
            Reason(None, "Its scan has not finished; the case did not wait for it.", severity, 0.0)
        )
    reasons += [
        Reason(None, f"The routing rule “{rule.name}” cannot be read and was passed over.", 1, 0.0)
        for rule in unreadable
    ]
    return Placement(
        category=first.category,
        queue_id=first.queue_id,
        severity=severity,
        due_minutes=due_minutes(min(rule.due_minutes for rule, _ in matched), facts),
        score=score,
        reasons=tuple(reasons),
    )


def as_practice(placement: Placement, queue_id: int) -> Placement:
    """Return where something goes that a test key sent: as the rules say, but to the queue of practice."""
    said = Reason(
        None, "Practice: a test key sent it. Whatever is decided here orders nothing.", 1, 0.0
    )
    return replace(placement, queue_id=queue_id, reasons=(said, *placement.reasons))


def score_of(*, severity: int, certainty: float, trust: str) -> float:
    """Return the order of a case in its queue, 20 to 118: severity first, then certainty and trust."""
    points = severity * SEVERITY_POINTS + certainty * CERTAINTY_POINTS
    return round(points + TRUST_POINTS.get(trust, 0.0), 2)


def due_minutes(rule_minutes: int, facts: Facts) -> int:
    """Return the time to a decision in minutes: the rule's, the source's own clock, half when trusted.

    At least one minute.
    """
    minutes = rule_minutes
    if facts.trust == "trusted":
        minutes = minutes // 2
    if facts.source_due_minutes is not None:
        minutes = min(minutes, facts.source_due_minutes)
    return max(1, minutes)


def _matches(conditions: Mapping[str, Any], facts: Facts) -> tuple[bool, FlagFact | None]:
    """Return whether all conditions hold, and the most certain flag that met those about a flag."""
    for name in ABOUT_THE_WHOLE & set(conditions):
        wanted, actual = conditions[name], _fact(name, facts)
        if isinstance(wanted, list):
            if actual not in wanted:
                return False, None
        elif actual != wanted:
            return False, None
    about_flag = {name: conditions[name] for name in ABOUT_ONE_FLAG & set(conditions)}
    if not about_flag:
        return True, None
    met = [flag for flag in facts.flags if _flag_meets(about_flag, flag)]
    return bool(met), max(met, key=lambda flag: flag.score, default=None)


def _fact(name: str, facts: Facts) -> Any:
    return {
        "reasons": facts.reason,
        "trust": facts.trust,
        "source_kinds": facts.source_kind,
        "subject": facts.subject,
        "has_report": facts.has_report,
    }[name]


def _flag_meets(conditions: Mapping[str, Any], flag: FlagFact) -> bool:
    actual = {
        "flag_kinds": flag.kind,
        "categories": flag.category,
        "detectors": flag.detector,
        "surfaces": flag.surface,
    }
    for name, wanted in conditions.items():
        if name == "min_score":
            if flag.score < float(wanted):
                return False
        elif actual[name] not in wanted:
            return False
    return True


def _sentence(rule: Rule, flag: FlagFact | None, facts: Facts) -> str:
    """Return the rule's explanation with what it rests on."""
    parts = [rule.explanation.rstrip(".")]
    if flag is not None and flag.summary:
        parts.append(flag.summary.rstrip("."))
    elif facts.has_report and facts.source_name:
        said = f"“{facts.reason}”" if facts.reason else "without a reason"
        parts.append(f"reported by {facts.source_name}, {said}")
    text = ": ".join(parts) + "."
    return text if len(text) <= 500 else text[:499] + "…"


def _names(rules: list[Rule]) -> str:
    return "; ".join(f"“{rule.name}” cannot be read" for rule in rules)
