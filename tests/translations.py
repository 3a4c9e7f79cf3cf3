"""A labelled set of real texts that a package ships: the translations of Django's own messages (BSD-3).

Thousands of short texts by many people, labelled by language. Nothing of them is copied into this repository.
The subject of a text is the message it translates, so that no message stands on both sides of a split.
"""

from __future__ import annotations

import gettext
from pathlib import Path

import django

from hashing.learning.splitting import Example

__all__ = ["translations"]


def translations(yes: str = "pt", no: str = "es", *, fewest_letters: int = 10) -> list[Example]:
    """Return Django's messages in two languages; those in ``yes`` are the positives."""
    found: dict[tuple[str, str], Example] = {}
    for language, label in ((yes, True), (no, False)):
        for path in sorted(Path(django.__file__).parent.rglob(f"locale/{language}/**/*.mo")):
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
            for message, text in catalogue.items():
                name = message if isinstance(message, str) else message[0]
                if name and sum(map(str.isalpha, text)) >= fewest_letters:
                    found.setdefault((language, text), Example(text, label, name))
    return list(found.values())
