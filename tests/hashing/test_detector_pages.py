"""The pages of detectors, through HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.models import AuditEntry, Blob
from hashing import actions, charts, detector_forms, health, jobs
from hashing.detectors import optional
from hashing.models import DetectorSetting, DetectorTrial, PendingLook
from hashing.settings_schema import BadSchema, Setting, parse
from reports.models import Item
from tests import pictures
from tests.cast import signed_in
from tests.hashing.classifier import Classifier

Put = Callable[..., Item]


@pytest.fixture
def editor(client: Client, policy_admin: User) -> Client:
    jobs.sweep_detectors()
    return signed_in(client, policy_admin)


def page_of(name: str, what: str = "detector") -> str:
    return reverse(f"hashing:{what}", args=[name])


def test_every_detector_is_listed_with_its_state_and_the_last_hour(
    editor: Client, scanned: Put
) -> None:
    health.forget()
    scanned(pictures.jpeg(3))
    scanned(pictures.bomb_png())
    health.flush(at_once=True)
    page = editor.get(reverse("hashing:detectors")).text
    assert "Known image" in page
    assert "Always on" in page
    assert "Nudity (open_nsfw)" in page
    assert re.search(r'class="num"><span class="strong">1</span>', page), (
        "one could not be looked at"
    )
    fragment = editor.get(reverse("hashing:detectors"), headers={"HX-Request": "true"}).text
    assert fragment.lstrip().startswith('<div class="stack" id="detectors"')
    detail = editor.get(page_of("known_image")).text
    assert "2 items in 24 hours" not in detail
    assert "1 items in 24 hours, 1 more could not be looked at" in detail
    assert "Could not look: too many pixels" in detail
    assert "<svg" in detail
    assert "style=" not in detail


def test_a_detector_is_turned_on_set_and_turned_off(editor: Client) -> None:
    assert "nudity alone is not abuse" in editor.get(page_of("nudity")).text
    answer = editor.post(page_of("nudity", "detector_switch"), {"on": "1"}, follow=True)
    assert "is on: it looks at every item" in answer.text
    assert DetectorSetting.objects.get(name="nudity").is_on
    form = editor.get(page_of("nudity", "detector_edit")).text
    assert "Frames of an animation" in form
    said = {"label": "Nudity", "own_frames": 2, "threshold_csam_suspected": 0.7, "version": 2}
    answer = editor.post(page_of("nudity", "detector_edit"), said | {"own_frames": 99})
    assert answer.status_code == 422
    assert "less than or equal to 16" in answer.text
    answer = editor.post(page_of("nudity", "detector_edit"), said, follow=True)
    assert "It counts within seconds" in answer.text
    assert "frames: 4 → 2" in answer.text
    setting = DetectorSetting.objects.get(name="nudity")
    assert (setting.settings, setting.thresholds) == ({"frames": 2}, {"csam_suspected": 0.7})
    answer = editor.post(page_of("nudity", "detector_edit"), said)
    assert answer.status_code == 409
    assert "Somebody changed this detector meanwhile" in answer.text
    editor.post(page_of("nudity", "detector_switch"), {"on": "0"})
    assert not DetectorSetting.objects.get(name="nudity").is_on


def test_a_picture_is_tried_by_a_worker_and_kept_for_nobody(editor: Client) -> None:
    file = SimpleUploadedFile("x.jpg", pictures.jpeg(3), "image/jpeg")
    answer = editor.post(
        page_of("nudity", "detector_try"),
        {"file": file, "surface": "profile_photo"},
        headers={"HX-Request": "true"},
    )
    assert "A worker looks at it" in answer.text
    assert 'hx-trigger="every 1s"' in answer.text
    trial = DetectorTrial.objects.get()
    assert jobs.sweep_trials() == 1
    jobs.try_detector(str(trial.pk))
    done = editor.get(reverse("hashing:detector_trial", args=[trial.pk])).text
    assert "It finds nothing" in done
    assert "hx-trigger" not in done
    from core.vault import unreferenced

    assert unreferenced().filter(pk=trial.blob_id).exists()
    assert Blob.objects.count() == 1
    assert AuditEntry.objects.filter(event="hashing.detector.tried").exists()


def test_a_text_is_tried_without_a_script_too(editor: Client) -> None:
    actions.create_term_list(
        name="Markers", category="grooming", terms="markerword-alpha", actor=SYSTEM
    )
    answer = editor.post(
        page_of("terms", "detector_try"), {"text": "a markerword-alpha", "surface": "profile_text"}
    )
    trial = DetectorTrial.objects.get()
    assert f"trial={trial.pk}" in answer.headers["Location"]
    jobs.try_detector(str(trial.pk))
    assert "markerword-alpha" in editor.get(answer.headers["Location"]).text
    empty = editor.post(page_of("terms", "detector_try"), {"surface": "profile_text"})
    assert empty.status_code == 422
    assert "Give something to look at" in empty.text


def test_a_trial_is_seen_by_who_asked_for_it_alone(
    editor: Client, client: Client, lead: User, policy_admin: User
) -> None:
    editor.post(page_of("terms", "detector_try"), {"text": "x", "surface": "profile_text"})
    trial = DetectorTrial.objects.get()
    signed_in(client, lead)
    assert client.get(reverse("hashing:detector_trial", args=[trial.pk])).status_code == 404


def test_a_trial_that_never_ends_is_ended_with_a_sentence(editor: Client) -> None:
    editor.post(page_of("terms", "detector_try"), {"text": "x", "surface": "profile_text"})
    trial = DetectorTrial.objects.get()
    DetectorTrial.objects.update(attempts=2)
    jobs.try_detector(str(trial.pk))
    page = editor.get(reverse("hashing:detector_trial", args=[trial.pk])).text
    assert "It began twice and never came to an end." in page
    assert jobs.sweep_trials() == 0


def test_a_classifier_outside_is_set_up_tried_paused_and_asked_again(
    editor: Client, classifier: Classifier, scanned: Put
) -> None:
    address = reverse("hashing:detector_new")
    assert "It is off and asked nothing" in editor.get(address).text
    thresholds = {f"threshold_{name}": 0.5 for name in optional.EXTERNAL["categories"]}
    said = thresholds | {
        "label": "Stand-in",
        "own_url": classifier.url,
        "own_texts": "on",
        "own_frames": 4,
        "own_seconds": 5,
        "own_failures": 1,
        "own_signed_answers": "on",
    }
    wrong = editor.post(address, said | {"own_url": "ftp://x.example/"})
    assert wrong.status_code == 422
    assert "must start with" in wrong.text
    answer = editor.post(address, said)
    assert answer.headers["Cache-Control"] == "no-store"
    classifier.secret = re.search(r"whsec_[A-Za-z0-9+/=]+", answer.text)[0]  # type: ignore[index]
    assert classifier.asked == 0
    name = "external.stand-in"
    editor.post(page_of(name, "detector_switch"), {"on": "1"})
    classifier.mood = "error"
    item = scanned("an invented text")
    page = editor.get(page_of(name)).text
    assert "Paused after 1 failure in a row" in page
    assert "It answered with status 500." in page
    assert "One item waits for it" in page
    assert classifier.url not in page
    classifier.mood = "right"
    answer = editor.post(page_of(name, "detector_again"), follow=True)
    assert "One item is scanned again when it answers" in answer.text
    assert jobs.sweep_pending_looks() == 1
    jobs.scan_item(str(item.pk))
    assert not PendingLook.objects.exists()
    assert "Paused after" not in editor.get(page_of(name)).text
    rotated = editor.post(page_of(name, "detector_secret")).text
    assert classifier.secret not in rotated
    assert "whsec_" in rotated


def test_the_help_of_a_plug_in_is_text_and_no_markup() -> None:
    field = detector_forms.field_of(
        Setting(name="a", label="A", kind="bool", default=True, help="<b onclick=x>")
    )
    assert field.help_text == "&lt;b onclick=x&gt;"


@pytest.mark.parametrize(
    "described",
    [
        "text",
        [{}],
        [{"name": "A", "kind": "bool", "default": True}],
        [{"name": "a", "kind": "int", "default": 1.5}],
        [{"name": "a", "kind": "int", "default": 9, "maximum": 8}],
        [{"name": "a", "kind": "float", "default": float("nan")}],
        [{"name": "a", "kind": "choice", "default": "x", "choices": ["y"]}],
        [{"name": "a", "kind": "text", "default": "x" * 201}],
        [{"name": "a", "kind": "bool", "default": True}] * 2,
        [{"name": f"a{n}", "kind": "bool", "default": True} for n in range(31)],
    ],
)
def test_a_description_of_settings_that_does_not_fit_is_refused(described: object) -> None:
    with pytest.raises(BadSchema):
        parse(described)


def test_scales_and_times_are_round() -> None:
    assert [charts.nice(value) for value in (0, 3, 12, 480, 501)] == [1, 5, 20, 500, 1000]
    spoken = [charts.spoken(value) for value in (0.84, 12.3, 3400, 600_000, 9_000_000, None)]
    assert spoken == ["0.8 ms", "12 ms", "3.4 s", "10 min", "2 h", "–"]
