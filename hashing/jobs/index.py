"""Building the index in the background, and the sweep that decides when that is worth it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from uuid import UUID

from core import disk, vault
from core.errors import describe
from core.jobs import enqueue, job
from hashing import actions, index
from hashing.lookup import files
from hashing.lookup.sources import SOURCES, count_changed, read
from hashing.models import HashList, IndexBuild, IndexState

__all__ = ["WORTH_BUILDING", "build_index", "sweep_index"]

log = logging.getLogger(__name__)

WORTH_BUILDING = 20_000
"""Rows of a space that every process may hold beside the file, or without one: 0.1 ms a look-up."""

_SHARE = 200
"""With large lists, one row in so many may be newer than the file: reading them takes as long as before."""

_PIECE = 1 << 20
_MEDIA_TYPE = "application/x-holdfast-index"


@job
def build_index(build_id: int) -> None:
    """Build the index file over all lists, put it into the vault and to use.

    Safe to repeat and to kill: a build that did not end is due again. Lists that change meanwhile are as
    they were when their rows were read; every process adds what is newer.
    """
    build = actions.begin_index_build(IndexBuild(pk=build_id))
    if build is None:
        return
    try:
        with actions.keep_index_build(build):
            _build(build)
    except Exception as failed:
        holds = disk.full_disk(failed)
        why = f"the disk that holds {holds} is full" if holds else describe(failed)
        actions.fail_index_build(build, problem=why)
        raise


def _build(build: IndexBuild) -> None:
    began = time.monotonic()
    # Versions before rows: a row that changes in between is newer than the file says, and read again.
    versions = dict(HashList.objects.order_by("created_at", "pk").values_list("pk", "version"))
    places = {key: (at, 0) for at, key in enumerate(versions)}
    entries: dict[str, int] = {}
    about = {
        "key": str(build.key),
        "lists": [str(key) for key in versions],
        "versions": {str(key): version for key, version in versions.items()},
    }
    with files.fresh() as file:
        index.write(file, _spaces(places, entries), about)
        file.flush()
        size = file.tell()
        with Path(file.name).open("rb") as whole:
            blob = vault.receive(_pieces(whole), media_type=_MEDIA_TYPE)
        path = files.adopt(file, build)
    is_used = actions.finish_index_build(
        build,
        blob,
        versions=versions,
        entries=entries,
        bytes=size,
        seconds=round(time.monotonic() - began, 2),
    )
    if is_used:
        log.info("index %s: %s, %s bytes at %s", build.pk, entries, size, path.name)


def _spaces(
    places: dict[UUID, tuple[int, int]], entries: dict[str, int]
) -> Iterator[tuple[str, index.Space]]:
    """Build one space after the other: only one is in memory at a time."""
    for name, source in SOURCES.items():
        rows = read(source, places, only_live=True)
        entries[name] = len(rows.ids)
        yield (
            name,
            index.build(
                source.bits, rows.words, rows.ids, rows.lists, threads=min(os.cpu_count() or 1, 4)
            ),
        )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def sweep_index() -> int:
    """Ask for a build where it is worth it, and wake what waits; return how many builds wait."""
    if reason := _why_build():
        actions.request_index(reason)
    waiting = list(actions.waiting_index_builds().values_list("pk", flat=True))
    for build_id in waiting:
        enqueue("build_index", build_id)
    return len(waiting)


def _why_build() -> str:
    if IndexBuild.objects.filter(state=IndexState.WAITING).exists():
        return ""
    latest = (
        IndexBuild.objects.filter(state__in=[IndexState.READY, IndexState.DAMAGED])
        .order_by("-pk")
        .first()
    )
    if latest is not None and latest.state == IndexState.DAMAGED:
        return f"index {latest.pk} is damaged: {latest.problem}"
    lists = dict(HashList.objects.values_list("pk", "version"))
    for name, source in SOURCES.items():
        # A file that is older than a kind of digests knows nothing of it.
        known = latest.versions if latest is not None and name in latest.entries else {}
        since = {
            pk: (0, int(known.get(str(pk), 0)))
            for pk, version in lists.items()
            if known.get(str(pk)) != version
        }
        size = int(latest.entries.get(name, 0)) if latest is not None else 0
        worth = max(WORTH_BUILDING, size // _SHARE)
        if count_changed(source, since, worth) >= worth:
            if latest is None:
                return f"the lists hold {worth:,} or more digests ({name}) and there is no index"
            return f"{worth:,} or more digests ({name}) are newer than index {latest.pk}"
    return ""
