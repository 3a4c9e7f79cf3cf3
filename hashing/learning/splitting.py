"""Dividing labelled texts so that the figures of a classifier are honest.

Figures measured on texts that the model saw, on other texts of the same people, or on texts older than
what it learned from, promise more than the model will keep. So the hold-out is the newest part; nobody
whose texts were learned from is in it, and no text that was learned from stands in it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hashing.folding import fold

__all__ = ["Example", "Split", "TooLittle", "split"]

LEAST_TRAINING = 30
LEAST_HOLDOUT = 10
LEAST_SUBJECTS = 5
LARGEST_HOLDOUT = 0.5


class TooLittle(Exception):
    """There is too little to learn from. ``sentences`` say what is missing."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


@dataclass(frozen=True)
class Example:
    """A text with what people said of it. ``subject`` is whose it is, ``at`` when that was decided."""

    text: str
    label: bool
    subject: str
    at: datetime | None = None
    surface: str = ""
    origin: str = ""


@dataclass(frozen=True)
class Split:
    """Training and hold-out. ``cut``: every hold-out text is of that time or newer (None: no dates)."""

    training: list[Example]
    holdout: list[Example]
    cut: datetime | None = None
    left_out_subject: int = 0
    left_out_text: int = 0
    share: float = field(default=0.0)


def split(examples: Sequence[Example], *, share: float, seed: int) -> Split:
    """Divide examples; ``share`` (0 to 0.5) of the newest are held out, more when too few of a label are.

    Texts without a date count as older than all others, in an order drawn from ``seed``. Raises TooLittle.
    """
    ordered = sorted(examples, key=lambda example: _age(example, seed))
    _check_all(ordered)
    wanted, best = share, Split([], [])
    while wanted <= LARGEST_HOLDOUT + 1e-9:
        divided = _divide(ordered, wanted)
        if not _missing(divided):
            return divided
        best = divided if not best.holdout else best
        wanted += 0.05
    raise TooLittle(_missing(best))


def _age(example: Example, seed: int) -> tuple[bool, datetime, str, str]:
    draw = hashlib.sha256(f"{seed}\0{example.subject}".encode("utf-8", "replace")).hexdigest()
    at = example.at or datetime.min.replace(tzinfo=UTC)
    return example.at is not None, at, draw, example.text


def _divide(ordered: list[Example], share: float) -> Split:
    first = round(len(ordered) * (1 - share))
    training, newest = ordered[:first], ordered[first:]
    subjects = {example.subject for example in training}
    texts = {fold(example.text).text for example in training}
    strangers = [example for example in newest if example.subject not in subjects]
    holdout = [example for example in strangers if fold(example.text).text not in texts]
    return Split(
        training,
        holdout,
        cut=newest[0].at if newest else None,
        left_out_subject=len(newest) - len(strangers),
        left_out_text=len(strangers) - len(holdout),
        share=round(share, 2),
    )


def _check_all(examples: Sequence[Example]) -> None:
    missing = []
    for label, name in ((True, "confirmed"), (False, "not confirmed")):
        least = LEAST_TRAINING + LEAST_HOLDOUT
        found = [example for example in examples if example.label is label]
        if len(found) < least:
            missing.append(
                f"There are {len(found)} texts that were {name}; at least {least} are needed."
            )
        elif len(subjects := {example.subject for example in found}) < 2 * LEAST_SUBJECTS:
            missing.append(
                f"The texts that were {name} come from {len(subjects)} accounts, groups or rows; "
                f"at least {2 * LEAST_SUBJECTS} are needed, so that it does not learn one person."
            )
    if missing:
        raise TooLittle(missing)


def _missing(divided: Split) -> list[str]:
    sentences = []
    for part, name, least in (
        (divided.training, "to learn from", LEAST_TRAINING),
        (divided.holdout, "to measure with", LEAST_HOLDOUT),
    ):
        for label, word in ((True, "confirmed"), (False, "not confirmed")):
            found = [example for example in part if example.label is label]
            if len(found) < least:
                sentences.append(
                    f"Only {len(found)} texts that were {word} are left {name}; {least} are needed."
                )
            elif part is divided.training:
                subjects = len({example.subject for example in found})
                if subjects < LEAST_SUBJECTS:
                    sentences.append(
                        f"The texts {name} that were {word} come from {subjects} subjects; "
                        f"{LEAST_SUBJECTS} are needed."
                    )
    if sentences and (divided.left_out_subject or divided.left_out_text):
        sentences.append(
            f"Of the newest texts, {divided.left_out_subject} are of subjects that were learned from "
            f"and {divided.left_out_text} repeat a text that was; they measure nothing."
        )
    return sentences
