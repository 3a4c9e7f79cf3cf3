"""Pictures that are on a hash list: the very file, or one that looks like it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from hashing import lookup
from hashing.contract import Finding, FlagKind, ScanItem, could_not_scan
from hashing.detectors.inside import is_known_harmless, look_inside
from hashing.detectors.matches import Match, exact, score_near, settled
from hashing.digests import LOW_QUALITY, PERCEPTUAL, FrameDigests
from hashing.images import CannotDecode
from hashing.lookup import Hit, View
from hashing.models import Algorithm, HashEntry, HashList
from hashing.pdq import TURNS

__all__ = ["KnownImage"]

_LABEL = {
    Algorithm.PDQ: "PDQ",
    Algorithm.PHASH: "pHash",
    Algorithm.DHASH: "dHash",
    Algorithm.WHASH: "wHash",
}
_WEAK = 0.30
_ALSO = 10


class KnownImage:
    """Looks up MD5, SHA-1 and SHA-256 of the file, and PDQ, pHash, dHash and wHash of its frames.

    One finding per list and algorithm (the cryptographic ones count as one), resting on the nearest
    entry; further entries are counted in ``also``. When the picture cannot be decoded, the exact look-up
    still counts and a ``could_not_scan`` finding says what is missing.

    PDQ is also looked up for the picture turned and mirrored in the seven other ways; evidence says how the
    copy was ``turned``.

    Pictures and videos that lie in the file besides what it shows, such as its thumbnail, are looked at as well.

    A picture with little detail (PDQ quality below 50) gives digests that fit many such pictures. A match is
    kept, marked ``low_quality`` and scored 0.3, so that a person sees it for what it is; and a note says that
    the lack of a PDQ match means nothing. The other digests are compared as always.

    A list of known harmless pictures silences a match: the finding becomes a note that says so. It has to
    be at least as near as what it silences: only an exact copy of a harmless file silences an exact match.
    """

    name = "known_image"
    version = "3"
    kinds = frozenset({"image"})
    surfaces: frozenset[str] | None = None

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises IndexNotReady, VaultDamage when the original cannot be read, database errors."""
        if item.media is None:
            raise ValueError("a picture without a file")
        view = lookup.current()
        listed = lookup.exact_matches(item.media.file_digests())
        found = list(exact(listed))
        try:
            frames = item.media.frame_digests()
            picture = item.media.facts()
        except CannotDecode as refused:
            missing = could_not_scan("The picture", refused.reason, code=refused.code)
            findings = settled(found)
            return [*findings, missing, *self._inside(item, found, findings)]
        for algorithm in map(Algorithm, PERCEPTUAL):
            found += _near(view, algorithm, frames, picture.frames_total)
        findings = settled(found)
        if frames and all(frame.is_low_quality for frame in frames):
            findings.append(_not_matchable(frames))
        if picture.problem:
            findings.append(
                could_not_scan("Part of the animation", picture.problem, code="partly_decoded")
            )
        return findings + self._inside(item, found, findings)

    @staticmethod
    def _inside(
        item: ScanItem, found: Sequence[Match], findings: Sequence[Finding]
    ) -> list[Finding]:
        return [] if is_known_harmless(found) else look_inside(item, findings)


class _Query(NamedTuple):
    """A digest to look up: of which frame, and how the frame was turned for it."""

    frame: FrameDigests
    value: str
    turned: str = ""


class _Nearest(NamedTuple):
    query: _Query
    hit: Hit
    is_weak: bool


def _queries(algorithm: Algorithm, frames: Iterable[FrameDigests]) -> list[_Query]:
    queries = []
    for frame in frames:
        if value := frame.values().get(algorithm.value):
            queries.append(_Query(frame, value))
            if algorithm == Algorithm.PDQ:
                queries += map(_Query, [frame] * len(frame.turned), frame.turned, TURNS)
    return queries


def _near(
    view: View, algorithm: Algorithm, frames: Sequence[FrameDigests], frames_total: int
) -> Iterable[Match]:
    """Yield the nearest match of each list. A frame with detail beats one without, whatever the distance."""
    queries = _queries(algorithm, frames)
    best: dict[UUID, _Nearest] = {}
    entries: dict[UUID, dict[int, int]] = defaultdict(dict)
    for query, hits in zip(
        queries, view.near(algorithm.value, [q.value for q in queries]), strict=True
    ):
        # Only PDQ measures detail; the other digests mean less as well where there is little.
        is_weak = query.frame.is_low_quality
        for hit in hits:
            known = entries[hit.list_id]
            known[hit.id] = min(hit.distance, known.get(hit.id, hit.distance))
            this = _Nearest(query, hit, is_weak)
            if hit.list_id not in best or _rank(this) < _rank(best[hit.list_id]):
                best[hit.list_id] = this
    for list_id, nearest in best.items():
        others = sorted(
            (entry for entry in entries[list_id] if entry != nearest.hit.id),
            key=lambda entry, known=entries[list_id]: (known[entry], entry),  # type: ignore[misc]
        )
        finding = _finding(
            view.lists[list_id], algorithm, nearest, others, len(frames), frames_total
        )
        yield Match(view.lists[list_id], finding, algorithm, nearest.hit.distance, nearest.is_weak)


def _rank(found: _Nearest) -> tuple[bool, int, bool, int]:
    return found.is_weak, found.hit.distance, bool(found.query.turned), found.query.frame.frame


def _finding(
    hash_list: HashList,
    algorithm: Algorithm,
    nearest: _Nearest,
    others: list[int],
    frames_checked: int,
    frames_total: int,
) -> Finding:
    query, hit, is_weak = nearest
    frame, threshold = query.frame, lookup.reach_of(hash_list, algorithm.value)
    score = score_near(algorithm, hit.distance, threshold)
    what = f"Frame {frame.frame + 1} of {frames_total} looks" if frames_total > 1 else "Looks"
    how = f", {query.turned}" if query.turned else ""
    summary = (
        f"{what} like a picture on “{hash_list.name}”{how} "
        f"({_LABEL[algorithm]}, {hit.distance} of {threshold} bits allowed)."
    )
    evidence: dict[str, Any] = {
        "list": hash_list.slug,
        "list_name": hash_list.name,
        "list_version": hash_list.version,
        "entry": hit.id,
        "algorithm": algorithm.value,
        "value": query.value,
        "matched_value": HashEntry.objects.values_list("value", flat=True).get(pk=hit.id),
        "distance": hit.distance,
        "threshold": threshold,
        "quality": frame.quality,
        "frame": frame.frame,
        "frames_checked": frames_checked,
        "frames_total": frames_total,
        "also": others[:_ALSO],
        "also_count": len(others),
    }
    if query.turned:
        evidence["turned"] = query.turned
    if is_weak:
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
        hash_list_id=hash_list.pk,
        hash_entry_id=hit.id,
    )


def _not_matchable(frames: Sequence[FrameDigests]) -> Finding:
    """Return the note that PDQ says nothing of this picture."""
    quality = max(frame.quality for frame in frames)
    compared = sorted(
        {_LABEL[Algorithm(name)] for frame in frames for name in frame.values()} - {"PDQ"}
    )
    others = (
        f"It was compared by {', '.join(compared)}." if compared else "Nothing else was compared."
    )
    return Finding(
        kind=FlagKind.NOTE,
        score=0.0,
        summary=(
            f"Not matchable by PDQ: too little detail (quality {quality} of 100, {LOW_QUALITY} is sure). "
            f"{others}"
        ),
        evidence={
            "code": "not_matchable",
            "algorithm": "pdq",
            "quality": quality,
            "reason": "little detail",
        },
    )
