"""The optional detectors: those that come with Holdfast, and how a setting becomes a detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hashing import actions
from hashing.contract import Detector, Finding, ModelCard, ScanItem, Unavailable
from hashing.detectors import external, nudity
from hashing.detectors.external import External
from hashing.detectors.nudity import Nudity
from hashing.detectors.plugin import Plugin
from hashing.models import Category, DetectorOrigin, DetectorSetting
from hashing.settings_schema import Setting

__all__ = ["BUNDLED", "EXTERNAL", "Broken", "Bundled", "describe", "make"]


def describe(
    card: ModelCard,
    settings: tuple[Setting, ...],
    *,
    kinds: frozenset[str],
    categories: tuple[str, ...],
) -> dict[str, Any]:
    """Return the JSON that a detector's row keeps of what its code says of itself."""
    plain = [asdict(each) | {"choices": [list(pair) for pair in each.choices]} for each in settings]
    return {
        "card": asdict(card) | {"limits": list(card.limits)},
        "settings": plain,
        "kinds": sorted(kinds),
        "categories": list(categories),
    }


@dataclass(frozen=True, kw_only=True)
class Bundled:
    """An optional detector that comes with Holdfast. Append a line to ``BUNDLED``."""

    name: str
    label: str
    version: str
    card: ModelCard
    settings: tuple[Setting, ...]
    kinds: frozenset[str]
    make: Callable[[DetectorSetting], Detector]
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def description(self) -> dict[str, Any]:
        """What its row keeps of it."""
        return describe(
            self.card, self.settings, kinds=self.kinds, categories=tuple(self.thresholds)
        )

    def register(self) -> DetectorSetting:
        """Make it known, off. Safe to repeat."""
        return actions.register_detector(
            name=self.name,
            label=self.label,
            origin=DetectorOrigin.BUNDLED,
            description=self.description,
            code_version=self.version,
            thresholds=self.thresholds,
        )


EXTERNAL = describe(
    external.CARD,
    external.SETTINGS,
    kinds=frozenset({"image", "text"}),
    categories=tuple(Category.values),
)
"""What the adapter for classifiers outside says of itself."""


BUNDLED: tuple[Bundled, ...] = (
    Bundled(
        name=Nudity.name,
        label="Nudity (open_nsfw)",
        version=Nudity.version,
        card=nudity.CARD,
        settings=nudity.SETTINGS,
        kinds=Nudity.kinds,
        make=Nudity,
        thresholds={Category.CSAM_SUSPECTED.value: 0.8},
    ),
)


class Broken:
    """Stands for a detector that is turned on and cannot be used: its items are flagged, with the reason."""

    surfaces: frozenset[str] | None = None

    def __init__(self, setting: DetectorSetting, why: str) -> None:
        self.name = setting.name
        self.version = setting.code_version or "0"
        self.kinds = frozenset(setting.description.get("kinds") or ("image", "text"))
        self._reason = f"the detector “{setting.label}” cannot be used: {why}"

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises Unavailable, always."""
        raise Unavailable(self._reason, code="detector_unusable")


def make(setting: DetectorSetting) -> Detector:
    """Return the detector of a setting. One that cannot be made becomes ``Broken``, never silence."""
    try:
        for bundled in BUNDLED:
            if bundled.name == setting.name:
                return bundled.make(setting)
        if setting.problem:
            return Broken(setting, setting.problem.rstrip("."))
        if setting.origin == DetectorOrigin.PLUGIN:
            return Plugin(setting)
        if setting.origin == DetectorOrigin.EXTERNAL:
            return External(setting)
        return Broken(setting, "this installation has no such detector")
    except Exception as failed:  # noqa: BLE001 — one that fails must not stop the others
        return Broken(setting, f"it failed to start ({type(failed).__name__})")
