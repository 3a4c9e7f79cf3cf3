"""Figures of detectors, and trials of one: rows that help people judge and are thrown away."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import AuditEvent
from core.jobs import enqueue
from core.models import Blob
from hashing.contract import Finding
from hashing.models import DetectorPeriod, DetectorTrial

__all__ = [
    "add_to_periods",
    "ask_trial",
    "begin_trial",
    "end_trial",
    "forget_figures",
    "waiting_trials",
]

KEPT = timedelta(days=8)
TRIALS_KEPT = timedelta(days=1)
MOST_TRIES = 2


class Count(Protocol):
    """What ``hashing.health`` counted for one detector, version, period and result."""

    runs: int
    found: int
    run_ms: float
    run_times: list[int]
    queue_times: list[int]


def add_to_periods(counts: Mapping[tuple[str, str, datetime, str], Count]) -> None:
    """Add counts to the rows of their five minutes, whatever other workers add. One statement.

    Rows are taken in one order, so that two workers never wait for each other in a circle. Not audited:
    figures. Cannot be undone.
    """
    rows: list[Any] = []
    for (detector, version, began, result), count in sorted(counts.items()):
        rows += [detector[:40], version[:40], began, result[:40], count.runs, count.found]
        rows += [count.run_ms, count.run_times, count.queue_times]
    if not rows:
        return
    places = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s, %s)"] * len(counts))
    total = (
        "(SELECT array_agg(a + b ORDER BY place) FROM unnest(period.{0}, excluded.{0})"
        " WITH ORDINALITY AS both_(a, b, place))"
    )
    statement = (
        "INSERT INTO hashing_detectorperiod AS period (detector, version, began_at, result, runs, found,"  # noqa: S608 — no value stands in it
        f" run_ms, run_times, queue_times) VALUES {places}"
        " ON CONFLICT (detector, version, began_at, result) DO UPDATE SET"
        " runs = period.runs + excluded.runs, found = period.found + excluded.found,"
        " run_ms = period.run_ms + excluded.run_ms,"
        f" run_times = {total.format('run_times')}, queue_times = {total.format('queue_times')}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, rows)


def forget_figures() -> int:
    """Delete figures older than eight days and trials older than one; return how many rows. Cannot be undone."""
    old = DetectorPeriod.objects.filter(began_at__lt=Now() - KEPT).delete()[0]
    return old + DetectorTrial.objects.filter(asked_at__lt=Now() - TRIALS_KEPT).delete()[0]


@transaction.atomic
def ask_trial(*, detector: str, kind: str, surface: str, blob: Blob, actor: User) -> DetectorTrial:
    """Ask a worker to show a stored picture or text to a detector. It is forgotten after a day."""
    require(actor, Permission.HASHING_DETECTORS_VIEW)
    trial = DetectorTrial.objects.create(
        detector=detector, kind=kind, surface=surface, blob=blob, asked_by=actor
    )
    # What was tried is nobody's evidence: only that somebody tried is recorded.
    audit.record(AuditEvent.DETECTOR_TRIED, actor=actor, subject=trial, name=detector, kind=kind)
    enqueue("try_detector", trial.pk)
    return trial


def waiting_trials() -> QuerySet[DetectorTrial]:
    """Return the trials that nobody has finished."""
    return DetectorTrial.objects.filter(ended_at=None)


@transaction.atomic
def begin_trial(trial: DetectorTrial) -> DetectorTrial | None:
    """Take up a trial; None when it is over or was tried often enough (it is ended then)."""
    held = (
        DetectorTrial.objects.select_for_update(of=("self",))
        .select_related("blob")
        .filter(pk=trial.pk, ended_at=None)
        .first()
    )
    if held is None:
        return None
    if held.attempts >= MOST_TRIES:
        end_trial(held, problem="It began twice and never came to an end.")
        return None
    held.attempts += 1
    held.save(update_fields=["attempts"])
    return held


def end_trial(trial: DetectorTrial, *, findings: Sequence[Finding] = (), problem: str = "") -> None:
    """Record what came out of a trial. Cannot be undone; it can be tried again."""
    said = [
        {
            "kind": str(each.kind),
            "category": each.category,
            "score": each.score,
            "summary": each.summary,
            "evidence": json.loads(json.dumps(dict(each.evidence), default=str)),
        }
        for each in findings
    ]
    DetectorTrial.objects.filter(pk=trial.pk, ended_at=None).update(
        ended_at=Now(), findings=said, problem=problem[:300]
    )
