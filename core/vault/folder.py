"""A folder whose files are whole or not there: written aside, put on disk, then given their name."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

INCOMING = ".incoming"
"""Where files lie while they are written. No row ever names one."""

LEFT_AFTER = 3600
"""Seconds after which a file there belongs to nobody: its process was killed."""


class DurableFolder(FileSystemStorage):
    """Django's storage in a folder; ``save`` returns when the file is on disk, and leaves nothing when it fails."""

    def _save(self, name: str, content: File[Any]) -> str:
        target = Path(self.path(name))
        aside = Path(self.location) / INCOMING
        aside.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = aside / uuid.uuid4().hex
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                for piece in content.chunks():
                    out.write(piece)
                out.flush()
                os.fsync(out.fileno())
            made = _make_folders(target.parent)
            os.link(part, target)  # Unlike a renaming it never takes the place of another file.
            part.unlink()
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        for folder in [target.parent, *made]:
            _put_on_disk(folder)
        return name

    def sweep_incoming(self, *, limit: int = 1000) -> int:
        """Remove files that a killed process left half written; return how many."""
        aside = Path(self.location) / INCOMING
        if not aside.exists():
            return 0
        swept = 0
        horizon = time.time() - LEFT_AFTER
        with os.scandir(aside) as found:
            for entry in found:
                if swept >= limit:
                    break
                try:
                    if entry.stat(follow_symlinks=False).st_mtime < horizon:
                        Path(entry.path).unlink()
                        swept += 1
                except FileNotFoundError:
                    continue
        return swept


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the folders that got a new entry."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    return [each.parent for each in missing]


def _put_on_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
