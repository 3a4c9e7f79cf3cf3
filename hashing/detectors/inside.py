"""Pictures and films inside other files: each is looked at as if it had come alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from hashing import lookup
from hashing.contract import Detector, Finding, FlagKind, ScanItem, could_not_scan
from hashing.detectors.matches import Match
from hashing.inside import Part

__all__ = ["is_known_harmless", "look_inside"]


def is_known_harmless(matches: Iterable[Match]) -> bool:
    """Return whether exactly this file is known to be harmless, and with it whatever lies in it."""
    return any(each.algorithm is None and lookup.is_harmless(each.hash_list) for each in matches)


def look_inside(item: ScanItem, found: Sequence[Finding]) -> list[Finding]:
    """Return what is found in a file besides what it shows (``hashing.inside``), and what of it nobody looked at.

    ``found`` is what the file itself came to: what an ordinary thumbnail repeats of it is left out. Raises as the
    detectors of pictures and videos do.
    """
    if item.media is None:
        return []
    matched = [each for each in found if each.kind == FlagKind.HASH_MATCH]
    lists = {each.hash_list_id for each in matched if not each.evidence.get("low_quality")}
    known = {_basis(each) for each in matched}
    findings: list[Finding] = []
    for part, each in _each(item):
        is_match = each.kind == FlagKind.HASH_MATCH
        if is_match and (
            _basis(each) in known or (part.is_thumbnail and each.hash_list_id in lists)
        ):
            continue
        findings.append(each)
    findings += [
        could_not_scan("Part of the file", reason, code="inside")
        for reason in item.media.inside().unread
    ]
    return findings


def _each(item: ScanItem) -> Iterator[tuple[Part, Finding]]:
    from hashing.detectors.known_image import KnownImage
    from hashing.detectors.known_video import KnownVideo

    if item.media is None:
        return
    detectors: dict[str, Detector] = {"image": KnownImage(), "video": KnownVideo()}
    for part, media in item.media.parts():
        if media is None:
            reason = "more pictures and videos lie in it than are looked at"
            yield part, could_not_scan("Part of the file", reason, code="too_many_inside")
            return
        inner = ScanItem(id=item.id, surface=item.surface, kind=part.kind, media=media)
        for finding in detectors[part.kind].scan(inner):
            if finding.evidence.get("code") == "not_matchable" and part.kind == "image":
                continue  # As of a frame among others: what has no detail is found by nobody.
            yield part, _placed(finding, part.where)


def _placed(finding: Finding, where: str) -> Finding:
    said, deeper = finding.summary, finding.evidence.get("inside", "")
    if deeper:
        said, where = said.removeprefix(f"{deeper}: "), f"{where}, {deeper[0].lower()}{deeper[1:]}"
    said = f"{where}: {said[0].lower()}{said[1:]}"
    return replace(finding, summary=said[:300], evidence={**finding.evidence, "inside": where})


def _basis(finding: Finding) -> tuple[Any, ...]:
    """Return which entry or video of which list a match rests on."""
    return finding.hash_list_id, *(finding.evidence.get(name) for name in ("entry", "video"))
