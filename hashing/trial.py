"""What the text rules in force would say about a text that somebody tries. Nothing is kept."""

from __future__ import annotations

from dataclasses import dataclass

from hashing import lookup
from hashing.contract import Finding
from hashing.detectors.terms import findings_in

__all__ = ["Piece", "Trial", "try_text"]


@dataclass(frozen=True)
class Piece:
    """A stretch of the text that matched as a whole, or did not."""

    text: str
    is_match: bool


@dataclass(frozen=True)
class Trial:
    """The findings, and the text cut into pieces for showing."""

    findings: list[Finding]
    pieces: list[Piece]


def try_text(text: str, surface: str = "") -> Trial:
    """Return what would fire on ``text`` if it stood on ``surface`` (empty: on any)."""
    findings = findings_in(text, surface, lookup.active_terms())
    spans = sorted(tuple(span) for finding in findings for span in finding.evidence["spans"])
    return Trial(findings, _pieces(text, spans))


def _pieces(text: str, spans: list[tuple[int, int]]) -> list[Piece]:
    pieces, at = [], 0
    for start, end in spans:
        begin = max(start, at)
        if begin >= end:
            continue
        if begin > at:
            pieces.append(Piece(text[at:begin], is_match=False))
        pieces.append(Piece(text[begin:end], is_match=True))
        at = end
    if at < len(text):
        pieces.append(Piece(text[at:], is_match=False))
    return pieces
