"""What is known of a file, a digest or a text that somebody asks about. Nothing is written.

The findings are those that a scan would make: the same detectors look.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from core.errors import Refused
from core.media_types import HEAD_BYTES, sniff
from hashing import lookup
from hashing.contract import (
    Detector,
    Finding,
    ScanItem,
    could_not_scan,
    covers,
    not_scanned,
)
from hashing.detectors import detectors
from hashing.detectors.matches import exact, settled
from hashing.digests import LOW_QUALITY, FrameDigests
from hashing.images import CannotDecode
from hashing.inside import Part
from hashing.lookup import IndexNotReady
from hashing.media import Media
from hashing.models import Algorithm, FileLookup, FlagKind, HashEntry
from reports.models import ItemKind

__all__ = [
    "beginning_of_file",
    "finding_document",
    "not_looked",
    "of_digests",
    "of_file",
    "of_text",
]

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
    "inside",
    "term",
    "spans",
    "matched_spans",
    "version",
    "model",
    "code",
)
"""Evidence that leaves the house with a finding."""

_SILENT = frozenset({str(FlagKind.COULD_NOT_SCAN), str(FlagKind.NOT_SCANNED)})
_EXACT_BY = {"image": "image", "video": "video", "audio": "file", "other": "file"}
"""Which detector looks exact digests up, by kind."""

NOT_YET = "Only its bytes were compared: looking at more of it took longer than an answer waits."
FRAMES_NOT_HASHED = (
    "The frames of a video are not hashed here: only the digests of the whole file were computed."
)


def beginning_of_file(lookup: FileLookup, media: Media) -> dict[str, Any]:
    """Return what a file's bytes alone say: its digests and, if asked for, the lists that hold exactly this file.

    Needs neither a decoder nor the index. Says of everything else that nobody has looked yet. Raises VaultDamage.
    """
    file = media.file_digests()
    document: dict[str, Any] = {
        "name": lookup.name,
        "kind": lookup.kind,
        "size": lookup.blob.size if lookup.blob else 0,
        "md5": file.md5,
        "sha1": file.sha1,
        "sha256": file.sha256,
        "frames": [],
        "problem": NOT_YET,
        "code": "timed_out",
        "not_looked": [NOT_YET],
    }
    if lookup.with_matches:
        document["findings"] = _exactly(lookup.kind, media)
    return document


def of_file(lookup: FileLookup, media: Media) -> dict[str, Any]:
    """Return digests and, if asked for, findings of a file. Raises VaultDamage.

    ``not_looked`` names in sentences whatever could not look; only where it is empty does a lack of findings mean
    that nothing in force matches.
    """
    document = beginning_of_file(lookup, media) | {"problem": "", "code": ""}
    if lookup.kind == ItemKind.IMAGE:
        document |= _of_picture(media)
    elif not lookup.with_matches:
        document |= _of_bytes_alone(lookup.kind, media)
    document["not_looked"] = [document["problem"]] if document["problem"] else []
    if not lookup.with_matches:
        document["inside"] = [_part(*each) for each in media.parts()]
        missing_inside = [f"{each[0].upper()}{each[1:]}." for each in media.inside().unread]
        missing_inside += [each["problem"] for each in document["inside"] if each["problem"]]
        document["not_looked"] += missing_inside
        if missing_inside and not document["problem"]:
            document |= {"problem": missing_inside[0], "code": "inside"}
    else:
        item = ScanItem(
            id=uuid.uuid4(),
            surface=lookup.surface or "reported_message",
            kind=lookup.kind,
            media=media,
        )
        document["findings"] = findings_of(item)
        missing = [each for each in document["findings"] if is_silent(each)]
        document["not_looked"] = not_looked(missing) or document["not_looked"]
        if missing and not document["problem"]:
            document["problem"] = missing[0]["summary"]
            document["code"] = missing[0]["evidence"].get("code", missing[0]["kind"])
    return document


def is_silent(finding: dict[str, Any]) -> bool:
    """Return whether a finding, as it is told, says that somebody did not look, so that silence means nothing."""
    return finding["kind"] in _SILENT or finding["evidence"].get("code") == "not_matchable"


def not_looked(findings: Iterable[dict[str, Any]]) -> list[str]:
    """Return what did not look, each sentence once."""
    return list(dict.fromkeys(each["summary"] for each in findings if is_silent(each)))


def _exactly(kind: str, media: Media) -> list[dict[str, Any]]:
    listed = list(exact(lookup.exact_matches(media.file_digests())))
    return [finding_document(f"known_{_EXACT_BY[kind]}", each) for each in settled(listed)]


def _of_bytes_alone(kind: str, media: Media) -> dict[str, Any]:
    """Return what is said of a file whose pixels nobody looks at where only digests are asked for."""
    if kind == ItemKind.VIDEO:
        return {"problem": FRAMES_NOT_HASHED, "code": "frames_not_hashed"}
    with media.open() as stream:
        known = sniff(stream.read(HEAD_BYTES))
    is_what = f"It is {known.words}" if known else "Its bytes are of no form that is known here"
    return {
        "problem": f"{is_what}, neither picture nor video: only the digests of the whole file were computed.",
        "code": "wrong_type",
    }


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
        "code": "partly_decoded" if picture.problem else "",
    }


def _part(part: Part, media: Media | None) -> dict[str, Any]:
    """Return the digests of a picture or video that lies in a file besides what the file shows."""
    document: dict[str, Any] = {"where": part.where, "kind": part.kind, "frames": [], "problem": ""}
    if media is None:
        more = "More pictures and videos lie in it than are looked at."
        return document | {"md5": "", "sha1": "", "sha256": "", "problem": more}
    file = media.file_digests()
    document |= {"md5": file.md5, "sha1": file.sha1, "sha256": file.sha256}
    if part.kind == ItemKind.VIDEO:
        return document | {"problem": f"{part.where}: {FRAMES_NOT_HASHED}"}
    found = _of_picture(media)
    problem = f"{part.where}: {found['problem']}" if found["problem"] else ""
    return document | {"frames": found["frames"], "problem": problem}


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
            status=503,
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
    looking = list(_looking(item))
    if not looking:
        documents.append(finding_document("scanner", not_scanned(item.kind)))
    for detector in looking:
        try:
            outcome, _ = ask(detector, item, counted=False)
            findings = outcome.findings
        except IndexNotReady as waiting:
            # Never silence, which would mean: nothing is known of it. What needs no index is looked up all the same.
            findings = [could_not_scan("The file", waiting.reason, code="index_not_ready")]
            if item.media is not None and detector.name == f"known_{_EXACT_BY[item.kind]}":
                documents += _exactly(item.kind, item.media)
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
