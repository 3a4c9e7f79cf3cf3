"""Pictures that are on a hash list: the very file, or one that looks like it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

from hashing import lookup
from hashing.contract import Finding, FlagKind, ScanItem, could_not_scan
from hashing.digests import LOW_QUALITY, FrameDigests
from hashing.images import CannotDecode
from hashing.lookup import ActiveHashList
from hashing.matching import Hit
from hashing.models import Algorithm, HashEntry

__all__ = ["KnownImage"]

_STRENGTH = {Algorithm.MD5: 0, Algorithm.SHA1: 1, Algorithm.SHA256: 2}
_NEAR = {Algorithm.PDQ: (0.95, 0.60), Algorithm.PHASH: (0.85, 0.50)}
"""Score at distance 0 and at the threshold. pHash has 64 bits and errs more often than PDQ's 256."""
_WEAK = 0.30
_ALSO = 10


class KnownImage:
    """Looks up MD5, SHA-1 and SHA-256 of the file, PDQ and pHash of its frames.

    One finding per list and algorithm (the cryptographic ones count as one), resting on the nearest
    entry; further entries are counted in ``also``. When the picture cannot be decoded, the exact look-up
    still counts and a ``could_not_scan`` finding says what is missing.

    A picture with little detail (PDQ quality below 50) gives digests that fit many such pictures. A match
    is kept, marked ``low_quality`` and scored 0.3, so that a person sees it for what it is.
    """

    name = "known_image"
    version = "1"
    kinds = frozenset({"image"})
    surfaces: frozenset[str] | None = None

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises VaultDamage when the original cannot be read, database errors when lists cannot be."""
        if item.media is None:
            raise ValueError("a picture without a file")
        findings = _exact(lookup.exact_matches(item.media.file_digests()))
        try:
            frames = item.media.frame_digests()
            picture = item.media.facts()
        except CannotDecode as refused:
            return [*findings, could_not_scan("The picture", refused.reason, code=refused.code)]
        for hash_list in lookup.active_hash_lists():
            for algorithm in (Algorithm.PDQ, Algorithm.PHASH):
                found = _nearest(hash_list, algorithm, frames)
                if found is not None:
                    findings.append(
                        _near(hash_list, algorithm, *found, len(frames), picture.frames_total)
                    )
        if picture.problem:
            findings.append(
                could_not_scan("Part of the animation", picture.problem, code="partly_decoded")
            )
        return findings


def _exact(entries: list[HashEntry]) -> list[Finding]:
    by_list: dict[UUID, list[HashEntry]] = defaultdict(list)
    for entry in entries:
        by_list[entry.hash_list_id].append(entry)
    findings = []
    for found in by_list.values():
        best = max(found, key=lambda entry: _STRENGTH[Algorithm(entry.algorithm)])
        hash_list, algorithm = best.hash_list, Algorithm(best.algorithm)
        findings.append(
            Finding(
                kind=FlagKind.HASH_MATCH,
                score=1.0,
                category=hash_list.category,
                summary=f"Exact copy of a file on “{hash_list.name}” ({algorithm.label}).",
                evidence={
                    "list": hash_list.slug,
                    "list_name": hash_list.name,
                    "list_version": hash_list.version,
                    "entry": best.pk,
                    "algorithm": algorithm.value,
                    "value": best.value,
                    "matched_value": best.value,
                    "distance": 0,
                    "threshold": 0,
                    "also": [entry.pk for entry in found if entry.pk != best.pk],
                },
                hash_list_id=hash_list.pk,
                hash_entry_id=best.pk,
            )
        )
    return findings


def _nearest(
    hash_list: ActiveHashList, algorithm: Algorithm, frames: tuple[FrameDigests, ...]
) -> tuple[FrameDigests, Hit, list[int]] | None:
    """Return the best frame, its nearest entry and the other entries within reach, or None.

    A frame with detail beats one without, whatever the distance.
    """
    table, threshold = hash_list.tables[algorithm], hash_list.thresholds[algorithm]
    best: tuple[FrameDigests, Hit] | None = None
    entries: dict[int, int] = {}
    for frame in frames:
        value = frame.pdq if algorithm == Algorithm.PDQ else frame.phash
        hits = table.within(value, threshold)
        for hit in hits:
            entries[hit.id] = min(hit.distance, entries.get(hit.id, hit.distance))
        if hits and (best is None or _rank(frame, hits[0]) < _rank(*best)):
            best = (frame, hits[0])
    if best is None:
        return None
    others = sorted((entry for entry in entries if entry != best[1].id), key=lambda e: entries[e])
    return (*best, others)


def _rank(frame: FrameDigests, hit: Hit) -> tuple[bool, int, int]:
    return frame.is_low_quality, hit.distance, frame.frame


def _near(
    hash_list: ActiveHashList,
    algorithm: Algorithm,
    frame: FrameDigests,
    hit: Hit,
    others: list[int],
    frames_checked: int,
    frames_total: int,
) -> Finding:
    threshold = hash_list.thresholds[algorithm]
    value = frame.pdq if algorithm == Algorithm.PDQ else frame.phash
    matched = HashEntry.objects.values_list("value", flat=True).get(pk=hit.id)
    nearest, farthest = _NEAR[algorithm]
    score = nearest - (nearest - farthest) * hit.distance / max(threshold, 1)
    label = "PDQ" if algorithm == Algorithm.PDQ else "pHash"
    what = f"Frame {frame.frame + 1} of {frames_total} looks" if frames_total > 1 else "Looks"
    summary = (
        f"{what} like a picture on “{hash_list.name}” "
        f"({label}, {hit.distance} of {threshold} bits allowed)."
    )
    evidence: dict[str, Any] = {
        "list": hash_list.slug,
        "list_name": hash_list.name,
        "list_version": hash_list.version,
        "entry": hit.id,
        "algorithm": algorithm.value,
        "value": value,
        "matched_value": matched,
        "distance": hit.distance,
        "threshold": threshold,
        "quality": frame.quality,
        "frame": frame.frame,
        "frames_checked": frames_checked,
        "frames_total": frames_total,
        "also": others[:_ALSO],
        "also_count": len(others),
    }
    if frame.is_low_quality:
        score = _WEAK
        evidence["low_quality"] = True
        summary = (
            f"Weak: {summary[0].lower()}{summary[1:-1]}, but it has little detail "
            f"(quality {frame.quality} of 100, {LOW_QUALITY} is sure)."
        )
    return Finding(
        kind=FlagKind.HASH_MATCH,
        score=round(score, 4),
        category=hash_list.category,
        summary=summary[:300],
        evidence=evidence,
        hash_list_id=hash_list.id,
        hash_entry_id=hit.id,
    )
