"""Full disks: which errors mean one, which disk it is, and what is left on those of this machine.

A full disk is no fault of what was sent and no attempt that failed: whoever meets one says which disk it is,
keeps nothing half, and tries again until there is room (docs/operations.md, "A full disk").
"""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import FileSystemStorage, storages
from django.db import OperationalError

from core.errors import DiskFull, describe

log = logging.getLogger(__name__)

ORIGINALS = "the stored originals"
PACKAGES = "the packages"
DATABASE = "the database"
WAKE_UPS = "Valkey's data"
SCRATCH = "temporary files"
SOMETHING = "Holdfast's files"

NOTED_SECONDS = 120
"""How long a full disk that somebody met is named on the pages of health."""

# EFBIG is a limit of the account or of the file system on one file: it ends the same way.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What S3-compatible stores call it (MinIO, Ceph).
_FULL_STORES = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"}
_NOTE = "holdfast.disk-full"
_noted: dict[str, float] = {}


def is_out_of_space(exc: BaseException) -> bool:
    """Return whether a file system or an object store refused a write for want of room."""
    if isinstance(exc, OSError) and exc.errno in _FULL:
        return True
    answer = getattr(exc, "response", None)  # botocore's ClientError
    return isinstance(answer, dict) and answer.get("Error", {}).get("Code") in _FULL_STORES


def full_disk(exc: BaseException | None) -> str | None:
    """Return in words what lies on the disk that an error found full; None when it is another error."""
    seen = 0
    while exc is not None and seen < 8:
        if isinstance(exc, DiskFull):
            return exc.holds
        if is_out_of_space(exc):
            return SOMETHING
        # 53100 is PostgreSQL's disk_full.
        if isinstance(exc, OperationalError) and _sqlstate(exc) == "53100":
            return DATABASE
        # MISCONF: Valkey could not write its file and takes no more writes. OOM is its memory.
        if isinstance(exc, redis.ResponseError) and str(exc).startswith("MISCONF"):
            return WAKE_UPS
        exc = exc.__cause__ or exc.__context__
        seen += 1
    return None


def _sqlstate(exc: BaseException) -> str | None:
    return getattr(exc, "sqlstate", None) or getattr(exc.__cause__, "sqlstate", None)


@contextlib.contextmanager
def holding(holds: str) -> Iterator[None]:
    """Raise DiskFull, naming the disk, for a write inside the block that found no room."""
    try:
        yield
    except Exception as failed:
        if not is_out_of_space(failed):
            raise
        note(holds)
        raise DiskFull(holds) from failed


def raise_if_full(failed: BaseException) -> None:
    """Raise DiskFull when an error means a full disk: for whoever would blame the file in hand."""
    if (holds := full_disk(failed)) is not None:
        raise DiskFull(holds) from failed


def note(holds: str) -> None:
    """Remember for two minutes that a disk was found full, for the pages of health."""
    log.error("the disk that holds %s is full", holds)
    _noted[holds] = time.monotonic()
    try:
        cache.set(f"{_NOTE}.{holds.replace(' ', '-')}", 1, NOTED_SECONDS)
    except Exception as failed:  # noqa: BLE001 — any cache, any failure: this process knows it
        log.info("not noted for other processes: %s", describe(failed))


def met() -> list[str]:
    """Return which disks somebody found full within the last two minutes."""
    names = [ORIGINALS, PACKAGES, DATABASE, WAKE_UPS, SCRATCH, SOMETHING]
    keys = {f"{_NOTE}.{name.replace(' ', '-')}": name for name in names}
    try:
        found = {keys[key] for key in cache.get_many(list(keys))}
    except Exception as failed:  # noqa: BLE001 — without the cache this process's own are left
        log.info("notes of other processes not read: %s", describe(failed))
        found = set()
    horizon = time.monotonic() - NOTED_SECONDS
    found |= {name for name, at in _noted.items() if at > horizon}
    return [name for name in names if name in found]


@dataclass(frozen=True, slots=True)
class Space:
    """What is left for one kind of file. ``free`` and ``total`` are bytes, as an ordinary account may use."""

    holds: str
    path: str
    free: int
    total: int

    @property
    def is_full(self) -> bool:
        return self.free < settings.HOLDFAST_DISK_RESERVE_BYTES


def spaces() -> list[Space]:
    """Return what is left on the disks of this machine; object stores have no such figure."""
    stores = {ORIGINALS: _folder("vault"), PACKAGES: _folder("packages")}
    folders = {holds: folder for holds, folder in stores.items() if folder is not None}
    var = Path(settings.VAR_DIR)
    if (var / "postgres").exists():
        folders[DATABASE] = var / "postgres"
    folders |= {"keys, logs and the index": var, SCRATCH: Path(tempfile.gettempdir())}
    found = []
    for holds, folder in folders.items():
        there = next((each for each in [folder, *folder.parents] if each.exists()), None)
        if there is not None:
            usage = shutil.disk_usage(there)
            found.append(Space(holds, str(there), usage.free, usage.total))
    return found


def _folder(store: str) -> Path | None:
    storage = storages[store]
    return Path(storage.location) if isinstance(storage, FileSystemStorage) else None


def full() -> list[str]:
    """Return what lies on disks that are full: those of this machine, and those that somebody met."""
    measured = [space.holds for space in spaces() if space.is_full]
    return [*measured, *(name for name in met() if name not in measured)]


def check_room(store: str, holds: str) -> None:
    """Raise DiskFull when the disk of a store has less left than the reserve.

    The reserve (``HOLDFAST_DISK_RESERVE_BYTES``) keeps uploads from taking the last bytes from a database on
    the same disk, which would stop there.
    """
    folder = _folder(store)
    if folder is None or not folder.exists():
        return
    if shutil.disk_usage(folder).free < settings.HOLDFAST_DISK_RESERVE_BYTES:
        note(holds)
        raise DiskFull(holds)
