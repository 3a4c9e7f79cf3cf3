"""A file to send: its name and its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent. Whole in memory, since it may have to be sent again."""

    name: str
    content: bytes

    @classmethod
    def of(cls, path: str | Path) -> Self:
        """Read a file. Raises OSError."""
        found = Path(path)
        return cls(found.name, found.read_bytes())
