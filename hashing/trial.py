"""What the text rules in force would say about a text that somebody tries. Nothing is kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from hashing import lookup
from hashing.contract import Finding, FlagKind
from hashing.detectors.terms import STEP_WORDS, findings_in
from hashing.folding import Step, Steps, level_of
from hashing.languages import Language, language_of

__all__ = ["Piece", "Seen", "Trial", "try_text"]


@dataclass(frozen=True)
class Piece:
    """A stretch of the text that matched, matched inside an allowed phrase, or did neither."""

    text: str
    is_match: bool
    is_allowed: bool = False


@dataclass(frozen=True)
class Seen:
    """The text as one way of folding sees it, with words set apart put together."""

    way: str
    text: str
    stretches: list[str]


@dataclass(frozen=True)
class Trial:
    """The findings, and the text cut into pieces for showing."""

    findings: list[Finding]
    pieces: list[Piece]
    allowed: list[Finding] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    language: Language | None = None
    excused: int = 0
    """Places inside an allowed phrase, which do not count."""
    left_out: int = 0
    """Lists in force that this person may not read: trying texts must not tell what they look for."""


def try_text(text: str, surface: str = "", *, unread: Collection[UUID] = ()) -> Trial:
    """Return what would fire on ``text`` if it stood on ``surface`` (empty: on any)."""
    active = lookup.active_terms()
    found = [
        finding
        for finding in findings_in(text, surface, active)
        if finding.term_list_id not in unread
    ]
    allowed = [finding for finding in found if finding.kind == FlagKind.NOTE]
    findings = [finding for finding in found if finding.kind != FlagKind.NOTE]
    suppressed = [
        *(span for finding in allowed for span in finding.evidence["spans"]),
        *(span for finding in findings for span in finding.evidence.get("suppressed", ())),
    ]
    marks = bytearray(len(text))
    for spans, mark in ((suppressed, 2), ([s for f in findings for s in f.evidence["spans"]], 1)):
        for start, end in spans:
            marks[start:end] = bytes([mark]) * (end - start)
    return Trial(
        findings=findings,
        pieces=_pieces(text, marks),
        allowed=allowed,
        seen=[
            Seen(_way(steps), folded.text, [each.text for each in folded.stretches])
            for steps, folded in active.rulebook.folded(text)
        ],
        language=language_of(text),
        excused=len({tuple(span) for span in suppressed}),
        left_out=len(set(unread) & set(active.lists)),
    )


def _way(steps: Steps) -> str:
    level = level_of(steps)
    if level != "custom":
        return level.capitalize()
    return "With " + ", ".join(STEP_WORDS[step] for step in Step if step in steps)


def _pieces(text: str, marks: bytearray) -> list[Piece]:
    pieces: list[Piece] = []
    begin = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or marks[at] != marks[begin]:
            stretch = Piece(text[begin:at], marks[begin] == 1, marks[begin] == 2)
            pieces.append(stretch)
            begin = at
    return pieces
