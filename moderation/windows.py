"""A part of a long list: which part is shown, said honestly, and where the next one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """The ``number``-th part (from 1) of ``total`` rows, ``size`` at a time."""

    name: str
    """What the rows are called, in the plural; also the word in the address: ``?items=2``."""
    number: int
    size: int
    total: int
    order: str
    """The words for the order of the rows, like "the gravest first"."""
    called: str = ""
    """What the rows are called in the sentence, where that is not the word in the address."""

    @property
    def start(self) -> int:
        """The index of the first row shown."""
        return (self.number - 1) * self.size

    @property
    def stop(self) -> int:
        """The index after the last row that may be shown."""
        return self.start + self.size

    @property
    def is_part(self) -> bool:
        """Whether there is more than what is shown."""
        return self.total > self.size

    @property
    def next(self) -> int | None:
        """The number of the next part, or None at the end."""
        return self.number + 1 if self.stop < self.total else None

    @property
    def sentence(self) -> str:
        """What is shown and what is not, for people."""
        last = min(self.stop, self.total)
        shown = f"{last:,}" if self.number == 1 else f"{self.start + 1:,} to {last:,}"
        return (
            f"{shown} of {self.total:,} {self.called or self.name} are shown, {self.order}; "
            "all of them are part of the case."
        )


def window(
    name: str, asked: Mapping[str, str], *, size: int, total: int, order: str, called: str = ""
) -> Window:
    """Return the part that an address asks for; the nearest there is when it asks for none of them."""
    text = asked.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1
    last = max(1, -(-total // size))
    return Window(name, min(max(number, 1), last), size, total, order, called)
