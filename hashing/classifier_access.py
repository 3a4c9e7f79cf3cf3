"""Loads classifiers, versions and requests for people whose role may see them. Not visible is 404."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.shortcuts import get_object_or_404

from accounts.models import User
from accounts.permissions import Permission
from core.errors import Refused
from hashing.actions.activations import check_second_person, earlier_activation
from hashing.learning import figures
from hashing.live import live_flags
from hashing.models import (
    Activation,
    ActivationState,
    Classifier,
    ClassifierVersion,
    Flag,
    ScoreDay,
    ScoredItem,
    TrainingSet,
    VersionState,
)

__all__ = [
    "activations_of",
    "classifiers_for",
    "flags_of_version",
    "get_activation_for",
    "get_classifier_for",
    "get_training_set_for",
    "get_version_for",
    "may_decide",
    "previous_of",
    "reference_of",
    "sample_of",
    "sets_of",
    "usable_version",
    "version_of",
    "versions_of",
    "waiting_for",
    "workload_of",
]

PREVIEW = timedelta(days=30)


def classifiers_for(user: User) -> QuerySet[Classifier]:
    """Return every classifier with what its list shows, or none for who may not see them."""
    if not user.may(Permission.HASHING_CLASSIFIERS_VIEW):
        return Classifier.objects.none()
    versions = ClassifierVersion.objects.filter(classifier=OuterRef("pk"))
    active = versions.filter(state=VersionState.ACTIVE)
    waiting = Activation.objects.filter(classifier=OuterRef("pk"), state=ActivationState.WAITING)
    return Classifier.objects.annotate(
        active_number=Subquery(active.values("number")[:1]),
        drifting_since=Subquery(active.values("drifting_since")[:1]),
        broken=Exists(
            versions.filter(state__in=[VersionState.ACTIVE, VersionState.SHADOW]).exclude(
                problem=""
            )
        ),
        shadow_number=Subquery(versions.filter(state=VersionState.SHADOW).values("number")[:1]),
        is_training=Exists(versions.filter(state=VersionState.TRAINING)),
        is_waiting=Exists(waiting),
    ).order_by("name")


def get_classifier_for(user: User, id: UUID) -> Classifier:
    """Return one classifier. Raises Http404."""
    return get_object_or_404(classifiers_for(user), pk=id)


def versions_of(classifier: Classifier) -> QuerySet[ClassifierVersion]:
    """Return the versions, newest first."""
    return classifier.versions.select_related("trained_by").order_by("-number")


def get_version_for(user: User, id: UUID) -> ClassifierVersion:
    """Return one version with its classifier. Raises Http404."""
    return get_object_or_404(
        ClassifierVersion.objects.select_related("classifier", "blob", "trained_by").filter(
            classifier__in=classifiers_for(user).values("pk")
        ),
        pk=id,
    )


def version_of(classifier: Classifier, state: VersionState) -> ClassifierVersion | None:
    """Return the version in a state of which there is one at most: active, shadow, training."""
    return classifier.versions.filter(state=state).select_related("classifier", "blob").first()


def usable_version(classifier: Classifier) -> ClassifierVersion | None:
    """Return the version to try a text with: the active one, else shadow, else the newest trained."""
    for state in (VersionState.ACTIVE, VersionState.SHADOW):
        if version := version_of(classifier, state):
            return version
    return (
        classifier.versions.filter(blob__isnull=False)
        .select_related("classifier", "blob")
        .order_by("-number")
        .first()
    )


def sets_of(classifier: Classifier) -> QuerySet[TrainingSet]:
    """Return the imported sets, newest first."""
    return classifier.training_sets.select_related("imported_by").order_by("-created_at")


def get_training_set_for(user: User, id: UUID) -> TrainingSet:
    """Return one imported set. Raises Http404."""
    return get_object_or_404(
        TrainingSet.objects.select_related("classifier").filter(
            classifier__in=classifiers_for(user).values("pk")
        ),
        pk=id,
    )


def get_activation_for(user: User, id: int) -> Activation:
    """Return one request with its version. Raises Http404."""
    return get_object_or_404(
        Activation.objects.select_related("version", "classifier", "asked_by").filter(
            classifier__in=classifiers_for(user).values("pk")
        ),
        pk=id,
    )


def waiting_for(version: ClassifierVersion) -> Activation | None:
    """Return the request about a version that waits for a second person."""
    return (
        version.activations.filter(state=ActivationState.WAITING).select_related("asked_by").first()
    )


def activations_of(classifier: Classifier) -> QuerySet[Activation]:
    """Return every request and roll-back, newest first."""
    return classifier.activations.select_related("version", "asked_by", "decided_by").order_by(
        "-pk"
    )


def may_decide(activation: Activation, version: ClassifierVersion, user: User) -> str:
    """Return why ``user`` may not decide a request, in a sentence; empty when they may."""
    try:
        check_second_person(activation, version, user)
    except Refused as refused:
        return refused.message
    return ""


def previous_of(classifier: Classifier) -> Activation | None:
    """Return what a roll-back would put in force again."""
    return earlier_activation(classifier)


def flags_of_version(version: ClassifierVersion) -> QuerySet[Flag]:
    """Return the flags that a version raised, newest first."""
    return live_flags().filter(classifier_version=version).order_by("-created_at")


def sample_of(version: ClassifierVersion) -> QuerySet[ScoredItem]:
    """Return the newest items that a version would flag at the threshold it has; no text."""
    found = ScoredItem.objects.filter(version=version).select_related("item")
    return found.filter(Q(is_above=True)).order_by("-received_at")


def workload_of(version: ClassifierVersion) -> dict[str, Any]:
    """Return what a version scored: ``counts``, ``texts``, ``days``, and where the figures are from.

    Scores of the last 30 days since it runs in shadow or is active; before, those of the texts that were
    stored when it was trained. ``source`` is ``live``, ``stored`` or ``none``.
    """
    days = list(
        ScoreDay.objects.filter(version=version, day__gte=Now() - PREVIEW).values_list(
            "day", "counts", "texts"
        )
    )
    if sum(texts for _, _, texts in days) > 0:
        counts = [0] * figures.BINS
        for _, more, _ in days:
            counts = [one + other for one, other in zip(counts, more, strict=True)]
        first, last = min(day for day, _, _ in days), max(day for day, _, _ in days)
        return {
            "source": "live",
            "counts": counts,
            "texts": sum(counts),
            "days": (last - first).days + 1,
        }
    stored = version.metrics.get("workload") or {}
    if stored.get("texts"):
        return {"source": "stored", **stored}
    return {"source": "none", "counts": [0] * figures.BINS, "texts": 0, "days": 0}


LEAST_REFERENCE = 500


def reference_of(version: ClassifierVersion) -> list[int]:
    """Return the histogram that drift is watched against: what the version was approved on.

    The scores of what came in, when there are at least 500; otherwise those of the hold-out, which holds
    decided texts only and so looks different from what comes in.
    """
    counts: list[int] = workload_of(version)["counts"]
    return counts if sum(counts) >= LEAST_REFERENCE else version.metrics["histogram"]
