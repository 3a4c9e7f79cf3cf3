"""Wake-ups: what waits for work is a row; a job only says that somebody should look (DESIGN §5).

Job names are texts registered in ``settings.HOLDFAST_JOBS``. ``enqueue`` runs after the commit and may fail
silently: the sweeps look for waiting rows every few seconds and enqueue them again.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec

import redis
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import connections, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from core import disk
from core.context import RequestContext, working_for
from core.errors import DiskFull, describe
from core.models import Heartbeat
from core.valkey_link import Resting, valkey

log = logging.getLogger(__name__)

FAILURE_TTL = 3600
ROOM_AFTER = timedelta(minutes=1)
"""How long a row that met a full disk waits before it is tried again."""

JOB_PREFIX = "job "
OUTCOME_EVERY = timedelta(seconds=10)
"""How often a job that succeeds is noted: often enough to see that it does."""

CLOCK_SLACK = timedelta(minutes=1)
"""A time further ahead than what code sets, by more than this, was set by a clock that was put back since."""

LIFE_SHOWN = timedelta(seconds=20)
"""How long a worker's sign of life counts. Workers give one every five seconds."""

PROCESS_KEPT = timedelta(days=7)
"""How long the last sign of life of a process is kept: long enough to see that one went missing."""
_WAITING = {JobStatus.QUEUED, JobStatus.CREATED, JobStatus.DEFERRED, JobStatus.SCHEDULED}
# A waiting job this old is looked for in its queue: a worker that died while taking it leaves a mark that
# would otherwise hold back every later wake-up.
_STALE = timedelta(minutes=2)

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Registered:
    """What settings say about a job: where its function is, its queue, its limit in seconds."""

    name: str
    path: str
    queue: str
    timeout: int


def registered(name: str) -> Registered:
    """Return a job's registration. Raises LookupError for a name that settings do not know."""
    try:
        entry: dict[str, Any] = settings.HOLDFAST_JOBS[name]
    except KeyError:
        raise LookupError(f"no job is called {name!r} in HOLDFAST_JOBS") from None
    return Registered(name, entry["path"], entry["queue"], int(entry["timeout"]))


def queue(name: str) -> Queue:
    """Return one of the queues, with the JSON serializer."""
    return Queue(name, connection=valkey(), serializer=JSONSerializer)


def enqueue(name: str, *ids: Any) -> None:
    """Wake a worker for the rows named by ``ids``, after the current transaction has committed.

    Ids only: they are written to Valkey. The same wake-up waits at most once; one that arrives while
    its job runs is queued behind it, because the running one may have looked already.
    """
    entry = registered(name)
    plain = [value if isinstance(value, int) else str(value) for value in ids]
    transaction.on_commit(functools.partial(_wake, entry, plain), robust=True)


def _wake(entry: Registered, ids: list[Any]) -> None:
    try:
        _push(entry, ids)
    except Resting:
        log.info("job %s not queued while Valkey rests; the sweep will find its row", entry.name)
    except (redis.RedisError, OSError) as failed:
        log.warning(
            "job %s not queued (%s); the sweep will find its row", entry.name, describe(failed)
        )


def _push(entry: Registered, ids: list[Any]) -> None:
    target = queue(entry.queue)
    base = job_id(entry.name, ids)
    for candidate in (base, f"{base}-again"):
        state = _state(target, candidate, entry)
        if state == "waiting":
            return
        if state == "free":
            target.enqueue_call(
                entry.path,
                args=tuple(ids),
                timeout=entry.timeout,
                result_ttl=0,
                failure_ttl=FAILURE_TTL,
                description=entry.name,
                job_id=candidate,
            )
            return
    # The job runs and its follow-up runs too: whoever waits for more is a row that the sweep finds.


def job_id(name: str, ids: list[Any]) -> str:
    """Return the id under which a wake-up is queued. RQ allows letters, digits, ``_`` and ``-``."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", "-".join([name, *(str(value) for value in ids)]))


def _state(target: Queue, candidate: str, entry: Registered) -> str:
    """Return ``free``, ``waiting`` or ``running`` for a job id."""
    try:
        found = Job.fetch(candidate, connection=target.connection, serializer=JSONSerializer)
        status = found.get_status(refresh=False)
    except (NoSuchJobError, ValueError, KeyError):
        return "free"
    now = datetime.now(UTC)
    if status in _WAITING:
        age = now - _aware(found.enqueued_at or found.created_at)
        if age < _STALE or target.get_job_position(candidate) is not None:
            return "waiting"
        return "free"
    if status == JobStatus.STARTED:
        # A worker that was killed leaves its job "started" for minutes: its sign of life tells, or the limit.
        age = now - _aware(found.started_at)
        limit = timedelta(seconds=entry.timeout + 60)
        is_dead = age > LIFE_SHOWN and not target.connection.exists(_life_of(found.worker_name))
        return "free" if is_dead or age >= limit else "running"
    return "free"


def note_life(worker: str) -> None:
    """Say that a worker, by its name, is alive; it counts for ``LIFE_SHOWN``. Raises redis.RedisError."""
    valkey().set(_life_of(worker), 1, ex=LIFE_SHOWN)


def _life_of(worker: str | None) -> str:
    return f"holdfast:alive:{worker}"


def _aware(at: datetime | None) -> datetime:
    if at is None:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def job(function: Callable[P, Any]) -> Callable[P, Any]:
    """Decorate a job function: it acts as the system in the audit log, with fresh connections.

    A row that is gone is a job that is done: the function returns quietly. Other exceptions go to RQ
    without their message, which could quote evidence; the log gets the kind and the place.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        _fresh_connections()
        try:
            with working_for(RequestContext(job=function.__name__)):
                function(*args, **kwargs)
            _note_outcome(function.__name__)
        except ObjectDoesNotExist:
            log.info("job %s: its row is gone, nothing to do", function.__name__)
        except Exception as failed:  # noqa: BLE001 — raised again, without its message
            _note_full_disk(failed)
            log.error("job %s failed: %s", function.__name__, describe(failed))
            _note_outcome(function.__name__, error=describe(failed))
            raise JobFailed(describe(failed)) from None
        finally:
            _fresh_connections()

    return run


def _note_outcome(name: str, *, error: str = "") -> None:
    """Note a job's success, at most every few seconds, or its failure. Never raises: the job is what matters."""
    try:
        _write_outcome(name, error)
    except Exception as failed:  # noqa: BLE001 — the database may be what failed
        log.info("outcome of job %s not noted: %s", name, describe(failed))


def _write_outcome(name: str, error: str) -> None:
    rows = Heartbeat.objects.filter(pk=f"{JOB_PREFIX}{name}")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if error:
        before = rows.values_list("detail", flat=True).first() or {}
        detail = {
            "ok_at": before.get("ok_at"),
            "failed_at": now,
            "failures": int(before.get("failures", 0)) + 1,
            "error": error,
        }
        changed = rows.update(at=Now(), detail=detail)
    else:
        detail = {"ok_at": now}
        old = Q(at__lt=Now() - OUTCOME_EVERY) | Q(at__gt=Now() + OUTCOME_EVERY)
        changed = rows.filter(old | Q(detail__has_key="error")).update(at=Now(), detail=detail)
    if not changed and not rows.exists():
        row = Heartbeat(pk=f"{JOB_PREFIX}{name}", kind=Heartbeat.Kind.JOB, detail=detail)
        Heartbeat.objects.bulk_create([row], ignore_conflicts=True)


def is_time_for(name: str, seconds: int) -> bool:
    """Return whether ``name`` was not asked for in the last ``seconds``, by the database's clock.

    Of several that ask at once one gets True. A clock that was set back does not make anybody wait longer.
    """
    rows = Heartbeat.objects.filter(pk=f"schedule {name}")
    due = Q(at__lte=Now() - timedelta(seconds=seconds)) | Q(at__gt=Now() + CLOCK_SLACK)
    if rows.filter(due).update(at=Now(), detail={"every": seconds}):
        return True
    if rows.exists():
        return False
    row = Heartbeat(pk=f"schedule {name}", kind=Heartbeat.Kind.SCHEDULE, detail={"every": seconds})
    made = Heartbeat.objects.bulk_create([row], ignore_conflicts=True)
    return bool(made)


@contextmanager
def waits_for_room(row: models.Model) -> Iterator[None]:
    """Let a row with ``attempts`` and ``due_at`` wait a minute when work on it met a full disk.

    The attempt does not count: rows that failed too often are given up, and this one did nothing wrong.
    Raises DiskFull then.
    """
    try:
        yield
    except Exception as failed:
        holds = disk.full_disk(failed)
        if holds is None:
            raise
        disk.note(holds)
        type(row)._base_manager.filter(  # noqa: SLF001 — all rows, whatever the default manager shows
            pk=row.pk, attempts__gt=0
        ).update(attempts=F("attempts") - 1, due_at=Now() + ROOM_AFTER)
        raise DiskFull(holds) from failed


def _note_full_disk(failed: Exception) -> None:
    if (holds := disk.full_disk(failed)) is not None:
        disk.note(holds)


def _fresh_connections() -> None:
    """Drop connections that broke or grew old since the last job. One inside a transaction stays."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


class JobFailed(Exception):
    """What Valkey gets to see of a failed job: the kind of error and its place."""


_stopping = threading.Event()


def stop_soon() -> None:
    """Ask the job that runs in this process to come to an end. For workers that were told to stop."""
    _stopping.set()


def is_stopping() -> bool:
    """Return whether the worker of this process was told to stop: a job that does many things ends early."""
    return _stopping.is_set()


def run_now(name: str, *ids: Any) -> None:
    """Run a job in this process, after the same JSON round trip that a worker would see."""
    plain = json.loads(json.dumps([v if isinstance(v, int) else str(v) for v in ids]))
    import_string(registered(name).path)(*plain)


def run_sweeps(*, is_over: Callable[[], bool] = lambda: False) -> dict[str, str]:
    """Run every sweep once; return what each came to: a count or the kind of its error.

    One failing sweep does not stop the others; it shows on the operations page. ``is_over`` is asked before
    each: with a database that is gone every one of them waits for its connection in vain.
    """
    outcome: dict[str, str] = {}
    for path in settings.HOLDFAST_SWEEPS:
        if is_over():
            break
        _fresh_connections()
        began = time.monotonic()
        detail: dict[str, Any] = {}
        try:
            with working_for(RequestContext(job=path.rpartition(".")[2])):
                found = import_string(path)()
            detail["found"] = found if isinstance(found, int) else None
            outcome[path] = str(detail["found"])
        except Exception as failed:  # noqa: BLE001 — isolation is the point
            _note_full_disk(failed)
            detail["error"] = describe(failed)
            outcome[path] = detail["error"]
            log.error("sweep %s failed: %s", path, detail["error"])
            if is_over():
                break  # Its sign of life would wait for the same database once more.
        detail["ms"] = round((time.monotonic() - began) * 1000)
        beat(path, Heartbeat.Kind.SWEEP, **detail)
    return outcome


def beat(name: str, kind: str, **detail: Any) -> None:
    """Note a sign of life, with the database's clock. An error is kept with the time it began."""
    previous = (
        Heartbeat.objects.filter(pk=name).values_list("detail", flat=True).first() or {}
        if "error" in detail
        else {}
    )
    if "error" in detail:
        detail["failing_since"] = previous.get("failing_since") or datetime.now(UTC).isoformat(
            timespec="seconds"
        )
    Heartbeat.objects.update_or_create(
        name=name,
        defaults={"kind": kind, "at": Now(), "detail": detail},
    )


def note_problem(name: str, sentence: str) -> None:
    """Keep what a person has to put right before ``name`` can go on, for the pages of health; an empty text ends it."""
    if sentence:
        beat(name, Heartbeat.Kind.CHECK, problem=sentence)
    else:
        Heartbeat.objects.filter(pk=name, kind=Heartbeat.Kind.CHECK).delete()


def problems() -> list[str]:
    """Return the sentences that are kept for a person to act on."""
    rows = Heartbeat.objects.filter(kind=Heartbeat.Kind.CHECK, detail__has_key="problem")
    return [
        str(detail["problem"]) for detail in rows.order_by("name").values_list("detail", flat=True)
    ]


def forget_processes() -> int:
    """Delete the signs of life of workers and schedulers older than ``PROCESS_KEPT``; return how many.

    Each worker has a name of its own, so every start leaves a row. Sweeps and checks keep theirs: they
    are few, and an old one is worth seeing.
    """
    kinds = (Heartbeat.Kind.WORKER, Heartbeat.Kind.SCHEDULER)
    return Heartbeat.objects.filter(kind__in=kinds, at__lt=Now() - PROCESS_KEPT).delete()[0]
