"""What is known of a file, a digest or a text that somebody asks about. Nothing is written.

The findings are those that a scan would make: the same detectors look.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from core.errors import Refused
from hashing import lookup
from hashing.contract import Detector, Finding, ScanItem, could_not_scan, covers
from hashing.detectors import detectors
from hashing.digests import LOW_QUALITY, FrameDigests
from hashing.images import CannotDecode
from hashing.lookup import IndexNotReady
from hashing.media import Media
from hashing.models import Algorithm, FileLookup, FlagKind, HashEntry
from reports.models import ItemKind

__all__ = ["finding_document", "of_digests", "of_file", "of_text"]

_SHOWN = (
    "list",
    "list_name",
    "entry",
    "algorithm",
    "value",
    "matched_value",
    "distance",
    "threshold",
    "turned",
    "quality",
    "low_quality",
    "frame",
    "term",
    "spans",
    "matched_spans",
    "version",
    "model",
    "code",
)
"""Evidence that leaves the house with a finding."""


def of_file(lookup: FileLookup, media: Media) -> dict[str, Any]:
    """Return digests and, if asked for, findings of a file. Raises VaultDamage."""
    file = media.file_digests()
    document: dict[str, Any] = {
        "name": lookup.name,
        "kind": lookup.kind,
        "size": lookup.blob.size if lookup.blob else 0,
        "md5": file.md5,
        "sha1": file.sha1,
        "sha256": file.sha256,
        "frames": [],
    }
    if lookup.kind == ItemKind.IMAGE:
        document |= _of_picture(media)
    if lookup.with_matches:
        item = ScanItem(
            id=uuid.uuid4(),
            surface=lookup.surface or "reported_message",
            kind=lookup.kind,
            media=media,
        )
        document["findings"] = findings_of(item)
    return document


def _of_picture(media: Media) -> dict[str, Any]:
    try:
        picture = media.facts()
    except CannotDecode as refused:
        return {
            "problem": f"{refused.reason[0].upper()}{refused.reason[1:]}.",
            "code": refused.code,
        }
    return {
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "frames_total": picture.frames_total,
        "frames": [_frame(each) for each in picture.digests],
        "problem": picture.problem,
    }


def _frame(frame: FrameDigests) -> dict[str, Any]:
    return {
        "frame": frame.frame,
        "quality": frame.quality,
        "low_quality": frame.quality < LOW_QUALITY,
        **frame.values(),
    }


def of_text(text: str, surface: str) -> list[dict[str, Any]]:
    """Return the findings on a text as if it stood on a surface."""
    return findings_of(
        ScanItem(id=uuid.uuid4(), surface=surface, kind=ItemKind.TEXT.value, text=text)
    )


def of_digests(wanted: list[tuple[str, str]]) -> list[list[dict[str, Any]]]:
    """Return the findings on digests, given as (algorithm, lower-case hex) in the order they are given.

    Raises Refused while there is no index to look them up in.
    """
    return [_of_digest(algorithm, value) for algorithm, value in wanted]


def _of_digest(algorithm: str, value: str) -> list[dict[str, Any]]:
    if algorithm in {"md5", "sha1", "sha256"}:
        hits = [
            (entry, 0, 0)
            for entry in HashEntry.objects.filter(
                algorithm=algorithm,
                value=value,
                retired_at=None,
                hash_list__in=lookup.in_force().values("pk"),
            ).select_related("hash_list")
        ]
    else:
        near = {hit.id: hit.distance for hit in _near(algorithm, value)}
        entries = HashEntry.objects.filter(pk__in=near).select_related("hash_list")
        hits = sorted(
            (
                (entry, near[entry.pk], lookup.reach_of(entry.hash_list, algorithm))
                for entry in entries
            ),
            key=lambda hit: hit[1:],
        )
    return [_digest_document(entry, value, *found) for entry, *found in hits]


def _near(algorithm: str, value: str) -> list[lookup.Hit]:
    try:
        return lookup.near(algorithm, [value])[0]
    except IndexNotReady as waiting:
        raise Refused(
            f"Digests cannot be looked up now: {waiting.reason}. Try again in a minute.",
            code="index_not_ready",
        ) from None


def _digest_document(entry: HashEntry, value: str, distance: int, threshold: int) -> dict[str, Any]:
    how = f"{distance} of {threshold} bits allowed" if threshold else "the same"
    name = Algorithm(entry.algorithm).label
    return {
        "detector": "known_digest",
        "kind": str(FlagKind.HASH_MATCH),
        "category": entry.hash_list.category,
        "score": 1.0 if not threshold else round(0.95 - 0.35 * distance / threshold, 4),
        "summary": f"On “{entry.hash_list.name}” ({name}, {how}).",
        "evidence": {
            "list": entry.hash_list.slug,
            "list_name": entry.hash_list.name,
            "entry": entry.pk,
            "algorithm": entry.algorithm,
            "value": value,
            "matched_value": entry.value,
            "distance": distance,
            "threshold": threshold,
        },
    }


def findings_of(item: ScanItem) -> list[dict[str, Any]]:
    """Return what every detector that covers the item says; a failing one says that it failed."""
    from hashing.jobs.scans import ask

    documents: list[dict[str, Any]] = []
    for detector in _looking(item):
        try:
            outcome, _ = ask(detector, item, counted=False)
            findings = outcome.findings
        except IndexNotReady as waiting:
            # Never silence, which would mean: nothing is known of it.
            findings = [could_not_scan("The file", waiting.reason, code="index_not_ready")]
        documents += [finding_document(detector.name, each) for each in findings]
    return sorted(documents, key=lambda document: -document["score"])


def _looking(item: ScanItem) -> Iterable[Detector]:
    return [detector for detector in detectors() if covers(detector, item)]


def finding_document(detector: str, finding: Finding) -> dict[str, Any]:
    """Return a finding as it is told to a platform: no notes, no other entries."""
    return {
        "detector": detector,
        "kind": str(finding.kind),
        "category": finding.category,
        "score": finding.score,
        "summary": finding.summary,
        "evidence": {key: finding.evidence[key] for key in _SHOWN if key in finding.evidence},
    }
