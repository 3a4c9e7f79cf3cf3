"""Scanning items: taking them up, recording what was found, giving up."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from core import audit
from core.audit import Actor, AuditEvent
from core.leases import kept, lease_after
from hashing.actions.breakers import keep_pending_looks
from hashing.actions.risk import mark_subjects_of
from hashing.audit_rows import flag_digest
from hashing.contract import AGAIN_LATER, Finding, FlagKind, could_not_scan
from hashing.digests import FileDigests, FrameDigests
from hashing.models import Algorithm, Digest, Flag, VideoWatch
from hashing.videos import Watched
from reports.actions import record_scan_ends
from reports.models import Item, ItemKind, ScanState

__all__ = [
    "MOST_ATTEMPTS",
    "Outcome",
    "Scan",
    "begin_scan",
    "begin_scans",
    "give_up_scan",
    "keep_scans",
    "put_back",
    "record_findings",
    "record_scans",
    "waiting_items",
]

MOST_ATTEMPTS = 4
"""A scan that began this often and never ended goes to a person: the file may kill whatever opens it."""

HOLDERS_MARKED = 100
"""Holders of the same media that are rated anew for one batch: the count that matters is far lower."""

SCANNER = ("scan", "1")
"""Detector name and version of flags that no single detector raised."""


@dataclass(frozen=True)
class Outcome:
    """What one detector said about one item."""

    detector: str
    version: str
    findings: Sequence[Finding] = field(default_factory=tuple)


@dataclass(frozen=True)
class Scan:
    """What one scan of an item came to: what each detector said, how it ended, and the digests."""

    item: Item
    outcomes: Sequence[Outcome]
    state: ScanState
    file_digests: FileDigests | None = None
    frame_digests: Sequence[FrameDigests] = ()
    watched: Watched | None = None


def waiting_items() -> QuerySet[Item]:
    """Return the items whose scan is due: not begun, or begun by a worker that never came back."""
    return Item.objects.filter(scan_state=ScanState.WAITING, scan_due_at__lte=Now()).order_by(
        "scan_due_at"
    )


_FRONT = """
SELECT i.id, i.scan_due_at, row_number() OVER (PARTITION BY s.id ORDER BY i.scan_due_at) AS turn
    FROM reports_source s CROSS JOIN LATERAL (
        SELECT id, scan_due_at FROM reports_item
        WHERE source_id = s.id AND {lane} AND scan_state = 'waiting' AND scan_attempts = 0
        AND scan_due_at <= statement_timestamp() ORDER BY scan_due_at LIMIT %(limit)s
    ) i
"""
_REPORTED = _FRONT.format(lane="report_id IS NOT NULL AND kind <> 'video'")
_ALONE = _FRONT.format(lane="report_id IS NULL AND kind <> 'video'")
_VIDEOS = _FRONT.format(lane="kind = 'video'")
_IN_TURNS = f"SELECT id FROM ({_REPORTED} UNION ALL {_ALONE}) lanes ORDER BY turn, scan_due_at LIMIT %(limit)s"  # noqa: S608 — made of the constants above
"""Two lanes a source, each by an index of its own, so that a heap in one is not read for the other."""
_ANY_TURN = f"SELECT id FROM ({_VIDEOS}) lanes ORDER BY turn, random() LIMIT %(limit)s"  # noqa: S608 — made of the constants above
"""Videos are taken one at a time: nobody remembers whose turn was the last, so it is drawn."""


def _in_turns(limit: int, *, videos: bool = False) -> list[UUID]:
    """Return the items to scan next: of each source the longest waiting, by turns, reported ones beside the others.

    By the time alone, whatever one source sends at once (a back-fill, a flood) would make all others wait behind it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ANY_TURN if videos else _IN_TURNS, {"limit": limit})
        return [row[0] for row in cursor.fetchall()]


@transaction.atomic
def begin_scan(item: Item) -> Item | None:
    """Take up the scan of an item; return it fresh, or None if there is nothing to do now.

    Nothing to do: it is scanned, another worker has it, or it failed so often that this call gave up on
    it. The item becomes due again when its lease ends (``keep_scans`` renews it), which is longer after each
    attempt, so a worker that is killed only delays it. Not audited: the end of the scan is.
    """
    taken = (
        Item.objects.select_for_update(no_key=True, of=("self",))
        .filter(pk=item.pk, scan_state=ScanState.WAITING, scan_due_at__lte=Now())
        .select_related("blob")
        .first()
    )
    if taken is None:
        return None
    if taken.scan_attempts >= MOST_ATTEMPTS:
        give_up_scan(taken, actor=audit.SYSTEM)
        return None
    Item.objects.filter(pk=taken.pk).update(
        scan_attempts=taken.scan_attempts + 1,
        scan_due_at=Now() + lease_after(taken.scan_attempts),
    )
    taken.scan_attempts += 1
    return taken


@transaction.atomic
def begin_scans(*, limit: int, videos: bool = False) -> list[Item]:
    """Take up to ``limit`` due items that nobody else has; fresh, sources by turns, of each the longest waiting first.

    An item whose scan began before and never ended comes alone: it may kill whoever opens it, and the
    others must not count that as their own attempt. Videos take long: they are taken apart from all else.
    """
    is_video = Q(kind=ItemKind.VIDEO)
    due = (
        waiting_items()
        .filter(is_video if videos else ~is_video)
        .select_for_update(no_key=True, skip_locked=True, of=("self",))
        .select_related("blob")
    )
    fresh = due.filter(scan_attempts=0)
    # Somebody else may have had the same turn: then whatever waits.
    turn = fresh.filter(pk__in=_in_turns(limit, videos=videos))
    taken = list(turn) or list(fresh[:limit]) or list(due[:1])
    begun = []
    for item in taken:
        if item.scan_attempts >= MOST_ATTEMPTS:
            give_up_scan(item, actor=audit.SYSTEM)
        else:
            begun.append(item)
    if begun:
        attempts = begun[0].scan_attempts
        Item.objects.filter(pk__in=[item.pk for item in begun]).update(
            scan_attempts=attempts + 1, scan_due_at=Now() + lease_after(attempts)
        )
        for item in begun:
            item.scan_attempts = attempts + 1
    return begun


def keep_scans(items: Sequence[Item]) -> AbstractContextManager[None]:
    """Keep items that were taken together from others while the block scans them and its process lives."""
    return kept(
        Item.objects.filter(
            pk__in=[item.pk for item in items],
            scan_state=ScanState.WAITING,
            scan_attempts=items[0].scan_attempts,
        ),
        field="scan_due_at",
    )


@transaction.atomic
def put_back(items: Iterable[Item]) -> None:
    """Let others have items that were taken and not looked at: due at once, and the attempt does not count."""
    Item.objects.filter(
        pk__in=[item.pk for item in items], scan_state=ScanState.WAITING, scan_attempts__gt=0
    ).update(scan_attempts=F("scan_attempts") - 1, scan_due_at=Now())


@transaction.atomic
def give_up_scan(item: Item, *, actor: Actor) -> Item:
    """End a scan that never came to an end: the item is flagged as not scannable and goes to a person.

    Can be undone by putting the item back in line (``reports.actions.record_scan_state``).
    """
    reason = f"the scan began {item.scan_attempts} times and never came to an end"
    finding = could_not_scan("The item", reason, code="gave_up")
    item = record_findings(
        item, [Outcome(*SCANNER, [finding])], state=ScanState.FAILED, actor=actor
    )
    audit.record(
        AuditEvent.SCAN_GAVE_UP,
        actor=actor,
        subject=item,
        chain=f"item:{item.pk}",
        attempts=item.scan_attempts,
    )
    return item


def record_findings(
    item: Item,
    outcomes: Iterable[Outcome],
    *,
    state: ScanState,
    file_digests: FileDigests | None = None,
    frame_digests: Sequence[FrameDigests] = (),
    actor: Actor = audit.SYSTEM,
) -> Item:
    """Record everything that one scan of an item found, and let it be routed (see ``record_scans``)."""
    scan = Scan(item, list(outcomes), state, file_digests, frame_digests)
    return record_scans([scan], actor=actor)[0]


@transaction.atomic
def record_scans(scans: Sequence[Scan], *, actor: Actor = audit.SYSTEM) -> list[Item]:
    """Record what several scans found, all or none, and let the items be routed. Safe to repeat.

    A finding that is already there stays as it was first recorded; one that its scan did not find again
    is marked superseded, never removed. Digests are kept per original, once. An item that is no longer
    waiting for its scan keeps its state.
    """
    keys = [scan.item.pk for scan in scans]
    # In the order of their keys: two transactions that share items never wait for each other in a circle.
    locked = Item.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    items = {item.pk: item for item in locked}
    for scan in scans:
        _keep_looks(items[scan.item.pk], scan.outcomes)
    _keep_digests([(items[scan.item.pk], scan) for scan in scans])
    _keep_watches([(items[scan.item.pk], scan) for scan in scans])
    flagged = _keep_flags([(items[scan.item.pk], scan) for scan in scans])
    audit.record_each(
        AuditEvent.ITEM_FLAGGED,
        actor=actor,
        about=[
            (item, f"item:{item.pk}", {"flags": [_said(flag) for flag in raised]} | changed)
            for item, raised, changed in flagged
        ],
    )
    _mark_holders(items.values())
    states = {
        scan.item.pk: scan.state
        for scan in scans
        if items[scan.item.pk].scan_state == ScanState.WAITING
    }
    ended = record_scan_ends([items[key] for key in states], states, actor=actor)
    items |= {item.pk: item for item in ended}
    return [items[key] for key in keys]


def _mark_holders(items: Iterable[Item]) -> None:
    """Mark whoever holds the same media as somebody else: it is one of the signs that risk counts."""
    blobs = {item.blob_id: item for item in items if item.blob_id is not None}
    if not blobs:
        return
    others = Item.objects.filter(blob__in=blobs).exclude(
        pk__in=[item.pk for item in blobs.values()]
    )
    sharing = list(others.order_by("-received_at")[:HOLDERS_MARKED])
    mark_subjects_of(
        [*sharing, *(blobs[each] for each in {other.blob_id for other in sharing} if each)]
    )


def _said(flag: Flag) -> dict[str, Any]:
    """Return what the audit log says of a flag: where it comes from, never what was found."""
    return {
        "flag": flag.pk,
        "facts": flag_digest(flag),
        "kind": flag.kind,
        "detector": flag.detector,
        "version": flag.detector_version,
        "list": flag.evidence.get("list", ""),
        "list_version": flag.evidence.get("list_version"),
        "entry": flag.evidence.get("entry"),
    }


def _keep_looks(item: Item, outcomes: Iterable[Outcome]) -> None:
    """Note the detectors of others (their names have a dot) that could not look at present."""
    away: set[str] = set()
    answered: set[str] = set()
    for outcome in outcomes:
        if "." in outcome.detector:
            waits = any(
                each.kind == FlagKind.COULD_NOT_SCAN and each.evidence.get("code") == AGAIN_LATER
                for each in outcome.findings
            )
            (away if waits else answered).add(outcome.detector)
    keep_pending_looks(item, unavailable=away, answered=answered)


def _keep_flags(
    scans: Iterable[tuple[Item, Scan]],
) -> list[tuple[Item, list[Flag], dict[str, list[UUID]]]]:
    """Write new flags, mark those that vanished; return the items of which something changed.

    With each its new flags, and under ``vanished`` and ``again`` the keys of those that went or came back.
    """
    scans = list(scans)
    standing: dict[UUID, dict[str, Flag]] = defaultdict(dict)
    for flag in Flag.objects.filter(item__in=[item for item, _ in scans]):
        standing[flag.item_id][flag.fingerprint] = flag
    changes: list[tuple[Item, list[Flag], dict[str, list[UUID]]]] = []
    again: list[UUID] = []
    vanished: list[UUID] = []
    for item, scan in scans:
        found = {
            finding.fingerprint(outcome.detector): (outcome, finding)
            for outcome in scan.outcomes
            for finding in outcome.findings
        }
        here = standing[item.pk]
        raised = [_flag(item, fp, *found[fp]) for fp in found if fp not in here]
        back = [flag.pk for fp, flag in here.items() if fp in found and flag.superseded_at]
        gone = [flag.pk for fp, flag in here.items() if fp not in found and not flag.superseded_at]
        moved = {name: keys for name, keys in (("again", back), ("vanished", gone)) if keys}
        if raised or moved:
            changes.append((item, raised, moved))
        again += back
        vanished += gone
    Flag.objects.bulk_create([flag for _, raised, _ in changes for flag in raised])
    if again:
        Flag.objects.filter(pk__in=again).update(superseded_at=None)
    if vanished:
        Flag.objects.filter(pk__in=vanished).update(superseded_at=Now())
    touched = {item.pk for item, _, _ in changes}
    mark_subjects_of(item for item, _ in scans if item.pk in touched)
    return changes


def _flag(item: Item, fingerprint: str, outcome: Outcome, finding: Finding) -> Flag:
    return Flag(
        item=item,
        detector=outcome.detector,
        detector_version=outcome.version,
        kind=finding.kind,
        category=finding.category,
        score=finding.score,
        summary=finding.summary[:300],
        evidence=dict(finding.evidence),
        fingerprint=fingerprint,
        hash_list_id=finding.hash_list_id,
        hash_entry_id=finding.hash_entry_id,
        term_list_id=finding.term_list_id,
        classifier_version_id=finding.classifier_version_id,
    )


def _keep_watches(scans: Iterable[tuple[Item, Scan]]) -> None:
    rows = [
        VideoWatch(
            blob_id=item.blob_id,
            width=scan.watched.width,
            height=scan.watched.height,
            duration_ms=scan.watched.duration_ms,
            frame_count=len(scan.watched.frames),
            problem=scan.watched.problem[:300],
            storyboard=[
                {
                    "at_ms": frame.at_ms,
                    "size": list(frame.size),
                    "points": base64.b64encode(frame.points).decode(),
                }
                for frame in scan.watched.storyboard()
            ],
        )
        for item, scan in scans
        if scan.watched is not None and item.blob_id is not None
    ]
    # What was seen last counts: a film that could not be watched may be by now. Two items of one batch may have the
    # same original, of which one row is written; in one order, so that two transactions never wait in a circle.
    latest = {row.blob_id: row for row in rows}
    if latest:
        VideoWatch.objects.bulk_create(
            [latest[key] for key in sorted(latest)],
            update_conflicts=True,
            unique_fields=["blob"],
            update_fields=[
                "width", "height", "duration_ms", "frame_count", "problem", "storyboard", "watched_at"
            ],
        )  # fmt: skip


def _keep_digests(scans: Iterable[tuple[Item, Scan]]) -> None:
    rows = []
    for item, scan in scans:
        if item.blob_id is None:
            continue  # A text has no file and so no digests of one.
        if scan.file_digests is not None:
            rows += [
                Digest(blob_id=item.blob_id, algorithm=algorithm, value=value)
                for algorithm, value in (
                    (Algorithm.MD5, scan.file_digests.md5),
                    (Algorithm.SHA1, scan.file_digests.sha1),
                    (Algorithm.SHA256, scan.file_digests.sha256),
                )
            ]
        for frame in scan.frame_digests:
            shared = {"blob_id": item.blob_id, "frame": frame.frame, "quality": frame.quality}
            rows += [
                Digest(algorithm=algorithm, value=value, **shared)
                for algorithm, value in frame.values().items()
            ]
    # Two items with the same original may be scanned at once; both compute the same. In one order, so that
    # neither waits for the other in a circle.
    rows.sort(key=lambda row: (str(row.blob_id), row.algorithm, row.frame))
    Digest.objects.bulk_create(rows, ignore_conflicts=True)
