"""A disk of a few megabytes that a test may fill: a tmpfs, or a limit on each file where none may be mounted."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class SmallDisk:
    """A folder whose disk can be filled and emptied."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self._mounted = mounted
        self._ballast = folder / "ballast"
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """Take every byte that is left."""
        if not self._mounted:
            # Python ignores SIGXFSZ: a write beyond the limit fails with EFBIG.
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._limits[1]))
            return
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as out:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        out.write(b"\0" * size)

    def free(self) -> None:
        """Give it back."""
        if not self._mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, *, megabytes: int = 8) -> Iterator[SmallDisk]:
    """Yield a small disk at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={megabytes}m,mode=0700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "holdfast-test", str(folder)],
        check=False,
        capture_output=True,
    )
    mounted = done.returncode == 0
    if not mounted:
        assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    disk = SmallDisk(folder, mounted=mounted)
    try:
        yield disk
    finally:
        disk.free()
        if mounted:
            # Lazily: a process that is ending may still hold a file there.
            subprocess.run(["umount", "-l", str(folder)], check=True)


def files_below(folder: Path) -> list[str]:
    """Return the names of all files below a folder, the ballast left out."""
    return sorted(
        os.path.relpath(Path(root) / name, folder)
        for root, _, names in os.walk(folder)
        for name in names
        if name != "ballast"
    )


def put_store(settings: Any, store: str, folder: Path) -> None:
    """Let the files of a store lie in a folder."""
    settings.STORAGES = settings.STORAGES | {
        store: settings.STORAGES[store] | {"OPTIONS": {"location": str(folder)}}
    }


@pytest.fixture(autouse=True)
def nothing_noted() -> Iterator[None]:
    """Forget which disks a test found full: the notes last two minutes."""
    from core import disk

    yield
    disk._noted.clear()
