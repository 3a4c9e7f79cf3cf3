"""This machine's copy of the index file: decrypted from the vault once, then mapped by every process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from core import vault
from core.models import Blob
from hashing import index
from hashing.index import Damaged, IndexFile
from hashing.models import IndexBuild

__all__ = ["adopt", "fetch", "fresh", "path_of"]

_NAME = re.compile(r"index-(\d+)-[0-9a-f-]+\.idx")
_UNFINISHED = ".part"
KEPT = 2
"""Builds whose files stay on a machine: the one in use, and the one before for those who map it just now."""


def _folder() -> Path:
    folder = Path(settings.HOLDFAST_INDEX_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def path_of(build: IndexBuild) -> Path:
    """Return where the file of a build lies on this machine, if it does."""
    return _folder() / f"index-{build.pk}-{build.key}.idx"


@contextlib.contextmanager
def fresh() -> Iterator[BinaryIO]:
    """Give an empty file beside the others, readable by nobody else; it is gone afterwards unless adopted."""
    with tempfile.NamedTemporaryFile(dir=_folder(), suffix=_UNFINISHED) as file:
        yield file  # type: ignore[misc]  # a wrapper with all methods of one


def adopt(file: BinaryIO, build: IndexBuild) -> Path:
    """Give a whole file its name. A process that dies before leaves no file of that name."""
    file.flush()
    os.fsync(file.fileno())
    path = path_of(build)
    # A link, then the temporary name goes: other processes see the whole file or none.
    with contextlib.suppress(FileExistsError):
        os.link(file.name, path)
    _remove_older(build)
    return path


def fetch(build: IndexBuild, blob: Blob) -> IndexFile:
    """Map the file of a build, copying it from the vault first where this machine has none that is sound.

    Raises Damaged, VaultDamage, OSError.
    """
    with contextlib.suppress(Damaged, FileNotFoundError):
        return _opened(build)
    with (_folder() / "lock").open("w") as lock:
        # One process of a machine copies; the others wait and find the file.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _opened(build)
        except FileNotFoundError:
            pass
        except Damaged:
            path_of(build).unlink()
        with fresh() as file:
            for piece in vault.iter_chunks(blob):
                file.write(piece)
            file.flush()
            index.verify(Path(file.name))
            adopt(file, build)
    return _opened(build)


def _opened(build: IndexBuild) -> IndexFile:
    file = IndexFile(path_of(build))
    if file.meta.get("key") != str(build.key):
        raise Damaged("this is the file of another index")
    return file


def _remove_older(build: IndexBuild) -> None:
    """Remove what earlier builds left. A process that still maps one keeps reading it."""
    for path in _folder().iterdir():
        named = _NAME.fullmatch(path.name)
        if named and int(named[1]) <= build.pk - KEPT:
            path.unlink(missing_ok=True)
