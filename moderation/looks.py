"""The looks of people at the originals of a case, as the rows of reveals tell them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from core import vault
from core.errors import VaultDamage, VaultDestroyed
from core.media_types import HEAD_BYTES, JPEG, sniff
from moderation.models import Case, PreviewState, Reveal
from moderation.viewing import Look
from reports.models import ItemKind


def look_of(reveal: Reveal, *, until: datetime | None = None) -> Look:
    """Return one reveal as a look. Needs ``user`` and ``item`` with its preview and the scan's watch of its film.

    What was not closed by ``until`` shows only that it was opened.
    """
    used, closed = reveal.used_at, reveal.closed_at
    counts = used is not None and closed is not None and (until is None or closed <= until)
    return Look(
        person=reveal.user.pseudonym,
        opened_at=reveal.issued_at,
        span=(used, closed) if counts and used is not None and closed is not None else None,
        painted_ms=(reveal.painted_ms or 0) if counts else 0,
        is_film=reveal.item.kind in {ItemKind.VIDEO, ItemKind.AUDIO},
        is_sound=reveal.item.kind == ItemKind.AUDIO,
        played=tuple((start, end) for start, end in (reveal.played or ())) if counts else (),
        film_ms=_length(reveal),
        is_animation=reveal.item.kind == ItemKind.IMAGE and _may_move(reveal.item.blob),
    )


def _may_move(blob: Any) -> bool:
    """Whether a picture is an animation, as its preview counted the frames, or may be one.

    A JPEG never moves in a browser, though it may hold several pictures. What nothing counted may move: a page shows it
    all the same.
    """
    preview = getattr(blob, "preview", None)
    if preview is not None and preview.state == PreviewState.READY and preview.frames == 1:
        return False
    try:
        with vault.open(blob) as stream:
            return sniff(stream.read(HEAD_BYTES)) != JPEG
    except (VaultDamage, VaultDestroyed):
        return True


def _length(reveal: Reveal) -> int:
    """Return how long a film is, in ms; 0 while no scan has watched it. A page may say more than the scan, not less."""
    watch = getattr(reveal.item.blob, "watch", None)
    return max(watch.duration_ms, reveal.film_ms or 0) if watch is not None else 0


def reveals_of(case: Case, blobs: Iterable[Any], *, until: datetime | None = None) -> list[Reveal]:
    """Return the reveals of originals that were opened in a case, under whichever report, the first one first.

    With ``until``, only those opened by then: what came later was no ground of what was said then.
    """
    rows = (
        Reveal.objects.filter(case=case, item__blob__in=list(blobs), used_at__isnull=False)
        .select_related("user", "item__blob__watch", "item__blob__preview")
        .order_by("issued_at", "pk")
    )
    return list(rows if until is None else rows.filter(used_at__lte=until))


def looks_at(
    case: Case, blobs: Iterable[Any], *, until: datetime | None = None
) -> dict[Any, list[Look]]:
    """Return the looks at each original of a case, by its blob's id."""
    found: dict[Any, list[Look]] = {}
    for reveal in reveals_of(case, blobs, until=until):
        found.setdefault(reveal.item.blob_id, []).append(look_of(reveal, until=until))
    return found
