"""Detectors: how they are, turning them on and off, settings, services outside, and trying one."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.destinations import is_htmx
from accounts.permissions import Permission
from core import vault
from core.errors import Invalid
from hashing import actions, detector_access, settings_schema
from hashing.detector_forms import DetectorForm, ServiceForm, TrialForm
from hashing.detectors import optional
from hashing.models import Category, DetectorOrigin, DetectorSetting
from reports.models import ItemKind

VIEW, EDIT = Permission.HASHING_DETECTORS_VIEW, Permission.HASHING_DETECTORS_EDIT
CHANGES_SHOWN = 20


@require_safe
@requires(VIEW)
def listing(request: HttpRequest) -> HttpResponse:
    """Every detector with its state and the figures of the last hour."""
    found = detector_access.detectors_for(person_of(request))
    figures = detector_access.figures_of(each.name for each in found)
    rows = [(each, figures[each.name]) for each in found]
    template = "hashing/_detectors.html" if is_htmx(request) else "hashing/detectors.html"
    return render(request, template, {"rows": rows})


@require_safe
@requires(VIEW)
def detail(request: HttpRequest, name: str) -> HttpResponse:
    """One detector: figures, model card, versions, and a box to try it."""
    return _detail(request, name)


def _detail(
    request: HttpRequest, name: str, form: TrialForm | None = None, status: int = 200
) -> HttpResponse:
    user = person_of(request)
    known = detector_access.get_detector_for(user, name)
    setting = known.setting
    context: dict[str, Any] = {
        "known": known,
        "setting": setting,
        "figures": detector_access.figures_of([name])[name],
        "charts": detector_access.charts_of(name, timezone.now()),
        "results": detector_access.results_of(name),
        "useful": detector_access.usefulness_of(name),
        "waiting": detector_access.waiting_for(setting) if setting else 0,
        "changes": detector_access.changes_of(setting)[:CHANGES_SHOWN] if setting else [],
        "values": _told(setting) if setting else [],
        "form": form or TrialForm(kinds=known.kinds),
        "trial": None,
    }
    if asked := request.GET.get("trial"):
        context["trial"] = detector_access.get_trial_for(user, _uuid(asked))
    return render(request, "hashing/detector.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(EDIT)
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """Change the settings of a detector."""
    setting = detector_access.get_setting_for(person_of(request), name)
    form = DetectorForm.of(setting, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.change_detector(
                setting,
                label=form.cleaned_data["label"],
                opens_cases=form.cleaned_data["opens_cases"],
                settings=form.values,
                thresholds=form.thresholds,
                version=form.cleaned_data["version"],
                actor=person_of(request),
            )
        except Invalid as invalid:
            form.add_errors(invalid.errors)
        else:
            messages.success(request, "Saved. It counts within seconds, in every worker.")
            return redirect("hashing:detector", name)
    return _form(request, {"form": form, "setting": setting})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(EDIT, recent_login=True)
def new(request: HttpRequest) -> HttpResponse:
    """Set up a classifier outside, and show its signing secret, once."""
    schema = settings_schema.parse(optional.EXTERNAL["settings"])
    categories = list(optional.EXTERNAL["categories"])
    initial: dict[str, Any] = {f"threshold_{each}": 0.5 for each in categories}
    initial |= {f"own_{name}": value for name, value in settings_schema.defaults(schema).items()}
    form = ServiceForm(request.POST or None, schema=schema, categories=categories, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            setting, secret = actions.create_external_detector(
                label=form.cleaned_data["label"],
                description=optional.EXTERNAL,
                thresholds=form.thresholds,
                actor=person_of(request),
                **form.values,
            )
        except Invalid as invalid:
            form.add_errors(invalid.errors)
        else:
            return _secret(request, setting, secret)
    return _form(request, {"form": form, "setting": None})


@require_POST
@requires(EDIT, recent_login=True)
def new_secret(request: HttpRequest, name: str) -> HttpResponse:
    """Give a classifier outside another signing secret, and show it, once."""
    setting = detector_access.get_setting_for(person_of(request), name)
    setting, secret = actions.rotate_detector_secret(setting, actor=person_of(request))
    return _secret(request, setting, secret)


@require_POST
@requires(EDIT)
def switch(request: HttpRequest, name: str) -> HttpResponse:
    """Turn a detector on or off."""
    setting = detector_access.get_setting_for(person_of(request), name)
    is_on = request.POST.get("on") == "1"
    actions.change_detector(setting, is_on=is_on, actor=person_of(request))
    said = "is on: it looks at every item that comes in from now on" if is_on else "is off"
    messages.success(request, f"“{setting.label}” {said}.")
    return redirect("hashing:detector", name)


@require_POST
@requires(EDIT)
def try_again(request: HttpRequest, name: str) -> HttpResponse:
    """End the pause of a detector: the next item is a probe, and what waits for it is scanned again."""
    setting = detector_access.get_setting_for(person_of(request), name)
    waiting = actions.try_detector_again(setting, actor=person_of(request))
    items = "One item is" if waiting == 1 else f"{waiting:,} items are"
    said = f" {items} scanned again when it answers." if waiting else ""
    messages.success(request, f"“{setting.label}” is asked at the next item.{said}")
    return redirect("hashing:detector", name)


@require_POST
@requires(VIEW)
def try_it(request: HttpRequest, name: str) -> HttpResponse:
    """Ask a worker to show a picture or a text to one detector."""
    user = person_of(request)
    known = detector_access.get_detector_for(user, name)
    form = TrialForm(request.POST, request.FILES, kinds=known.kinds)
    if not form.is_valid():
        if is_htmx(request):
            return render(request, "hashing/_detector_trial.html", {"form": form}, status=422)
        return _detail(request, name, form, status=422)
    file = form.cleaned_data.get("file")
    if file:
        kind, blob = ItemKind.IMAGE, file.blob
    else:
        kind = ItemKind.TEXT
        blob = vault.store_bytes(form.cleaned_data["text"].encode(), media_type="text/plain")
    trial = actions.ask_trial(
        detector=name,
        kind=kind.value,
        surface=form.cleaned_data["surface"],
        blob=blob,
        actor=user,
    )
    if is_htmx(request):
        return render(request, "hashing/_detector_trial.html", {"trial": trial})
    return redirect(f"{reverse('hashing:detector', args=[name])}?trial={trial.pk}#trial")


@require_safe
@requires(VIEW)
def trial(request: HttpRequest, trial_id: uuid.UUID) -> HttpResponse:
    """What came out of a trial, or that it is still under way."""
    found = detector_access.get_trial_for(person_of(request), trial_id)
    return render(request, "hashing/_detector_trial.html", {"trial": found})


def _form(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    status = 422 if request.method == "POST" else 200
    return render(request, "hashing/detector_form.html", context, status=status)


def _secret(request: HttpRequest, setting: DetectorSetting, secret: str) -> HttpResponse:
    context = {"setting": setting, "secret": secret}
    answer = render(request, "hashing/detector_secret.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _told(setting: DetectorSetting) -> list[tuple[str, str]]:
    """Return the settings in words. An address may hold a token: whoever may change it sees it there."""
    told = [
        (f"Counts from ({category.label})", f"{setting.thresholds[category]}")
        for category in Category
        if category in setting.thresholds
    ]
    for each in settings_schema.parse(setting.description.get("settings", [])):
        if each.name in setting.settings and not (
            setting.origin == DetectorOrigin.EXTERNAL and each.name == "url"
        ):
            value = setting.settings[each.name]
            words = ("Yes" if value else "No") if isinstance(value, bool) else f"{value}"
            told.append((each.label, words))
    return told


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)
