"""The detectors that an administrator turned on, made ready to look.

What is dear to make (a model, a process, an opened secret) is kept per process until the setting or the
code has another version.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

from hashing.contract import Detector
from hashing.models import DetectorSetting

__all__ = ["forget", "make", "on"]

Maker = Callable[[DetectorSetting], Detector]

_lock = threading.Lock()
_made: dict[UUID, tuple[tuple[Any, ...], Detector]] = {}


def on() -> list[Detector]:
    """Return the optional detectors that are turned on, by name."""
    rows = list(DetectorSetting.objects.filter(is_on=True).order_by("name"))
    with _lock:
        for gone in set(_made) - {row.pk for row in rows}:
            del _made[gone]
        return [_kept(row) for row in rows]


def make(setting: DetectorSetting) -> Detector:
    """Return the detector of a setting, fresh. Raises LookupError for one that nothing here provides."""
    from hashing.detectors import optional

    return optional.make(setting)


def _kept(row: DetectorSetting) -> Detector:
    key = (row.version, row.code_version)
    known = _made.get(row.pk)
    if known is None or known[0] != key:
        known = _made[row.pk] = (key, make(row))
    return known[1]


def forget() -> None:
    """Drop everything made. For tests, whose databases come and go under one process."""
    with _lock:
        _made.clear()
