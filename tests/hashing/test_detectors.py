"""Optional detectors: off until turned on, counted, paused after failures, asked again later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from core.audit import SYSTEM
from core.errors import Invalid, Refused
from core.models import AuditEntry
from hashing import actions, detectors, health, jobs
from hashing.contract import Detector, Finding, FlagKind, ModelCard, ScanItem, Unavailable
from hashing.detectors import optional, switched
from hashing.models import (
    DetectorBreaker,
    DetectorPeriod,
    DetectorSetting,
    PendingLook,
)
from hashing.settings_schema import Setting
from reports.models import Item, ScanState
from tests.hashing.conftest import flags_of

Put = Callable[..., Item]

WORD = Setting(name="word", label="Word", kind="text", default="markerword-alpha")


class Words:
    """Finds a word; away when told so."""

    version = "1"
    kinds = frozenset({"text"})
    surfaces: frozenset[str] | None = None
    is_away = False

    def __init__(self, setting: DetectorSetting) -> None:
        self.name = setting.name
        self.setting = setting

    def scan(self, item: ScanItem) -> list[Finding]:
        actions.pass_breaker(self.setting)
        if Words.is_away:
            actions.note_failure(self.setting, code="away", reason="No answer.", most=3)
            raise Unavailable("the word finder is away and is asked again later")
        actions.note_success(self.setting)
        if self.setting.settings["word"] not in item.text:
            return []
        return [
            Finding(
                kind=FlagKind.CLASSIFIER, score=0.9, summary="The word.", evidence={"model": "1"}
            )
        ]


@pytest.fixture
def words(db: None, monkeypatch: pytest.MonkeyPatch) -> DetectorSetting:
    """Return an optional detector, registered and off."""
    bundled = optional.Bundled(
        name="try.words",
        label="Words",
        version="1",
        card=ModelCard(summary="Finds one word."),
        settings=(WORD,),
        kinds=Words.kinds,
        make=Words,
    )
    monkeypatch.setattr(optional, "BUNDLED", (bundled,))
    monkeypatch.setattr(Words, "is_away", False)
    assert jobs.sweep_detectors() >= 1
    assert jobs.sweep_detectors() == 0
    return DetectorSetting.objects.get(name="try.words")


def turn_on(setting: DetectorSetting) -> DetectorSetting:
    return actions.change_detector(setting, is_on=True, actor=SYSTEM)


def make_due(setting: DetectorSetting) -> None:
    """Let the waits be over, as if time had passed."""
    PendingLook.objects.filter(detector=setting).update(due_at=Now())
    DetectorBreaker.objects.filter(detector=setting, open_until__isnull=False).update(
        open_until=Now() - timedelta(seconds=1)
    )


def test_an_optional_detector_is_off_until_somebody_turns_it_on(
    scanned: Put, words: DetectorSetting
) -> None:
    assert not words.is_on
    assert "try.words" not in [each.name for each in detectors.detectors()]
    assert flags_of(scanned("markerword-alpha")) == []
    turn_on(words)
    (flag,) = flags_of(scanned("markerword-alpha"))
    assert (flag.detector, flag.kind) == ("try.words", FlagKind.CLASSIFIER)
    actions.change_detector(words, settings={"word": "markerword-beta"}, actor=SYSTEM)
    assert flags_of(scanned("markerword-alpha again")) == []
    actions.change_detector(words, is_on=False, actor=SYSTEM)
    assert flags_of(scanned("markerword-beta")) == []


def test_every_change_is_a_version_and_is_recorded(words: DetectorSetting) -> None:
    changed = turn_on(words)
    assert changed.version == 2
    assert actions.change_detector(words, is_on=True, actor=SYSTEM).version == 2
    assert words.changes.get().changed == {"is_on": [False, True]}
    events = AuditEntry.objects.filter(event__startswith="hashing.detector").order_by("pk")
    assert [each.event for each in events] == [
        "hashing.detector.registered",
        "hashing.detector.changed",
    ]
    with pytest.raises(Refused):
        actions.change_detector(words, is_on=False, version=1, actor=SYSTEM)
    with pytest.raises(Invalid) as invalid:
        actions.change_detector(
            words, settings={"word": 7, "other": 1}, thresholds={"csam_suspected": 2}, actor=SYSTEM
        )
    assert set(invalid.value.errors) == {"word", "other", "threshold_csam_suspected"}


def test_a_detector_that_this_installation_lacks_flags_what_it_would_have_looked_at(
    scanned: Put, words: DetectorSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_on(words)
    monkeypatch.setattr(optional, "BUNDLED", ())
    switched.forget()
    (flag,) = flags_of(scanned("something"))
    assert flag.kind == FlagKind.COULD_NOT_SCAN
    assert "this installation has no such detector" in flag.summary
    assert isinstance(switched.make(words), Detector)


def test_an_unavailable_detector_is_a_flag_and_is_asked_again_when_it_is_back(
    scanned: Put, words: DetectorSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_on(words)
    monkeypatch.setattr(Words, "is_away", True)
    item = scanned("markerword-alpha")
    (flag,) = flags_of(item)
    assert (item.scan_state, flag.kind) == (ScanState.PARTLY, FlagKind.COULD_NOT_SCAN)
    assert flag.evidence["code"] == "unavailable"
    assert jobs.sweep_pending_looks() == 0, "it waits before it asks again"
    make_due(words)
    assert jobs.sweep_pending_looks() == 1
    jobs.scan_item(str(item.pk))
    assert PendingLook.objects.get().attempts == 1
    monkeypatch.setattr(Words, "is_away", False)
    make_due(words)
    assert jobs.sweep_pending_looks() == 1
    item.refresh_from_db()
    assert item.scan_state == ScanState.WAITING
    jobs.scan_item(str(item.pk))
    item.refresh_from_db()
    (flag,) = flags_of(item)
    assert (item.scan_state, flag.kind) == (ScanState.SCANNED, FlagKind.CLASSIFIER)
    assert not PendingLook.objects.exists()


def test_the_number_of_looks_is_bounded(
    scanned: Put, words: DetectorSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_on(words)
    monkeypatch.setattr(Words, "is_away", True)
    item = scanned("markerword-alpha")
    for _ in range(actions.MOST_LOOKS):
        make_due(words)
        assert jobs.sweep_pending_looks() == 1
        jobs.scan_item(str(item.pk))
    make_due(words)
    assert jobs.sweep_pending_looks() == 0
    assert flags_of(item)[0].kind == FlagKind.COULD_NOT_SCAN
    actions.try_detector_again(words, actor=SYSTEM)  # type: ignore[arg-type]
    assert jobs.sweep_pending_looks() == 1


def test_after_failures_in_a_row_it_is_paused_and_one_probe_at_a_time_decides(
    scanned: Put, words: DetectorSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_on(words)
    monkeypatch.setattr(Words, "is_away", True)
    for text in ("one", "two", "three"):
        scanned(text)
    breaker = DetectorBreaker.objects.get()
    assert (breaker.failures, breaker.openings) == (3, 1)
    (flag,) = flags_of(scanned("four"))
    assert "is paused after failures" in flag.summary
    assert DetectorBreaker.objects.get().failures == 3, "it was not asked"
    make_due(words)
    assert jobs.sweep_pending_looks() == 1, "half open: one item is the probe"
    actions.pass_breaker(words)
    with pytest.raises(Unavailable):
        actions.pass_breaker(words)
    actions.note_failure(words, code="away", reason="No answer.", most=3)
    assert DetectorBreaker.objects.get().openings == 2
    actions.note_failure(words, code="away", reason="Asked before it opened.", most=3)
    assert DetectorBreaker.objects.get().openings == 2, "it was no probe"
    monkeypatch.setattr(Words, "is_away", False)
    make_due(words)
    assert flags_of(scanned("markerword-alpha"))[0].kind == FlagKind.CLASSIFIER
    breaker = DetectorBreaker.objects.get()
    assert (breaker.failures, breaker.openings, breaker.open_until) == (0, 0, None)
    events = set(AuditEntry.objects.values_list("event", flat=True))
    assert {"hashing.detector.paused", "hashing.detector.resumed"} <= events


def test_runs_are_counted_by_result_and_added_up(
    scanned: Put, words: DetectorSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_on(words)
    health.forget()
    scanned("markerword-alpha")
    scanned("nothing")
    monkeypatch.setattr(Words, "is_away", True)
    scanned("more")
    health.flush(at_once=True)
    monkeypatch.setattr(Words, "is_away", False)
    scanned("and more")
    health.flush(at_once=True)
    rows = DetectorPeriod.objects.filter(detector="try.words")
    fine = rows.filter(result="ok")
    assert sum(row.runs for row in fine) == 3
    assert sum(row.found for row in fine) == 1
    assert sum(sum(row.run_times) for row in fine) == 3
    assert sum(row.runs for row in rows.filter(result="unavailable")) == 1
    assert DetectorPeriod.objects.filter(detector="terms", result="ok").exists()


def test_percentiles_are_the_upper_edge_of_a_bucket() -> None:
    histogram = [0] * health.BUCKETS
    for ms in (1, 1, 1, 100):
        histogram[health.bucket_of(ms)] += 1
    assert health.percentile(histogram, 0.5) == 1
    assert 100 <= (health.percentile(histogram, 0.95) or 0) < 142
    assert health.percentile([0] * health.BUCKETS, 0.5) is None
