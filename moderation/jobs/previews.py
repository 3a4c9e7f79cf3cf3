"""Drawing previews in the background."""

from __future__ import annotations

import base64

from django.conf import settings

from core import vault
from core.errors import VaultDamage
from core.jobs import enqueue, job, waits_for_room
from core.models import Blob
from hashing import images
from hashing.images import CannotDecode, Limits
from hashing.models import VideoWatch
from hashing.videos import clock
from moderation.actions import previews as actions
from moderation.models import Preview
from moderation.previews import MEDIA_TYPE, draw_preview, draw_strip

ENOUGH_AT_ONCE = 500


@job
def make_preview(blob_id: str) -> None:
    """Draw the preview of one original, if it was asked for and is not made. Safe to repeat and to kill."""
    preview = actions.begin_preview(Blob(pk=blob_id))
    if preview is None:
        return
    with waits_for_room(preview), actions.keep_preview(preview):
        _make(preview)


def _make(preview: Preview) -> None:
    watch = VideoWatch.objects.filter(blob=preview.blob).first()
    if watch is not None and watch.storyboard:
        _draw_film(preview, watch)
        return
    limits = Limits(bytes=settings.HOLDFAST_MAX_UPLOAD_BYTES, frames=1)
    try:
        with vault.open(preview.blob) as stream:
            picture = images.decode(stream, limits=limits)
    except CannotDecode as refused:
        actions.refuse_preview(preview, reason=f"{refused.reason[0].upper()}{refused.reason[1:]}.")
        return
    except VaultDamage as damage:
        actions.refuse_preview(
            preview, reason=f"The stored original cannot be read: {damage.reason}."
        )
        return
    drawn = draw_preview(picture.frames[0].pixels, width=picture.width, height=picture.height)
    actions.record_preview(
        preview,
        rendition=vault.store_bytes(drawn.data, name="preview.jpg", media_type=MEDIA_TYPE),
        width=drawn.width,
        height=drawn.height,
        frames=picture.frames_total,
    )


def _draw_film(preview: Preview, watch: VideoWatch) -> None:
    """Draw the storyboard that the scan left: nothing is decoded a second time."""
    drawn = draw_strip(
        [
            (
                base64.b64decode(frame["points"]),
                (int(frame["size"][0]), int(frame["size"][1])),
                clock(int(frame["at_ms"])),
            )
            for frame in watch.storyboard
        ]
    )
    actions.record_preview(
        preview,
        rendition=vault.store_bytes(drawn.data, name="preview.jpg", media_type=MEDIA_TYPE),
        width=drawn.width,
        height=drawn.height,
        frames=len(watch.storyboard),
    )


def sweep_previews() -> int:
    """Enqueue every preview that is due; return how many."""
    due = list(actions.waiting_previews().values_list("blob_id", flat=True)[:ENOUGH_AT_ONCE])
    for blob_id in due:
        enqueue("make_preview", blob_id)
    return len(due)
