"""Text that a rule fires on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hashing import lookup
from hashing.contract import Finding, FlagKind, ScanItem
from hashing.folding import Step
from hashing.languages import Language
from hashing.lookup import ActiveTerms
from hashing.models import TermList
from hashing.rule_lines import Joint, RuleKind
from hashing.rulebook import Hit, Span

__all__ = ["STEP_WORDS", "Terms", "findings_in", "steps_in_words"]

_SPANS = 20
_SHOWN = 80

STEP_WORDS = {
    Step.CASE: "case and width",
    Step.MARKS: "marks left out",
    Step.LOOKALIKES: "look-alike letters",
    Step.SIGNS: "signs for letters",
    Step.REPEATS: "repeated letters",
    Step.SPACED: "letters set apart",
    Step.GAPS: "signs between words",
}
"""What a writing differed in, for a person."""


def steps_in_words(names: Iterable[str]) -> list[str]:
    """Return steps of folding by their names, as a person reads them; an unknown name as it is."""
    words = {str(step): said for step, said in STEP_WORDS.items()}
    return [words.get(name, name) for name in names]


class Terms:
    """Looks for what every list in force looks for, where the list covers the item's surface.

    One finding per rule, with the places where it fired: ``span`` is the first, ``spans`` up to 20, each as
    [start, end) in code points of the text as it was sent. What stood inside an allowed phrase only is a
    note, so that it is seen and counted without bringing anybody a case.

    A finding never quotes the rule. It quotes the item's own text, unless the list is restricted.
    """

    name = "terms"
    version = "2"
    kinds = frozenset({"text"})
    surfaces: frozenset[str] | None = None
    looks_at_pixels = False

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises database errors when the lists cannot be read, Unsealable when their keys cannot."""
        return findings_in(item.text, item.surface, lookup.active_terms())


def findings_in(text: str, surface: str, active: ActiveTerms) -> list[Finding]:
    """Return what the rules in force say about a text on a surface (any surface: empty)."""
    reading = active.rulebook.read(text)
    findings = []
    for hit in reading.hits:
        term_list = active.lists[hit.list_id]
        if not surface or not term_list.surfaces or surface in term_list.surfaces:
            findings.append(_finding(hit, text, term_list, reading.language))
    return findings


def _finding(
    hit: Hit[int, Any], text: str, term_list: TermList, language: Language | None
) -> Finding:
    is_allowed = not hit.spans
    spans = hit.suppressed if is_allowed else hit.spans
    evidence: dict[str, Any] = {
        "list": term_list.slug,
        "list_name": term_list.name,
        "list_version": term_list.version,
        "entry": hit.id,
        "rule": str(hit.rule.kind),
        "span": list(spans[0]),
        "spans": [list(span) for span in spans[:_SPANS]],
        "count": len(spans),
        "folding": [str(step) for step in hit.steps],
    }
    if language is not None:
        evidence["language"] = language.code
        evidence["language_confidence"] = language.confidence
    if hit.suppressed and not is_allowed:
        evidence["suppressed"] = [list(span) for span in hit.suppressed[:_SPANS]]
    if is_allowed:
        evidence["is_allowed"] = True
    if term_list.is_restricted:
        evidence["restricted"] = True
    score = hit.rule.score if hit.rule.score is not None else term_list.score
    return Finding(
        kind=FlagKind.NOTE if is_allowed else FlagKind.TERM_MATCH,
        score=0.0 if is_allowed else score,
        category=term_list.category,
        summary=_summary(hit, text, term_list, spans, is_allowed=is_allowed)[:300],
        evidence=evidence,
        term_list_id=term_list.pk,
    )


def _summary(
    hit: Hit[int, Any],
    text: str,
    term_list: TermList,
    spans: tuple[Span, ...],
    *,
    is_allowed: bool,
) -> str:
    what = {
        RuleKind.TERM: "a term",
        RuleKind.PATTERN: "a pattern",
        RuleKind.COMBINATION: "a combination",
    }[hit.rule.kind]
    if term_list.is_restricted:
        start, end = spans[0]
        shown = f"a match at characters {start + 1:,} to {end:,}"
    else:
        shown = " and ".join(f"“{each}”" for each in _written(hit, text, spans))
    times = (
        "" if len(spans) == 1 or hit.rule.kind == RuleKind.COMBINATION else f" {len(spans)} times"
    )
    if is_allowed:
        return (
            f"Not counted: {shown}{times}, {what} of “{term_list.name}”, inside an allowed phrase."
        )
    folded = ", ".join(STEP_WORDS[step] for step in hit.steps if step != Step.CASE)
    how = f" ({folded})" if folded else ""
    return f"Contains {shown}{times}{how}, {what} of “{term_list.name}”."


def _written(hit: Hit[int, Any], text: str, spans: tuple[Span, ...]) -> list[str]:
    """Return how what was found stands in the text: the first place, of a combination the first few."""
    wanted = 1
    if hit.rule.kind == RuleKind.COMBINATION:
        wanted = sum(part.joint != Joint.WITHOUT for part in hit.rule.parts)
    found: list[str] = []
    for start, end in spans:
        written = " ".join(text[start:end].split())
        shown = written if len(written) <= _SHOWN else f"{written[: _SHOWN - 1]}…"
        if shown not in found:
            found.append(shown)
        if len(found) == wanted:
            break
    return found
