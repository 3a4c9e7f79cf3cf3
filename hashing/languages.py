"""Which language a text is written in, where that can be told. Values in, values out.

``py3langid`` (a naive Bayes classifier over byte sequences; M. Lui, T. Baldwin: langid.py, ACL 2012) with its
own model of 139 languages. It is loaded when first asked: it takes a second and some memory.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

__all__ = ["UNKNOWN", "Language", "codes", "language_of"]

UNKNOWN = "unknown"
FEWEST_LETTERS = 20
LEAST_CONFIDENCE = 0.8
_MOST = 4_000
_NO_LANGUAGE = "zxx"  # ISO 639-2: no linguistic content.


class Language(NamedTuple):
    """ISO 639-1 code, or ``unknown``, and how sure that is, 0 to 1."""

    code: str
    confidence: float


def language_of(text: str) -> Language:
    """Return the language of a text; ``unknown`` for few letters (below 20) or little confidence (0.8).

    Reads the first 4,000 characters. Two languages in one text are not told apart.
    """
    text = text[:_MOST]
    if sum(map(str.isalpha, text)) < FEWEST_LETTERS:
        return Language(UNKNOWN, 0.0)
    code, confidence = _identifier().classify(text.encode("utf-8", "replace").decode())
    sure = round(float(confidence), 4)
    is_known = sure >= LEAST_CONFIDENCE and code != _NO_LANGUAGE
    return Language(code if is_known else UNKNOWN, sure)


def codes() -> list[str]:
    """Return the languages that can be told, as ISO 639-1 codes."""
    return sorted(set(_identifier().labels) - {_NO_LANGUAGE})


@functools.lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
