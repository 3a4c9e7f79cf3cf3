"""A full disk: said in words, nothing left half, and work that goes on by itself when there is room."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.core.files.storage import storages
from django.db import OperationalError, connection
from django.test import Client

from core import disk, vault
from core.errors import DiskFull
from core.jobs import JobFailed, run_now, run_sweeps
from core.models import Blob
from core.sweeps import sweep_half_written
from core.vault import folder
from hashing import jobs as scanning
from moderation.models import Preview
from reports.models import Item, Report, ScanState
from tests.pictures import jpeg
from tests.reports.conftest import Platform, problem_of
from tests.small_disk import SmallDisk, files_below, put_store, small_disk

pytestmark = pytest.mark.django_db


@pytest.fixture
def vault_disk(tmp_path: Path, settings: Any) -> Iterator[SmallDisk]:
    """Put the vault on a disk of its own."""
    with small_disk(tmp_path / "vault-disk") as small:
        put_store(settings, "vault", small.folder)
        settings.HOLDFAST_DISK_RESERVE_BYTES = 0
        yield small


def a_report_with(picture: bytes) -> dict[str, Any]:
    import json

    from django.core.files.uploadedfile import SimpleUploadedFile

    document = {
        "subject": {"account": "user-1"},
        "reason": "grooming",
        "items": [{"surface": "reported_message", "file": "photo"}],
    }
    return {
        "report": json.dumps(document),
        "photo": SimpleUploadedFile("photo.jpg", picture, content_type="image/jpeg"),
    }


# ── Uploads ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("size", [200_000, 3_000_000], ids=["in memory", "in a temporary file"])
def test_an_upload_on_a_full_disk_says_so_leaves_nothing_and_is_taken_later(
    platform: Platform,
    vault_disk: SmallDisk,
    size: int,
) -> None:
    picture = jpeg(1, (64, 64)) + os.urandom(size)
    vault_disk.fill()
    for _ in range(3):
        answer = platform.form("/reports", a_report_with(picture))
        document = problem_of(answer, 503)
        assert document["code"] == "disk_full"
        assert "The disk that holds the stored originals is full." in document["detail"]
        assert int(answer["Retry-After"]) == 60
    assert files_below(vault_disk.folder) == []
    assert not Blob.objects.exists()
    assert not Report.objects.exists()
    health = platform.client.get("/healthz")
    assert health.status_code == 200
    assert health.json()["status"] == "degraded"
    assert "the stored originals" in health.json()["disk"]
    vault_disk.free()
    assert platform.form("/reports", a_report_with(picture)).status_code == 201
    assert len(files_below(vault_disk.folder)) == 1


def test_uploads_stop_while_a_database_on_the_same_disk_still_has_room(
    platform: Platform,
    vault_disk: SmallDisk,
    settings: Any,
) -> None:
    settings.HOLDFAST_DISK_RESERVE_BYTES = 1 << 50
    document = problem_of(platform.form("/reports", a_report_with(jpeg(1, (64, 64)))), 503)
    assert document["code"] == "disk_full"
    assert files_below(vault_disk.folder) == []
    assert "the stored originals" in platform.client.get("/healthz").json()["disk"]


def test_putting_back_a_lost_original_leaves_nothing_when_its_row_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blob = vault.store_bytes(b"lost and sent again")
    storages["vault"].delete(blob.storage_name)
    before = files_below(Path(storages["vault"].path("")))

    def full(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("full") from psycopg.errors.DiskFull()

    monkeypatch.setattr("core.vault.receiving.audit.record", full)
    with pytest.raises(OperationalError):
        vault.store_bytes(b"lost and sent again")
    assert files_below(Path(storages["vault"].path(""))) == before


def test_what_a_killed_process_left_half_written_is_swept(tmp_path: Path, settings: Any) -> None:
    put_store(settings, "vault", tmp_path / "vault")
    blob = vault.store_bytes(b"whole")
    aside = tmp_path / "vault" / folder.INCOMING
    old, young = aside / "left-by-a-kill", aside / "being-written"
    for part in (old, young):
        part.write_bytes(b"half")
    long_ago = time.time() - folder.LEFT_AFTER - 60
    os.utime(old, (long_ago, long_ago))
    assert sweep_half_written() == 1
    assert files_below(tmp_path / "vault") == sorted(
        [f"{folder.INCOMING}/being-written", blob.storage_name]
    )
    vault.verify(blob)


# ── The database and Valkey ───────────────────────────────────────────────────────────────────
def test_a_full_database_is_named_and_not_called_unreachable(
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("could not extend file") from psycopg.errors.DiskFull()

    monkeypatch.setattr("reports.api.submit_report", full)
    answer = platform.post("/reports", {"subject": {"account": "a"}, "reason": "spam", "items": []})
    document = problem_of(answer, 503)
    assert document["code"] == "disk_full"
    assert "the database" in document["detail"]
    assert answer["Retry-After"] == "60"


def test_a_sweep_that_meets_a_full_database_is_named_by_health(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> int:
        raise OperationalError("could not extend file") from psycopg.errors.DiskFull()

    monkeypatch.setattr("core.sweeps.sweep_old_rows", full)
    settings.HOLDFAST_SWEEPS = ["core.sweeps.sweep_old_rows"]
    run_sweeps()
    assert client.get("/healthz").json()["disk"] == "full: the database"


def test_valkey_that_refuses_writes_for_its_disk_is_named() -> None:
    refused = redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device")
    assert disk.full_disk(refused) == disk.WAKE_UPS


# ── Scans ─────────────────────────────────────────────────────────────────────────────────────
def test_a_scan_that_meets_a_full_disk_waits_without_an_attempt_and_goes_on(
    casework: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = casework.report("invented-1", pictures=[jpeg(3, (64, 64))])
    item = Item.objects.get(report=report, kind="image")
    real = scanning.scans.actions.record_scans

    def full(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("could not extend file") from psycopg.errors.DiskFull()

    monkeypatch.setattr("hashing.actions.record_scans", full)
    for _ in range(6):
        Item.objects.update(scan_due_at=casework_now())
        run_now("scan_item", item.pk)
    item.refresh_from_db()
    assert item.scan_state == ScanState.WAITING
    assert item.scan_attempts == 0
    assert item.scan_waits_for == "Waits: the disk that holds the database is full."
    monkeypatch.setattr("hashing.actions.record_scans", real)
    Item.objects.update(scan_due_at=casework_now())
    run_now("scan_item", item.pk)
    item.refresh_from_db()
    assert item.scan_state == ScanState.SCANNED
    assert item.scan_waits_for == ""


def test_a_preview_that_finds_no_room_waits_without_an_attempt(
    casework: Any, vault_disk: SmallDisk
) -> None:
    case = casework.case("invented-2", pictures=[jpeg(4, (64, 64))])
    blob = case.case_items.get().item.blob
    Preview.objects.filter(blob=blob).update(state="waiting", attempts=0, due_at=casework_now())
    vault_disk.fill()
    for _ in range(6):
        Preview.objects.filter(blob=blob).update(due_at=casework_now())
        with pytest.raises(JobFailed, match="DiskFull"):
            run_now("make_preview", blob.pk)
    assert Preview.objects.get(blob=blob).attempts == 0
    vault_disk.free()
    Preview.objects.filter(blob=blob).update(due_at=casework_now())
    run_now("make_preview", blob.pk)
    assert Preview.objects.get(blob=blob).state == "ready"


def casework_now() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        return cursor.fetchone()[0]


def test_a_write_that_fails_for_another_reason_is_not_called_a_full_disk() -> None:
    with pytest.raises(PermissionError), disk.holding(disk.PACKAGES):
        raise PermissionError(13, "not yours")
    with pytest.raises(DiskFull, match="the packages"), disk.holding(disk.PACKAGES):
        raise OSError(28, "No space left on device")
