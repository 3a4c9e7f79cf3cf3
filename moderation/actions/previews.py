"""Previews as rows: asked for once per original, made or refused with a reason, never made twice."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from core import audit, vault
from core.audit import Actor, AuditEvent, Person
from core.jobs import enqueue
from core.leases import kept, lease_after
from core.models import Blob
from moderation.models import Preview, PreviewState
from reports.models import Item, ItemKind

__all__ = [
    "begin_preview",
    "keep_preview",
    "record_preview",
    "refuse_preview",
    "request_preview",
    "waiting_previews",
]

MOST_ATTEMPTS = 4
NOT_DRAWN = {
    ItemKind.OTHER: "No preview for this kind of file.",
    ItemKind.AUDIO: "Sound has no preview.",
}


@transaction.atomic
def request_preview(blob: Blob, *, actor: Actor = audit.SYSTEM) -> Preview:
    """Have the preview of an original made, once. Safe to repeat: the row that stands is returned.

    A kind that is not drawn gets its row with the reason, and no work. Only media of cases is asked for:
    what nobody will look at needs no second copy. Cannot be undone.
    """
    kinds = set(Item.objects.filter(blob=blob).values_list("kind", flat=True).distinct())
    reason = ""
    if kinds and not kinds & {ItemKind.IMAGE, ItemKind.VIDEO}:
        reason = NOT_DRAWN[ItemKind.AUDIO if kinds == {ItemKind.AUDIO} else ItemKind.OTHER]
    preview, is_new = Preview.objects.get_or_create(
        blob=blob,
        defaults={
            "state": PreviewState.NONE if reason else PreviewState.WAITING,
            "reason": reason,
        },
    )
    if is_new:
        audit.record(
            AuditEvent.PREVIEW_REQUESTED,
            actor=actor,
            subject=preview,
            chain=f"preview:{blob.pk}",
            blob=blob.pk,
            state=preview.state,
        )
    if preview.state == PreviewState.WAITING:
        enqueue("make_preview", blob.pk)
    return preview


def waiting_previews() -> QuerySet[Preview]:
    """Return the previews that are due: not begun, or begun by a worker that never came back."""
    return Preview.objects.filter(state=PreviewState.WAITING, due_at__lte=Now()).order_by("due_at")


@transaction.atomic
def begin_preview(blob: Blob) -> Preview | None:
    """Take up the preview of an original; None if it is made, in work, or was given up just now.

    Due again when its lease ends (``keep_preview`` renews it) and later each time, so a killed worker only
    delays it. Not audited: its end is.
    """
    taken = (
        Preview.objects.select_for_update(no_key=True, of=("self",))
        .select_related("blob")
        .filter(blob=blob, state=PreviewState.WAITING, due_at__lte=Now())
        .first()
    )
    if taken is None:
        return None
    if taken.attempts >= MOST_ATTEMPTS:
        refuse_preview(
            taken, reason=f"Drawing it began {taken.attempts} times and never came to an end."
        )
        return None
    Preview.objects.filter(pk=taken.pk).update(
        attempts=taken.attempts + 1, due_at=Now() + lease_after(taken.attempts)
    )
    taken.attempts += 1
    return taken


def keep_preview(preview: Preview) -> AbstractContextManager[None]:
    """Keep a preview that was taken up from others while the block draws it and its process lives."""
    rows = Preview.objects.filter(
        pk=preview.pk, state=PreviewState.WAITING, attempts=preview.attempts
    )
    return kept(rows, field="due_at")


@transaction.atomic
def record_preview(
    preview: Preview,
    *,
    rendition: Blob,
    width: int,
    height: int,
    frames: int,
    actor: Actor = audit.SYSTEM,
) -> Preview:
    """Record the finished preview. The first one to arrive stands. Cannot be undone."""
    preview = Preview.objects.select_for_update(no_key=True).get(pk=preview.pk)
    if preview.state != PreviewState.WAITING:
        return preview
    preview.rendition = vault.hold(rendition)
    preview.state = PreviewState.READY
    preview.width, preview.height, preview.frames = width, height, frames
    preview.reason = ""
    preview.made_at = Now()
    preview.save()
    _note(preview, actor, rendition=rendition.pk)
    preview.refresh_from_db()
    return preview


@transaction.atomic
def refuse_preview(preview: Preview, *, reason: str, actor: Actor = audit.SYSTEM) -> Preview:
    """Record that the preview could not be made, with the reason that people read. Cannot be undone."""
    preview = Preview.objects.select_for_update(no_key=True).get(pk=preview.pk)
    if preview.state != PreviewState.WAITING:
        return preview
    preview.state = PreviewState.FAILED
    preview.reason = reason[:300]
    preview.made_at = Now()
    preview.save(update_fields=["state", "reason", "made_at"])
    _note(preview, actor, reason=reason)
    preview.refresh_from_db()
    return preview


def _note(preview: Preview, actor: Actor | Person, **data: Any) -> None:
    audit.record(
        AuditEvent.PREVIEW_RECORDED,
        actor=actor,
        subject=preview,
        chain=f"preview:{preview.blob_id}",
        blob=preview.blob_id,
        state=preview.state,
        **data,
    )
