"""What runs, what waits, what fails: figures for the operations page, without any content."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from core import disk, doctor, jobs, stages
from core.errors import describe
from core.models import Heartbeat
from core.stages import Measured
from core.valkey_link import valkey

_FAILURES_SHOWN = 25
_FAILURES_COUNTED = 1000
# Our own jobs say kind and place; of anybody else's error only the kind is shown.
_OWN = re.compile(r"^core\.jobs\.JobFailed: (\w+(?: at [\w./-]+:\d+)?)$")
_KIND = re.compile(r"^([\w.]+)(?::|$)")


_CHECKS = {
    "verify_audit": "The audit log against itself, its rows and its anchors",
    "verify_vault": "The stored originals against their digests",
}


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue: wake-ups waiting, running, failed in the last hour, and the oldest waiting one."""

    name: str
    waiting: int
    running: int
    failed: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker process."""

    name: str
    """What people call it, such as "Scan worker 2 on host a"; ``key`` is its name in Valkey."""
    key: str
    state: str
    queues: str
    job: str
    started_at: datetime | None
    seen_at: datetime | None
    behind: str = ""


@dataclass(frozen=True, slots=True)
class SandboxState:
    """The sandbox of one kind of worker on one machine: in force, or exactly what of it is missing."""

    worker: str
    host: str
    missing: list[str]
    at: datetime


SANDBOXED = ("scan", "video")
"""Queues whose workers open what strangers sent: each decodes in the sandbox."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A wake-up that failed in the last hour: the job's name, when, and the kind of error."""

    job: str
    queue: str
    at: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class FailingJob:
    """A job with failures in the last hour: how many wake-ups of it failed, and what the last says in words."""

    job: str
    failed: int
    at: datetime | None
    in_words: str


@dataclass(slots=True)
class Overview:
    """Everything the operations page shows. ``valkey`` is empty or why the queues are unknown."""

    queues: list[QueueState] = field(default_factory=list)
    workers: list[WorkerState] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    sweeps: list[Heartbeat] = field(default_factory=list)
    checks: list[Heartbeat] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What a person has to put right, a sentence each."""
    scheduler: Heartbeat | None = None
    valkey: str = ""
    stages: list[Measured] = field(default_factory=list)
    full_disks: list[str] = field(default_factory=list)
    clock: str = ""
    sandboxes: list[SandboxState] = field(default_factory=list)
    failed_by_job: Counter[str] = field(default_factory=Counter)
    failing_jobs: list[FailingJob] = field(default_factory=list)

    @property
    def unconfined(self) -> list[tuple[str, str]]:
        """What is missing in the sandbox of what decodes files: where, and a sentence."""
        hosts = {state.host: state.missing for state in self.sandboxes}
        return [(f"sandbox on {host}", said) for host in hosts for said in hosts[host]]

    @property
    def late(self) -> list[Measured]:
        return [found for found in self.stages if found.is_late]

    @property
    def waiting(self) -> int:
        return sum(queue.waiting for queue in self.queues)

    @property
    def failing_sweeps(self) -> int:
        return sum("error" in sweep.detail for sweep in self.sweeps)


def overview() -> Overview:
    """Return the state of the background work. Never raises because Valkey is away."""
    found = Overview()
    grace = timedelta(seconds=max(30, settings.HOLDFAST_SWEEP_SECONDS * 6))
    beats = Heartbeat.objects.annotate(
        is_late=ExpressionWrapper(Q(at__lt=Now() - grace), output_field=BooleanField())
    )
    for beat in beats.order_by("name"):
        if beat.kind == Heartbeat.Kind.SCHEDULER:
            found.scheduler = beat
        elif beat.kind == Heartbeat.Kind.SWEEP and beat.name in settings.HOLDFAST_SWEEPS:
            beat.words = _sweep_in_words(beat.name)  # type: ignore[attr-defined]
            found.sweeps.append(beat)
        elif beat.kind == Heartbeat.Kind.CHECK and "problem" in beat.detail:
            found.problems.append(beat.detail["problem"])
        elif beat.kind == Heartbeat.Kind.CHECK:
            beat.words = _CHECKS.get(beat.name, beat.name)  # type: ignore[attr-defined]
            found.checks.append(beat)
        elif beat.kind == Heartbeat.Kind.WORKER and "sandbox" in beat.detail:
            found.sandboxes += _sandboxes(beat)
    found.stages = stages.measure()
    found.full_disks = disk.full()
    found.clock = doctor.clock_jump()
    try:
        for name in settings.RQ_QUEUES:
            _look_at(jobs.queue(name), found)
        workers = Worker.all(connection=valkey(), serializer=JSONSerializer)
        names = _names_of(workers)
        for worker in workers:
            found.workers.append(_worker(worker, names[worker.name], found.late))
    except (redis.RedisError, OSError) as failed:
        found.valkey = describe(failed)
    found.workers.sort(key=lambda worker: worker.name)
    found.failures.sort(key=lambda f: f.at or datetime.min.replace(tzinfo=UTC), reverse=True)
    found.failing_jobs = _by_job(found)
    del found.failures[_FAILURES_SHOWN:]
    return found


def _look_at(queue: Queue, found: Overview) -> None:
    failed = FailedJobRegistry(queue=queue)
    found.queues.append(
        QueueState(
            name=queue.name,
            waiting=queue.count,
            running=StartedJobRegistry(queue=queue).count,
            failed=failed.count,
            oldest=_oldest(queue),
        )
    )
    # A wake-up's id begins with the name of its job.
    found.failed_by_job.update(
        key.partition("-")[0] for key in failed.get_job_ids(-_FAILURES_COUNTED, -1)
    )
    for key in failed.get_job_ids(-_FAILURES_SHOWN, -1):
        try:
            job = Job.fetch(key, connection=queue.connection, serializer=JSONSerializer)
        except NoSuchJobError:
            continue
        found.failures.append(
            Failure(job.description or "", queue.name, _aware(job.ended_at), _error_of(job))
        )


def _oldest(queue: Queue) -> datetime | None:
    for key in queue.get_job_ids(0, 1):
        try:
            job = Job.fetch(key, connection=queue.connection, serializer=JSONSerializer)
        except NoSuchJobError:
            return None
        return _aware(job.enqueued_at)
    return None


def _by_job(found: Overview) -> list[FailingJob]:
    latest: dict[str, Failure] = {}
    for failure in found.failures:  # The latest comes first.
        latest.setdefault(failure.job, failure)
    return [
        FailingJob(
            name,
            max(found.failed_by_job.get(name, 1), 1),
            last.at,
            stages.failure_in_words(last.error),
        )
        for name, last in latest.items()
    ]


def _sweep_in_words(path: str) -> str:
    sweeps = settings.HOLDFAST_SWEEPS
    return str(sweeps[path]) if isinstance(sweeps, dict) else path


def _kind_of(queues: Iterable[str]) -> str:
    """Return what the process that serves these queues is called, such as "Scan worker"."""
    served = sorted(queues)
    for name, known in settings.HOLDFAST_PROCESSES.items():
        if sorted(known) == served:
            return str(name).replace("-", " ").capitalize()
    return f"Worker for {', '.join(served)}"


def _names_of(workers: Iterable[BaseWorker]) -> dict[str, str]:
    """Return a name for each worker by its kind, its number there in the order of their start, and its machine."""
    by_kind: dict[tuple[str, str], list[BaseWorker]] = {}
    for worker in workers:
        kind = _kind_of(worker.queue_names())
        by_kind.setdefault((kind, worker.hostname or "an unknown host"), []).append(worker)
    names = {}
    for (kind, host), alike in by_kind.items():
        alike.sort(key=lambda each: (str(each.birth_date), each.name))
        for number, worker in enumerate(alike, 1):
            names[worker.name] = f"{kind} {number} on {host}"
    return names


def _sandboxes(beat: Heartbeat) -> list[SandboxState]:
    """Return the kinds of workers that a machine's look at its sandbox is about."""
    host = beat.name.removeprefix("sandbox on ")
    return [
        SandboxState(_kind_of(queues), host, list(beat.detail["sandbox"]), beat.at)
        for queues in settings.HOLDFAST_PROCESSES.values()
        if set(queues) & set(SANDBOXED)
    ]


def _worker(worker: BaseWorker, name: str, late: list[Measured]) -> WorkerState:
    job = worker.get_current_job()
    served = set(worker.queue_names())
    behind = [found.stage.title for found in late if served & stages.queues_of(found.stage.jobs)]
    return WorkerState(
        name=name,
        key=worker.name[:12],
        state=str(worker.get_state()),
        queues=", ".join(worker.queue_names()),
        job=(job.description or "") if job else "",
        started_at=_aware(worker.birth_date),
        seen_at=_aware(worker.last_heartbeat),
        behind=", ".join(behind),
    )


def _error_of(job: Job) -> str:
    result: Any = job.latest_result()
    text = (result.exc_string if result is not None else "") or ""
    last = text.strip().rpartition("\n")[2].strip()
    if own := _OWN.match(last):
        return own.group(1)
    kind = _KIND.match(last)
    return kind.group(1).rpartition(".")[2] if kind else "unknown"


def _aware(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
