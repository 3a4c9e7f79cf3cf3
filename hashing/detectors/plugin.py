"""Detectors of other authors, each in a process of its own (``docs/detection/plugins.md``)."""

from __future__ import annotations

from typing import Any

from hashing import actions, opinions, plugins
from hashing.contract import (
    AGAIN_LATER,
    Finding,
    ScanItem,
    Unavailable,
    could_not_scan,
    some_frames,
)
from hashing.detectors.external import findings_of
from hashing.images import CannotDecode, Frame, sample
from hashing.models import Category, DetectorSetting
from hashing.opinions import BadAnswer
from hashing.plugins import Installed, PluginFailed

__all__ = ["Plugin"]

MOST_FRAMES = 4


class Plugin:
    """Shows items to one plug-in. Every way to fail is a flag with the reason, and counts for its breaker."""

    surfaces: frozenset[str] | None = None

    def __init__(self, setting: DetectorSetting) -> None:
        self.name = setting.name
        self.version = setting.code_version
        self.kinds = frozenset(setting.description["kinds"])
        self.needs_pixels = "image" in self.kinds
        self._setting = setting
        self._installed = plugins.find(setting.name.removeprefix("plugin."))

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises Unavailable when the plug-in does not answer, VaultDamage."""
        about: dict[str, Any] = {"kind": item.kind, "surface": item.surface, "text": item.text}
        frames: list[Frame] = []
        partly: list[Finding] = []
        if item.media is not None:
            try:
                picture = item.media.picture()
            except CannotDecode as refused:
                return [could_not_scan("The picture", refused.reason, code=refused.code)]
            frames = [picture.frames[at] for at in sample(len(picture.frames), MOST_FRAMES)]
            partly = some_frames(len(frames), picture.frames_total)
            about |= {"width": picture.width, "height": picture.height}
        actions.pass_breaker(self._setting)
        values = self._setting.settings
        try:
            answer = plugins.ask(
                self._here(),
                about,
                frames,
                settings={
                    name: value for name, value in values.items() if not name.startswith("limit_")
                },
                seconds=float(values["limit_seconds"]),
                memory_mb=int(values["limit_memory_mb"]),
            )
            model, found = _read(answer)
        except PluginFailed as failed:
            actions.note_failure(
                self._setting,
                code=failed.code,
                reason=f"It {failed.reason}.",
                most=int(values["limit_failures"]),
            )
            raise Unavailable(
                f"the plug-in “{self._setting.label}” {failed.reason}",
                # One that broke on this item would break on it again; one that did not start may start.
                code=AGAIN_LATER if failed.code == "not_started" else f"plugin_{failed.code}",
            ) from None
        actions.note_success(self._setting)
        return [*findings_of(self._setting, model, found), *partly]

    def _here(self) -> Installed:
        if self._installed is None:
            raise PluginFailed("not_started", "is not installed on this machine")
        return self._installed


def _read(answer: object) -> tuple[str, tuple[opinions.Opinion, ...]]:
    try:
        return opinions.read(answer, Category.values)
    except BadAnswer as bad:
        raise PluginFailed("bad_answer", f"gave an answer that is not understood: {bad}") from None
