"""Due times that lie further ahead than code sets them: the database's clock was put back, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Case, DurationField, ExpressionWrapper, F, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest, Now

from core.jobs import CLOCK_SLACK
from core.leases import LEASE, lease_after
from hashing.actions import breakers, index_builds
from hashing.actions.exchange_reviews import pause_after
from hashing.actions.risk import CASE_LEASE
from hashing.actions.scores import DRIFT_EVERY
from hashing.exchanges.contract import LONGEST_WAIT
from hashing.models import (
    CaseState,
    ClassifierVersion,
    DetectorBreaker,
    Exchange,
    ExchangeReview,
    FileLookup,
    HashImport,
    ImportState,
    IndexBuild,
    IndexState,
    LinkImport,
    LinkImportState,
    ListedVideo,
    LookupState,
    PendingLook,
    ReviewState,
    RiskScore,
    VersionState,
    VideoState,
)
from reports.models import Item, ScanState

__all__ = ["pull_back_due_times"]

POSTPONED = timedelta(minutes=1)
"""The longest wait of what was not begun: for the index, or for room on a disk."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """Rows that wait, the field that says until when, and the longest wait that code gives each of them.

    ``least`` is the shortest of these: an index finds the few rows that are worth comparing.
    """

    rows: QuerySet
    field: str
    longest: Combinable
    least: timedelta

    def pull_back(self) -> int:
        ahead = {f"{self.field}__gt": Now() + self.least + CLOCK_SLACK}
        too_far = {f"{self.field}__gt": Now() + self.longest + CLOCK_SLACK}
        return self.rows.filter(**ahead).filter(**too_far).update(**{self.field: Now()})


@transaction.atomic
def pull_back_due_times() -> int:
    """Make due what waits for a time that code would not have set; return how many rows. Safe to repeat."""
    return sum(each.pull_back() for each in _waits())


def _waits() -> Iterator[_Wait]:
    items = Item.objects.filter(scan_state=ScanState.WAITING)
    yield _counted(items, "scan_attempts", "scan_due_at", _leased)
    for rows in (
        FileLookup.objects.filter(state=LookupState.WAITING),
        HashImport.objects.filter(state=ImportState.WAITING),
        ListedVideo.objects.filter(state=VideoState.WAITING),
        LinkImport.objects.filter(state=LinkImportState.WAITING),
        ClassifierVersion.objects.filter(state=VersionState.TRAINING),
    ):
        yield _counted(rows, "attempts", "due_at", _leased)
    reading = [ImportState.READING, ImportState.WRITING]
    yield _always(HashImport.objects.filter(state__in=reading), "due_at", LEASE)
    scores = RiskScore.objects.filter(case_state__in=[CaseState.WAITING, CaseState.FAILED])
    yield _always(scores, "case_due_at", CASE_LEASE)
    active = ClassifierVersion.objects.filter(state=VersionState.ACTIVE)
    yield _always(active, "drift_due_at", DRIFT_EVERY)
    builds = IndexBuild.objects.filter(state=IndexState.WAITING)
    yield _counted(builds, "attempts", "due_at", index_builds.rest_after)
    yield _counted(PendingLook.objects.all(), "attempts", "due_at", _look)
    open_ = DetectorBreaker.objects.filter(open_until__isnull=False)
    yield _counted(open_, "openings", "open_until", _opening)
    reviews = ExchangeReview.objects.filter(state=ReviewState.WAITING)
    yield _counted(reviews, "attempts", "due_at", _sending)
    exchanges = Exchange.objects.filter(is_active=True)
    yield _always(exchanges.filter(leased_until__isnull=False), "leased_until", LEASE)
    every = ExpressionWrapper(
        F("every_minutes") * Value(timedelta(minutes=1)), output_field=DurationField()
    )
    yield _Wait(exchanges.filter(last_error=""), "due_at", every, timedelta())
    # One that failed may have asked to be left alone for a day: what it asked for is not kept.
    a_day = timedelta(seconds=LONGEST_WAIT)
    longest = Greatest(every, Value(a_day), output_field=DurationField())
    yield _Wait(exchanges.exclude(last_error=""), "due_at", longest, a_day)


def _leased(attempts: int) -> timedelta:
    return max(POSTPONED, lease_after(max(attempts - 1, 0)))


def _look(attempts: int) -> timedelta:
    return breakers.pause_after(attempts - 1) if attempts else breakers.FIRST_WAIT


def _opening(openings: int) -> timedelta:
    return max(breakers.PROBE_LEASE, breakers.wait_after(max(openings - 1, 0)))


def _sending(attempts: int) -> timedelta:
    return pause_after(attempts - 1) if attempts else POSTPONED


def _always(rows: QuerySet, field: str, longest: timedelta) -> _Wait:
    return _Wait(rows, field, Value(longest, output_field=DurationField()), longest)


def _counted(
    rows: QuerySet, counter: str, field: str, longest: Callable[[int], timedelta]
) -> _Wait:
    """Return rows whose wait grows with a counter of theirs, up to ``_MOST``."""
    waits = [When(**{counter: count}, then=Value(longest(count))) for count in range(_MOST)]
    each = Case(*waits, default=Value(longest(_MOST)), output_field=DurationField())
    return _Wait(rows, field, each, min(longest(count) for count in range(_MOST + 1)))


_MOST = 10
"""From this count on no wait grows any more: nothing is tried oftener."""
