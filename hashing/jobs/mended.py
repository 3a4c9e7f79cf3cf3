"""The sweep that looks again at what this installation could not read before, and can read now."""

from __future__ import annotations

from core.jobs import is_time_for
from hashing import actions, heic
from hashing.detectors import nudity, optional
from hashing.models import DetectorSetting

__all__ = ["sweep_mended"]

EVERY = 60
"""Seconds between two looks."""
UNUSABLE = "detector_unusable"


def sweep_mended() -> int:
    """Put a batch of items in line that a missing converter, model or detector kept from being looked at."""
    if not is_time_for("hashing-mended", EVERY):
        return 0
    count = 0
    heic_refusals = actions.standing_refusals(["heic_off", "heic_missing"])
    if heic.is_ready() and heic_refusals.exists():
        count += actions.scan_mended(heic_refusals)
    for setting in DetectorSetting.objects.filter(is_on=True).order_by("name"):
        codes = [UNUSABLE]
        if setting.name == nudity.Nudity.name:
            codes += ["model_missing", "model_changed"]
        refusals = actions.standing_refusals(codes).filter(detector=setting.name)
        if refusals.exists() and _is_usable(setting):
            count += actions.scan_mended(refusals)
    return count


def _is_usable(setting: DetectorSetting) -> bool:
    if isinstance(optional.make(setting), optional.Broken):
        return False
    return setting.name != nudity.Nudity.name or nudity.is_installed()
