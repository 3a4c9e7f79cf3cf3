"""Safe previews: small, grey, blurred beyond recovery, without metadata, made once."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from django.db.models.functions import Now
from PIL import Image

from core import vault
from core.audit import SYSTEM
from core.models import AuditEntry, Blob
from hashing import images
from moderation import actions, jobs
from moderation.models import Preview, PreviewState
from moderation.previews import LONGEST, POINTS, draw_preview
from reports.actions import create_source, create_upload, submit_scan
from reports.models import SourceKind
from reports.payloads import ScanPayload
from tests import pictures


def drawn(data: bytes) -> tuple[Image.Image, bytes]:
    picture = images.decode(data)
    made = draw_preview(picture.frames[0].pixels, width=picture.width, height=picture.height)
    assert (made.width, made.height) == Image.open(io.BytesIO(made.data)).size
    return Image.open(io.BytesIO(made.data)), made.data


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (3000, 700), (40, 30), (1, 1), (2000, 2)])
def test_a_preview_is_small_and_keeps_its_shape(size: tuple[int, int]) -> None:
    preview, data = drawn(pictures.encode(pictures.draw(4, size), "PNG"))
    assert max(preview.size) == LONGEST
    assert len(data) < 30_000
    scale = LONGEST / max(size)
    assert preview.size == tuple(max(1, round(side * scale)) for side in size)


def test_a_preview_has_no_colour_and_no_metadata() -> None:
    preview, data = drawn(pictures.with_metadata(pictures.draw(4)))
    assert preview.mode == "L"
    assert not preview.getexif()
    assert {"icc_profile", "comment", "exif", "xmp"}.isdisjoint(preview.info)
    assert pictures.MARKER not in data


def test_nothing_finer_than_its_points_survives() -> None:
    """Two pictures that differ only in fine detail have the same preview, to two grey levels of 255."""
    coarse = np.asarray(pictures.draw(4, (560, 420)).convert("L").resize((28, 21)))
    base = np.kron(coarse, np.ones((20, 20))).astype(np.int16)
    grain = np.indices(base.shape).sum(axis=0) % 2 * 60 - 30
    plain = Image.fromarray(np.clip(base, 40, 215).astype(np.uint8)).convert("RGB")
    fine = Image.fromarray((np.clip(base, 40, 215) + grain).astype(np.uint8)).convert("RGB")
    one, other = (drawn(pictures.encode(each, "PNG"))[0] for each in (plain, fine))
    difference = np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int))
    assert difference.max() <= 2
    # What is left lies below the frequency of its points: there is nothing for a sharpener to raise.
    bare = np.asarray(one, dtype=float)
    window = np.hanning(bare.shape[1])
    power = np.abs(np.fft.rfft((bare - bare.mean()) * window, axis=1)) ** 2
    assert power[:, POINTS:].sum() < 0.01 * power.sum()


@pytest.fixture
def stored(db: None) -> Callable[..., Blob]:
    """Return a function that stores a file as the media of an item and returns its blob."""
    source = create_source(slug="s", name="S", kind=SourceKind.PROACTIVE_SCAN, actor=SYSTEM)

    def store(data: bytes, media_type: str = "image/jpeg") -> Blob:
        blob = vault.store_bytes(data, media_type=media_type)
        upload = create_upload(source, blob, actor=SYSTEM)
        said = {
            "subject": {"account": "invented-1"},
            "surface": "profile_photo",
            "media": str(upload.pk),
        }
        submit_scan(source, payload=ScanPayload.model_validate(said), actor=SYSTEM)
        return blob

    return store


def test_a_preview_is_asked_for_made_and_kept_once(stored: Callable[..., Blob]) -> None:
    blob = stored(pictures.with_metadata(pictures.draw(4)))
    preview = actions.request_preview(blob)
    assert actions.request_preview(blob) == preview
    assert preview.state == PreviewState.WAITING
    jobs.make_preview(str(blob.pk))
    preview.refresh_from_db()
    assert preview.state == PreviewState.READY
    assert (preview.width, preview.height, preview.frames) == (480, 360, 1)
    data = vault.read(preview.rendition, 100_000)  # type: ignore[arg-type]
    assert Image.open(io.BytesIO(data)).mode == "L"
    blobs, lines = Blob.objects.count(), AuditEntry.objects.count()
    jobs.make_preview(str(blob.pk))
    assert (Blob.objects.count(), AuditEntry.objects.count()) == (blobs, lines)
    events = AuditEntry.objects.filter(chain=f"preview:{blob.pk}").values_list("event", flat=True)
    assert list(events) == ["preview.requested", "preview.recorded"]


def test_a_preview_nobody_asked_for_is_not_made(stored: Callable[..., Blob]) -> None:
    blob = stored(pictures.jpeg())
    jobs.make_preview(str(blob.pk))
    assert not Preview.objects.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pictures.truncated_jpeg(), "The file is damaged or cut off."),
        (pictures.heic(pictures.draw(3)), "HEIC is not switched on here"),
        (pictures.bomb_png(), "60000 x 60000 pixels"),
    ],
)
def test_a_picture_that_cannot_be_drawn_says_why(
    stored: Callable[..., Blob], data: bytes, words: str
) -> None:
    blob = stored(data)
    actions.request_preview(blob)
    jobs.make_preview(str(blob.pk))
    preview = Preview.objects.get()
    assert preview.state == PreviewState.FAILED
    assert words in preview.reason
    assert preview.rendition is None


@pytest.mark.parametrize(
    ("data", "media_type", "words"),
    [
        (b"words", "text/plain", "No preview for this kind of file."),
        (pictures.not_a_picture(), "image/jpeg", "No preview for this kind of file."),
    ],
)
def test_kinds_that_are_not_drawn_say_so(
    stored: Callable[..., Blob], data: bytes, media_type: str, words: str
) -> None:
    preview = actions.request_preview(stored(data, media_type))
    assert (preview.state, preview.reason) == (PreviewState.NONE, words)
    assert jobs.sweep_previews() == 0


def test_an_animation_shows_its_first_frame(stored: Callable[..., Blob]) -> None:
    blob = stored(pictures.animated_gif(5), "image/gif")
    actions.request_preview(blob)
    jobs.make_preview(str(blob.pk))
    assert Preview.objects.get().frames == 5


def test_a_killed_worker_only_delays_a_preview(stored: Callable[..., Blob]) -> None:
    blob = stored(pictures.jpeg())
    actions.request_preview(blob)
    assert jobs.sweep_previews() == 1
    assert actions.begin_preview(blob) is not None  # This worker never comes back.
    assert actions.begin_preview(blob) is None
    assert jobs.sweep_previews() == 0
    Preview.objects.update(due_at=Now() - timedelta(seconds=1))
    assert jobs.sweep_previews() == 1
    jobs.make_preview(str(blob.pk))
    assert Preview.objects.get().state == PreviewState.READY


def test_a_preview_that_never_ends_is_given_up_with_a_reason(stored: Callable[..., Blob]) -> None:
    blob = stored(pictures.jpeg())
    actions.request_preview(blob)
    for _ in range(5):
        Preview.objects.update(due_at=Now() - timedelta(seconds=1))
        actions.begin_preview(blob)
    preview = Preview.objects.get()
    assert preview.state == PreviewState.FAILED
    assert "never came to an end" in preview.reason
