"""The pages of classifiers, through HTTP: from an import to a version that flags, and back."""

from __future__ import annotations

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.models import AuditEntry
from hashing import actions, classifying, jobs, labelled
from hashing.models import Activation, Classifier, ClassifierVersion, TrainingSet, VersionState
from reports.models import Source
from tests.cast import signed_in
from tests.hashing.classifying import active, make, rows, send, supplied, trained

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget_models() -> None:
    classifying.forget()


@pytest.fixture
def editor(client: Client, policy_admin: User) -> Client:
    return signed_in(client, policy_admin)


@pytest.fixture
def second(lead: User) -> Client:
    return signed_in(Client(), lead)


@pytest.fixture
def version(policy_admin: User) -> ClassifierVersion:
    classifier = make()
    supplied(classifier)
    return trained(classifier, actor=policy_admin)


def page(name: str, *arguments: object) -> str:
    return reverse(f"hashing:{name}", args=arguments)


def texts(data: bytes, name: str = "texts.ndjson") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "application/x-ndjson")


def test_from_an_import_to_a_version_that_flags(
    editor: Client, second: Client, source: Source
) -> None:
    assert "No classifier yet" in editor.get(page("classifiers")).text
    said = {"name": "Marker texts", "category": "grooming", "description": "Invented markers"}
    editor.post(page("classifier_new"), said)
    classifier = Classifier.objects.get()
    assert "No version yet" in editor.get(page("classifier", classifier.pk)).text
    assert "too little to learn from" in editor.get(page("classifier_train", classifier.pk)).text

    file = texts(labelled.to_store(rows()))
    answer = editor.post(page("classifier_import", classifier.pk), {"file": file}, follow=True)
    assert "texts were kept" in answer.text
    answer = editor.post(
        page("classifier_train", classifier.pk),
        {"use_imported": "on", "holdout_share": "0.25", "strength": "8", "calibration": "auto"},
    )
    version = ClassifierVersion.objects.get()
    address = page("classifier_version", version.pk)
    assert answer["Location"] == address
    assert "Waiting for a worker" in editor.get(address).text
    progress = editor.get(page("classifier_progress", version.pk))
    assert 'hx-trigger="every 2s"' in progress.text
    assert editor.post(page("classifier_train", classifier.pk), {}).status_code == 422

    jobs.train_classifier(str(version.pk))
    assert editor.get(page("classifier_progress", version.pk))["HX-Redirect"] == address
    card = editor.get(address).text
    for words in ("Average precision", "Brier score", "Limits", "Language en", "markerword"):
        assert words in card
    assert card.count('<svg class="plot__drawing"') == 3
    assert "No text scored yet" in card

    preview = editor.get(page("classifier_threshold", version.pk), {"precision": "80"}).text
    assert 'name="precision" value="80.0"' in preview
    chosen = editor.post(page("classifier_choose", version.pk), {"precision": "80"}, follow=True)
    assert "this version would flag" in chosen.text
    assert "flags nothing" in editor.post(page("classifier_shadow", version.pk), follow=True).text
    asked = editor.post(
        page("classifier_ask", version.pk), {"precision": "80", "reason": "good"}, follow=True
    )
    assert "A second person has to approve it now" in asked.text
    assert "Approve" not in asked.text
    activation = Activation.objects.get()
    own = editor.post(page("activation_approve", activation.pk))
    assert own.status_code == 409
    assert "You asked for this yourself" in own.text

    assert "Waits for a second person" in second.get(page("classifiers")).text
    assert "Approve" in second.get(address).text
    done = second.post(page("activation_approve", activation.pk), follow=True)
    assert "flags from the next text on" in done.text
    assert second.post(page("activation_approve", activation.pk)).status_code == 409
    item = send(source, "a walk with markerword-alpha")
    jobs.scan_item(str(item.pk))
    assert "Recent flags" in second.get(address).text
    assert "Version 1" in second.get(page("classifiers")).text


def test_a_text_is_tried_and_explained_and_not_kept(
    editor: Client, version: ClassifierVersion
) -> None:
    address = page("classifier_try", version.classifier_id)
    assert "version 1 says" in editor.get(address).text
    answer = editor.post(
        address, {"text": "the river and Markerword-Beta"}, headers={"HX-Request": "true"}
    )
    assert answer.text.lstrip().startswith('<section class="stack" id="trial"')
    assert "<mark>Markerword</mark>" in answer.text
    assert "The weights add up to" in answer.text
    assert editor.post(address, {"text": ""}).status_code == 422
    line = AuditEntry.objects.get(event="hashing.classifier.tried")
    assert "river" not in json.dumps(line.data)
    empty = make("Another")
    assert "No version yet" in editor.get(page("classifier_try", empty.pk)).text


def test_a_model_that_cannot_be_used_is_said_where_it_matters(
    editor: Client, version: ClassifierVersion, lead: User
) -> None:
    version = active(version, second=lead)
    ClassifierVersion.objects.filter(pk=version.pk).update(model_sha256="0" * 64)
    classifying.forget()
    tried = editor.post(page("classifier_try", version.classifier_id), {"text": "rain"})
    assert tried.status_code == 422
    assert "not the one that the training stored" in tried.text
    jobs.score_recent(str(version.pk))
    assert "A model cannot be used" in editor.get(page("classifiers")).text
    for name, key in (("classifier", version.classifier_id), ("classifier_version", version.pk)):
        assert "cannot be used" in editor.get(page(name, key)).text


def test_drift_is_a_banner_with_reasons(
    editor: Client, version: ClassifierVersion, lead: User, source: Source
) -> None:
    version = active(version, second=lead)
    for _ in range(20):
        item = send(source, "markerword-alpha by the river")
        jobs.scan_item(str(item.pk))
        actions.record_verdicts([item], decision=item.pk, is_violation=False, category="grooming")
    jobs.watch_drift(str(version.pk))
    assert "The active version drifts" in editor.get(page("classifiers")).text
    words = "People confirmed 0 of 20 of its flags"
    for name, key in (("classifier", version.classifier_id), ("classifier_version", version.pk)):
        assert words in editor.get(page(name, key)).text


def test_rolling_back_takes_one_click(second: Client, lead: User) -> None:
    classifier = make()
    supplied(classifier)
    active(trained(classifier), second=lead, threshold=0.4)
    active(trained(classifier), second=lead, threshold=0.6)
    assert "Roll back" in second.get(page("classifier", classifier.pk)).text
    answer = second.post(page("classifier_roll_back", classifier.pk), follow=True)
    assert "Version 1 flags again" in answer.text
    assert "Roll back" not in answer.text
    assert second.post(page("classifier_roll_back", classifier.pk)).status_code == 409


def test_a_version_is_stopped_and_a_request_declined_with_a_reason(
    second: Client, editor: Client, version: ClassifierVersion, lead: User
) -> None:
    asked = actions.ask_activation(version, threshold=0.5, wanted_precision=0.8, actor=SYSTEM)
    address = page("activation_decline", asked.pk)
    assert "Decline version 1" in second.get(address).text
    assert second.post(address, {"reason": ""}).status_code == 422
    assert "too few" in second.post(address, {"reason": "too few"}, follow=True).text
    stop = page("classifier_stop", active(version, second=lead).pk)
    assert second.get(stop).status_code == 200
    assert second.post(stop, {"reason": ""}).status_code == 422
    assert "flags nothing from now on" in second.post(stop, {"reason": "noise"}, follow=True).text
    assert second.post(stop, {"reason": "noise"}).status_code == 409


def test_a_request_is_taken_back_by_who_asked(editor: Client, version: ClassifierVersion) -> None:
    editor.post(page("classifier_ask", version.pk), {"precision": "70"})
    asked = Activation.objects.get()
    assert "taken back" in editor.post(page("activation_withdraw", asked.pk), follow=True).text
    assert editor.post(page("activation_withdraw", asked.pk)).status_code == 409


def test_a_precision_that_no_threshold_reaches_is_said(
    editor: Client, version: ClassifierVersion
) -> None:
    curve = [[0.9, 6, 10], [0.1, 30, 100]]
    ClassifierVersion.objects.update(metrics=version.metrics | {"curve": curve})
    preview = editor.get(page("classifier_threshold", version.pk), {"precision": "95"}).text
    assert "No threshold reaches 95 %" in preview
    assert "60 %" in preview
    for name in ("classifier_choose", "classifier_ask"):
        answer = editor.post(page(name, version.pk), {"precision": "95"})
        assert answer.status_code == 409
        assert "choose a lower precision" in answer.text
    odd = editor.get(page("classifier_threshold", version.pk), {"precision": "a lot"})
    assert odd.status_code == 200


def test_bad_rows_and_bad_files_are_answered_at_the_field(editor: Client) -> None:
    classifier = make()
    address = page("classifier_import", classifier.pk)
    bad = texts(b"text,label\nrain,maybe\nriver,yes\n", "bad.csv")
    answer = editor.post(address, {"file": bad})
    assert answer.status_code == 422
    assert "Nothing was kept: 1 bad row" in answer.text
    assert "“maybe” is not a label" in answer.text
    assert not TrainingSet.objects.exists()
    bad.seek(0)
    kept = editor.post(address, {"file": bad, "skip_bad_rows": "on"}, follow=True)
    assert "1 bad rows were left out" in kept.text
    left = editor.post(page("training_set_withdraw", TrainingSet.objects.get().pk), follow=True)
    assert "left out of later trainings" in left.text
    for data in (b"", b"\xff\xfe", b"a,b\n1,2\n"):
        assert editor.post(address, {"file": texts(data)}).status_code == 422


def test_settings_are_changed_and_a_failed_training_says_why(editor: Client) -> None:
    classifier = make()
    address = page("classifier_edit", classifier.pk)
    said = {"name": "Other", "category": "grooming", "surfaces": ["group_name"]}
    assert editor.post(address, said | {"name": ""}).status_code == 422
    assert editor.post(address, said).status_code == 302
    assert "Switched off" in editor.get(page("classifiers")).text
    version = trained(classifier)
    assert version.state == VersionState.FAILED
    assert "at least 40 are needed" in editor.get(page("classifier_version", version.pk)).text
    assert editor.get(page("classifier_threshold", version.pk)).status_code == 409
    assert editor.get(page("classifier_ask", version.pk)).status_code == 409


def test_the_weights_of_the_table_add_up(editor: Client, version: ClassifierVersion) -> None:
    address = page("classifier_try", version.classifier_id)
    shown = editor.post(address, {"text": "markerword-alpha"}).text
    numbers = [float(each) for each in re.findall(r'<td class="num">\+?(-?\d+\.\d+)</td>', shown)]
    total = re.search(r"add up to (-?\d+\.\d+)", shown)
    assert total is not None
    assert sum(numbers) == pytest.approx(float(total[1]), abs=0.05)
