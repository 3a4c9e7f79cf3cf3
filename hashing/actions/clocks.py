"""Due times that lie further ahead than code sets them: the database's clock was put back, and nobody waits for it."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from core.jobs import CLOCK_SLACK
from core.leases import LEASE, lease_after
from hashing.actions.scans import MOST_ATTEMPTS
from hashing.models import (
    CaseState,
    FileLookup,
    HashImport,
    ImportState,
    IndexBuild,
    IndexState,
    LinkImport,
    LinkImportState,
    ListedVideo,
    LookupState,
    RiskScore,
    VideoState,
)
from reports.models import Item, ScanState

__all__ = ["pull_back_due_times"]

POSTPONED = timedelta(minutes=1)
"""The longest wait of an item whose scan did not begin: for the index, or for room on a disk."""

RISK_LEASE = timedelta(minutes=2)


@transaction.atomic
def pull_back_due_times() -> int:
    """Make due what waits for a time that code would not have set; return how many rows. Safe to repeat."""
    waiting = Item.objects.filter(scan_state=ScanState.WAITING)
    pulled = 0
    for attempts in range(MOST_ATTEMPTS + 1):
        longest = max(POSTPONED, lease_after(max(attempts - 1, 0)))
        rows = waiting.filter(scan_attempts=attempts, scan_due_at__gt=Now() + longest + CLOCK_SLACK)
        pulled += rows.update(scan_due_at=Now())
    # Nobody took these up yet: they were due at once, or a minute after a full disk.
    for fresh in _never_begun():
        pulled += fresh.filter(due_at__gt=Now() + POSTPONED + CLOCK_SLACK).update(due_at=Now())
    imports = HashImport.objects.filter(
        state__in=[ImportState.READING, ImportState.WRITING], due_at__gt=Now() + LEASE + CLOCK_SLACK
    )
    pulled += imports.update(due_at=Now())
    scores = RiskScore.objects.filter(case_state__in=[CaseState.WAITING, CaseState.FAILED])
    late = scores.filter(case_due_at__gt=Now() + RISK_LEASE + CLOCK_SLACK)
    return pulled + late.update(case_due_at=Now())


def _never_begun() -> list[QuerySet]:
    return [
        FileLookup.objects.filter(state=LookupState.WAITING, attempts=0),
        HashImport.objects.filter(state=ImportState.WAITING, attempts=0),
        ListedVideo.objects.filter(state=VideoState.WAITING, attempts=0),
        LinkImport.objects.filter(state=LinkImportState.WAITING, attempts=0),
        IndexBuild.objects.filter(state=IndexState.WAITING, attempts=0),
    ]
