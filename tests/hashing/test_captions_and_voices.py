"""A caption is looked at like any text, beside its picture; of a voice message it is said that nobody looked."""

from __future__ import annotations

import pytest

from core import vault
from core.audit import SYSTEM
from hashing import actions, jobs
from hashing.models import Category, FlagKind, HashList
from reports.actions import create_upload, submit_scan
from reports.models import Item, ItemKind, ScanState, Source
from reports.payloads import ScanPayload
from tests import pictures, recordings
from tests.hashing.conftest import Put, flags_of

pytestmark = pytest.mark.django_db


def captioned(source: Source, picture: bytes, caption: str) -> Item:
    upload = create_upload(source, vault.store_bytes(picture), actor=SYSTEM)
    payload = ScanPayload.model_validate(
        {
            "subject": {"account": "invented-1"},
            "surface": "profile_photo",
            "media": str(upload.pk),
            "text": caption,
        }
    )
    item = submit_scan(source, payload=payload, actor=SYSTEM)
    jobs.scan_item(str(item.pk))
    item.refresh_from_db()
    return item


def test_picture_and_caption_are_both_looked_at_and_both_findings_named(
    source: Source, known: HashList
) -> None:
    actions.create_term_list(
        name="Marker words", category=Category.GROOMING, terms="markerword-alpha", actor=SYSTEM
    )
    picture = pictures.jpeg(5)
    actions.add_entry(known, algorithm="md5", value=vault.store_bytes(picture).md5, actor=SYSTEM)
    item = captioned(source, picture, "Look: markerword-alpha")
    found = {flag.kind: flag for flag in flags_of(item) if flag.kind != FlagKind.NOTE}
    assert set(found) == {FlagKind.HASH_MATCH, FlagKind.TERM_MATCH}
    caption = found[FlagKind.TERM_MATCH]
    assert caption.summary.startswith("In the caption: ")
    start, end = caption.evidence["spans"][0]
    assert item.text[start:end] == "markerword-alpha"
    assert item.scan_state == ScanState.SCANNED
    # Nothing of it is found twice.
    jobs.scan_item(str(item.pk))
    assert len(flags_of(item)) == len(found)


def test_a_broken_picture_leaves_its_caption_looked_at(source: Source, known: HashList) -> None:
    actions.create_term_list(
        name="Marker words", category=Category.GROOMING, terms="markerword-alpha", actor=SYSTEM
    )
    item = captioned(source, pictures.truncated_jpeg(), "markerword-alpha")
    kinds = {flag.kind for flag in flags_of(item)}
    assert kinds == {FlagKind.TERM_MATCH, FlagKind.COULD_NOT_SCAN}
    assert item.scan_state == ScanState.PARTLY


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (recordings.ogg(), "an Ogg recording"),
        (recordings.m4a(), "an MP4 recording"),
        (recordings.amr(), "an AMR recording"),
        (recordings.mp3(), "an MP3 recording"),
        (recordings.wav(), "a WAV recording"),
    ],
)
def test_sound_is_said_not_to_be_looked_at(
    scanned: Put, known: HashList, recording: bytes, words: str
) -> None:
    actions.add_entry(
        known, algorithm="sha256", value=vault.store_bytes(recording).sha256, actor=SYSTEM
    )
    item = scanned(recording, "video/mp4")
    assert item.kind == ItemKind.AUDIO
    match, silent = flags_of(item)
    assert (match.kind, silent.kind) == (FlagKind.HASH_MATCH, FlagKind.NOT_SCANNED)
    assert silent.summary.startswith(f"Not scanned: it is {words}, and sound is not looked at.")
    assert item.scan_state == ScanState.PARTLY  # Never "scanned, nothing matched".


def test_a_video_that_calls_itself_sound_is_named(scanned: Put, known: HashList) -> None:
    item = scanned(recordings.m4a(b"vide"), "audio/mp4")
    assert item.kind == ItemKind.AUDIO
    codes = {flag.evidence.get("code") for flag in flags_of(item)}
    assert "video_in_sound" in codes
