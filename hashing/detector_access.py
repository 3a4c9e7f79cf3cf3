"""Loads detectors and their figures for people whose role may see them. Not visible is 404."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.models import User
from accounts.permissions import Permission
from hashing import charts, health
from hashing.charts import Chart
from hashing.contract import Detector
from hashing.detectors import DETECTORS
from hashing.models import (
    DetectorBreaker,
    DetectorChange,
    DetectorPeriod,
    DetectorSetting,
    DetectorTrial,
    PendingLook,
    Verdict,
)

__all__ = [
    "Figures",
    "Known",
    "changes_of",
    "charts_of",
    "detectors_for",
    "figures_of",
    "get_detector_for",
    "get_setting_for",
    "get_trial_for",
    "results_of",
    "usefulness_of",
    "waiting_for",
]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PER_BAR = 3
"""Periods of five minutes in one bar of the charts."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A detector as the pages show it: built in (no ``setting``) or one that is turned on and off."""

    name: str
    label: str
    origin: str
    version: str
    kinds: tuple[str, ...]
    card: dict[str, Any]
    setting: DetectorSetting | None = None
    breaker: DetectorBreaker | None = None

    @property
    def state(self) -> tuple[str, str]:
        """The state in words, and its tone."""
        if self.setting is None:
            return "Always on", "ok"
        if self.setting.problem:
            return "Cannot be used", "danger"
        if not self.setting.is_on:
            return "Off", ""
        return ("Paused", "warn") if self.is_paused else ("On", "ok")

    @property
    def is_paused(self) -> bool:
        """Whether its breaker is open or waits for a probe."""
        return self.breaker is not None and self.breaker.open_until is not None

    @property
    def is_on(self) -> bool:
        """Whether it is asked at all."""
        return self.setting is None or self.setting.is_on


@dataclass
class Figures:
    """What a detector did in a span of time. Times are in ms, the upper edges of histogram buckets."""

    runs: int = 0
    failures: int = 0
    found: int = 0
    run_times: list[int] = field(default_factory=lambda: [0] * health.BUCKETS)
    queue_times: list[int] = field(default_factory=lambda: [0] * health.BUCKETS)

    def add(self, row: DetectorPeriod) -> None:
        """Add one row of five minutes."""
        self.runs += row.runs
        self.found += row.found
        if row.result != "ok":
            self.failures += row.runs
        self.run_times = [a + b for a, b in zip(self.run_times, row.run_times, strict=True)]
        self.queue_times = [a + b for a, b in zip(self.queue_times, row.queue_times, strict=True)]

    @property
    def p50(self) -> float | None:
        """Half of the runs took at most so long."""
        return health.percentile(self.run_times, 0.5)

    @property
    def p95(self) -> float | None:
        """All but a twentieth of the runs took at most so long."""
        return health.percentile(self.run_times, 0.95)

    @property
    def queue_p95(self) -> float | None:
        """All but a twentieth of the items waited at most so long for their first scan."""
        return health.percentile(self.queue_times, 0.95)

    @property
    def words(self) -> dict[str, str]:
        """The figures as they are shown."""
        return {
            "p50": charts.spoken(self.p50),
            "p95": charts.spoken(self.p95),
            "queue": charts.spoken(self.queue_p95),
        }


def detectors_for(user: User) -> list[Known]:
    """Return every detector: the built-in ones, then the others by name; none for who may not see them."""
    if not user.may(Permission.HASHING_DETECTORS_VIEW):
        return []
    rows = DetectorSetting.objects.select_related("breaker", "changed_by").order_by(
        "origin", "label"
    )
    return [*(_built_in(each) for each in DETECTORS), *(_optional(row) for row in rows)]


def get_detector_for(user: User, name: str) -> Known:
    """Return one detector by its name. Raises Http404."""
    for known in detectors_for(user):
        if known.name == name:
            return known
    raise Http404


def get_setting_for(user: User, name: str) -> DetectorSetting:
    """Return the setting of a detector that can be turned on and off. Raises Http404."""
    if not user.may(Permission.HASHING_DETECTORS_VIEW):
        raise Http404
    return get_object_or_404(DetectorSetting, name=name)


def get_trial_for(user: User, trial_id: UUID) -> DetectorTrial:
    """Return a trial of the person's own. Raises Http404."""
    if not user.may(Permission.HASHING_DETECTORS_VIEW):
        raise Http404
    return get_object_or_404(DetectorTrial, pk=trial_id, asked_by=user)


def changes_of(setting: DetectorSetting) -> QuerySet[DetectorChange]:
    """Return the versions of a setting, newest first."""
    return setting.changes.select_related("changed_by").order_by("-version")


def waiting_for(setting: DetectorSetting) -> int:
    """Return how many items wait for a detector to be back."""
    return PendingLook.objects.filter(detector=setting).count()


def usefulness_of(name: str) -> dict[str, int]:
    """Return how people decided in 30 days on items that a detector flagged: decided, violating."""
    flagged = Q(item__flags__detector=name, item__flags__superseded_at=None) & ~Q(
        item__flags__kind__in=["could_not_scan", "not_scanned"]
    )
    return Verdict.objects.filter(flagged, decided_at__gte=Now() - timedelta(days=30)).aggregate(
        decided=Count("item", distinct=True),
        violating=Count("item", distinct=True, filter=Q(is_violation=True)),
    )


def figures_of(names: Iterable[str], span: timedelta = HOUR) -> dict[str, Figures]:
    """Return the figures of detectors in the last hour or another span."""
    found: dict[str, Figures] = {name: Figures() for name in names}
    rows = DetectorPeriod.objects.filter(began_at__gt=Now() - span, detector__in=list(found))
    for row in rows:
        found[row.detector].add(row)
    return found


def results_of(name: str, span: timedelta = DAY) -> list[tuple[str, int]]:
    """Return how the runs of a detector ended, as (words, number), the most frequent first."""
    numbers: dict[str, int] = defaultdict(int)
    rows = DetectorPeriod.objects.filter(began_at__gt=Now() - span, detector=name)
    for result, found, runs in rows.values_list("result", "found", "runs"):
        if result == "ok":
            numbers["Looked, found something"] += found
            numbers["Looked, found nothing"] += runs - found
        else:
            numbers[f"Could not look: {result.replace('_', ' ')}"] += runs
    return sorted(
        ((words, number) for words, number in numbers.items() if number), key=lambda pair: -pair[1]
    )


def charts_of(name: str, now: datetime) -> list[Chart]:
    """Return the charts of a detector's last 24 hours: runs, run time, waiting time."""
    size = health.PERIOD_SECONDS * PER_BAR
    last = int(now.timestamp()) // size
    starts = [datetime.fromtimestamp((last - back) * size, UTC) for back in range(95, -1, -1)]
    slots: list[tuple[Figures, Figures]] = [(Figures(), Figures()) for _ in starts]
    for row in DetectorPeriod.objects.filter(detector=name, began_at__gte=starts[0]):
        at = int((row.began_at - starts[0]).total_seconds()) // size
        if 0 <= at < len(slots):
            slots[at][row.result != "ok"].add(row)
    names = [f"{start:%H:%M}" for start in starts]
    marks = [f"{starts[at]:%H:%M}" for at in (0, 24, 48, 72)] + ["now"]
    fine = [good for good, _ in slots]
    runs = sum(good.runs for good in fine)
    failures = sum(bad.runs for _, bad in slots)
    return [
        charts.bars(
            "Items looked at, by quarter of an hour",
            f"{runs:,} items in 24 hours, {failures:,} more could not be looked at",
            names,
            [[("looked", good.runs), ("failed", bad.runs)] for good, bad in slots],
            marks=marks,
            legend=[("looked", "Looked at"), ("failed", "Could not look")],
        ),
        charts.lines(
            "Time for an item",
            f"Half took at most {charts.spoken(_all(fine).p50)}, "
            f"19 of 20 at most {charts.spoken(_all(fine).p95)}",
            names,
            [("p95", [each.p95 for each in fine]), ("p50", [each.p50 for each in fine])],
            marks=marks,
            legend=[("p50", "Half of the items"), ("p95", "19 of 20 items")],
        ),
        charts.lines(
            "Waiting time of items before their scan",
            f"19 of 20 waited at most {charts.spoken(_all(fine).queue_p95)}",
            names,
            [("p95", [each.queue_p95 for each in fine])],
            marks=marks,
            legend=[("p95", "19 of 20 items")],
        ),
    ]


def _all(figures: Sequence[Figures]) -> Figures:
    total = Figures()
    for each in figures:
        total.run_times = [a + b for a, b in zip(total.run_times, each.run_times, strict=True)]
        total.queue_times = [
            a + b for a, b in zip(total.queue_times, each.queue_times, strict=True)
        ]
    return total


def _built_in(detector: Detector) -> Known:
    return Known(
        name=detector.name,
        label=str(getattr(detector, "label", "")) or detector.name.replace("_", " ").capitalize(),
        origin="Built in",
        version=detector.version,
        kinds=tuple(sorted(detector.kinds)),
        card={"summary": _plain(inspect.getdoc(type(detector)) or "")},
    )


def _plain(doc: str) -> str:
    """Return a docstring's paragraphs as plain text: they are written for people."""
    words = re.sub(r"``([^`]*)``", lambda code: code[1].replace("_", " "), doc)
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in words.split("\n\n"))


def _optional(row: DetectorSetting) -> Known:
    return Known(
        name=row.name,
        label=row.label,
        origin=row.get_origin_display(),
        version=row.code_version,
        kinds=tuple(row.description.get("kinds", ())),
        card=row.description.get("card", {}),
        setting=row,
        breaker=getattr(row, "breaker", None),
    )
