"""Videos that are on a hash list: the very file, or one that shows what a listed one shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from hashing import lookup
from hashing.contract import Finding, FlagKind, ScanItem, could_not_scan
from hashing.detectors.inside import is_known_harmless, look_inside
from hashing.detectors.matches import Match, exact, score_near, settled
from hashing.images import CannotDecode
from hashing.lookup import View
from hashing.models import Algorithm, HashEntry, HashList, VideoFrame
from hashing.videos import Seen, Shares, Watched, clock, match
from hashing.videos import VideoFrame as VideoFrameSeen

__all__ = ["KnownVideo"]

_ALSO = 10
_SPANS = 20


class KnownVideo:
    """Looks up MD5, SHA-1 and SHA-256 of the file, and PDQ of its frames, among listed videos and pictures.

    A video matches a listed one when at least one of three holds, each with the list's own figure:
    enough of the listed video's seconds are seen (*compared share*), enough of this video's seconds show
    something of it (*query share*), or so many of its seconds in a row are seen. One finding for each list,
    resting on the video that is found best. Besides, a frame that looks like a listed *picture* is a finding:
    one for each list, resting on the nearest frame. Covers, attachments and whatever else lies in the file are
    looked at as well.
    """

    name = "known_video"
    version = "3"
    kinds = frozenset({"video"})
    surfaces: frozenset[str] | None = None

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises IndexNotReady, VaultDamage when the original cannot be read, database errors."""
        if item.media is None:
            raise ValueError("a video without a file")
        view = lookup.current()
        known = list(exact(lookup.exact_matches(item.media.file_digests())))
        try:
            watched = item.media.video()
        except CannotDecode as refused:
            missing = could_not_scan("The video", refused.reason, code=refused.code)
            findings = settled(known)
            return [*findings, missing, *_inside(item, known, findings)]
        findings = settled([*known, *_pictures(view, watched)])
        queries = [(frame.at_ms, value) for frame in watched.frames for value in frame.queries()]
        hits: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for (at, _), found in zip(
            queries, view.near("video", [value for _, value in queries]), strict=True
        ):
            for hit in found:
                hits[hit.id].append((at, hit.distance))
        findings += _findings(hits, watched, view.lists)
        findings += _not_matchable(watched)
        if watched.problem:
            findings.append(
                could_not_scan("Part of the video", watched.problem, code="partly_decoded")
            )
        return findings + _inside(item, known, findings)


def _inside(item: ScanItem, known: Sequence[Match], findings: Sequence[Finding]) -> list[Finding]:
    return [] if is_known_harmless(known) else look_inside(item, findings)


def _pictures(view: View, watched: Watched) -> Iterator[Match]:
    """Yield for each list of pictures the nearest of its entries that a frame looks like, two frames a second."""
    queries: dict[str, VideoFrameSeen] = {}
    halves: set[int] = set()
    for frame in watched.frames:
        if frame.at_ms // 500 not in halves:
            halves.add(frame.at_ms // 500)
            for value in frame.queries():
                queries.setdefault(value, frame)  # A still scene is looked up once.
    best: dict[UUID, tuple[int, int, str, int]] = {}
    entries: dict[UUID, set[int]] = defaultdict(set)
    values = list(queries)
    for value, hits in zip(values, view.near(Algorithm.PDQ.value, values), strict=True):
        for hit in hits:
            entries[hit.list_id].add(hit.id)
            this = (hit.distance, queries[value].at_ms, value, hit.id)
            if hit.list_id not in best or this < best[hit.list_id]:
                best[hit.list_id] = this
    for list_id, (distance, at_ms, value, entry) in best.items():
        hash_list = view.lists[list_id]
        threshold = lookup.reach_of(hash_list, Algorithm.PDQ.value)
        others = sorted(entries[list_id] - {entry})
        finding = Finding(
            kind=FlagKind.HASH_MATCH,
            score=round(score_near(Algorithm.PDQ, distance, threshold), 4),
            category=hash_list.category,
            summary=(
                f"At {clock(at_ms)} this video looks like a picture on “{hash_list.name}” "
                f"(PDQ, {distance} of {threshold} bits allowed)."
            )[:300],
            evidence={
                "list": hash_list.slug,
                "list_name": hash_list.name,
                "list_version": hash_list.version,
                "entry": entry,
                "algorithm": Algorithm.PDQ.value,
                "value": value,
                "matched_value": HashEntry.objects.values_list("value", flat=True).get(pk=entry),
                "distance": distance,
                "threshold": threshold,
                "at_ms": at_ms,
                "frames_checked": len(halves),
                "also": others[:_ALSO],
                "also_count": len(others),
            },
            hash_list_id=list_id,
            hash_entry_id=entry,
        )
        yield Match(hash_list, finding, Algorithm.PDQ, distance)


def _findings(
    hits: dict[int, list[tuple[int, int]]], watched: Watched, lists: dict[Any, HashList]
) -> list[Finding]:
    rows = VideoFrame.objects.filter(pk__in=hits).values_list(
        "pk", "video", "at_ms", "video__hash_list", "video__note"
    )
    seen: dict[int, list[Seen]] = defaultdict(list)
    about: dict[int, tuple[Any, str]] = {}
    for pk, video, at_ms, list_id, note in rows:
        about[video] = (list_id, note)
        seen[video] += [Seen(at, at_ms, distance) for at, distance in hits[pk]]
    times: dict[int, list[int]] = defaultdict(list)
    for video, at_ms in VideoFrame.objects.filter(video__in=seen).values_list("video", "at_ms"):
        times[video].append(at_ms)
    mine = [frame.at_ms for frame in watched.frames if frame.values()]
    best: dict[Any, list[tuple[float, int, Shares]]] = defaultdict(list)
    for video, matches in seen.items():
        list_id, _ = about[video]
        shares = match(matches, query_ms=mine, listed_ms=times[video])
        if list_id in lists and _is_enough(lists[list_id], shares):
            best[list_id].append((max(shares.compared, shares.query), video, shares))
    findings = []
    for list_id, found in best.items():
        found.sort(key=lambda each: (-each[0], each[2].distance, each[1]))
        _, video, shares = found[0]
        others = [each[1] for each in found[1:]]
        listed_s = max(times[video], default=0) // 1000 + 1
        findings.append(
            _finding(lists[list_id], video, about[video][1], shares, watched, others, listed_s)
        )
    return findings


def _is_enough(hash_list: HashList, shares: Shares) -> bool:
    return (
        shares.compared * 100 >= hash_list.video_compared_percent
        or shares.query * 100 >= hash_list.video_query_percent
        or shares.run >= hash_list.video_run_seconds
    )


def _finding(
    hash_list: HashList,
    video: int,
    note: str,
    shares: Shares,
    watched: Watched,
    others: Sequence[int],
    listed_s: int,
) -> Finding:
    spans = shares.spans[:_SPANS]
    seconds = sum(end - start for start, end in shares.spans)
    places = ", ".join(f"{clock(a * 1000)}–{clock(b * 1000)}" for a, b in spans[:3])
    more = " …" if len(spans) > 3 else ""
    score = 0.6 + 0.35 * max(shares.compared, shares.query)
    return Finding(
        kind=FlagKind.HASH_MATCH,
        score=round(min(score, 0.95), 4),
        category=hash_list.category,
        summary=(
            f"{seconds} s of this video ({places}{more}) show a video on “{hash_list.name}”: "
            f"{shares.compared:.0%} of that one, {shares.query:.0%} of this one."
        )[:300],
        evidence={
            "list": hash_list.slug,
            "list_name": hash_list.name,
            "list_version": hash_list.version,
            "algorithm": "vpdq",
            "video": video,
            "video_note": note,
            "distance": shares.distance,
            "threshold": lookup.reach_of(hash_list, "video"),
            "compared_share": round(shares.compared, 4),
            "query_share": round(shares.query, 4),
            "run_seconds": shares.run,
            "matched_spans": [list(span) for span in spans],
            "pairs": [list(pair) for pair in shares.pairs[:_SPANS]],
            "listed_s": listed_s,
            "duration_s": round(watched.duration_ms / 1000, 1),
            "also": list(others[:_ALSO]),
        },
        hash_list_id=hash_list.pk,
    )


def _not_matchable(watched: Watched) -> list[Finding]:
    """Return the note that most of a video, or all of it, cannot be compared by its frames; nothing for others."""
    whole = {frame.at_ms // 1000 for frame in watched.frames}
    good = {frame.at_ms // 1000 for frame in watched.frames if frame.values()}
    if 2 * len(good) >= len(whole):
        return []
    which = (
        f"in {len(whole) - len(good)} of {len(whole)} s none has enough detail"
        if good
        else "none has enough detail"
    )
    return [
        Finding(
            kind=FlagKind.NOTE,
            score=0.0,
            summary=f"Not matchable by its frames: {which}. Its exact digests were compared.",
            evidence={"code": "not_matchable", "algorithm": "vpdq", "seconds": len(whole)},
        )
    ]
