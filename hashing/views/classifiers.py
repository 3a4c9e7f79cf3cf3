"""Classifiers: the list, one of them, what it learns from, and trying a text."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid
from hashing import actions, classifying, examples
from hashing import classifier_access as access
from hashing.classifier_forms import (
    ClassifierForm,
    ClassifierSettingsForm,
    TrainForm,
    TrainingSetForm,
    TryClassifierForm,
)
from hashing.labelled import Parsed
from hashing.learning.model import CannotLoad
from hashing.models import VersionState
from hashing.views.lists import add_errors
from reports.models import Surface

SETTINGS = ("name", "category", "description", "surfaces", "is_active")


@require_safe
@requires(Permission.HASHING_CLASSIFIERS_VIEW)
def listing(request: HttpRequest) -> HttpResponse:
    """All classifiers."""
    found = access.classifiers_for(person_of(request))
    return render(request, "hashing/classifiers.html", {"classifiers": found})


@require_safe
@requires(Permission.HASHING_CLASSIFIERS_VIEW)
def detail(request: HttpRequest, classifier_id: uuid.UUID) -> HttpResponse:
    """One classifier: what runs, its versions, what it can learn from, who activated what."""
    classifier = access.get_classifier_for(person_of(request), classifier_id)
    context = {
        "classifier": classifier,
        "surfaces": [Surface(each).label for each in classifier.surfaces],
        "active": access.version_of(classifier, VersionState.ACTIVE),
        "shadow": access.version_of(classifier, VersionState.SHADOW),
        "versions": access.versions_of(classifier),
        "sets": access.sets_of(classifier),
        "activations": access.activations_of(classifier)[:20],
        "supply": examples.supply_of(classifier),
        "previous": access.previous_of(classifier),
    }
    return render(request, "hashing/classifier.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_CLASSIFIERS_EDIT)
def new(request: HttpRequest) -> HttpResponse:
    """Create a classifier."""
    form = ClassifierForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            classifier = actions.create_classifier(**form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, f"“{classifier}” was created. Train a first version now.")
            return redirect("hashing:classifier", classifier.pk)
    return _form(request, "hashing/classifier_form.html", {"form": form, "classifier": None})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_CLASSIFIERS_EDIT)
def edit(request: HttpRequest, classifier_id: uuid.UUID) -> HttpResponse:
    """Change a classifier's name, category, surfaces or whether it is in force."""
    classifier = access.get_classifier_for(person_of(request), classifier_id)
    initial = {name: getattr(classifier, name) for name in SETTINGS}
    form = ClassifierSettingsForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            actions.change_classifier(classifier, **form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, f"“{form.cleaned_data['name']}” was changed.")
            return redirect("hashing:classifier", classifier.pk)
    return _form(request, "hashing/classifier_form.html", {"form": form, "classifier": classifier})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_CLASSIFIERS_EDIT)
def import_texts(request: HttpRequest, classifier_id: uuid.UUID) -> HttpResponse:
    """Import labelled texts; bad rows are shown before anything is kept."""
    classifier = access.get_classifier_for(person_of(request), classifier_id)
    form = TrainingSetForm(request.POST or None, request.FILES or None)
    result = None
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            with file.open() as stream:
                kept = actions.import_training_set(
                    classifier,
                    stream.read(),
                    file_name=file.name,
                    skip_bad_rows=form.cleaned_data["skip_bad_rows"],
                    actor=person_of(request),
                )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            if not isinstance(kept, Parsed):
                left = f" {kept.refused:,} bad rows were left out." if kept.refused else ""
                messages.success(
                    request,
                    f"{kept.positives:,} confirmed and {kept.negatives:,} other texts were kept.{left}",
                )
                return redirect("hashing:classifier", classifier.pk)
            result = kept
    context = {"form": form, "classifier": classifier, "result": result}
    return _form(request, "hashing/classifier_import.html", context)


@require_POST
@requires(Permission.HASHING_CLASSIFIERS_EDIT)
def withdraw_texts(request: HttpRequest, set_id: uuid.UUID) -> HttpResponse:
    """Leave an imported set out of later trainings."""
    training_set = access.get_training_set_for(person_of(request), set_id)
    actions.withdraw_training_set(training_set, actor=person_of(request))
    messages.success(request, "These texts are left out of later trainings.")
    return redirect("hashing:classifier", training_set.classifier_id)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_CLASSIFIERS_EDIT)
def train(request: HttpRequest, classifier_id: uuid.UUID) -> HttpResponse:
    """Ask for a new version."""
    classifier = access.get_classifier_for(person_of(request), classifier_id)
    form = TrainForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            version = actions.request_training(
                classifier, settings=form.cleaned_data, actor=person_of(request)
            )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            return redirect("hashing:classifier_version", version.pk)
    supply = examples.supply_of(classifier)
    context = {"form": form, "classifier": classifier, "supply": supply}
    return _form(request, "hashing/classifier_train.html", context)


@require_POST
@requires(Permission.HASHING_CLASSIFIERS_ACTIVATE)
def roll_back(request: HttpRequest, classifier_id: uuid.UUID) -> HttpResponse:
    """Put the version in force again that was before the present one."""
    classifier = access.get_classifier_for(person_of(request), classifier_id)
    version = actions.roll_back(classifier, actor=person_of(request))
    messages.success(request, f"Version {version.number} flags again, as it did before.")
    return redirect("hashing:classifier", classifier.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_CLASSIFIERS_VIEW)
def try_text(request: HttpRequest, classifier_id: uuid.UUID) -> HttpResponse:
    """Show the score of a text and what it consists of. Keeps nothing of it."""
    classifier = access.get_classifier_for(person_of(request), classifier_id)
    version = access.usable_version(classifier)
    form = TryClassifierForm(request.POST or None)
    context: dict[str, Any] = {"form": form, "classifier": classifier, "version": version}
    status = 200
    if request.method == "POST":
        status = 422
        if version is not None and form.is_valid():
            text = form.cleaned_data["text"]
            try:
                said = classifying.load(version).explain(text)
            except CannotLoad as refused:
                context["problem"] = f"Version {version.number} cannot be used: {refused.reason}."
            else:
                status = 200
                actions.record_trial(
                    classifier, version=version.number, score=said.score, actor=person_of(request)
                )
                spans = [span for term in said.deciding() for span in term.spans]
                heaviest = max((abs(term.weight) for term in said.terms), default=1.0)
                context |= {
                    "said": said,
                    "percent": round(said.score * 100, 1),
                    "flags": version.threshold is not None and said.score >= version.threshold,
                    "pieces": classifying.pieces(text, spans),
                    "terms": [
                        (term, round(100 * abs(term.weight) / heaviest)) for term in said.terms
                    ],
                }
    is_fragment = request.headers.get("HX-Request")
    template = "hashing/_classifier_trial.html" if is_fragment else "hashing/classifier_try.html"
    return render(request, template, context, status=status)


def _form(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return render(request, template, context, status=422 if request.method == "POST" else 200)
