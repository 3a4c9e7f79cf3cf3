"""An item comes in, detectors look, flags say what was found or why not."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core import vault
from core.audit import SYSTEM
from core.audit_check import check as audit_check
from core.jobs import JobFailed
from core.models import AuditEntry, Blob
from hashing import actions, answering, images, jobs, lookup
from hashing.contract import Detector, Finding, ScanItem
from hashing.detectors import DETECTORS
from hashing.media import Media
from hashing.models import Algorithm, Category, Digest, FileLookup, Flag, FlagKind, HashList
from reports.actions import record_scan_state
from reports.models import Item, ItemKind, RouteState, ScanState
from tests import pictures
from tests.hashing.conftest import flags_of

Put = Callable[..., Item]


def list_picture(hash_list: HashList, data: bytes) -> dict[str, str]:
    """Put every digest of a picture on a list; return them."""
    from hashing import digests

    file = digests.of_file(io.BytesIO(data))
    frame = images.decode(data).frames[0]
    found = digests.of_frame(frame.index, frame.pixels)
    values = {
        "md5": file.md5,
        "sha1": file.sha1,
        "sha256": file.sha256,
        "pdq": found.pdq,
        "phash": found.phash,
    }
    for algorithm, value in values.items():
        actions.add_entry(hash_list, algorithm=algorithm, value=value, actor=SYSTEM)
    return values


def test_an_exact_copy_is_flagged_with_all_it_rests_on(scanned: Put, known: HashList) -> None:
    values = list_picture(known, pictures.jpeg(5))
    known.refresh_from_db()
    item = scanned(pictures.jpeg(5))
    exact, pdq, phash = flags_of(item)
    assert item.scan_state == ScanState.SCANNED
    assert item.route_state == RouteState.WAITING
    assert (exact.kind, exact.score, exact.category) == (
        FlagKind.HASH_MATCH,
        1.0,
        Category.CSAM_KNOWN,
    )
    assert exact.evidence["algorithm"] == "sha256"
    assert exact.evidence["value"] == values["sha256"]
    assert len(exact.evidence["also"]) == 2
    assert exact.hash_list_id == known.pk
    assert exact.evidence["list_version"] == known.version
    assert exact.summary == "Exact copy of a file on “Drawn pictures” (SHA-256)."
    assert (pdq.evidence["distance"], pdq.evidence["threshold"]) == (0, 31)
    assert pdq.hash_entry.value == pdq.evidence["matched_value"] == values["pdq"]
    assert (phash.evidence["algorithm"], phash.evidence["threshold"]) == ("phash", 8)
    assert exact.score > pdq.score > phash.score


@pytest.mark.parametrize("name", sorted(pictures.variants(pictures.draw(12))))
def test_a_near_duplicate_is_flagged(scanned: Put, known: HashList, name: str) -> None:
    image = pictures.draw(12)
    list_picture(known, pictures.encode(image))
    data, media_type = pictures.variants(image)[name]
    found = {flag.evidence["algorithm"]: flag for flag in flags_of(scanned(data, media_type))}
    assert {"pdq", "phash"} <= set(found)
    assert found["pdq"].evidence["distance"] <= 31
    assert 0.6 <= found["pdq"].score <= 0.95


def test_an_unrelated_picture_is_scanned_without_a_flag(scanned: Put, known: HashList) -> None:
    list_picture(known, pictures.jpeg(5))
    item = scanned(pictures.jpeg(6))
    assert item.scan_state == ScanState.SCANNED
    assert flags_of(item) == []


def test_a_list_of_one_entry_matches(scanned: Put, known: HashList) -> None:
    frame = images.decode(pictures.jpeg(5)).frames[0]
    from hashing import digests

    value = digests.of_frame(0, frame.pixels).pdq
    actions.add_entry(known, algorithm="PDQ", value=value.upper(), actor=SYSTEM)
    (flag,) = flags_of(scanned(pictures.jpeg(5)))
    assert flag.evidence["distance"] == 0


def test_entries_count_at_once_and_stop_at_once(scanned: Put, known: HashList) -> None:
    assert flags_of(scanned(pictures.jpeg(5))) == []
    values = list_picture(known, pictures.jpeg(5))
    assert len(flags_of(scanned(pictures.jpeg(5)))) == 3
    for entry in known.entries.all():
        actions.retire_entry(entry, reason="a mistake", actor=SYSTEM)
    assert flags_of(scanned(pictures.jpeg(5))) == []
    entry = known.entries.get(algorithm="pdq", value=values["pdq"])
    actions.restore_entry(entry, actor=SYSTEM)
    assert len(flags_of(scanned(pictures.jpeg(5)))) == 1
    actions.change_hash_list(known, is_active=False, actor=SYSTEM)
    assert flags_of(scanned(pictures.jpeg(5))) == []


def test_the_threshold_of_each_list_is_its_own(scanned: Put, known: HashList) -> None:
    image = pictures.draw(12)
    list_picture(known, pictures.encode(image))
    actions.change_hash_list(known, pdq_threshold=0, phash_threshold=0, actor=SYSTEM)
    strict = flags_of(scanned(pictures.variants(image)["cropped"][0]))
    assert "pdq" not in {flag.evidence["algorithm"] for flag in strict}
    actions.change_hash_list(known, pdq_threshold=31, actor=SYSTEM)
    loose = flags_of(scanned(pictures.variants(image)["cropped"][0]))
    assert "pdq" in {flag.evidence["algorithm"] for flag in loose}


def test_a_listed_picture_inside_an_animation_is_found(scanned: Put, known: HashList) -> None:
    image = pictures.draw(12)
    list_picture(known, pictures.encode(image))
    flags = flags_of(scanned(pictures.animated_gif(6, listed=(4, image)), "image/gif"))
    (pdq,) = [flag for flag in flags if flag.evidence["algorithm"] == "pdq"]
    assert (pdq.evidence["frame"], pdq.evidence["frames_total"]) == (4, 6)
    assert pdq.summary.startswith("Frame 5 of 6 looks like a picture on")


def test_one_listed_frame_of_sixty_is_found(scanned: Put, known: HashList) -> None:
    image = pictures.draw(12)
    list_picture(known, pictures.encode(image))
    flags = flags_of(scanned(pictures.animated_gif(60, listed=(30, image)), "image/gif"))
    (pdq,) = [flag for flag in flags if flag.evidence["algorithm"] == "pdq"]
    assert pdq.evidence["frame"] == 30


def test_an_animation_that_was_not_seen_to_its_end_is_partly_scanned(
    scanned: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the case, and in the answers to whoever asks about the file."""
    monkeypatch.setattr("hashing.jobs.scans.Limits", partial(images.Limits, frames=4))
    data = pictures.animated_gif(9)
    item = scanned(data, "image/gif")
    (flag,) = flags_of(item)
    assert (item.scan_state, flag.kind) == (ScanState.PARTLY, FlagKind.COULD_NOT_SCAN)
    assert "4 of 9 frames looked at" in flag.summary
    media = Media(lambda: io.BytesIO(data), limits=images.Limits(frames=4))
    asked = FileLookup(name="moving.gif", kind="image", with_matches=True)
    answer = answering.of_file(asked, media)
    assert "4 of 9 frames looked at" in answer["problem"]
    (found,) = answer["findings"]
    assert (found["kind"], found["evidence"]["code"]) == ("could_not_scan", "partly_decoded")


def test_a_picture_without_detail_matches_only_weakly(scanned: Put, known: HashList) -> None:
    from PIL import Image, ImageDraw

    def faint(side: int) -> bytes:
        """Return a picture that is white but for what hardly shows. One of a single colour is taken on no list."""
        drawn = Image.new("RGB", (side, side), "white")
        spot = ImageDraw.Draw(drawn)
        spot.rectangle((side * 0.1, side * 0.1, side * 0.9, side * 0.2), fill=(250, 250, 250))
        spot.ellipse((side * 0.6, side * 0.6, side * 0.9, side * 0.9), fill=(252, 252, 252))
        return pictures.encode(drawn, "PNG")

    list_picture(known, faint(280))
    *flags, note = flags_of(scanned(faint(300), "image/png"))
    assert {flag.evidence["algorithm"] for flag in flags} == {"pdq", "phash"}
    for flag in flags:
        assert flag.evidence["low_quality"] is True
        assert flag.score == 0.3
        assert flag.summary.startswith("Weak: ")
    assert note.kind == FlagKind.NOTE
    assert note.summary.startswith("Not matchable by PDQ: too little detail")
    assert "compared by dHash, pHash" in note.summary


def test_digests_are_kept_once_per_original(scanned: Put) -> None:
    one, other = scanned(pictures.jpeg(5)), scanned(pictures.jpeg(5))
    assert one.blob_id == other.blob_id
    kept = Digest.objects.filter(blob=one.blob)
    computed = {"md5", "sha1", "sha256", "pdq", "phash", "dhash"}
    assert set(kept.values_list("algorithm", flat=True)) == computed <= set(Algorithm.values)
    assert kept.get(algorithm="sha256").value == one.blob.sha256
    assert (kept.get(algorithm="pdq").quality or 0) >= 50


def test_frames_of_an_animation_are_kept_apart(scanned: Put) -> None:
    item = scanned(pictures.animated_gif(5), "image/gif")
    frames = Digest.objects.filter(blob=item.blob, algorithm="pdq").order_by("frame")
    assert list(frames.values_list("frame", flat=True)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (pictures.truncated_jpeg(), "damaged"),
        (pictures.not_a_picture(), "wrong_type"),
        (pictures.bomb_png(), "too_many_pixels"),
    ],
)
def test_a_picture_that_cannot_be_decoded_goes_to_a_person(
    scanned: Put, known: HashList, data: bytes, code: str
) -> None:
    item = scanned(data)
    (flag,) = flags_of(item)
    assert (flag.kind, flag.evidence["code"]) == (FlagKind.COULD_NOT_SCAN, code)
    assert flag.summary.startswith(("The picture could not be scanned: ", "The file could not be"))
    assert item.scan_state == ScanState.PARTLY
    assert item.route_state == RouteState.WAITING


def test_a_broken_picture_is_still_looked_up_by_its_bytes(scanned: Put, known: HashList) -> None:
    blob = vault.store_bytes(pictures.truncated_jpeg())
    actions.add_entry(known, algorithm="md5", value=blob.md5, actor=SYSTEM)
    kinds = [flag.kind for flag in flags_of(scanned(pictures.truncated_jpeg()))]
    assert kinds == [FlagKind.HASH_MATCH, FlagKind.COULD_NOT_SCAN]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"plain", "application/x-thing"),
        (b"%PDF-1.7 drawn", "application/pdf"),
        (b"%PDF-1.7 drawn", "image/jpeg"),
        (b"ffconcat version 1.0\nfile picture.png\n", "video/mp4"),
        (b"\x80\x81\x82 of no form", "video/mp4"),
    ],
)
def test_what_is_neither_picture_nor_video_is_looked_up_and_shown(
    scanned: Put, known: HashList, data: bytes, media_type: str
) -> None:
    actions.add_entry(known, algorithm="md5", value=vault.store_bytes(data).md5, actor=SYSTEM)
    item = scanned(data, media_type)
    assert item.kind == ItemKind.OTHER
    assert [flag.kind for flag in flags_of(item)] == [
        FlagKind.HASH_MATCH,
        FlagKind.COULD_NOT_SCAN,
    ]
    assert item.scan_state == ScanState.PARTLY
    assert item.route_state == RouteState.WAITING


def test_a_term_is_flagged_with_its_span(scanned: Put) -> None:
    terms = actions.create_term_list(
        name="Marker words",
        category=Category.GROOMING,
        terms=["markerword-alpha", "other"],
        actor=SYSTEM,
    )
    text = "Hello, ＭarkerWord-Alpha! And markerword-alpha."
    item = scanned(text)
    (flag,) = flags_of(item)
    assert flag.kind == FlagKind.TERM_MATCH
    assert flag.term_list_id == terms.pk
    assert flag.evidence["list_version"] == 1
    spans = [text[start:end] for start, end in flag.evidence["spans"]]
    assert spans == ["ＭarkerWord-Alpha", "markerword-alpha"]
    assert flag.evidence["span"] == flag.evidence["spans"][0]
    assert flag.category == Category.GROOMING


def test_a_term_list_looks_only_at_its_surfaces(scanned: Put) -> None:
    actions.create_term_list(
        name="Names",
        category=Category.GROOMING,
        surfaces=["profile_name"],
        terms="markerword-alpha",
        actor=SYSTEM,
    )
    assert flags_of(scanned("markerword-alpha", surface="profile_text")) == []
    assert len(flags_of(scanned("markerword-alpha", surface="profile_name"))) == 1


def test_changed_terms_count_at_once(scanned: Put) -> None:
    terms = actions.create_term_list(name="Words", category=Category.GROOMING, actor=SYSTEM)
    assert flags_of(scanned("markerword-beta")) == []
    actions.set_terms(terms, "markerword-beta", actor=SYSTEM)
    (flag,) = flags_of(scanned("markerword-beta"))
    assert flag.evidence["list_version"] == 2
    actions.set_terms(terms, "", actor=SYSTEM)
    assert flags_of(scanned("markerword-beta")) == []


class Failing:
    """A detector whose look-up breaks; its message quotes the item, which must go nowhere."""

    name = "failing"
    version = "7"
    kinds = frozenset({"image", "text"})
    surfaces = None

    def scan(self, item: ScanItem) -> list[Finding]:
        raise LookupError(f"secret words: {item.text}")


def test_a_failing_detector_is_a_flag_and_stops_nobody(
    scanned: Put, known: HashList, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    list_picture(known, pictures.jpeg(5))
    assert isinstance(Failing(), Detector)
    monkeypatch.setattr(jobs.scans, "detectors", lambda: (Failing(), *DETECTORS))
    item = scanned(pictures.jpeg(5))
    failed, *others = sorted(flags_of(item), key=lambda flag: flag.detector != "failing")
    assert failed.kind == FlagKind.COULD_NOT_SCAN
    assert failed.detector_version == "7"
    assert "failing" in failed.summary
    assert "LookupError" in failed.summary
    assert "secret" not in str(failed.evidence) + failed.summary + caplog.text
    assert len(others) == 3
    assert item.scan_state == ScanState.PARTLY


def test_a_failing_look_up_of_the_lists_is_a_flag(
    scanned: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    def away(*_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(lookup, "exact_matches", away)
    item = scanned(pictures.jpeg(5))
    (flag,) = flags_of(item)
    assert flag.kind == FlagKind.COULD_NOT_SCAN
    assert item.scan_state == ScanState.FAILED
    assert item.route_state == RouteState.WAITING


def test_a_damaged_original_is_a_flag(put: Put) -> None:
    item = put(pictures.jpeg(5))
    storage = vault.receiving.vault_storage()
    name = item.blob.storage_name
    with storage.open(name, "rb") as file:
        sealed = bytearray(file.read())
    sealed[-1] ^= 1
    storage.delete(name)
    from django.core.files.base import ContentFile

    storage.save(name, ContentFile(bytes(sealed)))
    jobs.scan_item(str(item.pk))
    (flag,) = flags_of(item)
    assert (flag.kind, flag.evidence["code"]) == (FlagKind.COULD_NOT_SCAN, "vault_damage")


def test_scanning_twice_records_once(scanned: Put, known: HashList) -> None:
    list_picture(known, pictures.jpeg(5))
    item = scanned(pictures.jpeg(5))
    before = list(Flag.objects.order_by("pk").values())
    lines = AuditEntry.objects.count()
    jobs.scan_item(str(item.pk))
    assert list(Flag.objects.order_by("pk").values()) == before
    assert AuditEntry.objects.count() == lines


def test_a_repeated_scan_keeps_what_stands_and_marks_what_is_gone(
    scanned: Put, known: HashList
) -> None:
    list_picture(known, pictures.jpeg(5))
    item = scanned(pictures.jpeg(5))
    first = {flag.pk for flag in flags_of(item)}
    entry = known.entries.get(algorithm="pdq")
    actions.retire_entry(entry, reason="a mistake", actor=SYSTEM)
    record_scan_state(item, ScanState.WAITING)
    jobs.scan_item(str(item.pk))
    assert {flag.pk for flag in flags_of(item)} < first
    gone = Flag.objects.get(item=item, superseded_at__isnull=False)
    assert gone.evidence["algorithm"] == "pdq"
    actions.restore_entry(entry, actor=SYSTEM)
    record_scan_state(item, ScanState.WAITING)
    jobs.scan_item(str(item.pk))
    assert {flag.pk for flag in flags_of(item)} == first


def test_findings_are_in_the_audit_log_without_content(scanned: Put, known: HashList) -> None:
    list_picture(known, pictures.jpeg(5))
    item = scanned(pictures.jpeg(5))
    line = AuditEntry.objects.get(event="scan.item.flagged", subject_id=str(item.pk))
    assert line.data["flags"][0]["list"] == known.slug
    actions.create_term_list(
        name="W", category=Category.GROOMING, terms="markerword-alpha", actor=SYSTEM
    )
    item = scanned("markerword-alpha and other words")
    line = AuditEntry.objects.get(event="scan.item.flagged", subject_id=str(item.pk))
    assert "markerword" not in line.line


# ── Workers that die ──────────────────────────────────────────────────────────────────────────
def make_due(item: Item) -> None:
    Item.objects.filter(pk=item.pk).update(scan_due_at=Now() - timedelta(seconds=1))


def test_an_item_in_work_is_not_taken_twice(put: Put) -> None:
    item = put(pictures.jpeg(5))
    assert actions.begin_scan(item) is not None
    assert actions.begin_scan(item) is None
    assert list(actions.waiting_items()) == []
    item.refresh_from_db()
    assert item.scan_attempts == 1
    assert timedelta(seconds=5) < item.scan_due_at - timezone.now() < timedelta(seconds=25)


def test_each_attempt_waits_longer(put: Put) -> None:
    item = put(pictures.jpeg(5))
    waits = []
    for _ in range(3):
        make_due(item)
        assert actions.begin_scan(item)
        item.refresh_from_db()
        waits.append((item.scan_due_at - timezone.now()).total_seconds())
    assert waits[0] * 1.5 < waits[1] < waits[2] / 1.5


def test_an_item_put_back_in_line_has_all_its_attempts(put: Put) -> None:
    item = put(pictures.jpeg(5))
    for _ in range(actions.scans.MOST_ATTEMPTS + 1):
        make_due(item)
        actions.begin_scan(item)
    record_scan_state(item, ScanState.WAITING)
    jobs.scan_item(str(item.pk))
    item.refresh_from_db()
    assert item.scan_state == ScanState.SCANNED
    assert flags_of(item) == []


def test_a_scan_that_never_ends_goes_to_a_person(put: Put) -> None:
    item = put(pictures.jpeg(5))
    for _ in range(actions.scans.MOST_ATTEMPTS):
        make_due(item)
        assert actions.begin_scan(item)
    make_due(item)
    assert list(actions.waiting_items()) == [item]
    jobs.scan_item(str(item.pk))
    item.refresh_from_db()
    (flag,) = flags_of(item)
    assert item.scan_state == ScanState.FAILED
    assert item.route_state == RouteState.WAITING
    assert (flag.kind, flag.evidence["code"]) == (FlagKind.COULD_NOT_SCAN, "gave_up")
    assert list(actions.waiting_items()) == []


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_decodes_loses_nothing(put: Put, known: HashList) -> None:
    """A real process dies by SIGKILL in the middle of a scan; the sweep finds the item again."""
    from django.db import connections

    list_picture(known, pictures.jpeg(5))
    item = put(pictures.jpeg(5))
    reader, writer = os.pipe()
    connections.close_all()
    child = os.fork()
    if child == 0:
        try:

            def hang(*_: object, **__: object) -> None:
                os.write(writer, b"!")
                time.sleep(60)

            images.digest = hang  # type: ignore[assignment]
            jobs.scan_item(str(item.pk))
        finally:
            os._exit(1)
    os.read(reader, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    item.refresh_from_db()
    assert (item.scan_state, item.scan_attempts) == (ScanState.WAITING, 1)
    assert flags_of(item) == []
    assert jobs.sweep_items() == 0  # Its time is not over: it could still be at work.
    make_due(item)
    assert jobs.sweep_items() == 1
    from core.jobs import queue

    assert [0] in [job.args for job in queue("scan").jobs]  # The first lane: one item is due.
    jobs.scan_item(str(item.pk))
    item.refresh_from_db()
    assert item.scan_state == ScanState.SCANNED
    assert len(flags_of(item)) == 3


def test_no_plaintext_is_left_on_disk(scanned: Put) -> None:
    scanned(pictures.with_metadata(pictures.draw(5)))
    root = Path(os.environ["HOLDFAST_VAR"])
    stored = [path for path in root.rglob("*") if path.is_file()]
    assert stored
    assert not any(pictures.MARKER in path.read_bytes() for path in stored)
    assert Blob.objects.exists()


def test_a_kind_of_digest_that_only_a_list_asks_for_is_computed(
    scanned: Put, known: HashList
) -> None:
    whash = images.digest(pictures.jpeg(5), algorithms=["whash"]).digests[0].whash
    assert not Digest.objects.filter(
        blob=scanned(pictures.jpeg(6)).blob, algorithm="whash"
    ).exists()
    actions.add_entry(known, algorithm="whash", value=whash, actor=SYSTEM)
    (flag,) = flags_of(scanned(pictures.jpeg(5)))
    assert (flag.evidence["algorithm"], flag.evidence["distance"]) == ("whash", 0)


def test_a_batch_that_cannot_be_recorded_is_recorded_whole_later(
    put: Put, known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All or none: neither findings nor lines are left of a batch in which one item cannot be recorded."""
    list_picture(known, pictures.jpeg(5))
    items = [put(pictures.jpeg(number)) for number in (5, 6, 7)]
    lines = AuditEntry.objects.count()

    def ends(*_: object, **__: object) -> None:
        raise RuntimeError("an invented failure")

    with monkeypatch.context() as broken:
        broken.setattr(actions.scans, "record_scan_ends", ends)
        with pytest.raises(JobFailed):
            jobs.scan_waiting(0)
    assert not Flag.objects.exists()
    assert not Digest.objects.exists()
    assert AuditEntry.objects.count() == lines
    assert set(Item.objects.values_list("scan_state", flat=True)) == {ScanState.WAITING}
    for item in items:
        make_due(item)
    jobs.scan_waiting(0)
    assert set(Item.objects.values_list("scan_state", flat=True)) == {ScanState.SCANNED}
    assert len(flags_of(items[0])) == 3
    assert audit_check().is_intact


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_before_it_records_its_batch_loses_nothing(
    put: Put, known: HashList
) -> None:
    """SIGKILL when everything was looked at and nothing recorded: the items are due again, one by one."""
    from django.db import connections

    list_picture(known, pictures.jpeg(5))
    items = [put(pictures.jpeg(number)) for number in (5, 6, 7)]
    reader, writer = os.pipe()
    connections.close_all()
    child = os.fork()
    if child == 0:
        try:

            def hang(*_: object, **__: object) -> None:
                os.write(writer, b"!")
                time.sleep(60)

            actions.record_scans = hang  # type: ignore[assignment]
            jobs.scan_waiting(0)
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"!"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not Flag.objects.exists()
    assert not Digest.objects.exists()
    assert set(Item.objects.values_list("scan_state", "scan_attempts")) == {(ScanState.WAITING, 1)}
    for item in items:
        make_due(item)
    jobs.scan_waiting(0)
    assert set(Item.objects.values_list("scan_state", flat=True)) == {ScanState.SCANNED}
    assert len(flags_of(items[0])) == 3
    assert audit_check().is_intact


@pytest.mark.django_db(transaction=True)
def test_a_batch_whose_session_the_database_ended_is_due_at_once_and_counts_no_attempt(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [put(pictures.jpeg(number)) for number in (5, 6, 7)]

    def ends(*_: object, **__: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with monkeypatch.context() as broken:
        broken.setattr(actions, "record_scans", ends)
        with pytest.raises(JobFailed):
            jobs.scan_waiting(0)
    assert set(Item.objects.values_list("scan_state", "scan_attempts")) == {(ScanState.WAITING, 0)}
    assert actions.waiting_items().count() == len(items)
    jobs.scan_waiting(0)
    assert set(Item.objects.values_list("scan_state", flat=True)) == {ScanState.SCANNED}


def test_a_batch_asks_once_which_lists_there_are_and_wakes_routing_once(
    put: Put, django_capture_on_commit_callbacks: Any
) -> None:
    for number in range(5, 11):
        put(pictures.jpeg(number))
    with (
        CaptureQueriesContext(connection) as asked,
        django_capture_on_commit_callbacks(execute=True),
    ):
        jobs.scan_waiting(0)
    assert sum("hashing_indexbuild" in query["sql"] for query in asked.captured_queries) <= 3
    from core.jobs import queue

    assert [job.description for job in queue("intake").jobs] == ["route_waiting"]
