"""Classifiers from labelled texts to flags: training, shadow, a second person, drift and the way back."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, OperationalError, transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.permissions import Role
from core.audit import SYSTEM
from core.errors import Invalid, Refused
from core.jobs import JobFailed
from core.models import AuditEntry
from hashing import actions, classifying, examples, jobs
from hashing.actions.trainings import MOST_TRAININGS
from hashing.jobs import classifiers as work
from hashing.learning.figures import BINS
from hashing.models import (
    Activation,
    Classifier,
    ClassifierVersion,
    Flag,
    FlagKind,
    ScoreDay,
    ScoredItem,
    TrainingSet,
    Verdict,
    VersionState,
)
from reports.models import Item, ScanState, Source
from tests.cast import make_person, signed_in
from tests.hashing.classifying import active, make, rows, send, sentence, supplied, trained

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget_models() -> None:
    classifying.forget()


@pytest.fixture
def classifier() -> Classifier:
    return make()


@pytest.fixture
def version(classifier: Classifier) -> ClassifierVersion:
    supplied(classifier)
    return trained(classifier)


def events() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("event", flat=True))


def flagged_by(item: Item) -> list[Flag]:
    return list(Flag.objects.filter(item=item, superseded_at=None, detector="classifier"))


def decide(item: Item, *, is_violation: bool, category: str = "grooming") -> None:
    actions.record_verdicts([item], decision=uuid4(), is_violation=is_violation, category=category)


# ── What it learns from ───────────────────────────────────────────────────────────────────────
def test_texts_are_kept_encrypted_and_bad_rows_keep_all_out(classifier: Classifier) -> None:
    data = b"text,label\nmarkerword-alpha here,yes\nrain,maybe\n"
    parsed = actions.import_training_set(classifier, data, actor=SYSTEM)
    assert not isinstance(parsed, TrainingSet)
    assert (parsed.refused, parsed.problems[0].number) == (1, 3)
    assert not TrainingSet.objects.exists()
    kept = actions.import_training_set(classifier, data, skip_bad_rows=True, actor=SYSTEM)
    assert isinstance(kept, TrainingSet)
    assert (kept.positives, kept.negatives, kept.refused) == (1, 0, 1)
    stored = Path(settings.STORAGES["vault"]["OPTIONS"]["location"]) / kept.blob.storage_name
    assert b"markerword" not in stored.read_bytes()
    assert "hashing.training_set.imported" in events()
    with pytest.raises(Invalid, match="not text in UTF-8"):
        actions.import_training_set(classifier, b"\xff", actor=SYSTEM)


def test_withdrawn_texts_are_not_learned_from_again(classifier: Classifier) -> None:
    imported = supplied(classifier)
    actions.withdraw_training_set(imported, actor=SYSTEM)
    with pytest.raises(Refused):
        actions.withdraw_training_set(imported, actor=SYSTEM)
    version = trained(classifier)
    assert version.state == VersionState.FAILED
    assert "There are 0 texts that were confirmed; at least 40 are needed." in version.failure


def test_the_newest_verdict_counts_and_other_categories_are_left_out(
    classifier: Classifier, source: Source
) -> None:
    first, second, third = (send(source, f"river {number}") for number in range(3))
    decide(first, is_violation=True)
    decide(second, is_violation=True)
    decide(third, is_violation=True, category="spam_other")
    Verdict.objects.filter(item=second).update(decided_at=Now() - timedelta(days=1))
    decide(second, is_violation=False)
    version = actions.request_training(classifier, settings={}, actor=SYSTEM)
    found, left = examples.gather(version)
    assert {(each.text, each.label) for each in found} == {("river 0", True), ("river 1", False)}
    assert {each.subject for each in found} == {
        f"account {first.account_id}",
        f"account {second.account_id}",
    }
    assert left == {"confirmed for another category": 1}
    version.settings = {"others_negative": True}
    assert ("river 2", False) in {(each.text, each.label) for each in examples.gather(version)[0]}
    supply = examples.supply_of(classifier)
    assert (supply.positives, supply.negatives, supply.elsewhere) == (1, 1, 1)
    narrow = make("Names only", surfaces=["profile_name"])
    assert examples.supply_of(narrow).positives == 0


def test_it_learns_from_decisions(classifier: Classifier, source: Source) -> None:
    for row in rows(120):
        item = send(source, row.text)
        Item.objects.filter(pk=item.pk).update(scan_state=ScanState.SCANNED)
        decide(item, is_violation=row.label)
        Verdict.objects.filter(item=item).update(decided_at=row.at)
    version = trained(classifier, holdout_share=0.3)
    assert version.state == VersionState.TRAINED, version.failure
    assert version.counts["by_origin"][0][0] == "decisions"
    assert version.metrics["average_precision"] > 0.6
    assert version.metrics["workload"]["texts"] == 120


# ── Training ──────────────────────────────────────────────────────────────────────────────────
def test_a_training_leaves_a_model_its_figures_and_a_line(version: ClassifierVersion) -> None:
    assert version.state == VersionState.TRAINED
    assert version.metrics["average_precision"] > 0.7
    assert version.metrics["brier"] < version.metrics["brier_of_the_share"]
    assert version.counts["training"] + version.counts["holdout"] == 400
    assert version.counts["by_surface"][0][0] == "profile_text"
    assert version.blob is not None
    assert classifying.load(version).score("river markerword-alpha") > 0.5
    assert events()[-2:] == ["hashing.training.requested", "hashing.training.ended"]
    before = (version.trained_at, version.model_sha256)
    jobs.train_classifier(str(version.pk))
    version.refresh_from_db()
    assert (version.trained_at, version.model_sha256) == before


def test_the_same_texts_and_settings_give_the_same_model(classifier: Classifier) -> None:
    supplied(classifier)
    assert trained(classifier).model_sha256 == trained(classifier).model_sha256


def test_one_training_at_a_time(classifier: Classifier) -> None:
    actions.request_training(classifier, settings={}, actor=SYSTEM)
    with pytest.raises(Refused, match="being trained already"):
        actions.request_training(classifier, settings={}, actor=SYSTEM)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"holdout_share": 0.9}, "holdout_share"),
        ({"strength": 0}, "strength"),
        ({"calibration": "magic"}, "calibration"),
        ({"use_decisions": False, "use_imported": False}, "use_decisions"),
    ],
)
def test_settings_out_of_range_are_named(
    classifier: Classifier, said: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as invalid:
        actions.request_training(classifier, settings=said, actor=SYSTEM)
    assert field in invalid.value.errors


def test_a_killed_training_is_tried_again_and_then_fails_in_words(classifier: Classifier) -> None:
    version = actions.request_training(classifier, settings={}, actor=SYSTEM)
    for attempt in range(1, actions.trainings.MOST_TRAININGS + 1):
        assert jobs.sweep_classifiers() == 1
        taken = actions.begin_training(version)  # And then the worker is killed.
        assert taken is not None
        assert taken.attempts == attempt
        assert actions.begin_training(version) is None, "another worker takes it at once"
        assert jobs.sweep_classifiers() == 0
        ClassifierVersion.objects.update(due_at=Now())
    jobs.train_classifier(str(version.pk))
    version.refresh_from_db()
    assert version.state == VersionState.FAILED
    assert "began 3 times and never came to an end" in version.failure
    assert events()[-1] == "hashing.training.failed"


def test_a_worker_that_was_given_up_on_records_nothing(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    supplied(classifier)
    version = actions.request_training(classifier, settings={}, actor=SYSTEM)
    fit = work.fit

    def overtaken(*args: Any) -> object:
        ClassifierVersion.objects.update(attempts=2)
        return fit(*args)

    monkeypatch.setattr(work, "fit", overtaken)
    jobs.train_classifier(str(version.pk))
    version.refresh_from_db()
    assert (version.state, version.blob) == (VersionState.TRAINING, None)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (MemoryError(), "more than 3 GB of memory"),
        (type("JobTimeoutException", (Exception,), {})(), "took longer than workers may"),
        (RuntimeError("a text stands here"), "The training failed (RuntimeError)"),
    ],
)
def test_a_training_that_fails_says_why_without_the_texts(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, failure: Exception, words: str
) -> None:
    supplied(classifier)

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(work, "fit", fail)
    version = trained(classifier)
    assert version.state == VersionState.FAILED
    assert words in version.failure
    assert "a text stands here" not in version.failure


def test_a_database_that_restarts_in_the_middle_costs_no_attempt(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    supplied(classifier)
    version = actions.request_training(classifier, settings={}, actor=SYSTEM)
    fit = work.fit

    def restarted(*_: object) -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(work, "fit", restarted)
    for _ in range(MOST_TRAININGS + 1):
        with pytest.raises(JobFailed):
            jobs.train_classifier(str(version.pk))
        version.refresh_from_db()
        assert (version.state, version.attempts) == (VersionState.TRAINING, 0)
        assert version in actions.waiting_trainings()
    assert "the database was away" in version.stage
    monkeypatch.setattr(work, "fit", fit)
    jobs.train_classifier(str(version.pk))
    version.refresh_from_db()
    assert version.state == VersionState.TRAINED


def test_a_training_that_takes_too_much_memory_is_stopped(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    supplied(classifier)
    monkeypatch.setattr(work, "fit", lambda *_: bytearray(4 * 1024**3))
    assert "memory" in trained(classifier).failure
    assert bytearray(4 * 1024**2), "the limit ends with the training"


# ── Shadow ────────────────────────────────────────────────────────────────────────────────────
def receive(source: Source, count: int = 30) -> list[Item]:
    draw = random.Random(4)
    items = [send(source, sentence(draw, confirmed=at % 3 == 0)) for at in range(count)]
    for item in items:
        Item.objects.filter(pk=item.pk).update(received_at=Now() - timedelta(minutes=2))
    return items


def settle(version: ClassifierVersion) -> None:
    ClassifierVersion.objects.filter(pk=version.pk).update(
        scored_until=Now() - timedelta(minutes=10)
    )


def test_a_shadow_scores_everything_once_and_flags_nothing(
    version: ClassifierVersion, source: Source
) -> None:
    version = actions.choose_threshold(version, threshold=0.5, wanted_precision=0.8, actor=SYSTEM)
    actions.start_shadow(version, actor=SYSTEM)
    settle(version)
    items = receive(source)
    for item in items:
        jobs.scan_item(str(item.pk))
    assert not Flag.objects.filter(detector="classifier").exists()
    assert jobs.sweep_classifiers() == 1
    jobs.score_recent(str(version.pk))
    jobs.score_recent(str(version.pk))
    assert ScoreDay.objects.get().texts == 30
    assert sum(ScoreDay.objects.get().counts) == 30
    above = ScoredItem.objects.filter(version=version, is_above=True).count()
    assert 5 <= above <= 15
    assert jobs.sweep_classifiers() == 0


def test_two_workers_count_a_text_once(version: ClassifierVersion, source: Source) -> None:
    version = actions.start_shadow(version, actor=SYSTEM)
    since = version.scored_until
    assert since is not None
    scored = [(item.pk, item.received_at, 0.4) for item in receive(source, 3)]
    until = since + timedelta(minutes=1)
    assert actions.record_scores(version, since=since, until=until, scored=scored)
    assert not actions.record_scores(version, since=since, until=until, scored=scored)
    assert ScoreDay.objects.get().texts == 3


def test_the_sample_of_scores_is_bounded(
    version: ClassifierVersion, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions.scores, "SAMPLE", 5)
    actions.choose_threshold(version, threshold=0.1, wanted_precision=0.8, actor=SYSTEM)
    version = actions.start_shadow(version, actor=SYSTEM)
    since = version.scored_until
    assert since is not None
    items = receive(source, 12)
    scored = [
        (item.pk, since + timedelta(seconds=number), 0.9) for number, item in enumerate(items)
    ]
    actions.record_scores(version, since=since, until=since + timedelta(minutes=1), scored=scored)
    kept = set(ScoredItem.objects.values_list("item", flat=True))
    assert kept == {item.pk for item in items[-5:]}


def test_one_version_in_shadow_at_a_time(classifier: Classifier) -> None:
    supplied(classifier)
    first = actions.start_shadow(trained(classifier), actor=SYSTEM)
    second = actions.start_shadow(trained(classifier), actor=SYSTEM)
    first.refresh_from_db()
    assert (first.state, second.state) == (VersionState.TRAINED, VersionState.SHADOW)
    with pytest.raises(Refused):
        actions.start_shadow(second, actor=SYSTEM)
    actions.end_shadow(second, actor=SYSTEM)
    with pytest.raises(Refused):
        actions.end_shadow(second, actor=SYSTEM)


# ── Activation ────────────────────────────────────────────────────────────────────────────────
def test_an_active_version_flags_and_explains(
    version: ClassifierVersion, source: Source, lead: User
) -> None:
    version = active(version, second=lead)
    text = "a walk by the river, Markerword-Alpha, then rain"
    item = send(source, text)
    jobs.scan_item(str(item.pk))
    jobs.scan_item(str(item.pk))
    (flag,) = flagged_by(item)
    assert (flag.kind, flag.category) == (FlagKind.CLASSIFIER, "grooming")
    assert flag.classifier_version == version
    said = flag.evidence
    assert (said["classifier_version"], said["threshold"]) == (1, 0.5)
    strongest = max(said["terms"], key=lambda term: term["weight"])
    start, end = strongest["spans"][0]
    assert text[start:end].lower() == strongest["term"]
    assert strongest["term"] in {"markerword", "alpha"}
    assert [start, end] in said["spans"]
    assert "Marker texts" in flag.summary
    harmless = send(source, "a walk by the river, then rain")
    jobs.scan_item(str(harmless.pk))
    assert not flagged_by(harmless)


def test_a_classifier_looks_only_where_it_should_and_can_be_switched_off(
    source: Source, lead: User
) -> None:
    classifier = make(surfaces=["group_name"])
    supplied(classifier)
    active(trained(classifier), second=lead)
    assert not classifying.findings_in("markerword-alpha river", "profile_text")
    assert classifying.findings_in("markerword-alpha river", "group_name")
    actions.change_classifier(classifier, is_active=False, actor=SYSTEM)
    assert not classifying.findings_in("markerword-alpha river", "group_name")


def test_a_second_person_activates(classifier: Classifier, policy_admin: User, lead: User) -> None:
    supplied(classifier)
    version = trained(classifier, actor=policy_admin)
    other = make_person("Pia Pauli", Role.POLICY_ADMIN)
    asked = actions.ask_activation(version, threshold=0.7, wanted_precision=0.9, actor=other)
    with pytest.raises(Refused, match="waits already"):
        actions.ask_activation(version, threshold=0.7, wanted_precision=0.9, actor=policy_admin)
    for wrong, words in ((other, "asked for this yourself"), (policy_admin, "You trained this")):
        with pytest.raises(Refused, match=words):
            actions.approve_activation(asked, reference=[], actor=wrong)
        with pytest.raises(Refused, match=words):
            actions.decline_activation(asked, reason="no", actor=wrong)
    stranger = make_person("Ron Reed", Role.REVIEWER)
    with pytest.raises(PermissionDenied):
        actions.approve_activation(asked, reference=[], actor=stranger)
    version = actions.approve_activation(asked, reference=[1] * BINS, actor=lead)
    assert (version.state, version.threshold) == (VersionState.ACTIVE, 0.7)
    with pytest.raises(Refused, match="decided meanwhile: approved"):
        actions.approve_activation(asked, reference=[], actor=lead)
    assert events()[-1] == "hashing.activation.approved"


def test_whoever_brought_the_texts_is_not_the_second_person(
    classifier: Classifier, policy_admin: User, lead: User
) -> None:
    brought = make_person("Pia Pauli", Role.POLICY_ADMIN)
    training_set = supplied(classifier, actor=brought)
    version = trained(classifier, actor=policy_admin)
    asked = actions.ask_activation(version, threshold=0.7, wanted_precision=0.9, actor=policy_admin)
    actions.withdraw_training_set(training_set, actor=brought)  # It learned from them all the same.
    page = signed_in(Client(), brought).get(
        reverse("hashing:classifier_version", args=[version.pk])
    )
    assert "You imported texts that this version learned from" in page.text
    with pytest.raises(Refused, match="imported texts"):
        actions.approve_activation(asked, reference=[], actor=brought)
    assert actions.approve_activation(asked, reference=[1] * BINS, actor=lead).state == "active"


def test_one_person_does_not_let_an_approved_version_look_at_more(
    source: Source, policy_admin: User, lead: User
) -> None:
    classifier = make(surfaces=["group_name", "profile_name"])
    supplied(classifier)
    version = trained(classifier)

    def look_at(*surfaces: str) -> None:
        actions.change_classifier(classifier, surfaces=surfaces, actor=policy_admin)

    asked = actions.ask_activation(version, threshold=0.5, wanted_precision=0.8, actor=policy_admin)
    for more in ((), ("group_name", "profile_text")):
        with pytest.raises(Invalid, match="Two people let it flag"):
            look_at(*more)
    actions.approve_activation(asked, reference=[1] * BINS, actor=lead)
    with pytest.raises(Invalid, match="Two people let it flag"):
        look_at()
    look_at("group_name")
    actions.retire_active(version, reason="tried", actor=policy_admin)
    look_at("group_name", "profile_text")
    with pytest.raises(Refused, match="approved for fewer surfaces"):
        actions.roll_back(classifier, actor=policy_admin)
    assert not classifying.findings_in("markerword-alpha river", "profile_text")
    look_at("profile_name")
    actions.roll_back(classifier, actor=policy_admin)
    assert classifying.findings_in("markerword-alpha river", "profile_name")


def test_the_database_refuses_one_person_who_does_both(
    version: ClassifierVersion, lead: User
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Activation.objects.create(
            version=version,
            classifier=version.classifier,
            threshold=0.5,
            wanted_precision=0.5,
            state="approved",
            asked_by=lead,
            decided_by=lead,
        )


def test_requests_are_declined_with_a_reason_or_taken_back(
    version: ClassifierVersion, policy_admin: User, lead: User
) -> None:
    ask: dict[str, Any] = {"threshold": 0.5, "wanted_precision": 0.8, "actor": policy_admin}
    asked = actions.ask_activation(version, **ask)
    with pytest.raises(Invalid):
        actions.decline_activation(asked, reason=" ", actor=lead)
    actions.decline_activation(asked, reason="too few texts", actor=lead)
    asked = actions.ask_activation(version, **ask)
    other = make_person("Pia Pauli", Role.POLICY_ADMIN)
    with pytest.raises(Refused, match="Only who asked"):
        actions.withdraw_activation(asked, actor=other)
    with pytest.raises(PermissionDenied):
        actions.withdraw_activation(asked, actor=lead)
    actions.withdraw_activation(asked, actor=policy_admin)
    with pytest.raises(Refused):
        actions.approve_activation(asked, reference=[], actor=lead)
    version.refresh_from_db()
    assert version.state == VersionState.TRAINED


def test_a_threshold_is_chosen_before_and_asked_for_afterwards(
    version: ClassifierVersion, lead: User
) -> None:
    for wrong in (0.0, 1.1):
        with pytest.raises(Invalid):
            actions.choose_threshold(version, threshold=wrong, wanted_precision=0.8, actor=SYSTEM)
    version = active(version, second=lead)
    with pytest.raises(Refused, match="second person"):
        actions.choose_threshold(version, threshold=0.6, wanted_precision=0.8, actor=SYSTEM)
    version = active(version, second=lead, threshold=0.8)
    assert (version.state, version.threshold) == (VersionState.ACTIVE, 0.8)
    assert version.activations.filter(ended_at=None, state="approved").count() == 1


def test_roll_back_restores_the_version_before_at_its_threshold(
    classifier: Classifier, lead: User
) -> None:
    supplied(classifier)
    with pytest.raises(Refused, match="no earlier version"):
        actions.roll_back(classifier, actor=lead)
    first = active(trained(classifier), second=lead, threshold=0.4)
    second = active(trained(classifier), second=lead, threshold=0.6)
    first.refresh_from_db()
    assert first.state == VersionState.RETIRED
    back = actions.roll_back(classifier, actor=lead)
    second.refresh_from_db()
    assert (back.pk, back.state, back.threshold) == (first.pk, VersionState.ACTIVE, 0.4)
    assert second.state == VersionState.RETIRED
    with pytest.raises(Refused, match="no earlier version"):
        actions.roll_back(classifier, actor=lead)
    assert [version.number for version in classifying.active_versions()] == [1]
    assert events()[-1] == "hashing.classifier.rolled_back"


def test_a_stopped_classifier_can_be_rolled_back_to(version: ClassifierVersion, lead: User) -> None:
    version = active(version, second=lead)
    with pytest.raises(Invalid):
        actions.retire_active(version, reason="", actor=lead)
    actions.retire_active(version, reason="too many wrong flags", actor=lead)
    assert not classifying.active_versions()
    with pytest.raises(Refused):
        actions.retire_active(version, reason="again", actor=lead)
    back = actions.roll_back(version.classifier, actor=lead)
    assert (back.pk, back.state) == (version.pk, VersionState.ACTIVE)


# ── Damage ────────────────────────────────────────────────────────────────────────────────────
def damage(version: ClassifierVersion, how: str) -> None:
    assert version.blob is not None
    stored = Path(settings.STORAGES["vault"]["OPTIONS"]["location"]) / version.blob.storage_name
    data = stored.read_bytes()
    if how == "tampered":
        stored.chmod(0o600)
        stored.write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
    elif how == "truncated":
        stored.chmod(0o600)
        stored.write_bytes(data[: len(data) // 2])
    elif how == "gone":
        stored.unlink()
    else:
        ClassifierVersion.objects.filter(pk=version.pk).update(model_sha256="0" * 64)
    classifying.forget()


@pytest.mark.parametrize("how", ["tampered", "truncated", "gone", "foreign"])
def test_a_model_that_cannot_be_used_is_a_visible_flag_and_a_banner(
    version: ClassifierVersion, source: Source, lead: User, how: str
) -> None:
    version = active(version, second=lead)
    damage(version, how)
    item = send(source, "markerword-alpha by the river")
    jobs.scan_item(str(item.pk))
    item.refresh_from_db()
    (flag,) = flagged_by(item)
    assert flag.kind == FlagKind.COULD_NOT_SCAN
    assert "the classifier “Marker texts” cannot be used" in flag.summary
    assert item.scan_state == ScanState.PARTLY
    jobs.score_recent(str(version.pk))
    version.refresh_from_db()
    assert version.problem
    assert events()[-1] == "hashing.version.problem"
    with pytest.raises(Refused, match="cannot be used"):
        actions.ask_activation(version, threshold=0.5, wanted_precision=0.8, actor=SYSTEM)


# ── Drift ─────────────────────────────────────────────────────────────────────────────────────
def test_drift_is_seen_said_and_ends(
    version: ClassifierVersion, source: Source, lead: User
) -> None:
    version = active(version, second=lead)
    assert jobs.sweep_classifiers() == 1
    jobs.watch_drift(str(version.pk))
    version.refresh_from_db()
    assert version.drifting_since is None
    assert jobs.sweep_classifiers() == 0, "the next look comes in an hour"
    since = version.scored_until
    assert since is not None
    item = send(source, "rain")
    actions.record_scores(
        version,
        since=since,
        until=since + timedelta(minutes=1),
        scored=[(item.pk, item.received_at, 0.45)] * 600,
    )
    ClassifierVersion.objects.update(drift_due_at=Now())
    jobs.watch_drift(str(version.pk))
    version.refresh_from_db()
    assert version.drifting_since is not None
    assert "spread differently" in version.drift["reasons"][0]
    assert events()[-1] == "hashing.classifier.drifted"
    ScoreDay.objects.all().delete()
    ClassifierVersion.objects.update(drift_due_at=Now())
    jobs.watch_drift(str(version.pk))
    version.refresh_from_db()
    assert version.drifting_since is None
    assert events()[-1] == "hashing.classifier.steady"


def test_precision_is_watched_from_later_verdicts(
    version: ClassifierVersion, source: Source, lead: User
) -> None:
    version = active(version, second=lead)
    for number in range(24):
        item = send(source, "markerword-alpha by the river")
        jobs.scan_item(str(item.pk))
        decide(item, is_violation=number % 4 == 0)
    assert work.judged_flags(version) == (24, 6)
    jobs.watch_drift(str(version.pk))
    version.refresh_from_db()
    assert version.drift["reasons"] == [
        "People confirmed 6 of 24 of its flags (25%); 80% was wanted."
    ]


# ── Settings ──────────────────────────────────────────────────────────────────────────────────
def test_settings_are_checked_and_recorded(classifier: Classifier) -> None:
    for wrong in ({"name": " "}, {"category": "other"}, {"surfaces": ["nowhere"]}):
        with pytest.raises(Invalid):
            make(**{"name": "Another"} | wrong)
    for name in ("Marker texts", "日本"):
        with pytest.raises(Invalid):
            make(name)
    with pytest.raises(TypeError):
        actions.change_classifier(classifier, slug="x", actor=SYSTEM)
    actions.change_classifier(classifier, category="spam_other", actor=SYSTEM)
    actions.request_training(classifier, settings={}, actor=SYSTEM)
    with pytest.raises(Invalid, match="learned this category"):
        actions.change_classifier(classifier, category="grooming", actor=SYSTEM)
    assert "hashing.classifier.changed" in events()
