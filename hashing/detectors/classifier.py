"""Texts that a trained classifier finds similar to what people confirmed."""

from __future__ import annotations

from hashing import classifying
from hashing.contract import Finding, ScanItem

__all__ = ["TextClassifiers"]


class TextClassifiers:
    """Asks every active classifier that looks at the item's surface.

    A finding names the version, its threshold and the terms that spoke most for and against. A model that
    cannot be used gives a ``could_not_scan`` finding; the other classifiers are asked all the same.
    """

    name = "classifier"
    version = "1"
    kinds = frozenset({"text"})
    surfaces: frozenset[str] | None = None

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises database errors when the classifiers in force cannot be read."""
        return classifying.findings_in(item.text, item.surface)
