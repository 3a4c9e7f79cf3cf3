"""Trainings: asked for by a person, done by a worker, ended once.

The version's row is what waits. It is due again some time after a worker took it, so a worker that is killed
only delays it; a training that began three times and never ended fails with a sentence.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit, vault
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from core.jobs import enqueue
from core.leases import kept, lease_after
from core.models import Blob
from hashing.models import Classifier, ClassifierVersion, VersionState

__all__ = [
    "MOST_TRAININGS",
    "begin_training",
    "fail_training",
    "finish_training",
    "keep_training",
    "note_progress",
    "put_back_training",
    "request_training",
    "waiting_trainings",
]

MOST_TRAININGS = 3


@transaction.atomic
def request_training(
    classifier: Classifier, *, settings: dict[str, Any], actor: Actor | Person
) -> ClassifierVersion:
    """Ask for a new version. ``settings`` are those of ``learning.fitting.Settings`` and of the sources.

    Raises Refused while one is being trained, Invalid for settings out of range. Cannot be undone; a
    version that nobody activates does nothing.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    _check(settings)
    classifier = Classifier.objects.select_for_update(no_key=True).get(pk=classifier.pk)
    if classifier.versions.filter(state=VersionState.TRAINING).exists():
        raise Refused("A version is being trained already; wait for it.", code="training")
    last = classifier.versions.aggregate(last=Max("number"))["last"] or 0
    version = ClassifierVersion.objects.create(
        classifier=classifier,
        number=last + 1,
        settings=settings,
        stage="Waiting for a worker",
        trained_by=actor if isinstance(actor, User) else None,
    )
    audit.record(
        AuditEvent.TRAINING_REQUESTED,
        actor=actor,
        subject=version,
        classifier=classifier.pk,
        number=version.number,
        settings=settings,
    )
    enqueue("train_classifier", version.pk)
    version.refresh_from_db()
    return version


def _check(settings: dict[str, Any]) -> None:
    errors = {}
    if not 0.1 <= float(settings.get("holdout_share", 0.25)) <= 0.5:
        errors["holdout_share"] = ["Hold out between 10 and 50 per cent."]
    if not 0.01 <= float(settings.get("strength", 8.0)) <= 1000:
        errors["strength"] = ["Use a number from 0.01 to 1000."]
    if settings.get("calibration", "auto") not in {"auto", "sigmoid", "isotonic"}:
        errors["calibration"] = ["Choose a calibration from the list."]
    if not settings.get("use_decisions", True) and not settings.get("use_imported", True):
        errors["use_decisions"] = ["Choose at least one source of texts."]
    if errors:
        raise Invalid(errors)


def waiting_trainings() -> QuerySet[ClassifierVersion]:
    """Return the trainings that are due: not begun, or begun by a worker that never came back."""
    return ClassifierVersion.objects.filter(state=VersionState.TRAINING, due_at__lte=Now())


@transaction.atomic
def begin_training(version: ClassifierVersion) -> ClassifierVersion | None:
    """Take up a training; return it fresh, or None if there is nothing to do now. Not audited.

    After ``MOST_TRAININGS`` attempts it fails here. Cannot be undone; it ends by itself.
    """
    taken = waiting_trainings().select_for_update(no_key=True).filter(pk=version.pk).first()
    if taken is None:
        return None
    if taken.attempts >= MOST_TRAININGS:
        fail_training(
            taken,
            reason=f"The training began {taken.attempts} times and never came to an end: it was "
            "stopped from outside, or needs more memory or time than workers have. "
            "Learn from fewer texts.",
            actor=audit.SYSTEM,
        )
        return None
    taken.due_at = Now() + lease_after(taken.attempts)
    taken.attempts += 1
    taken.progress, taken.stage = 1, "Gathering texts"
    taken.save(update_fields=["attempts", "progress", "stage", "due_at"])
    taken.refresh_from_db()
    return taken


def put_back_training(version: ClassifierVersion) -> bool:
    """Let a training that the database interrupted be taken up again at once; the attempt does not count.

    Not audited. Can be undone by taking it up.
    """
    return bool(
        ClassifierVersion.objects.filter(
            pk=version.pk, state=VersionState.TRAINING, attempts=version.attempts
        ).update(
            attempts=version.attempts - 1,
            due_at=Now(),
            progress=0,
            stage="Waiting for a worker: the database was away",
        )
    )


def keep_training(version: ClassifierVersion) -> AbstractContextManager[None]:
    """Keep a training that was taken up from others while the block trains and its process lives."""
    rows = ClassifierVersion.objects.filter(
        pk=version.pk, state=VersionState.TRAINING, attempts=version.attempts
    )
    return kept(rows, field="due_at")


def note_progress(version: ClassifierVersion, *, percent: int, stage: str) -> bool:
    """Say how far a training is; return whether it is still wanted of this attempt. Not audited.

    Can be undone by the next word.
    """
    return bool(
        ClassifierVersion.objects.filter(
            pk=version.pk, state=VersionState.TRAINING, attempts=version.attempts
        ).update(progress=percent, stage=stage[:80])
    )


@transaction.atomic
def finish_training(
    version: ClassifierVersion,
    *,
    blob: Blob,
    sha256: str,
    counts: dict[str, Any],
    metrics: dict[str, Any],
    actor: Actor,
) -> bool:
    """Record the model and its figures; return False when another attempt did already.

    Cannot be undone; a version that nobody activates does nothing.
    """
    version = ClassifierVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    if version.state != VersionState.TRAINING:
        return False
    version.blob = vault.hold(blob)
    version.model_sha256, version.counts, version.metrics = sha256, counts, metrics
    version.state, version.trained_at = VersionState.TRAINED, Now()
    version.progress, version.stage, version.failure = 100, "", ""
    version.save()
    audit.record(
        AuditEvent.TRAINING_ENDED,
        actor=actor,
        subject=version,
        classifier=version.classifier_id,
        number=version.number,
        sha256=sha256,
        average_precision=round(metrics["average_precision"], 4),
        training=counts["training"],
        holdout=counts["holdout"],
    )
    return True


@transaction.atomic
def fail_training(version: ClassifierVersion, *, reason: str, actor: Actor) -> bool:
    """End a training without a model, with a sentence that says why. Can be undone by training again."""
    version = ClassifierVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    if version.state != VersionState.TRAINING:
        return False
    version.state, version.failure, version.stage = VersionState.FAILED, reason, ""
    version.save(update_fields=["state", "failure", "stage"])
    audit.record(
        AuditEvent.TRAINING_FAILED,
        actor=actor,
        subject=version,
        classifier=version.classifier_id,
        number=version.number,
        reason=reason,
    )
    return True
