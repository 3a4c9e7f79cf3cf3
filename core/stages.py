"""Whether work gets done: for each stage how long its oldest row has waited, against a limit (DESIGN §5).

A process that is alive and whose every job fails looks busy. Rows that wait do not lie: each room names its stages
in ``settings.HOLDFAST_STAGES``, and the jobs page, ``/healthz?deep=1`` and ``manage.py doctor`` measure them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import BaseExpression
from django.utils.module_loading import import_string

from core import jobs
from core.models import Heartbeat

LOOKED_AT = 1000
"""Rows of a stage that are counted and compared: the figure is for people, and a heap is a heap."""

KEPT_SECONDS = 5.0
"""How long a process answers from its last measurement: ``/healthz`` is open to strangers."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step that rows wait for. ``rows`` yields those that could be worked on now, ``since`` is from when."""

    key: str
    title: str
    does: str
    rows: Callable[[], QuerySet[Any]]
    since: str | BaseExpression
    limit: int
    jobs: tuple[str, ...]
    order_by: str = ""

    @property
    def limit_seconds(self) -> int:
        """How long a row may wait, in seconds: ``HOLDFAST_STAGE_LIMITS`` (``routing=60,…``), else ours."""
        return int(settings.HOLDFAST_STAGE_LIMITS.get(self.key, self.limit))


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What became of a job lately: its last success, and the failures since."""

    name: str
    last_success: datetime | None = None
    failures: int = 0
    failed_at: datetime | None = None
    error: str = ""

    @property
    def in_words(self) -> str:
        return failure_in_words(self.error)


@dataclass(frozen=True, slots=True)
class Measured:
    """One stage at one moment. ``waited`` is the age of its oldest waiting row, None when nothing waits."""

    stage: Stage
    waiting: int
    is_capped: bool
    waited: timedelta | None
    processes: tuple[str, ...] = ()
    records: tuple[JobRecord, ...] = field(default_factory=tuple)
    now: datetime | None = None

    @property
    def is_late(self) -> bool:
        return self.waited is not None and self.waited.total_seconds() > self.stage.limit_seconds

    @property
    def limit_words(self) -> str:
        return duration(timedelta(seconds=self.stage.limit_seconds))

    @property
    def waited_words(self) -> str:
        return duration(self.waited) if self.waited is not None else ""

    @property
    def process(self) -> str:
        return " or ".join(self.processes) or "no process"

    @property
    def last_success(self) -> datetime | None:
        found = [record.last_success for record in self.records if record.last_success]
        return max(found) if found else None

    @property
    def advice(self) -> str:
        """Which process to look at and what it last did, in sentences. Empty while nothing is late."""
        if not self.is_late:
            return ""
        said = [f"{self.stage.does} has waited {self.waited_words} (limit {self.limit_words})."]
        last = self.last_success
        if last is None:
            ended = "it has not succeeded here yet"
        else:
            ago = duration(self.now - last) if self.now else ""
            ended = f"its last success was {last:%H:%M:%S} UTC" + (f", {ago} ago" if ago else "")
        said.append(f"The process “{self.process}” does it; {ended}.")
        failing = [record for record in self.records if record.failures]
        said += [
            f"Its job {record.name} failed {_times(record.failures)} since: {record.in_words}."
            for record in failing
        ]
        if not failing:
            said.append("If it runs, its log says what it is busy with.")
        return " ".join(said)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


_WORDS = {
    "OperationalError": "the database could not be reached or ended the session",
    "InterfaceError": "the session with the database was lost",
    "PoolTimeout": "no session with the database came free",
    "ProgrammingError": "the database and the code do not fit each other",
    "ConnectionError": "a server could not be reached",
    "TimeoutError": "a server did not answer in time",
    "JobTimeoutException": "it took longer than it may",
    "AbandonedJobError": "its process was killed",
    "WorkHorseTerminated": "its process was killed",
    "DiskFull": "a disk is full",
    "MemoryError": "there was not enough memory",
    "KeyRingError": "the master keys cannot be read",
    "VaultDamage": "a stored original cannot be read",
}


def failure_in_words(error: str) -> str:
    """Return what a kind of error means for whoever runs the installation, with the kind and place behind."""
    kind = error.partition(" ")[0]
    words = _WORDS.get(kind, "an error that the log of its process tells more about")
    return f"{words} ({error})" if error else words


def duration(length: timedelta) -> str:
    """Return a length of time the way people say it: ``40 s``, ``4 min``, ``3 h``, ``2 days``."""
    seconds = max(0, round(length.total_seconds()))
    for unit, factor in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * factor or (factor < 86_400 and seconds >= factor):
            return f"{seconds // factor} {unit}"
    return f"{seconds} s"


def stages() -> list[Stage]:
    """Return the stages of all rooms, in the order in which things pass through."""
    return [stage for path in settings.HOLDFAST_STAGES for stage in import_string(path)]


def processes_for(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which processes of the launcher serve the queues of some jobs."""
    queues = queues_of(names)
    return tuple(
        process for process, served in settings.HOLDFAST_PROCESSES.items() if queues & set(served)
    )


def queues_of(names: tuple[str, ...]) -> set[str]:
    """Return the queues of some jobs."""
    return {jobs.registered(name).queue for name in names if name in settings.HOLDFAST_JOBS}


def records() -> dict[str, JobRecord]:
    """Return what is noted of each job that ever ran (``core.jobs.job`` notes it)."""
    found = {}
    for beat in Heartbeat.objects.filter(kind=Heartbeat.Kind.JOB):
        name = beat.name.removeprefix(jobs.JOB_PREFIX)
        found[name] = JobRecord(
            name,
            last_success=_time(beat.detail.get("ok_at")),
            failures=int(beat.detail.get("failures", 0)),
            failed_at=_time(beat.detail.get("failed_at")),
            error=str(beat.detail.get("error", "")),
        )
    return found


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def database_now() -> datetime:
    """Return the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
        return found


def measure() -> list[Measured]:
    """Measure every stage. A dozen look-ups by index; raises database errors."""
    now, known = database_now(), records()
    found = []
    for stage in stages():
        rows = stage.rows()
        if isinstance(stage.since, str):
            name = stage.since
        else:
            rows, name = rows.annotate(since_=stage.since), "since_"
        rows = rows.order_by(stage.order_by or name)
        times = list(rows.values_list(name, flat=True)[: LOOKED_AT + 1])
        oldest = min((at for at in times if at is not None), default=None)
        found.append(
            Measured(
                stage,
                waiting=min(len(times), LOOKED_AT),
                is_capped=len(times) > LOOKED_AT,
                waited=max(now - oldest, timedelta()) if oldest is not None else None,
                processes=processes_for(stage.jobs),
                records=tuple(known[name] for name in stage.jobs if name in known),
                now=now,
            )
        )
    return found


_kept: tuple[float, list[Measured]] | None = None


def measure_now_and_then() -> list[Measured]:
    """Return a measurement that is at most five seconds old."""
    global _kept  # noqa: PLW0603 — one per process
    if _kept is None or time.monotonic() - _kept[0] > KEPT_SECONDS:
        _kept = (time.monotonic(), measure())
    return _kept[1]
