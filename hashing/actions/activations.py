"""From a trained version to one that flags: shadow, threshold, a second person, and the way back."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from hashing.actions.classifiers import looks_within
from hashing.models import (
    Activation,
    ActivationState,
    Classifier,
    ClassifierVersion,
    ScoredItem,
    VersionState,
)

__all__ = [
    "approve_activation",
    "ask_activation",
    "choose_threshold",
    "decline_activation",
    "end_shadow",
    "retire_active",
    "roll_back",
    "start_shadow",
    "withdraw_activation",
]

_READY = {VersionState.TRAINED, VersionState.SHADOW, VersionState.RETIRED}


def _locked(version: ClassifierVersion) -> ClassifierVersion:
    """Lock the classifier, then the version: all moves of a classifier's versions happen in line."""
    Classifier.objects.select_for_update(no_key=True).get(pk=version.classifier_id)
    return (
        ClassifierVersion.objects.select_for_update(no_key=True, of=("self",))
        .select_related("classifier")
        .get(pk=version.pk)
    )


@transaction.atomic
def start_shadow(version: ClassifierVersion, *, actor: Actor | Person) -> ClassifierVersion:
    """Let a version score what comes in without flagging; the one that did so until now stops.

    Raises Refused unless it is trained or retired. Can be undone by ``end_shadow``.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    version = _locked(version)
    if version.state not in {VersionState.TRAINED, VersionState.RETIRED}:
        raise Refused(
            f"This version is {version.get_state_display().lower()}; only a trained one can run in shadow."
        )
    for other in version.classifier.versions.filter(state=VersionState.SHADOW):
        _move(other, VersionState.TRAINED)
    version.state, version.shadow_since, version.scored_until = VersionState.SHADOW, Now(), Now()
    version.save(update_fields=["state", "shadow_since", "scored_until"])
    audit.record(
        AuditEvent.VERSION_SHADOWED,
        actor=actor,
        subject=version,
        classifier=version.classifier_id,
        number=version.number,
        on=True,
    )
    version.refresh_from_db()
    return version


@transaction.atomic
def end_shadow(version: ClassifierVersion, *, actor: Actor | Person) -> ClassifierVersion:
    """Stop scoring in shadow; the scores stay. Raises Refused. Can be undone by ``start_shadow``."""
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    version = _locked(version)
    if version.state != VersionState.SHADOW:
        raise Refused("This version does not run in shadow.")
    _move(version, VersionState.TRAINED)
    audit.record(
        AuditEvent.VERSION_SHADOWED,
        actor=actor,
        subject=version,
        classifier=version.classifier_id,
        number=version.number,
        on=False,
    )
    return version


@transaction.atomic
def choose_threshold(
    version: ClassifierVersion,
    *,
    threshold: float,
    wanted_precision: float,
    actor: Actor | Person,
) -> ClassifierVersion:
    """Choose from which score on a version would flag. An active version keeps its own until a second
    person approves another (``ask_activation``).

    Raises Invalid, Refused. Can be undone by another choice.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    _check_threshold(threshold, wanted_precision)
    version = _locked(version)
    if version.state not in _READY:
        raise Refused(
            "The threshold of an active version changes when a second person approves it: ask for that."
        )
    version.threshold, version.wanted_precision = threshold, wanted_precision
    version.save(update_fields=["threshold", "wanted_precision"])
    # The sample was taken with the threshold of before; it grows anew.
    ScoredItem.objects.filter(version=version, is_above=True).delete()
    audit.record(
        AuditEvent.THRESHOLD_CHOSEN,
        actor=actor,
        subject=version,
        classifier=version.classifier_id,
        number=version.number,
        threshold=threshold,
        wanted_precision=wanted_precision,
    )
    return version


@transaction.atomic
def ask_activation(
    version: ClassifierVersion,
    *,
    threshold: float,
    wanted_precision: float,
    actor: Actor | Person,
    reason: str = "",
) -> Activation:
    """Ask that a version flags from ``threshold`` on; a second person decides.

    Raises Invalid, and Refused while another request of the classifier waits or without a model. Can be
    undone by ``withdraw_activation``.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    _check_threshold(threshold, wanted_precision)
    if len(reason) > 500:
        raise Invalid({"reason": ["Use at most 500 characters."]})
    version = _locked(version)
    if version.state not in _READY | {VersionState.ACTIVE}:
        raise Refused("There is no model to activate.")
    if version.problem:
        raise Refused(f"Its model cannot be used: {version.problem}")
    if version.classifier.activations.filter(state=ActivationState.WAITING).exists():
        raise Refused("A request for this classifier waits already.", code="waiting")
    activation = Activation.objects.create(
        version=version,
        classifier=version.classifier,
        threshold=threshold,
        wanted_precision=wanted_precision,
        reason=reason.strip(),
        surfaces=version.classifier.surfaces,
        asked_by=actor if isinstance(actor, User) else None,
    )
    audit.record(
        AuditEvent.ACTIVATION_ASKED,
        actor=actor,
        subject=version,
        classifier=version.classifier_id,
        activation=activation.pk,
        threshold=threshold,
        wanted_precision=wanted_precision,
    )
    return activation


@transaction.atomic
def approve_activation(
    activation: Activation, *, reference: list[int], actor: User
) -> ClassifierVersion:
    """Let the version flag from now on; the one that did is retired. ``reference``: the histogram of
    scores that stood on the page, against which drift is watched.

    Raises Refused for the person who asked or who trained the version, when the request was decided
    meanwhile, and for a model that cannot be used. Can be undone by ``roll_back`` or ``retire_active``.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_ACTIVATE)
    activation, version = _waiting(activation)
    check_second_person(activation, version, actor)
    if version.problem:
        raise Refused(f"Its model cannot be used: {version.problem}")
    _replace(version, reason=f"replaced by version {version.number}")
    activation.state, activation.decided_by, activation.decided_at = (
        ActivationState.APPROVED,
        actor,
        Now(),
    )
    activation.save(update_fields=["state", "decided_by", "decided_at"])
    _put_in_force(version, activation, reference=reference)
    audit.record(
        AuditEvent.ACTIVATION_APPROVED,
        actor=actor,
        subject=version,
        classifier=version.classifier_id,
        activation=activation.pk,
        number=version.number,
        threshold=activation.threshold,
    )
    return version


def check_second_person(activation: Activation, version: ClassifierVersion, actor: User) -> None:
    """Raise Refused unless ``actor`` may decide this request: neither asked, trained, nor brought the texts.

    Whoever chooses what a version learns from decides what it flags, as much as whoever trains it.
    """
    if not actor.may(Permission.HASHING_CLASSIFIERS_ACTIVATE):
        raise Refused("Your role does not activate classifiers.", status=403)
    if activation.asked_by_id == actor.pk:
        raise Refused("You asked for this yourself; a second person has to approve it.", "own")
    if version.trained_by_id == actor.pk:
        raise Refused("You trained this version; a second person has to approve it.", "own")
    if _brought_texts(version, actor):
        raise Refused(
            "You imported texts that this version learned from; a second person has to approve it.",
            "own",
        )


def _brought_texts(version: ClassifierVersion, person: User) -> bool:
    if not version.settings.get("use_imported", True):
        return False
    learned = version.classifier.training_sets.filter(imported_by=person)
    if version.trained_at is not None:
        learned = learned.filter(created_at__lte=version.trained_at)
    return learned.filter(Q(withdrawn_at=None) | Q(withdrawn_at__gte=version.requested_at)).exists()


@transaction.atomic
def decline_activation(activation: Activation, *, reason: str, actor: User) -> Activation:
    """Turn a request down, with a reason. Raises Invalid, Refused. Can be undone by asking again."""
    require(actor, Permission.HASHING_CLASSIFIERS_ACTIVATE)
    activation, version = _waiting(activation)
    check_second_person(activation, version, actor)
    if not reason.strip():
        raise Invalid({"reason": ["Say why, so that the next version can be better."]})
    return _end(activation, ActivationState.DECLINED, AuditEvent.ACTIVATION_DECLINED, reason, actor)


@transaction.atomic
def withdraw_activation(activation: Activation, *, actor: User) -> Activation:
    """Take a request back. Raises Refused unless it is one's own. Can be undone by asking again."""
    require(actor, Permission.HASHING_CLASSIFIERS_EDIT)
    activation, _ = _waiting(activation)
    if activation.asked_by_id != actor.pk:
        raise Refused("Only who asked can take it back; you can decline it.")
    return _end(activation, ActivationState.WITHDRAWN, AuditEvent.ACTIVATION_WITHDRAWN, "", actor)


@transaction.atomic
def retire_active(version: ClassifierVersion, *, reason: str, actor: User) -> ClassifierVersion:
    """Stop an active version; nothing of the classifier flags then. Its flags stay.

    Raises Invalid without a reason, Refused when it is not active. Can be undone by ``roll_back`` or by
    asking for its activation.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_ACTIVATE)
    if not reason.strip():
        raise Invalid({"reason": ["Say why it is stopped."]})
    version = _locked(version)
    if version.state != VersionState.ACTIVE:
        raise Refused("This version is not active.")
    _retire(version, reason=reason)
    audit.record(
        AuditEvent.VERSION_RETIRED,
        actor=actor,
        subject=version,
        classifier=version.classifier_id,
        number=version.number,
        reason=reason,
    )
    return version


@transaction.atomic
def roll_back(classifier: Classifier, *, actor: User) -> ClassifierVersion:
    """Put the version in force again that was before the present one, at the threshold of then.

    One person is enough: two approved it once, for where it looked then. Raises Refused when there is none,
    and when the classifier looks at more by now. Can be undone by asking
    for the activation of the later version.
    """
    require(actor, Permission.HASHING_CLASSIFIERS_ACTIVATE)
    classifier = Classifier.objects.select_for_update(no_key=True).get(pk=classifier.pk)
    earlier = earlier_activation(classifier)
    if earlier is None:
        raise Refused("There is no earlier version to go back to.")
    version = _locked(earlier.version)
    if version.problem:
        raise Refused(f"The model of version {version.number} cannot be used: {version.problem}")
    if not looks_within(classifier.surfaces, earlier.surfaces):
        raise Refused(
            f"Version {version.number} was approved for fewer surfaces than the classifier looks at now. Ask for its "
            "activation instead, or take the added surfaces away."
        )
    _replace(version, reason=f"rolled back to version {version.number}")
    activation = Activation.objects.create(
        version=version,
        classifier=classifier,
        threshold=earlier.threshold,
        wanted_precision=earlier.wanted_precision,
        state=ActivationState.APPROVED,
        is_rollback=True,
        surfaces=earlier.surfaces,
        asked_by=earlier.asked_by,
        decided_by=actor,
        decided_at=Now(),
    )
    _put_in_force(version, activation, reference=version.reference)
    audit.record(
        AuditEvent.CLASSIFIER_ROLLED_BACK,
        actor=actor,
        subject=classifier,
        activation=activation.pk,
        number=version.number,
        threshold=activation.threshold,
    )
    return version


def earlier_activation(classifier: Classifier) -> Activation | None:
    """Return what ``roll_back`` would put in force again: the newest ended one that differs from now.

    A version that was itself left by a roll-back is not gone back to.
    """
    approved = classifier.activations.filter(state=ActivationState.APPROVED).select_related(
        "version"
    )
    now = approved.filter(ended_at=None).first()
    ended = approved.filter(ended_at__isnull=False).exclude(end_reason__startswith="rolled back")
    if now is None:
        return ended.order_by("-ended_at", "-pk").first()
    ended = ended.exclude(version=now.version, threshold=now.threshold)
    if now.is_rollback:
        # Further back than what is in force again, never forth to what was left.
        first = approved.filter(version=now.version, threshold=now.threshold).order_by("pk").first()
        ended = ended.filter(pk__lt=first.pk if first else now.pk)
    return ended.order_by("-ended_at", "-pk").first()


# ── Steps that several verbs share ────────────────────────────────────────────────────────────
def _waiting(activation: Activation) -> tuple[Activation, ClassifierVersion]:
    version = _locked(activation.version)
    activation = Activation.objects.select_for_update(no_key=True, of=("self",)).get(
        pk=activation.pk
    )
    if activation.state != ActivationState.WAITING:
        raise Refused(
            f"This request was decided meanwhile: {activation.get_state_display().lower()}.",
            code="decided",
        )
    return activation, version


def _end(
    activation: Activation,
    state: ActivationState,
    event: AuditEvent,
    reason: str,
    actor: User,
) -> Activation:
    activation.state, activation.decided_by, activation.decided_at = state, actor, Now()
    activation.end_reason = reason.strip()[:500]
    activation.save(update_fields=["state", "decided_by", "decided_at", "end_reason"])
    audit.record(
        event,
        actor=actor,
        subject=activation.version,
        classifier=activation.classifier_id,
        activation=activation.pk,
        reason=reason,
    )
    return activation


def _replace(version: ClassifierVersion, *, reason: str) -> None:
    for active in version.classifier.versions.filter(state=VersionState.ACTIVE):
        _retire(active, reason=reason)


def _retire(version: ClassifierVersion, *, reason: str) -> None:
    version.activations.filter(state=ActivationState.APPROVED, ended_at=None).update(
        ended_at=Now(), end_reason=reason.strip()[:500]
    )
    _move(version, VersionState.RETIRED)


def _move(version: ClassifierVersion, state: VersionState) -> None:
    version.state, version.drifting_since = state, None
    version.save(update_fields=["state", "drifting_since"])


def _put_in_force(
    version: ClassifierVersion, activation: Activation, *, reference: list[int]
) -> None:
    version.state = VersionState.ACTIVE
    version.threshold, version.wanted_precision = (
        activation.threshold,
        activation.wanted_precision,
    )
    version.reference, version.drift, version.drifting_since = reference, {}, None
    version.scored_until, version.drift_due_at = Now(), Now()
    version.save()
    version.refresh_from_db()


def _check_threshold(threshold: float, wanted_precision: float) -> None:
    errors = {}
    if not 0.0 < threshold <= 1.0:
        errors["threshold"] = ["A threshold lies above 0 and is at most 1."]
    if not 0.0 < wanted_precision <= 1.0:
        errors["precision"] = ["A precision lies above 0 and is at most 100 %."]
    if errors:
        raise Invalid(errors)
