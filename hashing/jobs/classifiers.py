"""Training classifiers, scoring what came in, and watching for drift, in the background."""

from __future__ import annotations

import hashlib
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from core import audit, vault
from core.errors import DiskFull, VaultDamage, describe, is_database_down
from core.jobs import enqueue, job, waits_for_room
from hashing import actions, classifying, examples
from hashing.actions.scores import SCORING
from hashing.learning import drift, figures
from hashing.learning.fitting import Settings, fit
from hashing.learning.model import CannotLoad, Model
from hashing.learning.splitting import TooLittle, split
from hashing.models import ClassifierVersion, Flag, ScoreDay, Verdict
from reports.models import Item, ItemKind

__all__ = ["score_recent", "sweep_classifiers", "train_classifier", "watch_drift"]

log = logging.getLogger(__name__)

MEMORY = 3 * 1024**3
"""Bytes a training may take beyond what its worker had before."""

AT_ONCE = 2_000
SETTLED = timedelta(seconds=30)
"""Texts younger than this are counted next time: the transaction of an older one may still be open."""

LOOKS_BACK = timedelta(days=7)


@job
def train_classifier(version_id: str) -> None:
    """Train one version. Safe to repeat and to kill: it is due again if no result was recorded."""
    version = actions.begin_training(ClassifierVersion(pk=version_id))
    if version is None:
        return
    try:
        with waits_for_room(version), actions.keep_training(version), _memory_limit(MEMORY):
            _train(version)
    except DiskFull:
        raise
    except TooLittle as little:
        reason = " ".join(little.sentences)
    except MemoryError:
        reason = "The training needed more than 3 GB of memory. Learn from fewer texts."
    except VaultDamage as damage:
        reason = (
            f"Imported texts cannot be read: {damage.reason}. Withdraw them or restore the file."
        )
    except _NotWanted:
        return
    except Exception as failed:
        if is_database_down(failed):
            # The row stays as it is and is taken up again. Should the database be away still: when its lease ends.
            actions.put_back_training(version)
            raise
        log.error("training failed: %s", describe(failed))
        reason = f"The training failed ({type(failed).__name__}). The log says where."
        if type(failed).__name__ == "JobTimeoutException":
            reason = "The training took longer than workers may. Learn from fewer texts."
    else:
        return
    actions.fail_training(version, reason=reason, actor=audit.SYSTEM)


class _NotWanted(Exception):
    """Another attempt took over, or the training was ended."""


def _train(version: ClassifierVersion) -> None:
    def progress(percent: int, stage: str) -> None:
        if not actions.note_progress(version, percent=percent, stage=stage):
            raise _NotWanted

    said = version.settings
    settings = Settings(
        seed=int(said.get("seed", Settings.seed)),
        holdout_share=float(said.get("holdout_share", Settings.holdout_share)),
        strength=float(said.get("strength", Settings.strength)),
        calibration=str(said.get("calibration", Settings.calibration)),
    )
    found, left = examples.gather(version)
    progress(8, "Dividing texts")
    divided = split(found, share=settings.holdout_share, seed=settings.seed)
    model = fit(divided.training, settings, progress)
    progress(88, "Measuring")
    texts = [example.text for example in divided.holdout]
    metrics = figures.measure([each.label for each in divided.holdout], model.scores(texts))
    metrics |= {
        "cut": divided.cut.isoformat() if divided.cut else None,
        "holdout_share": divided.share,
        "left_out_subject": divided.left_out_subject,
        "left_out_text": divided.left_out_text,
        "strongest": _strongest(model),
        "features": {block.name: len(block.coef) for block in model.blocks},
        "converged": model.about["converged"],
        "calibration": model.calibration.method,
    }
    progress(92, "Scoring the texts of the last 30 days")
    recent, total = examples.recent_texts(version.classifier)
    metrics["workload"] = {
        "days": examples.RECENT.days,
        "texts": total,
        "counts": figures.histogram(model.scores(recent)),
    }
    counts = examples.counts_of(divided.training, divided.holdout, left)
    progress(97, "Storing")
    data = model.to_bytes()
    blob = vault.store_bytes(data, media_type="application/octet-stream")
    actions.finish_training(
        version,
        blob=blob,
        sha256=hashlib.sha256(data).hexdigest(),
        counts=counts,
        metrics=metrics,
        actor=audit.SYSTEM,
    )


def _strongest(model: Model) -> dict[str, list[list[Any]]]:
    speaks_for, against = model.strongest(12)
    return {
        "for": [[term[:80], round(weight, 2)] for term, weight in speaks_for],
        "against": [[term[:80], round(weight, 2)] for term, weight in against],
    }


@contextmanager
def _memory_limit(size: int) -> Iterator[None]:
    """Let this process grow by at most ``size`` bytes meanwhile, where the system can tell its size."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield  # Not Linux: the machine's own limit holds.
        return
    limit = pages * resource.getpagesize() + size
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


# ── What versions say about what comes in ─────────────────────────────────────────────────────
def _unscored(version: ClassifierVersion) -> QuerySet[Item]:
    found = Item.objects.filter(
        kind=ItemKind.TEXT,
        received_at__gt=version.scored_until,
        received_at__lte=Now() - SETTLED,
        source__practice_of=None,
    )
    if version.classifier.surfaces:
        found = found.filter(surface__in=version.classifier.surfaces)
    return found.order_by("received_at")


@job
def score_recent(version_id: str) -> None:
    """Score the texts that came in since the last look, in steps. Safe to repeat: each counts once."""
    version = ClassifierVersion.objects.select_related("classifier", "blob").get(pk=version_id)
    if version.state not in SCORING or version.scored_until is None:
        return
    try:
        model = classifying.load(version)
    except CannotLoad as refused:
        actions.note_problem(version, problem=f"{refused.reason}.")
        return
    actions.note_problem(version, problem="")
    found = list(_unscored(version).values_list("pk", "received_at", "text")[: AT_ONCE + 1])
    if not found:
        return
    found, until = _whole_moments(found)
    scores = model.scores([text for _, _, text in found])
    scored = [(pk, at, float(score)) for (pk, at, _), score in zip(found, scores, strict=True)]
    if actions.record_scores(version, since=version.scored_until, until=until, scored=scored):
        enqueue("score_recent", version.pk)


def _whole_moments(
    found: list[tuple[Any, datetime, str]],
) -> tuple[list[tuple[Any, datetime, str]], datetime]:
    """Cut a step where the time changes: texts of one transaction share theirs and count together."""
    last = found[-1][1]
    if len(found) <= AT_ONCE or found[0][1] == last:
        return found, last
    kept = [row for row in found if row[1] < last]
    return kept, kept[-1][1]


@job
def watch_drift(version_id: str) -> None:
    """Look whether an active version drifts. Safe to repeat."""
    version = ClassifierVersion.objects.select_related("classifier").get(pk=version_id)
    if version.threshold is None or not actions.watched_versions().filter(pk=version.pk).exists():
        return
    since = Now() - LOOKS_BACK
    recent = [0] * figures.BINS
    days = ScoreDay.objects.filter(version=version, day__gte=since)
    for counts in days.values_list("counts", flat=True):
        recent = [one + other for one, other in zip(recent, counts, strict=True)]
    judged, confirmed = judged_flags(version)
    watch = drift.watch(
        reference=version.reference or version.metrics["histogram"],
        recent=recent,
        threshold=version.threshold,
        confirmed=confirmed,
        judged=judged,
        wanted_precision=version.wanted_precision or 0.0,
    )
    actions.record_drift(version, watch)


def judged_flags(version: ClassifierVersion) -> tuple[int, int]:
    """Return how many flagged items were decided after the flag was raised, and how many confirmed."""
    flags = Flag.objects.filter(classifier_version=version).values_list("item", "created_at")
    newest: dict[Any, tuple[datetime, bool]] = {}
    raised = dict(flags.order_by("-created_at")[:2_000])
    verdicts = Verdict.objects.filter(item__in=list(raised)).order_by("decided_at", "pk")
    for item, at, is_violation, category in verdicts.values_list(
        "item", "decided_at", "is_violation", "category"
    ):
        if at >= raised[item]:
            newest[item] = (at, is_violation and category == version.classifier.category)
    return len(newest), sum(right for _, right in newest.values())


def sweep_classifiers() -> int:
    """Enqueue trainings that wait, scores to be taken and drift to be looked at; return how many."""
    due = list(actions.waiting_trainings().values_list("pk", flat=True)[:100])
    for version_id in due:
        enqueue("train_classifier", version_id)
    scoring = ClassifierVersion.objects.filter(
        state__in=SCORING, scored_until__lte=Now() - 2 * SETTLED
    ).select_related("classifier")
    for version in scoring.only("pk", "scored_until", "classifier__surfaces", "problem"):
        if version.problem or _unscored(version).exists():
            enqueue("score_recent", version.pk)
            due.append(version.pk)
    for version_id in actions.watched_versions().values_list("pk", flat=True):
        enqueue("watch_drift", version_id)
        due.append(version_id)
    return len(due)
