"""Text that contains a listed term."""

from __future__ import annotations

from collections import defaultdict

from hashing import lookup
from hashing.contract import Finding, FlagKind, ScanItem
from hashing.lookup import ActiveTerms
from hashing.models import TermList

__all__ = ["Terms", "findings_in"]

_SPANS = 20
_SCORE = 0.6


class Terms:
    """Looks for the terms of every list in force that covers the item's surface.

    One finding per term, with the places where it stands: ``span`` is the first, ``spans`` up to 20,
    each as [start, end) in code points of the text as it was sent.
    """

    name = "terms"
    version = "1"
    kinds = frozenset({"text"})
    surfaces: frozenset[str] | None = None

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises database errors when the lists cannot be read."""
        return findings_in(item.text, item.surface, lookup.active_terms())


def findings_in(text: str, surface: str, active: ActiveTerms) -> list[Finding]:
    """Return what the terms in force say about a text on a surface (any surface: empty)."""
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for match in active.matcher.find(text):
        places[match.key].append((match.start, match.end))
    findings = []
    for term_id, spans in places.items():
        term, list_id = active.terms[term_id]
        term_list = active.lists[list_id]
        if not surface or not term_list.surfaces or surface in term_list.surfaces:
            findings.append(_finding(term_id, term, term_list, spans))
    return findings


def _finding(term_id: int, term: str, term_list: TermList, spans: list[tuple[int, int]]) -> Finding:
    times = "" if len(spans) == 1 else f" {len(spans)} times"
    shown = term if len(term) <= 80 else f"{term[:79]}…"
    return Finding(
        kind=FlagKind.TERM_MATCH,
        score=_SCORE,
        category=term_list.category,
        summary=f"Contains “{shown}”{times}, a term of “{term_list.name}”.",
        evidence={
            "list": term_list.slug,
            "list_name": term_list.name,
            "list_version": term_list.version,
            "entry": term_id,
            "term": term,
            "span": list(spans[0]),
            "spans": [list(span) for span in spans[:_SPANS]],
            "count": len(spans),
        },
        term_list_id=term_list.pk,
    )
