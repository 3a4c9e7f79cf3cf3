"""Matches of hash lists on their way to findings: exact ones, and what silences what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from hashing import lookup
from hashing.automatic import acts
from hashing.contract import Finding, FlagKind
from hashing.models import Algorithm, HashEntry, HashList

__all__ = ["Match", "exact", "score_near", "settled", "silenced"]

_NEAR = {
    Algorithm.PDQ: (0.95, 0.60),
    Algorithm.PHASH: (0.85, 0.50),
    Algorithm.DHASH: (0.80, 0.45),
    Algorithm.WHASH: (0.80, 0.45),
}
"""Score at distance 0 and at the threshold. The others have 64 bits and err more often than PDQ's 256."""
_STRENGTH = {Algorithm.MD5: 0, Algorithm.SHA1: 1, Algorithm.SHA256: 2}


@dataclass(frozen=True)
class Match:
    """A finding with the list it rests on, and what decides whether something silences it."""

    hash_list: HashList
    finding: Finding
    algorithm: Algorithm | None
    distance: int
    is_weak: bool = False

    def silences(self, other: Match) -> bool:
        """Return whether this match of harmless material is at least as near as ``other``."""
        if self.algorithm is None:
            return True
        return (
            self.algorithm == other.algorithm
            and self.distance <= other.distance
            and not self.is_weak
        )


def score_near(algorithm: Algorithm, distance: int, threshold: int) -> float:
    """Return the score of a digest that differs by ``distance`` bits where ``threshold`` are allowed, 0 to 1."""
    highest, lowest = _NEAR[algorithm]
    return highest - (highest - lowest) * distance / max(threshold, 1)


def settled(matches: Sequence[Match]) -> list[Finding]:
    """Return what the matches come to: those that something harmless silences become notes."""
    harmless = [each for each in matches if lookup.is_harmless(each.hash_list)]
    findings = []
    for match in matches:
        if lookup.is_harmless(match.hash_list):
            continue
        silencing = next((each for each in harmless if each.silences(match)), None)
        findings.append(match.finding if silencing is None else silenced(match, silencing))
    return findings


def silenced(match: Match, by: Match) -> Finding:
    """Return the note that a finding becomes because the same material is known to be harmless."""
    said = match.finding
    why = {key: by.finding.evidence[key] for key in ("list", "list_name", "entry", "distance")}
    note = HashEntry.objects.values_list("note", flat=True).get(pk=why["entry"])
    because = f": {note}" if note else ""
    return replace(
        said,
        kind=FlagKind.NOTE,
        score=0.0,
        summary=f"Silenced by “{by.hash_list.name}” (known harmless{because}). {said.summary}"[
            :300
        ],
        evidence={**said.evidence, "silenced_by": why | {"note": note}},
    )


def exact(entries: Iterable[HashEntry]) -> Iterable[Match]:
    """Yield one match for each list that holds exactly this file, resting on its strongest digest."""
    by_list: dict[UUID, list[HashEntry]] = defaultdict(list)
    for entry in entries:
        by_list[entry.hash_list_id].append(entry)
    for found in by_list.values():
        best = max(found, key=lambda entry: _STRENGTH[Algorithm(entry.algorithm)])
        hash_list, algorithm = best.hash_list, Algorithm(best.algorithm)
        finding = Finding(
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
                **({"acts_automatically": True} if acts(hash_list, found) else {}),
            },
            hash_list_id=hash_list.pk,
            hash_entry_id=best.pk,
        )
        yield Match(hash_list, finding, None, 0)
