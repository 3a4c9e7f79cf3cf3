"""What every detector is given and what it hands back.

A detector looks at one item and returns findings. It never writes, never decides, and says so when it
could not look: silence means "looked at, nothing found", so a detector that cannot look must either raise
(everything it would have found is unknown) or return a ``could_not_scan`` finding (part of it is).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable
from uuid import UUID

from hashing.models import FlagKind

if TYPE_CHECKING:
    from hashing.media import Media

__all__ = [
    "AGAIN_LATER",
    "Detector",
    "Finding",
    "FlagKind",
    "ModelCard",
    "ScanItem",
    "Unavailable",
    "could_not_scan",
    "not_scanned",
    "some_frames",
]

AGAIN_LATER = "unavailable"
"""Code of a *could not scan* finding that says nothing of the item: the detector is asked again later."""

_NOT_PART_OF_IDENTITY = frozenset(
    {
        "list_version",
        "frames_checked",
        "frames_total",
        "also",
        "also_count",
        "detail",
        "language",
        "language_confidence",
        "pairs",
        "listed_s",
        # A list that begins or ceases to act by itself finds the same copy of the same entry: what people
        # decided about it stands. It counts for what is found from then on.
        "acts_automatically",
    }
)
"""Evidence that may differ between two scans without making it another finding."""


@dataclass(frozen=True, kw_only=True)
class ScanItem:
    """One piece of content as detectors see it: values only, no database row.

    ``kind`` and ``surface`` are the values of ``reports.models.ItemKind`` and ``Surface``. ``media`` is
    None for text. Detectors of one scan share ``media``, so a file is read and decoded once.
    """

    id: UUID
    surface: str
    kind: str
    text: str = ""
    media_type: str = ""
    media: Media | None = field(default=None, repr=False)

    def open(self) -> BinaryIO:
        """Return the original as a binary file. Raises ValueError for text, VaultDamage if unreadable."""
        if self.media is None:
            raise ValueError("a text item has no file")
        return self.media.open()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing a detector found on one item, with all that it rests on.

    ``score`` is 0 (nothing) to 1 (certain). ``summary`` is one plain sentence for a person, at most 300
    characters. ``evidence`` is JSON; keys in use: ``list``, ``list_name``, ``list_version``, ``entry``,
    ``algorithm``, ``value``, ``matched_value``, ``distance``, ``threshold``, ``quality``,
    ``entry_quality_unknown``, ``low_quality``, ``frame``, ``frames_checked``, ``frames_total``, ``also``,
    ``pairs``, ``at_ms``, ``acts_automatically`` (an exact match raises its case to the highest severity),
     ``rule``, ``span``, ``spans``, ``suppressed``, ``folding``, ``language``, ``restricted``, ``reason``;
    of classifiers ``classifier``, ``classifier_name``, ``classifier_version``, ``terms``, ``base``,
    ``rest``, ``log_odds``;
    ``model``, ``priority`` (a note that raises the order of a case that is there anyway). The ids name rows that the finding points at.
    """

    kind: FlagKind
    score: float
    summary: str
    evidence: Mapping[str, Any]
    category: str = ""
    hash_list_id: UUID | None = None
    hash_entry_id: int | None = None
    term_list_id: UUID | None = None
    classifier_version_id: UUID | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"score {self.score} is not between 0 and 1")

    def fingerprint(self, detector: str) -> str:
        """Return the SHA-256 (hex) over what the finding rests on.

        The same finding of a second scan has the same fingerprint, also after other entries were added
        to its list; another entry, distance, threshold, span or reason is another finding.
        """
        basis = {k: v for k, v in self.evidence.items() if k not in _NOT_PART_OF_IDENTITY}
        document = {"detector": detector, "kind": str(self.kind), "basis": basis}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Unavailable(Exception):
    """A detector could not look, and knows why. ``reason`` is a plain sentence without its full stop.

    ``code`` is for programs; with ``AGAIN_LATER`` the item is put in line again when the detector is
    back. ``detail`` may differ from one attempt to the next. None of them quotes the item.
    """

    def __init__(self, reason: str, *, code: str = AGAIN_LATER, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What people must know before they rely on a detector. Plain sentences, no marketing.

    After Mitchell et al., “Model Cards for Model Reporting” (2019), cut down to what decides.
    """

    summary: str
    source: str = ""
    licence: str = ""
    data: str = ""
    measured: str = ""
    limits: tuple[str, ...] = ()


@runtime_checkable
class Detector(Protocol):
    """Anything that looks at items. Add one by writing a module and a line in the registry.

    ``name`` is stable and stored with every flag; ``version`` changes whenever the same item could give
    another answer. ``kinds`` are the item kinds it covers. ``surfaces`` narrows it; None is every surface.
    A detector that uses ``item.media.picture()`` sets ``needs_pixels = True`` (optional): pictures are then
    decoded once, in colour.
    """

    name: str
    version: str
    kinds: frozenset[str]
    surfaces: frozenset[str] | None

    def scan(self, item: ScanItem) -> list[Finding]:
        """Return what was found. Runs outside transactions.

        Raises when nothing could be looked at: Unavailable with the reason for a person, or anything.
        """
        ...


def covers(detector: Detector, item: ScanItem) -> bool:
    """Return whether ``detector`` looks at items like this one."""
    if item.kind not in detector.kinds:
        return False
    return detector.surfaces is None or item.surface in detector.surfaces


def could_not_scan(what: str, reason: str, *, code: str, detail: str = "") -> Finding:
    """Return the finding that says: this was not looked at, and a person has to know.

    ``reason`` is a plain sentence without content of the item; ``code`` is stable and for programs.
    ``detail`` is more of it that is no part of what makes one finding another.
    """
    evidence = {"reason": reason, "code": code}
    return Finding(
        kind=FlagKind.COULD_NOT_SCAN,
        score=0.0,
        summary=f"{what} could not be scanned: {reason}"[:300],
        evidence=evidence | {"detail": detail} if detail else evidence,
    )


def some_frames(looked: int, total: int) -> list[Finding]:
    """Return the note that a detector looked at some frames of an animation, or nothing if it looked at all.

    A note: how many frames it is given is the detector's setting, and whether a listed picture is among the others is
    known all the same.
    """
    if looked >= total:
        return []
    return [
        Finding(
            kind=FlagKind.NOTE,
            score=0.0,
            summary=f"Looked at {looked} of {total} frames of the animation, evenly spread.",
            evidence={"code": "sampled", "looked": looked, "total": total},
        )
    ]


_KIND_NAMES = {"video": "Video", "image": "A picture", "text": "Text", "audio": "Sound"}


def not_scanned(kind: str) -> Finding:
    """Return the finding for an item of a kind and surface that no detector covers."""
    reason = f"{_KIND_NAMES.get(kind, 'A file of this kind')} like this is looked at by no detector"
    return Finding(
        kind=FlagKind.NOT_SCANNED,
        score=0.0,
        summary=f"Not scanned: {reason[0].lower()}{reason[1:]}. A person has to.",
        evidence={"reason": reason, "kind": kind},
    )
