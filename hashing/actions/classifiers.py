"""Classifiers and the labelled texts they learn from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.text import slugify

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit, vault
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from hashing import labelled
from hashing.models import ActivationState, Category, Classifier, TrainingSet, VersionState
from reports.models import Surface

__all__ = [
    "change_classifier",
    "create_classifier",
    "import_training_set",
    "record_trial",
    "withdraw_training_set",
]

_SETTINGS = ("name", "category", "description", "surfaces", "is_active")


NOT_WIDER = (
    "Two people let it flag where it looks now, or are asked to. Stop the version or end the request first, then "
    "change this and ask again."
)


def looks_within(surfaces: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether ``surfaces`` name no place that ``others`` do not. Empty means every surface."""
    mine, known = set(surfaces), set(others)
    return not known or (bool(mine) and mine <= known)


@transaction.atomic
def create_classifier(
    *,
    name: str,
    category: str,
    actor: Actor | Person,
    description: str = "",
    surfaces: Iterable[str] = (),
) -> Classifier:
    """Create a classifier without versions. Raises Invalid. Can be undone by switching it off."""
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    classifier = Classifier(
        slug=slugify(name)[:50],
        name=name.strip(),
        category=category,
        description=description,
        surfaces=sorted(set(surfaces)),
        created_by=actor if isinstance(actor, User) else None,
    )
    _check(classifier)
    if not classifier.slug:
        raise Invalid({"name": ["Use at least one Latin letter or digit in the name."]})
    try:
        with transaction.atomic():
            classifier.save(force_insert=True)
    except IntegrityError:
        raise Invalid({"name": ["There is a classifier of this name already."]}) from None
    audit.record(
        AuditEvent.CLASSIFIER_CREATED,
        actor=actor,
        subject=classifier,
        slug=classifier.slug,
        category=category,
    )
    classifier.refresh_from_db()
    return classifier


@transaction.atomic
def change_classifier(
    classifier: Classifier, *, actor: Actor | Person, **changes: Any
) -> Classifier:
    """Change name, category, description, surfaces, or switch it off and on again.

    The category is fixed once there is a version: it was learned for that one. Where it looks was part of what
    two people wanted: while a version flags or a request waits, surfaces can be taken away and none added.
    Raises Invalid. Can be undone by another change.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    if unknown := set(changes) - set(_SETTINGS):
        raise TypeError(f"a classifier has no setting {min(unknown)!r}")
    if "surfaces" in changes:
        changes["surfaces"] = sorted(set(changes["surfaces"]))
    classifier = Classifier.objects.select_for_update(no_key=True).get(pk=classifier.pk)
    changed = {
        key: [getattr(classifier, key), value]
        for key, value in changes.items()
        if getattr(classifier, key) != value
    }
    if not changed:
        return classifier
    if "category" in changed and classifier.versions.exists():
        raise Invalid({"category": ["Its versions learned this category; create another one."]})
    if "surfaces" in changed and not looks_within(changes["surfaces"], classifier.surfaces):
        in_force = classifier.versions.filter(state=VersionState.ACTIVE).exists()
        if in_force or classifier.activations.filter(state=ActivationState.WAITING).exists():
            raise Invalid({"surfaces": [NOT_WIDER]})
    for key, (_, value) in changed.items():
        setattr(classifier, key, value)
    _check(classifier)
    classifier.save()
    audit.record(
        AuditEvent.CLASSIFIER_CHANGED,
        actor=actor,
        subject=classifier,
        changes={key: pair for key, pair in changed.items() if key != "description"},
    )
    return classifier


def import_training_set(
    classifier: Classifier,
    data: bytes,
    *,
    actor: Actor | Person,
    file_name: str = "",
    skip_bad_rows: bool = False,
) -> TrainingSet | labelled.Parsed:
    """Keep labelled texts of a file, encrypted; with a bad row and unless told to skip, keep nothing.

    Returns the set, or what was read when nothing was kept. Raises Invalid at ``file``. Can be undone by
    withdrawing the set.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    try:
        parsed = labelled.parse(data, surfaces=Surface.values)
    except ValueError as problem:
        raise Invalid({"file": [str(problem)]}) from None
    if not parsed.rows or (parsed.refused and not skip_bad_rows):
        return parsed
    blob = vault.store_bytes(labelled.to_store(parsed.rows), media_type="application/x-ndjson")
    with transaction.atomic():
        blob = vault.hold(blob)
        training_set = TrainingSet.objects.create(
            classifier=classifier,
            file_name=file_name[:200],
            blob=blob,
            positives=parsed.positives,
            negatives=len(parsed.rows) - parsed.positives,
            refused=parsed.refused,
            problems=[{"row": each.number, "reason": each.reason} for each in parsed.problems],
            imported_by=actor if isinstance(actor, User) else None,
        )
        audit.record(
            AuditEvent.TRAINING_SET_IMPORTED,
            actor=actor,
            subject=training_set,
            classifier=classifier.pk,
            positives=training_set.positives,
            negatives=training_set.negatives,
            refused=training_set.refused,
            sha256=blob.sha256,
        )
    return training_set


@transaction.atomic
def withdraw_training_set(training_set: TrainingSet, *, actor: Actor | Person) -> TrainingSet:
    """Leave a set out of later trainings; versions that learned from it stay as they are.

    Raises Refused when it is withdrawn already. Can be undone by importing the file again.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    training_set = TrainingSet.objects.select_for_update(no_key=True).get(pk=training_set.pk)
    if training_set.withdrawn_at is not None:
        raise Refused("These texts are left out already.", code="withdrawn")
    training_set.withdrawn_at = Now()
    training_set.save(update_fields=["withdrawn_at"])
    training_set.refresh_from_db()
    audit.record(
        AuditEvent.TRAINING_SET_WITHDRAWN,
        actor=actor,
        subject=training_set,
        classifier=training_set.classifier_id,
    )
    return training_set


def record_trial(classifier: Classifier, *, version: int, score: float, actor: Person) -> None:
    """Record that somebody tried a text, without the text. Cannot be undone."""
    require(actor, Permission.HASHING_CLASSIFIERS_VIEW)
    audit.record(
        AuditEvent.CLASSIFIER_TRIED,
        actor=actor,
        subject=classifier,
        version=version,
        score=round(score, 4),
    )


def _check(classifier: Classifier) -> None:
    errors: dict[str, list[str]] = {}
    if not classifier.name:
        errors["name"] = ["Give the classifier a name."]
    elif len(classifier.name) > 120:
        errors["name"] = ["Use at most 120 characters."]
    if classifier.category not in Category.values:
        errors["category"] = ["Choose a category."]
    if not set(classifier.surfaces) <= set(Surface.values):
        errors["surfaces"] = ["Choose surfaces from the list."]
    if errors:
        raise Invalid(errors)
