"""Scanning in the background, and the sweep that finds what waits for it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import replace

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from core import disk, vault
from core.errors import DiskFull, VaultDamage, describe, is_database_down
from core.jobs import enqueue, job
from hashing import actions, health, lookup
from hashing.actions import Outcome, Scan
from hashing.contract import (
    Detector,
    FlagKind,
    ScanItem,
    Unavailable,
    could_not_scan,
    covers,
    not_scanned,
)
from hashing.detectors import detectors
from hashing.images import Limits
from hashing.lookup import IndexNotReady
from hashing.media import Media
from reports.actions import postpone_scan
from reports.models import Item, ItemKind, ScanState

__all__ = ["listed_kinds", "scan_item", "scan_video", "scan_waiting", "sweep_items"]

log = logging.getLogger(__name__)

ENOUGH_AT_ONCE = 1000
INDEX_SECONDS = 10.0
"""How long an item waits before it is looked at again when there was no index to look things up in."""
DISK_SECONDS = 60.0
"""How long items wait when a disk was full: the attempt does not count, the file did nothing wrong."""
DATABASE_SECONDS = 10.0
"""How long a database that ended the session is asked again, to give back what was taken."""
BATCH = 16
"""Items that are taken, and recorded, together."""
BATCH_SECONDS = 10.0
"""After this long what is done of a batch is recorded and the rest is put back."""
BUSY_SECONDS = 30.0
"""After this long a job gives its place to another one. With the two above, and the 20 s that one picture may
take, a batch is recorded before the job's time limit."""


@job
def scan_item(item_id: str) -> None:
    """Let every detector that covers an item look at it, and record what they say.

    Safe to repeat and to kill: the item is due again if no result was recorded.
    """
    item = actions.begin_scan(Item(pk=item_id))
    if item is not None:
        _scan([item], until=math.inf)


@job
def scan_video(item_id: str) -> None:
    """Scan one video, which takes as long as some hundred pictures: a job and a queue of its own.

    The id only tells wake-ups apart: what is scanned is the video whose source has the turn, so that a heap of one source does
    not stand before all others.
    """
    if begun := actions.begin_scans(limit=1, videos=True):
        _scan(begun, until=math.inf)


@job
def scan_waiting(lane: int) -> None:
    """Scan what is due, some items at a time, until nothing is or the time of this job is over.

    Items of a batch are looked at one by one and recorded together: one transaction costs as much as
    one picture. Safe to repeat, to kill and to run beside itself: what is taken by one is not taken by another.
    """
    over = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < over:
        batch = actions.begin_scans(limit=BATCH)
        if not batch:
            return
        _scan(batch, until=time.monotonic() + BATCH_SECONDS)
    enqueue("scan_waiting", lane)


def sweep_items() -> int:
    """Wake workers for the items whose scan is due; return how many items. A heap of videos hides no others, nor they it."""
    waiting = actions.waiting_items().values_list("pk", flat=True)
    videos = list(waiting.filter(kind=ItemKind.VIDEO)[:ENOUGH_AT_ONCE])
    others = len(waiting.exclude(kind=ItemKind.VIDEO)[:ENOUGH_AT_ONCE])
    for item_id in videos:
        enqueue("scan_video", item_id)
    for lane in range(min(settings.HOLDFAST_SCAN_LANES, math.ceil(others / BATCH))):
        enqueue("scan_waiting", lane)
    return len(videos) + others


def _scan(items: list[Item], *, until: float) -> None:
    """Look at items and record what was found; on a full disk all of them wait, and say for what."""
    try:
        with actions.keep_scans(items):
            _scan_each(items, until=until)
    except Exception as failed:
        holds = disk.full_disk(failed)
        if holds is None:
            if is_database_down(failed):
                _put_back_soon(items)
            raise
        disk.note(holds)
        for item in items:
            reason = f"Waits: the disk that holds {holds} is full."
            postpone_scan(item, reason=reason, seconds=DISK_SECONDS)


def _put_back_soon(items: list[Item]) -> None:
    """Give back what was taken when the database ended the session: no attempt of theirs, and nobody has to wait.

    Best effort: while the database stays away nothing can be written, and the lease ends by itself.
    """
    over = time.monotonic() + DATABASE_SECONDS
    while True:
        try:
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            actions.put_back(items)
        except DatabaseError as failed:
            if time.monotonic() > over:
                log.info("items are not put back (%s); their lease ends", describe(failed))
                return
            time.sleep(0.5)
        else:
            return


def _scan_each(items: list[Item], *, until: float) -> None:
    """Look at items and record what was found; those that are not begun by ``until`` are put back."""
    known = detectors()  # Once for all of them: a switch counts from the next batch on.
    scans: list[Scan] = []
    with lookup.held():
        for number, item in enumerate(items):
            if scans and time.monotonic() > until:
                actions.put_back(items[number:])
                break
            try:
                scans.append(_look_at(item, known))
            except IndexNotReady as waiting:
                postpone_scan(item, reason=f"Waits: {waiting.reason}.", seconds=INDEX_SECONDS)
    if scans:
        actions.record_scans(scans)
    health.flush()


def _look_at(item: Item, known: Iterable[Detector]) -> Scan:
    """Let every detector that covers an item look at it. Raises IndexNotReady."""
    subject = ScanItem(
        id=item.pk,
        surface=item.surface,
        kind=item.kind,
        text=item.text,
        media_type=item.blob.media_type if item.blob else "",
    )
    looking = [detector for detector in known if covers(detector, subject)]
    media = _media(item, looking)
    waited_ms = _waited_ms(item)
    outcomes, state = _look(replace(subject, media=media), looking, waited_ms=waited_ms)
    if item.blob is not None and item.text.strip():
        said, state_of_text = _look_at_caption(subject, known)
        outcomes += said
        state = state if state == state_of_text else ScanState.PARTLY
    file, frames = media.computed() if media else (None, ())
    watched = media.watched() if media else None
    return Scan(item, outcomes, state, file, frames, watched)


def _look_at_caption(
    message: ScanItem, known: Iterable[Detector]
) -> tuple[list[Outcome], ScanState]:
    """Let the detectors of texts look at the words beside a file; what they find says where it stands."""
    caption = replace(message, kind=ItemKind.TEXT.value, media_type="")
    looking = [detector for detector in known if covers(detector, caption)]
    outcomes, state = _look(caption, looking)
    return [
        replace(
            outcome,
            findings=[
                replace(
                    finding,
                    summary=f"In the caption: {finding.summary}"[:300],
                    evidence={**finding.evidence, "part": "caption"},
                )
                for finding in outcome.findings
            ],
        )
        for outcome in outcomes
    ], state


def _media(item: Item, looking: list[Detector]) -> Media | None:
    blob = item.blob
    if blob is None:
        return None
    return Media(
        lambda: vault.open(blob),
        limits=Limits(bytes=settings.HOLDFAST_MAX_UPLOAD_BYTES),
        algorithms=settings.HOLDFAST_DIGESTS | listed_kinds(),
        needs_pixels=any(getattr(detector, "needs_pixels", False) for detector in looking),
    )


def listed_kinds() -> frozenset[str]:
    """Return the kinds of digest that some list holds: one that was never computed would never match."""
    try:
        return lookup.current().spaces()
    except IndexNotReady:
        return frozenset()  # The item is postponed where it is looked up.


def _waited_ms(item: Item) -> float | None:
    """Return how long an item waited for its first scan, in ms; None for a later one."""
    if item.scan_attempts > 1 or item.scanned_at is not None:
        return None
    return max((timezone.now() - item.received_at).total_seconds() * 1000, 0.0)


def _look(
    item: ScanItem, looking: list[Detector], waited_ms: float | None = None
) -> tuple[list[Outcome], ScanState]:
    """Ask every detector; one that fails does not stop the others. Outside any transaction."""
    if not looking:
        name, version = actions.scans.SCANNER
        return [Outcome(name, version, [not_scanned(item.kind)])], ScanState.NOT_SCANNED
    outcomes, failed = [], 0
    for detector in looking:
        outcome, ended = ask(detector, item, waited_ms=waited_ms)
        outcomes.append(outcome)
        failed += not ended
    if failed == len(looking):
        return outcomes, ScanState.FAILED
    missing = any(
        finding.kind in {FlagKind.COULD_NOT_SCAN, FlagKind.NOT_SCANNED}
        for outcome in outcomes
        for finding in outcome.findings
    )
    return outcomes, ScanState.PARTLY if missing else ScanState.SCANNED


def ask(
    detector: Detector,
    item: ScanItem,
    *,
    waited_ms: float | None = None,
    counted: bool = True,
) -> tuple[Outcome, bool]:
    """Return what a detector says and whether it came to an end; count the run unless told otherwise."""
    began = time.perf_counter()
    outcome, ended = _ask(detector, item)
    if not counted:
        return outcome, ended
    codes = [
        str(each.evidence.get("code", ""))
        for each in outcome.findings
        if each.kind == FlagKind.COULD_NOT_SCAN
    ]
    health.note(
        outcome.detector,
        outcome.version,
        ms=(time.perf_counter() - began) * 1000,
        result=codes[0] if codes else "ok",
        found=len(outcome.findings) > len(codes),
        queue_ms=waited_ms,
    )
    return outcome, ended


def _ask(detector: Detector, item: ScanItem) -> tuple[Outcome, bool]:
    try:
        return Outcome(detector.name, detector.version, detector.scan(item)), True
    except IndexNotReady:
        raise  # Nothing is known of the item, and soon it will be: it waits.
    except DiskFull:
        raise  # Says nothing of the item.
    except Unavailable as away:
        finding = could_not_scan("The item", away.reason, code=away.code, detail=away.detail)
    except VaultDamage as damage:
        finding = could_not_scan("The original", damage.reason, code="vault_damage")
    except Exception as failed:
        if (holds := disk.full_disk(failed)) is not None:
            raise DiskFull(holds) from failed
        # Its message could quote the item: the kind and the place must do.
        log.error("detector %s failed: %s", detector.name, describe(failed))
        finding = could_not_scan(
            "The item",
            f"the detector “{detector.name}” failed ({type(failed).__name__})",
            code="detector_failed",
        )
    return Outcome(detector.name, detector.version, [finding]), False
