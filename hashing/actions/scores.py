"""What versions said about the texts that came in: counted by day, sampled, and watched for drift."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from core import audit
from core.audit import Actor, AuditEvent
from hashing.learning.drift import Watch
from hashing.learning.figures import BINS, histogram
from hashing.models import ClassifierVersion, ScoreDay, ScoredItem, VersionState

__all__ = ["SCORING", "note_problem", "record_drift", "record_scores", "watched_versions"]

SCORING = (VersionState.SHADOW, VersionState.ACTIVE)
DAYS_KEPT = timedelta(days=90)
SAMPLE = 500
"""How many items a version's sample keeps of those above its threshold, and of the others."""

_ONE_IN = 50
DRIFT_EVERY = timedelta(hours=1)


@transaction.atomic
def record_scores(
    version: ClassifierVersion,
    *,
    since: datetime,
    until: datetime,
    scored: Iterable[tuple[UUID, datetime, float]],
) -> bool:
    """Count the scores of the texts received after ``since`` up to ``until``; not audited.

    ``scored`` holds item, time received, score. Returns False, and counts nothing, when another worker
    counted them already: each text counts once. Cannot be undone.
    """
    version = ClassifierVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    if version.scored_until != since or version.state not in SCORING:
        return False
    by_day: dict[date, list[float]] = defaultdict(list)
    sample = []
    for item, received_at, score in scored:
        by_day[received_at.date()].append(score)
        is_above = version.threshold is not None and score >= version.threshold
        if is_above or item.int % _ONE_IN == 0:
            sample.append(
                ScoredItem(
                    version=version,
                    item_id=item,
                    score=score,
                    is_above=is_above,
                    received_at=received_at,
                )
            )
    for day, scores in by_day.items():
        row = ScoreDay.objects.filter(version=version, day=day).first() or ScoreDay(
            version=version, day=day, counts=[0] * BINS
        )
        new = histogram(scores)
        row.counts = [old + more for old, more in zip(row.counts, new, strict=True)]
        row.texts += len(scores)
        row.save()
    ScoredItem.objects.bulk_create(sample, ignore_conflicts=True)
    for is_above in (True, False):
        kept = ScoredItem.objects.filter(version=version, is_above=is_above)
        oldest = (
            kept.order_by("-received_at").values_list("received_at", flat=True)[SAMPLE:].first()
        )
        if oldest is not None:
            kept.filter(received_at__lte=oldest).delete()
    ScoreDay.objects.filter(version=version, day__lt=(until - DAYS_KEPT).date()).delete()
    version.scored_until = until
    version.save(update_fields=["scored_until"])
    return True


@transaction.atomic
def note_problem(version: ClassifierVersion, *, problem: str, actor: Actor = audit.SYSTEM) -> None:
    """Note that a version's model cannot be used, and why; empty: it can again. Shown as a banner.

    Can be undone by the next look.
    """
    version = ClassifierVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    if version.problem == problem[:300]:
        return
    version.problem = problem[:300]
    version.save(update_fields=["problem"])
    audit.record(
        AuditEvent.VERSION_PROBLEM,
        actor=actor,
        subject=version,
        classifier=version.classifier_id,
        number=version.number,
        problem=version.problem,
    )


def watched_versions() -> QuerySet[ClassifierVersion]:
    """Return the active versions whose drift is to be looked at."""
    return ClassifierVersion.objects.filter(state=VersionState.ACTIVE, drift_due_at__lte=Now())


@transaction.atomic
def record_drift(
    version: ClassifierVersion, watch: Watch, *, actor: Actor = audit.SYSTEM
) -> ClassifierVersion:
    """Keep what a look at an active version gave; audited when it begins or ceases to drift.

    Can be undone by the next look.
    """
    version = ClassifierVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    if version.state != VersionState.ACTIVE:
        return version
    was_drifting = version.drifting_since is not None
    version.drift, version.drift_due_at = watch.as_json(), Now() + DRIFT_EVERY
    if bool(watch.reasons) != was_drifting:
        version.drifting_since = Now() if watch.reasons else None
        audit.record(
            AuditEvent.CLASSIFIER_DRIFTED if watch.reasons else AuditEvent.CLASSIFIER_STEADY,
            actor=actor,
            subject=version,
            classifier=version.classifier_id,
            number=version.number,
            reasons=list(watch.reasons),
        )
    version.save(update_fields=["drift", "drift_due_at", "drifting_since"])
    version.refresh_from_db()
    return version
