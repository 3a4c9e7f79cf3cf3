"""What a classifier of somebody else says, read with distrust: a service outside or a plug-in.

The answer decides what people look at, so that one which is not understood to the last field is no answer: it
must never be taken for *nothing found*.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

__all__ = ["MOST_RESULTS", "BadAnswer", "Opinion", "read"]

MOST_RESULTS = 20
_LONGEST_LABEL = 100
_LONGEST_MODEL = 40


class BadAnswer(ValueError):
    """The answer is not one. The message says why, in words that quote nothing of it."""


@dataclass(frozen=True)
class Opinion:
    """One result: how sure (0–1) the classifier is that the item belongs to a category, and why in words."""

    category: str
    score: float
    label: str = ""


def read(document: object, categories: Collection[str]) -> tuple[str, tuple[Opinion, ...]]:
    """Return the model's name (may be empty) and the results of an answer. Raises BadAnswer.

    ``{"results": [{"category": "…", "score": 0.93, "label": "…"}], "model": "…"}``: ``label`` and ``model``
    are optional, further fields are ignored, a category stands at most once. No results: looked at,
    nothing found.
    """
    if not isinstance(document, Mapping):
        raise BadAnswer("it is not a JSON object")
    results = document.get("results")
    if not isinstance(results, list):
        raise BadAnswer("it has no list of results")
    if len(results) > MOST_RESULTS:
        raise BadAnswer(f"it has more than {MOST_RESULTS} results")
    model = document.get("model", "")
    if not isinstance(model, str) or len(model) > _LONGEST_MODEL:
        raise BadAnswer(f"“model” is not a text of at most {_LONGEST_MODEL} characters")
    opinions = tuple(_opinion(each, categories) for each in results)
    if len({each.category for each in opinions}) != len(opinions):
        raise BadAnswer("a category stands twice in its results")
    return _printable(model), opinions


def _opinion(result: object, categories: Collection[str]) -> Opinion:
    if not isinstance(result, Mapping):
        raise BadAnswer("a result is not an object")
    category, score, label = result.get("category"), result.get("score"), result.get("label", "")
    if not isinstance(category, str) or category not in categories:
        raise BadAnswer("a result is of a category that is not known here")
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise BadAnswer("a score is not a number")
    if not 0 <= score <= 1:  # Also what is no number (NaN): it is not within anything.
        raise BadAnswer("a score is not between 0 and 1")
    if not isinstance(label, str) or len(label) > _LONGEST_LABEL:
        raise BadAnswer(f"a label is not a text of at most {_LONGEST_LABEL} characters")
    return Opinion(category, float(score), _printable(label))


def _printable(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
