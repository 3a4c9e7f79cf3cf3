"""Classifiers outside, each set up by an administrator (``docs/detection/external.md``)."""

from __future__ import annotations

from uuid import uuid4

from core.crypto import KeyRingError, Unsealable
from hashing import actions, external
from hashing.contract import (
    AGAIN_LATER,
    Finding,
    FlagKind,
    ModelCard,
    ScanItem,
    Unavailable,
    could_not_scan,
    some_frames,
)
from hashing.external import NoAnswer, Service
from hashing.images import CannotDecode, sample
from hashing.models import Category, DetectorSetting
from hashing.opinions import Opinion
from hashing.settings_schema import Setting

__all__ = ["CARD", "SETTINGS", "External", "findings_of"]

CARD = ModelCard(
    summary="A classifier of somebody else, asked over the network. What it can and cannot do, its "
    "operator has to say.",
    source="Set up by an administrator of this installation.",
    limits=(
        "Content leaves this installation: new JPEG files of at most 512 points, and texts as they are.",
        "No name, account, group, metadata or original file goes along.",
        "When it does not answer, items are flagged “could not scan” and looked at again when it is back.",
    ),
)

SETTINGS = (
    Setting(
        name="url",
        label="Address",
        kind="text",
        default="",
        longest=500,
        help="Requests are sent here with POST. https:// on a public host, unless the operator allows "
        "private addresses. Redirects are not followed.",
    ),
    Setting(name="pictures", label="Send pictures", kind="bool", default=True),
    Setting(name="texts", label="Send texts", kind="bool", default=False),
    Setting(
        name="frames",
        label="Frames of an animation",
        kind="int",
        default=4,
        minimum=1,
        maximum=16,
        help="How many frames go along in one request.",
    ),
    Setting(
        name="seconds",
        label="Seconds for an answer",
        kind="float",
        default=5.0,
        minimum=0.5,
        maximum=10.0,  # More, of several services, would outlive the lease of a batch of scans.
        help="With both attempts. Every item waits as long when the service is slow.",
    ),
    Setting(
        name="failures",
        label="Failures until it is paused",
        kind="int",
        default=5,
        minimum=1,
        maximum=50,
        help="In a row. Then it is asked again after 30 seconds, a minute, … at most 15 minutes.",
    ),
    Setting(
        name="signed_answers",
        label="Answers are signed",
        kind="bool",
        default=True,
        help="An answer without a right signature does not count.",
    ),
)


class External:
    """Asks one service. Nothing but an answer that is understood counts as having looked."""

    surfaces: frozenset[str] | None = None

    def __init__(self, setting: DetectorSetting) -> None:
        values = setting.settings
        self.name = setting.name
        self.version = f"{setting.code_version}.{setting.version}"
        self.kinds = frozenset(
            kind
            for kind, wanted in (("image", values["pictures"]), ("text", values["texts"]))
            if wanted
        )
        self.needs_pixels = bool(values["pictures"])
        self._setting = setting
        self._service: Service | None = None

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises Unavailable when there is no answer that counts, VaultDamage."""
        partly: list[Finding] = []
        if item.media is None:
            picture, frames = None, []
        else:
            try:
                picture = item.media.picture()
            except CannotDecode as refused:
                return [could_not_scan("The picture", refused.reason, code=refused.code)]
            wanted = int(self._setting.settings["frames"])
            frames = [picture.frames[at] for at in sample(len(picture.frames), wanted)]
            partly = some_frames(len(frames), picture.frames_total)
        actions.pass_breaker(self._setting)
        try:
            service = self._opened()
            known_as = external.pseudonym(service.secret, str(item.id))
            request = (
                external.picture_request(known_as, item.surface, picture, frames)
                if picture is not None
                else external.text_request(known_as, item.surface, item.text)
            )
            model, found = external.ask(
                service, request, message_id=f"msg_{uuid4().hex}", categories=Category.values
            )
        except NoAnswer as none:
            actions.note_failure(
                self._setting,
                code=none.code,
                reason=none.message,
                most=int(self._setting.settings["failures"]),
            )
            raise Unavailable(
                f"the classifier “{self._setting.label}” is unavailable and is asked again later",
                code=AGAIN_LATER,
                detail=none.message,
            ) from None
        actions.note_success(self._setting)
        return [*findings_of(self._setting, model, found), *partly]

    def _opened(self) -> Service:
        if self._service is None:
            values = self._setting.settings
            try:
                secret = actions.detector_secret(self._setting)
            except (Unsealable, KeyRingError):
                raise NoAnswer(
                    "no_secret", "Its signing secret cannot be opened. Give it a new one."
                ) from None
            self._service = Service(
                url=str(values["url"]),
                secret=secret,
                seconds=float(values["seconds"]),
                needs_signature=bool(values["signed_answers"]),
            )
        return self._service


def findings_of(
    setting: DetectorSetting, model: str, opinions: tuple[Opinion, ...], **evidence: object
) -> list[Finding]:
    """Return what reaches its threshold: flags that routing looks at, or notes if it may not open cases."""
    findings = []
    for opinion in opinions:
        threshold = float(setting.thresholds.get(opinion.category, 0.5))
        if opinion.score < threshold:
            continue
        said = f" It says: “{opinion.label}”." if opinion.label else ""
        label = Category(opinion.category).label
        basis: dict[str, object] = {
            "model": model or setting.code_version,
            "category": opinion.category,
            "score": round(opinion.score, 3),
            "threshold": threshold,
            **evidence,
        }
        if opinion.label:
            basis["label"] = opinion.label
        if not setting.opens_cases:
            basis["priority"] = True
        findings.append(
            Finding(
                kind=FlagKind.CLASSIFIER if setting.opens_cases else FlagKind.NOTE,
                score=round(opinion.score, 4),
                category=opinion.category if setting.opens_cases else "",
                summary=f"“{setting.label}” gives {opinion.score:.2f} of 1 for “{label}” "
                f"(counts from {threshold:.2f}).{said}"[:300],
                evidence=basis,
            )
        )
    return findings
