"""A database clock that is put back: whatever of detection waits for a time waits no longer than code lets it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import models
from django.db.models.functions import Now

from accounts.models import User
from core import vault
from core.leases import LEASE
from hashing.actions import pull_back_due_times
from hashing.models import (
    Classifier,
    ClassifierVersion,
    DetectorBreaker,
    DetectorSetting,
    Exchange,
    ExchangeReview,
    FileLookup,
    HashImport,
    HashList,
    IndexBuild,
    LinkImport,
    ListedVideo,
    PendingLook,
)
from tests.casework import Casework

pytestmark = pytest.mark.django_db
AN_HOUR = timedelta(hours=1)
Waiting = list[tuple[models.Model, str, timedelta]]


@pytest.fixture
def waiting(casework: Casework, admin: User) -> Waiting:
    """Return a row of each kind that was tried once, the field that says when it is due, and its wait."""
    blob = vault.hold(vault.store_bytes(b"markerword-alpha"))
    item = casework.report("invented-1", texts=["an invented sentence"]).items.get()
    known = HashList.objects.create(slug="known", name="Known", category="csam_known")
    detector = DetectorSetting.objects.create(name="invented", label="Invented")
    exchange = Exchange.objects.create(
        name="Invented", kind="file", hash_list=known, every_minutes=30
    )
    entry = known.entries.create(algorithm="md5", value="0" * 32)
    classifier = Classifier.objects.create(name="Invented", category="csam_known")
    begun = {"attempts": 1}
    file = {"kind": "image", "blob_staged_at": Now(), "expires_at": Now() + 9 * AN_HOUR}
    version = {"classifier": classifier, "number": 1}
    review = {"exchange": exchange, "entry": entry, "remote_id": "1", "is_violation": True}
    minute = timedelta(minutes=1)
    rows: Waiting = [
        (FileLookup(blob=blob, asked_by=admin, **file, **begun), "due_at", LEASE),
        (HashImport(hash_list=known, blob=blob, state="waiting", **begun), "due_at", LEASE),
        (HashImport(hash_list=known, blob=blob, state="reading", **begun), "due_at", LEASE),
        (ListedVideo(hash_list=known, blob=blob, **begun), "due_at", LEASE),
        (LinkImport(place="Invented", blob=blob, **begun), "due_at", LEASE),
        (ClassifierVersion(**version, **begun), "due_at", LEASE),
        (IndexBuild(reason="invented", **begun), "due_at", 2 * minute),
        (PendingLook(item=item, detector=detector, **begun), "due_at", minute),
        (ExchangeReview(**review, **begun), "due_at", 10 * minute),
        (DetectorBreaker(detector=detector, openings=2), "open_until", minute),
        (exchange, "due_at", 30 * minute),
        (exchange, "leased_until", LEASE),
    ]
    for row, _, _ in rows:
        if row is not exchange:
            row.save(force_insert=True)
    return rows


def due(row: models.Model, field: str) -> datetime:
    at: datetime = type(row)._base_manager.values_list(field, flat=True).get(pk=row.pk)
    return at


def is_due(row: models.Model, field: str) -> bool:
    return type(row)._base_manager.filter(pk=row.pk, **{f"{field}__lte": Now()}).exists()


def put(waiting: Waiting, *, back: timedelta) -> None:
    """Set every row's time as code does, by a clock that was put back afterwards."""
    for row, field, wait in waiting:
        type(row)._base_manager.filter(pk=row.pk).update(**{field: Now() + wait + back})


def test_times_that_code_sets_are_left_alone(waiting: Waiting) -> None:
    put(waiting, back=timedelta())
    before = [due(row, field) for row, field, _ in waiting]
    assert pull_back_due_times() == 0
    assert [due(row, field) for row, field, _ in waiting] == before


def test_whatever_waits_when_the_clock_goes_back_is_due(waiting: Waiting) -> None:
    put(waiting, back=AN_HOUR)
    assert pull_back_due_times() == len(waiting)
    assert [row for row, field, _ in waiting if not is_due(row, field)] == []


def test_whoever_asked_to_be_left_alone_for_a_day_is(waiting: Waiting) -> None:
    exchange = next(row for row, _, _ in waiting if isinstance(row, Exchange))
    Exchange.objects.filter(pk=exchange.pk).update(
        last_error="It asked to wait.", failures=1, due_at=Now() + 23 * AN_HOUR
    )
    assert pull_back_due_times() == 0
    Exchange.objects.filter(pk=exchange.pk).update(due_at=Now() + 30 * AN_HOUR)
    assert pull_back_due_times() == 1
    assert is_due(exchange, "due_at")
