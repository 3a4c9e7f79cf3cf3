"""Optional detectors in the background: making them known, looking again, trying one out."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings

from core import vault
from core.errors import VaultDamage, describe, is_database_down
from core.jobs import enqueue, is_time_for, job
from hashing import actions, plugins
from hashing.contract import Detector, ScanItem
from hashing.detectors import DETECTORS, optional, switched
from hashing.images import Limits
from hashing.lookup import IndexNotReady
from hashing.media import Media
from hashing.models import DetectorOrigin, DetectorSetting, DetectorTrial
from hashing.plugins import PluginFailed
from reports.models import ItemKind

__all__ = [
    "describe_plugin",
    "find_plugins",
    "sweep_detectors",
    "sweep_pending_looks",
    "sweep_trials",
    "try_detector",
]

log = logging.getLogger(__name__)

PREFIX = "plugin."
GONE = "It is no longer installed."
DAILY = 24 * 3600
LONGEST_TEXT = 20_000
PLUGINS_EVERY = 60
"""Seconds between two looks for plug-ins: reading all packages' metadata costs some hundredths of a second."""


def sweep_detectors() -> int:
    """Make the optional detectors of this installation known, off; return how many are new or changed."""
    rows = DetectorSetting.objects.filter(origin=DetectorOrigin.BUNDLED)
    known = {row.name: (row.code_version, row.description) for row in rows}
    changed = 0
    for bundled in optional.BUNDLED:
        if known.get(bundled.name) != (bundled.version, bundled.description):
            bundled.register()
            changed += 1
    if is_time_for("plugins", PLUGINS_EVERY):
        changed += find_plugins()
    if is_time_for("detector-figures", DAILY):
        actions.forget_figures()
    return changed


def find_plugins() -> int:
    """Have plug-ins described that are new or have another version, note those that are gone; return how many."""
    rows = {row.name: row for row in DetectorSetting.objects.filter(origin=DetectorOrigin.PLUGIN)}
    found = {f"{PREFIX}{each.name}": each for each in plugins.installed()}
    changed = 0
    for name, plugin in found.items():
        row = rows.get(name)
        if row is None or row.code_version != plugin.version or row.problem == GONE:
            enqueue("describe_plugin", plugin.name)
            changed += 1
    for name, row in rows.items():
        if name not in found and row.problem != GONE:
            _register(row.name, row.label, row.description, row.code_version, problem=GONE)
            changed += 1
    return changed


@job
def describe_plugin(name: str) -> None:
    """Start a plug-in once, and keep what it says of itself or why it cannot be used. May run twice."""
    plugin = plugins.find(name)
    if plugin is None:
        return
    row = DetectorSetting.objects.filter(name=f"{PREFIX}{name}").first()
    label, description = name, row.description if row else {}
    thresholds: dict[str, float] = {}
    problem = ""
    try:
        label, description, thresholds = plugins.read_description(plugins.describe(plugin))
    except PluginFailed as failed:
        problem = f"It {failed.reason}."
    _register(f"{PREFIX}{name}", label, description, plugin.version, problem, thresholds)


def _register(
    name: str,
    label: str,
    description: dict[str, Any],
    version: str,
    problem: str = "",
    thresholds: dict[str, float] | None = None,
) -> None:
    actions.register_detector(
        name=name,
        label=label,
        origin=DetectorOrigin.PLUGIN,
        description=description,
        code_version=version,
        problem=problem,
        thresholds=thresholds,
    )


def sweep_pending_looks() -> int:
    """Put items in line again whose detector was unavailable and can be asked again; return how many."""
    return sum(actions.look_again(look) for look in actions.due_looks())


def sweep_trials() -> int:
    """Wake a worker for trials that wait; return how many."""
    waiting = list(actions.waiting_trials().values_list("pk", flat=True)[:100])
    for trial_id in waiting:
        enqueue("try_detector", trial_id)
    return len(waiting)


@job
def try_detector(trial_id: str) -> None:
    """Show the content of a trial to its detector and keep what it says for a day."""
    trial = actions.begin_trial(DetectorTrial(pk=trial_id))
    if trial is None:
        return
    detector = _named(trial.detector)
    if detector is None:
        actions.end_trial(trial, problem="There is no such detector.")
        return
    from hashing.jobs.scans import ask

    try:
        item = _subject(trial)
        outcome, _ = ask(detector, item, counted=False)
    except VaultDamage as damage:
        actions.end_trial(trial, problem=f"It could not be read again: {damage.reason}.")
    except IndexNotReady as waiting:
        actions.end_trial(trial, problem=f"Not now: {waiting.reason}. Try again shortly.")
    except Exception as failed:
        if is_database_down(failed):
            raise
        log.error("trial of %s failed: %s", trial.detector, describe(failed))
        actions.end_trial(trial, problem="The trial failed. The log says where.")
    else:
        actions.end_trial(trial, findings=outcome.findings)


def _named(name: str) -> Detector | None:
    for detector in DETECTORS:
        if detector.name == name:
            return detector
    setting = DetectorSetting.objects.filter(name=name).first()
    return switched.make(setting) if setting else None


def _subject(trial: DetectorTrial) -> ScanItem:
    blob = trial.blob
    if trial.kind == ItemKind.TEXT:
        text = vault.read(blob, LONGEST_TEXT * 4).decode()
        return ScanItem(id=trial.pk, surface=trial.surface, kind=trial.kind, text=text)
    limits = Limits(bytes=settings.HOLDFAST_MAX_UPLOAD_BYTES)
    return ScanItem(
        id=trial.pk,
        surface=trial.surface,
        kind=trial.kind,
        media_type=blob.media_type,
        media=Media(lambda: vault.open(blob), limits=limits, needs_pixels=True),
    )
