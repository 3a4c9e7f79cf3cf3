"""Search by distance over the lists in force: the index file, and what changed since it was written."""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import DatabaseError, connection

from core.errors import VaultDamage, describe
from hashing import actions, index
from hashing.index import Damaged, Found, IndexFile, words_of
from hashing.lookup import files
from hashing.lookup.delta import Delta
from hashing.lookup.lists import is_in_force, reach_of
from hashing.lookup.sources import SOURCES, read
from hashing.models import HashList, IndexBuild, IndexState

__all__ = [
    "MOST_DELTA",
    "Hit",
    "IndexNotReady",
    "View",
    "current",
    "forget",
    "held",
    "near",
    "warm",
]

log = logging.getLogger(__name__)

MOST_DELTA = 500_000
"""Rows of one space that are searched without an index. Beyond it nothing is said until there is one.

Holding them costs 20 MiB a process and 2 ms a look-up; the sweep has the index built long before.
"""

HELD_SECONDS = 1.0
"""For how long the items of a batch are looked up in the same view of the lists."""


class IndexNotReady(Exception):
    """Nothing can be said yet: the index is being built. ``reason`` is a sentence without its full stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Hit(NamedTuple):
    """An entry within its list's reach: number of its row, bits that differ, its list."""

    id: int
    distance: int
    list_id: UUID


@dataclass
class _Held:
    """What this process holds between look-ups. Changed under the lock only."""

    generation: int = -1
    file: IndexFile | None = None
    places: dict[UUID, int] = field(default_factory=dict)
    seen: dict[UUID, int] = field(default_factory=dict)
    deltas: dict[str, Delta] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    """Spaces that the file knows nothing of, because it is older than they are: all their rows are newer."""
    too_many: tuple[Any, ...] | None = None
    key: tuple[Any, ...] = ()
    lists: list[HashList] = field(default_factory=list)
    view: View | None = None


_lock = threading.RLock()
_held = _Held()


class View:
    """The lists as they were at one moment. Take one for each item, not for longer than a second or two."""

    def __init__(self, lists: Sequence[HashList], held: _Held, spaces: Iterable[str]) -> None:
        self._all = lists
        self.lists = {each.pk: each for each in lists if is_in_force(each)}
        self.generation = held.generation
        self._file = held.file
        self._deltas = {name: held.deltas[name] for name in spaces}
        self._lists = sorted(held.places, key=held.places.__getitem__)
        self._reach: dict[str, npt.NDArray[np.int16]] = {}

    def is_still_so(self) -> bool:
        """Return whether the same lists are in force as when this was taken."""
        return all((each.pk in self.lists) == is_in_force(each) for each in self._all)

    def reach(self, space: str) -> npt.NDArray[np.int16]:
        """Return how far each list reaches, by position; −1 where it is not in force."""
        if space not in self._reach:
            self._reach[space] = np.array(
                [reach_of(self.lists[k], space) if k in self.lists else -1 for k in self._lists],
                dtype=np.int16,
            )
        return self._reach[space]

    def spaces(self) -> frozenset[str]:
        """Return the spaces in which any list has a row: others need not be computed."""
        return frozenset(
            name
            for name, delta in self._deltas.items()
            if len(delta)
            or (
                self._file is not None
                and name in self._file.spaces
                and self._file.spaces[name].entries
            )
        )

    def reaching(self, space: str, bits: Mapping[UUID, int]) -> View:
        """Return the same lists, each reaching as far in a space as ``bits`` says; others are left out.

        For looking around, not for scanning: a list that is not in force may be named too.
        """
        other = copy.copy(self)
        reach = np.array([bits.get(k, -1) for k in self._lists], dtype=np.int16)
        other._reach = {space: reach}  # noqa: SLF001 — one of our own kind
        return other

    def near(self, space: str, digests: Sequence[str]) -> list[list[Hit]]:
        """Return for each digest (hex) the entries within their list's reach, nearest first.

        Raises KeyError for an unknown space, ValueError for a digest of another length, IndexNotReady.
        """
        reach = self.reach(space)
        source, delta = SOURCES[space], self._deltas[space]
        base = self._file.spaces.get(space) if self._file else None
        answers = []
        for query in words_of(digests, source.bits):
            newer = delta.search(query, reach)
            if base is not None and base.entries:
                try:
                    old = base.search(query, reach)
                except Damaged as damage:
                    _report(self.generation, damage.reason)
                    raise IndexNotReady("the index is damaged and is built anew") from damage
                kept = ~delta.covers(old.ids)
                newer = Found(
                    *(np.concatenate([a[kept], b]) for a, b in zip(old, newer, strict=True))
                )
            order = np.lexsort((newer.ids, newer.distances))
            answers.append(
                [
                    Hit(int(newer.ids[i]), int(newer.distances[i]), self._lists[newer.lists[i]])
                    for i in order
                ]
            )
        return answers


def near(space: str, digests: Sequence[str]) -> list[list[Hit]]:
    """Return for each digest (hex) the entries of lists in force that are near enough, nearest first.

    ``space`` is one of ``SPACES``. How near is said by each list. Rows retired, added or restored in any
    process count at once. Raises IndexNotReady while nothing can be said, KeyError, ValueError.
    """
    return current().near(space, digests) if digests else []


class _Hold(threading.local):
    """Whether this thread looks at a batch, and the view that it took for it."""

    depth = 0
    view: View | None = None
    until = 0.0


_hold = _Hold()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let ``current`` of this thread answer with one view for ``HELD_SECONDS`` at a time. For a batch of items.

    Within it a change counts after that long at the latest, and not with the very next look-up.
    """
    _hold.depth += 1
    try:
        yield
    finally:
        _hold.depth -= 1
        if not _hold.depth:
            _hold.view = None


def current() -> View:
    """Return the lists and the index as they are now: one small query, and what changed since the last.

    Inside ``held`` they may be as they were a moment ago. Raises IndexNotReady.
    """
    if _hold.view is not None and time.monotonic() < _hold.until:
        return _hold.view
    until = time.monotonic() + HELD_SECONDS  # From before the lists are read.
    view = _fresh()
    if _hold.depth:
        _hold.view, _hold.until = view, until
    return view


def _fresh() -> View:
    key = _versions()
    with _lock:
        if _held.view is not None and _held.key == key:
            # Nothing was changed; time alone may have put a list in force or out of it.
            if not _held.view.is_still_so():
                _held.view = View(_held.lists, _held, SOURCES)
            return _held.view
        # Versions are read before rows: at worst a row is newer than its list says, and read once more.
        lists = list(HashList.objects.order_by("slug"))
        build = _in_use()
        generation = 0 if build is None else build.pk
        if _held.generation != generation:
            _take(build)
        _catch_up(lists)
        # With the key that was read first: what changed since is noticed by the next look-up.
        _held.key, _held.lists, _held.view = key, lists, View(lists, _held, SOURCES)
        return _held.view


def _versions() -> tuple[Any, ...]:
    """Return what tells that nothing changed: the index in use, and each list with its version."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT b.id, l.id, l.version, l.updated_at FROM ("
            "SELECT max(id) AS id FROM hashing_indexbuild WHERE state IN ('ready', 'damaged')"
            ") AS b LEFT JOIN hashing_hashlist l ON TRUE ORDER BY l.id"
        )
        return tuple(cursor.fetchall())


def _in_use() -> IndexBuild | None:
    return (
        IndexBuild.objects.filter(state__in=[IndexState.READY, IndexState.DAMAGED])
        .only("pk", "state")
        .order_by("-pk")
        .first()
    )


def _take(build: IndexBuild | None) -> None:
    """Begin with another file, or with none."""
    global _held  # noqa: PLW0603 — replaced as a whole: a view that is in use keeps its own
    file = None
    held = _Held(deltas={name: Delta.empty(source.bits) for name, source in SOURCES.items()})
    if build is not None:
        if build.state == IndexState.DAMAGED:
            raise IndexNotReady("the index is damaged and is built anew")
        file = _opened(build)
        held.places = {UUID(key): at for at, key in enumerate(file.meta["lists"])}
        held.seen = {UUID(key): int(version) for key, version in file.meta["versions"].items()}
        held.unread = set(SOURCES) - set(file.spaces)
        held.generation = build.pk
    else:
        held.generation = 0
    held.file = file
    _held = held


def _opened(build: IndexBuild) -> IndexFile:
    build = IndexBuild.objects.select_related("blob").get(pk=build.pk)
    if build.blob is None:
        raise IndexNotReady("the index was just replaced")
    try:
        return files.fetch(build, build.blob)
    except (Damaged, VaultDamage) as damage:
        _report(build.pk, damage.reason)
        raise IndexNotReady("the index is damaged and is built anew") from damage
    except OSError as failed:
        log.error("index %s could not be opened: %s", build.pk, describe(failed))
        raise IndexNotReady(
            f"the index cannot be opened on this machine ({type(failed).__name__})"
        ) from failed


def _report(generation: int, problem: str) -> None:
    log.error("index %s is damaged: %s", generation, problem)
    actions.report_index_damage(IndexBuild(pk=generation), problem=problem)


def _catch_up(lists: Sequence[HashList]) -> None:
    """Read the rows of lists whose version is another than the one read last."""
    changed = [each for each in lists if _held.seen.get(each.pk) != each.version]
    if not changed and not _held.unread:
        return
    for each in changed:
        _held.places.setdefault(each.pk, len(_held.places))
    since = {each.pk: (_held.places[each.pk], _held.seen.get(each.pk, 0)) for each in changed}
    everything = {key: (place, 0) for key, place in _held.places.items()}
    versions = tuple((each.pk, each.version) for each in changed)
    if _held.too_many == versions:
        raise IndexNotReady(_TOO_MANY)
    fresh = {}
    for name, source in SOURCES.items():
        room = MOST_DELTA - len(_held.deltas[name])
        wanted = everything if name in _held.unread else since
        fresh[name] = read(source, wanted, most=room + 1)
        if len(fresh[name].ids) > room:
            _held.too_many = versions
            raise IndexNotReady(_TOO_MANY)
    # All or nothing: a space that could not be read is read again with the others.
    for name, rows in fresh.items():
        _held.deltas[name] = _held.deltas[name].merged(rows)
    _held.unread = set()
    _held.seen.update({each.pk: each.version for each in changed})


_TOO_MANY = "the lists are larger than can be searched without an index, and it is being built"


def warm() -> None:
    """Compile the search where there is an index to search, so that no look-up has to wait for it.

    Takes some seconds; small installations have no index and skip it. Never raises: a worker that starts
    before the database works all the same.
    """
    try:
        if _in_use() is not None:
            index.warm()
    except DatabaseError as failed:
        log.warning("the search is compiled later: %s", describe(failed))


def forget() -> None:
    """Drop everything held. For tests, whose databases come and go under one process."""
    global _held  # noqa: PLW0603
    with _lock:
        _held = _Held()
    _hold.view = None
