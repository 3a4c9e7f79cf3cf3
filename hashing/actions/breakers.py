"""Whether a detector is asked at present, and the items that wait until it can be.

The circuit breaker is one row a detector, shared by all workers. In ordinary times it is only read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.permissions import Permission
from core import audit
from core.audit import SYSTEM, Actor, AuditEvent, Person
from core.jobs import enqueue
from hashing.contract import Unavailable
from hashing.models import DetectorBreaker, DetectorSetting, PendingLook
from reports.actions import record_scan_state
from reports.models import Item, ScanState

__all__ = [
    "MOST_LOOKS",
    "due_looks",
    "keep_pending_looks",
    "look_again",
    "note_failure",
    "note_success",
    "pass_breaker",
    "try_detector_again",
]

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)
PROBE_LEASE = timedelta(seconds=60)
"""How long the one worker that probes has; if it dies, the next probe may start then."""

MOST_LOOKS = 8
"""How often an item is put in line again for one detector; after that its flag stays as it is."""

LONGEST_PAUSE = timedelta(hours=1)


def wait_after(openings: int) -> timedelta:
    """Return how long a breaker stays open that opened ``openings`` times in a row before."""
    return min(FIRST_WAIT * 2 ** min(openings, 10), LONGEST_WAIT)


def pause_after(attempts: int) -> timedelta:
    """Return how long an item waits for the next look after it was put in line ``attempts`` times before."""
    return min(timedelta(minutes=1) * 2**attempts, LONGEST_PAUSE)


def pass_breaker(setting: DetectorSetting) -> None:
    """Return if the detector may be asked now. Raises Unavailable while its breaker is open.

    Half open, exactly one worker passes until it says how the probe ended. Not audited: nothing changes
    that a person decided. Undone by ``note_success`` or ``note_failure``.
    """
    breaker = DetectorBreaker.objects.filter(detector=setting).exclude(open_until=None)
    if not breaker.exists():
        return
    if breaker.filter(open_until__lte=Now()).update(
        open_until=Now() + PROBE_LEASE, is_probing=True
    ):
        return
    raise Unavailable(
        f"“{setting.label}” is paused after failures and is asked again later",
        detail="the circuit breaker is open",
    )


@transaction.atomic
def note_success(setting: DetectorSetting) -> None:
    """Close the breaker, if it is not. Undone by the next failures. Audited when it was open."""
    troubled = DetectorBreaker.objects.filter(
        Q(failures__gt=0) | Q(open_until__isnull=False), detector=setting
    )
    before = troubled.first()
    if before is None:
        return
    troubled.update(failures=0, openings=0, open_until=None, is_probing=False)
    if before.open_until is not None:
        audit.record(AuditEvent.DETECTOR_RESUMED, actor=SYSTEM, subject=setting, name=setting.name)


@transaction.atomic
def note_failure(
    setting: DetectorSetting, *, code: str, reason: str, most: int, actor: Actor = SYSTEM
) -> None:
    """Count a failure; at ``most`` in a row, or when a probe fails, open the breaker for a while.

    The wait doubles from 30 s to 15 minutes. Undone by ``note_success``.
    """
    DetectorBreaker.objects.get_or_create(detector=setting)
    breaker = DetectorBreaker.objects.select_for_update().get(detector=setting)
    breaker.failures += 1
    # Others may have asked before it opened and fail only now: that is no news and adds no wait.
    was_closed = breaker.open_until is None
    opens = breaker.is_probing or (was_closed and breaker.failures >= most)
    fields = {
        "failures": breaker.failures,
        "last_code": code[:40],
        "last_error": reason[:300],
        "last_failed_at": Now(),
    }
    if opens:
        wait = wait_after(breaker.openings)
        fields |= {"openings": breaker.openings + 1, "open_until": Now() + wait}
        fields["is_probing"] = False
    DetectorBreaker.objects.filter(pk=breaker.pk).update(**fields)
    if opens and was_closed:
        audit.record(
            AuditEvent.DETECTOR_PAUSED,
            actor=actor,
            subject=setting,
            name=setting.name,
            failures=breaker.failures,
            code=code,
        )


@transaction.atomic
def try_detector_again(setting: DetectorSetting, *, actor: Person) -> int:
    """Let the next item be a probe now, and make every item that waits for it due; return how many.

    Cannot be undone: if it fails again, it is paused again.
    """
    require(actor, Permission.HASHING_DETECTORS_EDIT)
    DetectorBreaker.objects.filter(detector=setting, open_until__isnull=False).update(
        open_until=Now()
    )
    waiting = PendingLook.objects.filter(detector=setting).update(attempts=0, due_at=Now())
    audit.record(
        AuditEvent.DETECTOR_TRIED_AGAIN,
        actor=actor,
        subject=setting,
        name=setting.name,
        waiting=waiting,
    )
    return waiting


def keep_pending_looks(item: Item, *, unavailable: Iterable[str], answered: Iterable[str]) -> None:
    """Note for which detectors (by name) an item waits, and for which no longer. Safe to repeat.

    Call it in the transaction that records the findings. Undone by ``look_again``'s next answer.
    """
    if answered := list(answered):
        PendingLook.objects.filter(item=item, detector__name__in=answered).delete()
    if unavailable := list(unavailable):
        rows = DetectorSetting.objects.filter(name__in=unavailable)
        PendingLook.objects.bulk_create(
            [PendingLook(item=item, detector=row, due_at=Now() + FIRST_WAIT) for row in rows],
            ignore_conflicts=True,
        )


def due_looks(*, limit: int = 100) -> QuerySet[PendingLook]:
    """Return what can be looked at again: the detector is on and asked, or the time of a probe has come.

    Of a detector that is half open only one item: the others follow when that one went well.
    """
    due = PendingLook.objects.filter(
        due_at__lte=Now(), attempts__lt=MOST_LOOKS, detector__is_on=True
    ).order_by("due_at", "pk")
    closed = due.filter(Q(detector__breaker=None) | Q(detector__breaker__open_until=None))
    probes = due.filter(detector__breaker__open_until__lte=Now()).order_by(
        "detector", "due_at", "pk"
    )
    chosen = [
        *closed.values_list("pk", flat=True)[:limit],
        *probes.distinct("detector").values_list("pk", flat=True),
    ]
    return PendingLook.objects.filter(pk__in=chosen).order_by("due_at", "pk")


@transaction.atomic
def look_again(look: PendingLook, *, actor: Actor = SYSTEM) -> bool:
    """Put an item in line for another scan; return False when there is nothing to do now.

    The next attempt is written down first, with a wait that doubles from a minute to an hour. Cannot be
    undone; the scan itself may run twice.
    """
    item = Item.objects.select_for_update(no_key=True).filter(pk=look.item_id).first()
    held = PendingLook.objects.select_for_update(skip_locked=True).filter(pk=look.pk).first()
    if item is None or held is None:
        return False
    if item.scan_state == ScanState.WAITING:
        enqueue("scan_item", item.pk)
        return False
    PendingLook.objects.filter(pk=held.pk).update(
        attempts=held.attempts + 1, due_at=Now() + pause_after(held.attempts)
    )
    record_scan_state(item, ScanState.WAITING, actor=actor)
    return True
