"""Classifiers outside: what is sent, what counts as an answer, and what happens without one."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from accounts.models import User
from core.audit import SYSTEM
from core.errors import Invalid
from core.models import AuditEntry
from hashing import actions, jobs, opinions
from hashing.contract import FlagKind
from hashing.detectors import optional, switched
from hashing.models import (
    Category,
    DetectorBreaker,
    DetectorSetting,
    Flag,
    PendingLook,
)
from reports.models import Item, ScanState
from tests import pictures
from tests.hashing.classifier import RIGHT, Classifier
from tests.hashing.conftest import flags_of

Put = Callable[..., Item]


@pytest.fixture
def service(classifier: Classifier, admin: User) -> DetectorSetting:
    """Return a classifier outside that is set up, turned on and may open cases."""
    setting, secret = actions.create_external_detector(
        label="Stand-in",
        url=classifier.url,
        texts=True,
        seconds=5.0,
        failures=3,
        thresholds={"csam_suspected": 0.7},
        description=optional.EXTERNAL,
        actor=admin,
    )
    classifier.secret = secret
    assert not setting.is_on
    return actions.change_detector(setting, is_on=True, opens_cases=True, actor=admin)


def by(item: Item, setting: DetectorSetting) -> list[Flag]:
    return [flag for flag in flags_of(item) if flag.detector == setting.name]


def test_a_picture_goes_out_without_anything_about_persons(
    scanned: Put, service: DetectorSetting, classifier: Classifier
) -> None:
    item = scanned(pictures.jpeg(3, (1200, 600)))
    (flag,) = by(item, service)
    assert (flag.kind, flag.category, flag.score) == (
        FlagKind.CLASSIFIER,
        Category.CSAM_SUSPECTED,
        0.93,
    )
    assert flag.summary == (
        "“Stand-in” gives 0.93 of 1 for “Suspected abuse imagery” (counts from 0.70). "
        "It says: “a drawn shape”."
    )
    assert flag.evidence["model"] == "stand-in 3"
    (sent,) = classifier.requests
    assert set(sent) == {
        *("version", "id", "kind", "surface", "width", "height", "frames_total", "pictures")
    }
    assert sent["id"].startswith("itm_")
    assert str(item.pk) not in json.dumps(sent)
    assert (sent["width"], sent["height"], sent["surface"]) == (1200, 600, "profile_photo")
    (one,) = sent["pictures"]
    picture = Image.open(io.BytesIO(base64.b64decode(one["data"])))
    assert (picture.format, picture.size) == ("JPEG", (512, 256))
    assert not picture.getexif()
    assert classifier.bad == 0


def test_a_text_goes_out_as_it_is_and_nothing_found_is_nothing_found(
    scanned: Put, service: DetectorSetting, classifier: Classifier
) -> None:
    classifier.answer = {"results": []}
    item = scanned("an invented text")
    assert (item.scan_state, by(item, service)) == (ScanState.SCANNED, [])
    assert classifier.requests[0]["text"] == "an invented text"
    classifier.answer = {"results": [{"category": "csam_suspected", "score": 0.6}]}
    assert by(scanned("another text"), service) == [], "below its threshold"
    actions.change_detector(service, settings=service.settings | {"texts": False}, actor=SYSTEM)
    scanned("a third text")
    assert len(classifier.requests) == 2


def test_without_leave_to_open_cases_it_is_a_note(scanned: Put, service: DetectorSetting) -> None:
    actions.change_detector(service, opens_cases=False, actor=SYSTEM)
    (flag,) = by(scanned("an invented text"), service)
    assert (flag.kind, flag.category) == (FlagKind.NOTE, "")


@pytest.mark.parametrize(
    ("mood", "code", "words"),
    [
        ("garbage", "bad_answer", "not JSON"),
        ("error", "bad_answer", "status 500"),
        ("busy", "busy", "status 503"),
        ("redirect", "bad_answer", "redirect"),
        ("huge", "bad_answer", "larger than 64 KB"),
        ("unsigned", "bad_signature", "signature"),
        ("other_id", "bad_signature", "not signed for this request"),
        ("html", "bad_answer", "not JSON"),
        ("gzip", "bad_answer", "compressed"),
        ("slow", "too_slow", "No answer in time"),
    ],
)
def test_what_is_no_answer_is_never_no_match(
    scanned: Put,
    service: DetectorSetting,
    classifier: Classifier,
    mood: str,
    code: str,
    words: str,
) -> None:
    actions.change_detector(
        service, settings=service.settings | {"seconds": 0.5}, actor=SYSTEM
    ) if mood == "slow" else None
    classifier.mood = mood
    item = scanned("an invented text")
    (flag,) = by(item, service)
    assert (item.scan_state, flag.kind) == (ScanState.PARTLY, FlagKind.COULD_NOT_SCAN)
    assert flag.summary == (
        "The item could not be scanned: the classifier “Stand-in” is unavailable and is asked "
        "again later"
    )
    assert words in flag.evidence["detail"]
    breaker = DetectorBreaker.objects.get(detector=service)
    assert (breaker.last_code, breaker.failures) == (code, 1)
    assert PendingLook.objects.filter(item=item, detector=service).exists()
    assert classifier.asked == (2 if mood == "busy" else 1), "only what may pass is tried twice"


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"results": {}},
        {"results": [{"category": "unheard_of", "score": 0.5}]},
        {"results": [{"category": "grooming", "score": 1.5}]},
        {"results": [{"category": "grooming", "score": "0.5"}]},
        {"results": [{"category": "grooming", "score": True}]},
        {"results": [{"category": "grooming"}]},
        {"results": [{"category": "grooming", "score": 0.5}] * 2},
        {"results": [{"category": "grooming", "score": 0.5, "label": "x" * 101}]},
        {"results": [], "model": 7},
        {"results": [{"category": "grooming", "score": 0.1}] * 21},
        {"results": [{"category": "grooming", "score": 10**400}]},
    ],
)
def test_an_answer_that_is_not_understood_to_the_last_field_does_not_count(answer: Any) -> None:
    with pytest.raises(opinions.BadAnswer):
        opinions.read(answer, Category.values)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["results", "category", "score", "label", "model", "x"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_comes_back_is_an_opinion_or_refused(answer: Any) -> None:
    try:
        _, found = opinions.read(answer, Category.values)
    except opinions.BadAnswer:
        return
    assert all(0 <= each.score <= 1 and each.category in Category.values for each in found)


def test_a_service_that_fails_is_left_alone_and_its_items_are_scanned_when_it_is_back(
    scanned: Put, service: DetectorSetting, classifier: Classifier
) -> None:
    classifier.mood = "error"
    items = [scanned(f"text {number}") for number in range(5)]
    assert classifier.asked == 3, "after three failures it is not asked any more"
    assert PendingLook.objects.filter(detector=service).count() == 5
    assert all(by(item, service)[0].kind == FlagKind.COULD_NOT_SCAN for item in items)
    classifier.mood = "right"

    def time_passes() -> None:
        PendingLook.objects.update(due_at=Now())
        DetectorBreaker.objects.filter(open_until__isnull=False).update(
            open_until=Now() - timedelta(seconds=1)
        )

    time_passes()
    assert jobs.sweep_pending_looks() == 1, "one probe"
    for _ in range(2):
        for pk in Item.objects.filter(scan_state=ScanState.WAITING).values_list("pk", flat=True):
            jobs.scan_item(str(pk))
        time_passes()
        jobs.sweep_pending_looks()
    for item in items:
        item.refresh_from_db()
        jobs.scan_item(str(item.pk))
        assert by(item, service)[0].kind == FlagKind.CLASSIFIER
    assert not PendingLook.objects.exists()


def test_private_addresses_are_refused_unless_the_operator_allows_them(
    admin: User, settings: Any, scanned: Put, service: DetectorSetting, classifier: Classifier
) -> None:
    settings.HOLDFAST_CLASSIFIER_ALLOW_PRIVATE = False
    for url in (classifier.url, "https://10.0.0.7/x", "https://[::1]/x", "ftp://a.example", ""):
        with pytest.raises(Invalid) as invalid:
            actions.create_external_detector(
                label="Other", url=url, description=optional.EXTERNAL, actor=admin
            )
        assert set(invalid.value.errors) == {"url"}
    switched.forget()
    (flag,) = by(scanned("an invented text"), service)
    assert "Not contacted" in flag.evidence["detail"]
    assert classifier.asked == 0


def test_a_new_secret_counts_at_once_and_is_kept_sealed(
    scanned: Put, service: DetectorSetting, classifier: Classifier, admin: User
) -> None:
    service, secret = actions.rotate_detector_secret(service, actor=admin)
    assert secret.encode() not in bytes(service.sealed_secret or b"")
    assert by(scanned("one"), service)[0].kind == FlagKind.COULD_NOT_SCAN
    assert classifier.bad == 1
    classifier.secret = secret
    assert by(scanned("two"), service)[0].kind == FlagKind.CLASSIFIER
    assert actions.reseal_detector_secrets() == 1
    assert actions.detector_secret(DetectorSetting.objects.get(pk=service.pk)) == secret
    told = json.dumps(list(AuditEntry.objects.values_list("data", flat=True)))
    assert secret not in told
    assert classifier.url not in told


def test_the_same_item_has_the_same_pseudonym_and_each_request_its_own_id(
    scanned: Put, service: DetectorSetting, classifier: Classifier
) -> None:
    classifier.answer = RIGHT | {"results": []}
    item = scanned("an invented text")
    from reports.actions import record_scan_state

    record_scan_state(item, ScanState.WAITING)
    jobs.scan_item(str(item.pk))
    first, second = classifier.requests
    assert first["id"] == second["id"]
    assert len(set(classifier.ids)) == 2
