"""Reading hash lists in the background."""

from __future__ import annotations

import logging
from typing import BinaryIO, cast

from django.utils import timezone

from core import vault
from core.errors import VaultDamage, describe
from core.jobs import enqueue, job, waits_for_room
from hashing import actions
from hashing.csv_lists import Problem, Row
from hashing.list_files import read_rows
from hashing.models import HashImport

__all__ = ["read_import", "sweep_imports"]

log = logging.getLogger(__name__)

BATCH = 20_000


@job
def read_import(import_id: str) -> None:
    """Read one file into its list. Killed at any moment, it begins anew; the list never holds half of it."""
    file_import = actions.begin_import(HashImport(pk=import_id))
    if file_import is None or file_import.blob is None:
        return
    try:
        with waits_for_room(file_import), actions.keep_import(file_import):
            with vault.open(file_import.blob) as stream:
                if not _stage(file_import, _Counted(stream)):
                    return
            actions.finish_import(file_import)
    except ValueError as unreadable:
        actions.fail_import(file_import, problem=str(unreadable))
    except VaultDamage as damage:
        actions.fail_import(
            file_import, problem=f"The stored file cannot be read: {damage.reason}."
        )
    except Exception as failed:
        log.error("import failed: %s", describe(failed))
        raise


class _Counted:
    """A stream that counts what was read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self.count += len(piece)
        return piece


def _stage(file_import: HashImport, stream: _Counted) -> bool:
    rows: list[Row] = []
    problems: list[Problem] = []
    ignored: dict[str, None] = {}
    source = cast("BinaryIO", stream)  # It reads, and nothing else is asked of it.
    for each in read_rows(source, ignored, now=timezone.now()):
        if isinstance(each, Row):
            rows.append(each)
        else:
            problems.append(each)
        if len(rows) + len(problems) >= BATCH:
            if not actions.stage_rows(
                file_import, rows, problems, read_bytes=stream.count, ignored=list(ignored)
            ):
                return False
            rows, problems = [], []
    return actions.stage_rows(
        file_import, rows, problems, read_bytes=stream.count, ignored=list(ignored)
    )


def sweep_imports() -> int:
    """Wake a worker for imports that are due; return how many."""
    waiting = list(actions.waiting_imports().values_list("pk", flat=True)[:50])
    for import_id in waiting:
        enqueue("read_import", import_id)
    return len(waiting)
