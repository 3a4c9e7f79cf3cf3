"""Whether intake can take more: what waits, for how long, and how much room is left. Reads, and never writes.

What was acknowledged is safe however much waits. Intake stops only where more would endanger that (a full disk) or where
the operator said so (rows or hours that wait); before that it tells senders to slow down. One source that floods is stopped
before it makes the others wait.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from core import disk, stages
from core.errors import DiskFull, Refused
from reports.models import Item, ScanState, Source

Accepting = Literal["yes", "slow", "no"]

KEPT_SECONDS = 5.0
"""How long a process goes by what it saw last."""
RETRY_SECONDS = 30
ROOM = 4
"""With less than so many times the reserve left on a disk, senders are asked to slow down."""
SHOWN = ("scanning", "video_scanning", "routing", "item_routing", "decisions", "deliveries")
"""Stages that a sender is told of; those of intake come first."""
OF_INTAKE = frozenset(SHOWN[:4])
_HOLDS = (disk.ORIGINALS, disk.DATABASE)

MUCH = "Too much waits to be looked at."
LONG = "What was taken waits too long already."
FULL = "A disk is full."
LITTLE_ROOM = "A disk has little room left."
BEHIND = "Work is behind: {}."


class SlowDown(Refused):
    """Intake takes nothing for a while (503), or nothing of this source (429). Nothing of the request was taken."""

    retry_after = RETRY_SECONDS


@dataclass(frozen=True, slots=True)
class Condition:
    """How intake stands. ``reasons`` are sentences; empty while everything is well."""

    accepting: Accepting
    reasons: tuple[str, ...]


_seen: dict[Any, tuple[float, Any]] = {}


def check(source: Source) -> None:
    """Let a request of a source pass. Raises DiskFull, or SlowDown with when to come again.

    Costs two look-ups by index every ``KEPT_SECONDS`` in each process, and a look at the disks.
    """
    if full := [space.holds for space in _disks() if space.is_full]:
        raise DiskFull(full[0])
    if reason := _kept("stop", _why_stop):
        raise SlowDown(
            f"{reason} Nothing of this request was taken: send it again later. What was acknowledged is kept.",
            code="slow_down",
            status=503,
        )
    most = settings.HOLDFAST_INTAKE_SOURCE_WAITING
    if most and _kept("many", lambda: _more_wait(most)) and _kept(source.pk, _floods(source.pk)):
        raise SlowDown(
            f"More than {most:,} things that this source sent wait to be looked at. Nothing of this request was "
            "taken: send it again later. Other sources are taken.",
            code="source_slow_down",
            status=429,
        )


def condition() -> tuple[Condition, list[stages.Measured]]:
    """Return how intake stands and the stages that senders are told of."""
    measured = {each.stage.key: each for each in stages.measure_now_and_then()}
    shown = [measured[key] for key in SHOWN if key in measured]
    reasons = []
    if full := [space for space in _disks() if space.is_full]:
        reasons.append(FULL)
    if reason := _kept("stop", _why_stop):
        reasons.append(reason)
    if reasons:
        return Condition("no", tuple(reasons)), shown
    low = settings.HOLDFAST_DISK_RESERVE_BYTES * ROOM
    if not full and any(space.free < low for space in _disks()):
        reasons.append(LITTLE_ROOM)
    late = [each for each in shown if each.is_late and each.stage.key in OF_INTAKE]
    reasons += [BEHIND.format(each.stage.does.lower()) for each in late]
    return Condition("slow" if reasons else "yes", tuple(reasons)), shown


def _disks() -> list[disk.Space]:
    return [space for space in disk.spaces() if space.holds in _HOLDS]


def _waiting() -> QuerySet[Item]:
    return Item.objects.filter(scan_state=ScanState.WAITING)


def _more_wait(most: int) -> bool:
    """Return whether more than ``most`` items wait for their scan; reads no more of the index than that."""
    return _waiting().order_by("scan_due_at").values("pk")[most : most + 1].exists()


def _why_stop() -> str:
    most, longest = settings.HOLDFAST_INTAKE_MOST_WAITING, settings.HOLDFAST_INTAKE_LONGEST_WAIT
    if most and _more_wait(most):
        return MUCH
    if longest:
        old = _waiting().filter(scanned_at=None, received_at__lt=Now() - timedelta(seconds=longest))
        if old.exists():
            return LONG
    return ""


def _floods(source: UUID) -> Any:
    most = settings.HOLDFAST_INTAKE_SOURCE_WAITING

    def look() -> bool:
        return _waiting().filter(source=source).values("pk")[most : most + 1].exists()

    return look


def _kept(name: Any, look: Any) -> Any:
    """Return what was seen a moment ago, or look again."""
    at, found = _seen.get(name, (float("-inf"), None))
    if time.monotonic() - at > KEPT_SECONDS:
        found = look()
        if len(_seen) > 10_000:  # Sources that are gone.
            _seen.clear()
        _seen[name] = (time.monotonic(), found)
    return found
