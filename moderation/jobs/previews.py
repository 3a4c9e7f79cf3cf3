"""Drawing previews in the background."""

from __future__ import annotations

from django.conf import settings

from core import vault
from core.errors import VaultDamage
from core.jobs import enqueue, job
from core.models import Blob
from hashing import images
from hashing.images import CannotDecode, Limits
from moderation.actions import previews as actions
from moderation.previews import MEDIA_TYPE, draw_preview

ENOUGH_AT_ONCE = 500


@job
def make_preview(blob_id: str) -> None:
    """Draw the preview of one original, if it was asked for and is not made. Safe to repeat and to kill."""
    preview = actions.begin_preview(Blob(pk=blob_id))
    if preview is None:
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


def sweep_previews() -> int:
    """Enqueue every preview that is due; return how many."""
    due = list(actions.waiting_previews().values_list("blob_id", flat=True)[:ENOUGH_AT_ONCE])
    for blob_id in due:
        enqueue("make_preview", blob_id)
    return len(due)
