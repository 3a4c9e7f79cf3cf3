"""HEIC: off with a visible reason, or turned into JPEG by the system's converter in the sandbox."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import pillow_heif
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.models.functions import Now
from django.test import override_settings

from config.env import env_program
from hashing import checks, heic, images, jobs
from hashing.actions import mended as actions_mended
from hashing.images import CannotDecode, Limits
from hashing.jobs import mended
from hashing.models import FlagKind
from reports.models import Item, ItemKind, ScanState
from tests import pictures
from tests.hashing.conftest import Put, flags_of
from tests.machine import heif_converter

PHOTO = pictures.draw(31)


@pytest.fixture
def switched_on(settings: Any) -> None:
    heif_converter()
    settings.HOLDFAST_HEIC = "1"


def album(count: int) -> bytes:
    """Return a HEIC file of several pictures."""
    first, *rest = [pictures.draw(60 + number, (96, 64)).convert("RGB") for number in range(count)]
    file = pillow_heif.from_pillow(first)
    for each in rest:
        file.add_from_pillow(each)
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def test_it_is_off_and_the_item_says_so_to_a_person(scanned: Put) -> None:
    item = scanned(pictures.heic(PHOTO), "image/heic")
    (flag,) = flags_of(item)
    assert (item.kind, item.scan_state) == (ItemKind.IMAGE, ScanState.PARTLY)
    assert flag.kind == FlagKind.COULD_NOT_SCAN
    assert flag.summary == "The picture could not be scanned: HEIC is not switched on here"


@pytest.mark.usefixtures("switched_on")
def test_what_came_in_before_it_was_switched_on_is_looked_at_again(
    scanned: Put, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mended, "is_time_for", lambda name, seconds: True)
    settings.HOLDFAST_HEIC = ""
    before = [scanned(pictures.heic(pictures.draw(number)), "image/heic") for number in (31, 32)]
    other = scanned(b"no picture at all", "image/png")
    Item.objects.update(scanned_at=Now() - timedelta(hours=2))  # Time passes.
    assert jobs.sweep_mended() == 0

    settings.HOLDFAST_HEIC = "1"
    monkeypatch.setattr(actions_mended, "BATCH", 1)
    assert [jobs.sweep_mended() for _ in range(3)] == [1, 1, 0]
    for item in before:
        jobs.scan_item(str(item.pk))
        item.refresh_from_db()
        assert item.scan_state == ScanState.SCANNED
        assert not item.flags.filter(superseded_at=None).exists()
    Item.objects.update(scanned_at=Now() - timedelta(hours=2))
    assert jobs.sweep_mended() == 0
    other.refresh_from_db()
    assert other.scan_state != ScanState.WAITING


@pytest.mark.usefixtures("switched_on")
def test_an_item_whose_worker_has_no_converter_yet_is_not_asked_all_the_time(
    scanned: Put, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mended, "is_time_for", lambda name, seconds: True)
    settings.HOLDFAST_HEIC = ""
    scanned(pictures.heic(PHOTO), "image/heic")
    settings.HOLDFAST_HEIC = "1"
    assert jobs.sweep_mended() == 0
    Item.objects.update(scanned_at=Now() - timedelta(hours=2))
    assert jobs.sweep_mended() == 1


@pytest.mark.usefixtures("switched_on")
def test_switched_on_a_photo_is_hashed_like_its_jpeg() -> None:
    photo = images.digest(pictures.heic(PHOTO))
    listed = images.digest(pictures.encode(PHOTO)).digests[0]
    assert (photo.format, photo.width, photo.height, photo.frames_total) == ("HEIF", 640, 480, 1)
    assert (int(photo.digests[0].pdq, 16) ^ int(listed.pdq, 16)).bit_count() <= 10


@pytest.mark.usefixtures("switched_on")
def test_each_picture_of_a_file_with_several_is_looked_at() -> None:
    looked = images.decode(album(3), algorithms=images.USUAL)
    assert looked.frames_total == 3
    assert [frame.index for frame in looked.frames] == [0, 1, 2]
    assert [each.frame for each in looked.digests] == [0, 1, 2]
    assert len({each.pdq for each in looked.digests}) == 3


@pytest.mark.usefixtures("switched_on")
@pytest.mark.parametrize(
    "data",
    [pictures.heic(PHOTO)[:3000], pictures.heic(PHOTO)[:40] + bytes(900)],
    ids=["cut off", "emptied"],
)
def test_what_the_converter_cannot_read_is_never_no_match(data: bytes) -> None:
    with pytest.raises(CannotDecode) as refused:
        images.decode(data)
    assert refused.value.code == "heic_failed"


@pytest.mark.usefixtures("switched_on")
def test_a_file_with_more_pictures_than_are_looked_at_says_so() -> None:
    looked = images.digest(album(heic.MOST_PICTURES + 1))
    assert len(looked.frames) == heic.MOST_PICTURES
    assert looked.problem == "only the first 16 of its pictures were looked at"


@pytest.mark.usefixtures("switched_on")
def test_the_limits_of_a_picture_hold_for_it_too() -> None:
    with pytest.raises(CannotDecode) as refused:
        images.decode(pictures.heic(PHOTO), limits=Limits(pixels=1000))
    assert refused.value.code == "too_many_pixels"


@pytest.mark.usefixtures("switched_on")
def test_the_version_of_the_distributions_package_is_shown() -> None:
    found = heic.converter()
    assert found is not None
    assert re.match(r"\d+\.\d+\.\d+", found.version)


@override_settings(HOLDFAST_HEIC="/nowhere/heif-convert")
def test_a_converter_that_is_not_there_is_named_at_the_start_and_on_the_item(scanned: Put) -> None:
    (error,) = checks.heic_converter_is_there()
    assert (error.id, "/nowhere/heif-convert" in error.msg) == ("hashing.E003", True)
    (flag,) = flags_of(scanned(pictures.heic(PHOTO), "image/heic"))
    assert flag.evidence["code"] == "heic_missing"


def test_the_setting_is_yes_no_or_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, meant in (
        ("", ""),
        ("0", ""),
        ("1", "1"),
        ("/usr/bin/heif-dec", "/usr/bin/heif-dec"),
    ):
        monkeypatch.setenv("HOLDFAST_HEIC", said)
        assert env_program("HOLDFAST_HEIC") == meant
    monkeypatch.setenv("HOLDFAST_HEIC", "heif-dec")
    with pytest.raises(ImproperlyConfigured):
        env_program("HOLDFAST_HEIC")
