"""Versions of classifiers: the model card, thresholds, shadow, and what a second person decides."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid, Refused
from hashing import actions
from hashing import classifier_access as access
from hashing.classifier_forms import ActivationForm, ReasonForm, ThresholdForm
from hashing.learning import figures, plots
from hashing.learning.fitting import Settings
from hashing.models import ClassifierVersion, VersionState
from hashing.views.lists import add_errors
from reports.models import Surface

SETTINGS = (
    ("use_decisions", "Learns from decisions", True),
    ("use_imported", "Learns from imported texts", True),
    ("others_negative", "Other categories as counter-examples", False),
    ("holdout_share", "Held out at least", Settings.holdout_share),
    ("strength", "Trust in single words (C)", Settings.strength),
    ("seed", "Seed", Settings.seed),
)
USUAL_PRECISION = 90.0
FLAGS_SHOWN = 10


@require_safe
@requires(Permission.HASHING_CLASSIFIERS_VIEW)
def detail(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """The model card of a version: data, figures, plots, threshold, who did what."""
    person = person_of(request)
    version = access.get_version_for(person, version_id)
    context: dict[str, Any] = {"version": version, "classifier": version.classifier}
    if version.metrics:
        context |= _threshold(request, version)
        context |= _card(version)
        context["form"] = ThresholdForm(initial={"precision": context["precision"]})
    waiting = access.waiting_for(version)
    flags = access.flags_of_version(version)
    context |= {
        "waiting": waiting,
        "is_own": waiting is not None and waiting.asked_by_id == person.pk,
        "may_not": access.may_decide(waiting, version, person) if waiting else "",
        "flags": flags[:FLAGS_SHOWN],
        "flag_count": flags.count(),
        "sample": access.sample_of(version)[:FLAGS_SHOWN],
        "activations": access.activations_of(version.classifier).filter(version=version),
    }
    return render(request, "hashing/classifier_version.html", context)


@require_safe
@requires(Permission.HASHING_CLASSIFIERS_VIEW)
def progress(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """How far a training is; once it ended, the page comes anew."""
    version = access.get_version_for(person_of(request), version_id)
    answer = render(request, "hashing/_classifier_progress.html", {"version": version})
    if version.state != VersionState.TRAINING:
        answer["HX-Redirect"] = reverse("hashing:classifier_version", args=[version.pk])
    return answer


@require_safe
@requires(Permission.HASHING_CLASSIFIERS_VIEW)
def threshold(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """What a wanted precision would mean: threshold, recall, flags a day."""
    version = access.get_version_for(person_of(request), version_id)
    if not version.metrics:
        raise Refused("There is no model yet.")
    context = {"version": version, "classifier": version.classifier}
    return render(
        request, "hashing/_classifier_threshold.html", context | _threshold(request, version)
    )


@require_POST
@requires(Permission.HASHING_CLASSIFIERS_EDIT)
def choose(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """Choose the threshold of a wanted precision."""
    version = access.get_version_for(person_of(request), version_id)
    found, precision = _asked_for(request, version)
    actions.choose_threshold(
        version, threshold=found, wanted_precision=precision, actor=person_of(request)
    )
    messages.success(request, f"From {found:.1%} on, this version would flag.")
    return redirect("hashing:classifier_version", version.pk)


@require_POST
@requires(Permission.HASHING_CLASSIFIERS_EDIT)
def shadow(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """Begin or end scoring without flagging."""
    version = access.get_version_for(person_of(request), version_id)
    if version.state == VersionState.SHADOW:
        actions.end_shadow(version, actor=person_of(request))
        messages.success(request, "It no longer scores what comes in.")
    else:
        actions.start_shadow(version, actor=person_of(request))
        messages.success(request, "It scores what comes in from now on and flags nothing.")
    return redirect("hashing:classifier_version", version.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_CLASSIFIERS_EDIT)
def ask(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """Ask a second person that this version flags."""
    version = access.get_version_for(person_of(request), version_id)
    if not version.metrics:
        raise Refused("There is no model to activate.")
    context = {"version": version, "classifier": version.classifier}
    context |= _threshold(request, version)
    form = ActivationForm(request.POST or None, initial={"precision": context["precision"]})
    if request.method == "POST" and form.is_valid():
        found, precision = _asked_for(request, version)
        try:
            actions.ask_activation(
                version,
                threshold=found,
                wanted_precision=precision,
                reason=form.cleaned_data["reason"],
                actor=person_of(request),
            )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, "A second person has to approve it now.")
            return redirect("hashing:classifier_version", version.pk)
    status = 422 if request.method == "POST" else 200
    return render(request, "hashing/classifier_ask.html", context | {"form": form}, status=status)


@require_POST
@requires(Permission.HASHING_CLASSIFIERS_ACTIVATE)
def approve(request: HttpRequest, activation_id: int) -> HttpResponse:
    """Let the version flag from now on."""
    activation = access.get_activation_for(person_of(request), activation_id)
    version = actions.approve_activation(
        activation,
        reference=access.reference_of(activation.version),
        actor=person_of(request),
    )
    messages.success(request, f"Version {version.number} flags from the next text on.")
    return redirect("hashing:classifier_version", version.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_CLASSIFIERS_ACTIVATE)
def decline(request: HttpRequest, activation_id: int) -> HttpResponse:
    """Turn a request down, with a reason."""
    activation = access.get_activation_for(person_of(request), activation_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        actions.decline_activation(
            activation, reason=form.cleaned_data["reason"], actor=person_of(request)
        )
        messages.success(request, "The request is declined.")
        return redirect("hashing:classifier_version", activation.version_id)
    title = f"Decline version {activation.version.number} of {activation.classifier}"
    return _reason(request, form, activation.version, title, "Decline")


@require_POST
@requires(Permission.HASHING_CLASSIFIERS_EDIT)
def withdraw(request: HttpRequest, activation_id: int) -> HttpResponse:
    """Take one's own request back."""
    activation = access.get_activation_for(person_of(request), activation_id)
    actions.withdraw_activation(activation, actor=person_of(request))
    messages.success(request, "The request is taken back.")
    return redirect("hashing:classifier_version", activation.version_id)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_CLASSIFIERS_ACTIVATE)
def stop(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """Stop an active version, with a reason."""
    version = access.get_version_for(person_of(request), version_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        actions.retire_active(version, reason=form.cleaned_data["reason"], actor=person_of(request))
        messages.success(request, "It flags nothing from now on. Roll back brings it again.")
        return redirect("hashing:classifier_version", version.pk)
    title = f"Stop version {version.number} of {version.classifier}"
    return _reason(request, form, version, title, "Stop")


def _reason(
    request: HttpRequest, form: ReasonForm, version: ClassifierVersion, title: str, verb: str
) -> HttpResponse:
    context = {"form": form, "version": version, "title": title, "verb": verb}
    status = 422 if request.method == "POST" else 200
    return render(request, "hashing/classifier_reason.html", context, status=status)


# ── What the pages show ───────────────────────────────────────────────────────────────────────
def _wanted(request: HttpRequest, version: ClassifierVersion) -> float:
    """Return the wanted precision in per cent: as asked, as chosen, or the usual one."""
    said = request.GET.get("precision") or request.POST.get("precision") or ""
    chosen = (version.wanted_precision or 0) * 100 or USUAL_PRECISION
    form = ThresholdForm({"precision": said or chosen})
    return float(form.cleaned_data["precision"]) if form.is_valid() else chosen


def _asked_for(request: HttpRequest, version: ClassifierVersion) -> tuple[float, float]:
    precision = _wanted(request, version) / 100
    found = figures.threshold_for(version.metrics, precision) if version.metrics else None
    if found is None:
        raise Refused(
            f"No threshold of this version reaches {precision:.0%} on the hold-out: choose a lower "
            "precision, or train with more texts."
        )
    return found, precision


def _threshold(request: HttpRequest, version: ClassifierVersion) -> dict[str, Any]:
    precision = _wanted(request, version)
    found = figures.threshold_for(version.metrics, precision / 100)
    at = figures.at_threshold(version.metrics, found) if found is not None else None
    workload = access.workload_of(version)
    flagged = figures.above(workload["counts"], found) if found is not None else 0
    scored = sum(workload["counts"])
    a_day = flagged / scored * workload["texts"] / workload["days"] if scored else None
    best = max(
        (right / count for _, right, count in version.metrics["curve"] if count >= 5), default=0.0
    )
    return {
        "precision": round(precision, 1),
        "at": at,
        "best": best,
        "workload": workload,
        "a_day": a_day,
        "curve_plot": plots.precision_and_recall(version.metrics, at),
        "score_plot": plots.score_counts("Scores of the last 30 days", workload["counts"], found),
    }


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _card(version: ClassifierVersion) -> dict[str, Any]:
    at = None
    if version.threshold is not None:
        at = figures.at_threshold(version.metrics, version.threshold)
    names = dict(Surface.choices)
    surfaces = [(names.get(name, name), yes, no) for name, yes, no in version.counts["by_surface"]]
    return {
        "chosen": at,
        "settings": [
            (words, _in_words(version.settings.get(key, usual))) for key, words, usual in SETTINGS
        ],
        "reliability_plot": plots.reliability(version.metrics),
        "holdout_plot": plots.score_counts(
            "Scores of the hold-out", version.metrics["histogram"], version.threshold
        ),
        "surfaces": surfaces,
    }
