"""Scanning an item: taking it up, recording what was found, giving up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from core import audit
from core.audit import Actor, AuditEvent, Person
from core.jobs import registered
from hashing.actions.breakers import keep_pending_looks
from hashing.contract import AGAIN_LATER, Finding, FlagKind, could_not_scan
from hashing.digests import FileDigests, FrameDigests
from hashing.models import Algorithm, Digest, Flag
from reports.actions import record_scan_state
from reports.models import Item, ScanState

__all__ = [
    "MOST_ATTEMPTS",
    "Outcome",
    "begin_scan",
    "give_up_scan",
    "record_findings",
    "waiting_items",
]

MOST_ATTEMPTS = 4
"""A scan that began this often and never ended goes to a person: the file may kill whatever opens it."""

SCANNER = ("scan", "1")
"""Detector name and version of flags that no single detector raised."""


@dataclass(frozen=True)
class Outcome:
    """What one detector said about one item."""

    detector: str
    version: str
    findings: Sequence[Finding] = field(default_factory=tuple)


def waiting_items() -> QuerySet[Item]:
    """Return the items whose scan is due: not begun, or begun by a worker that never came back."""
    return Item.objects.filter(scan_state=ScanState.WAITING, scan_due_at__lte=Now()).order_by(
        "scan_due_at"
    )


@transaction.atomic
def begin_scan(item: Item) -> Item | None:
    """Take up the scan of an item; return it fresh, or None if there is nothing to do now.

    Nothing to do: it is scanned, another worker has it, or it failed so often that this call gave up on
    it. The item becomes due again after the job's time limit, twice that after the second attempt, and
    so on, so a worker that is killed only delays it. Not audited: the end of the scan is.
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
    seconds = (registered("scan_item").timeout + 15) * 2**taken.scan_attempts
    Item.objects.filter(pk=taken.pk).update(
        scan_attempts=taken.scan_attempts + 1, scan_due_at=Now() + timedelta(seconds=seconds)
    )
    taken.scan_attempts += 1
    return taken


@transaction.atomic
def give_up_scan(item: Item, *, actor: Actor | Person) -> Item:
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


@transaction.atomic
def record_findings(
    item: Item,
    outcomes: Iterable[Outcome],
    *,
    state: ScanState,
    file_digests: FileDigests | None = None,
    frame_digests: Sequence[FrameDigests] = (),
    actor: Actor | Person = audit.SYSTEM,
) -> Item:
    """Record everything that one scan of an item found, and let it be routed. Safe to repeat.

    A finding that is already there stays as it was first recorded; one that this scan did not find again
    is marked superseded, never removed. Digests are kept per original, once. An item that is no longer
    waiting for its scan keeps its state.
    """
    item = Item.objects.select_for_update(no_key=True).get(pk=item.pk)
    outcomes = list(outcomes)
    _keep_looks(item, outcomes)
    if item.blob_id is not None:
        _keep_digests(item, file_digests, frame_digests)
    raised = _keep_flags(item, outcomes)
    if raised:
        audit.record(
            AuditEvent.ITEM_FLAGGED,
            actor=actor,
            subject=item,
            chain=f"item:{item.pk}",
            flags=[
                {
                    "flag": flag.pk,
                    "kind": flag.kind,
                    "detector": flag.detector,
                    "version": flag.detector_version,
                    "list": flag.evidence.get("list", ""),
                    "list_version": flag.evidence.get("list_version"),
                    "entry": flag.evidence.get("entry"),
                }
                for flag in raised
            ],
        )
    if item.scan_state == ScanState.WAITING:
        item = record_scan_state(item, state, actor=actor)
    return item


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


def _keep_flags(item: Item, outcomes: Iterable[Outcome]) -> list[Flag]:
    """Write new flags, mark those that vanished; return the new ones."""
    standing = {flag.fingerprint: flag for flag in item.flags.all()}
    found: dict[str, Flag] = {}
    for outcome in outcomes:
        for finding in outcome.findings:
            fingerprint = finding.fingerprint(outcome.detector)
            found[fingerprint] = Flag(
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
    new = [flag for fingerprint, flag in found.items() if fingerprint not in standing]
    Flag.objects.bulk_create(new)
    again = [flag.pk for fp, flag in standing.items() if fp in found and flag.superseded_at]
    Flag.objects.filter(pk__in=again).update(superseded_at=None)
    vanished = [flag.pk for fp, flag in standing.items() if fp not in found]
    Flag.objects.filter(pk__in=vanished, superseded_at=None).update(superseded_at=Now())
    return new


def _keep_digests(item: Item, file: FileDigests | None, frames: Sequence[FrameDigests]) -> None:
    blob_id = item.blob_id
    if blob_id is None:
        return  # A text has no file and so no digests of one.
    rows = []
    if file is not None:
        rows += [
            Digest(blob_id=blob_id, algorithm=algorithm, value=value)
            for algorithm, value in (
                (Algorithm.MD5, file.md5),
                (Algorithm.SHA1, file.sha1),
                (Algorithm.SHA256, file.sha256),
            )
        ]
    for frame in frames:
        shared = {"blob_id": blob_id, "frame": frame.frame, "quality": frame.quality}
        rows += [
            Digest(algorithm=algorithm, value=value, **shared)
            for algorithm, value in frame.values().items()
        ]
    # Two items with the same original may be scanned at once; both compute the same.
    Digest.objects.bulk_create(rows, ignore_conflicts=True)
