"""Looking at files that somebody asks about."""

from __future__ import annotations

import logging

from django.conf import settings

from core import vault
from core.errors import DiskFull, VaultDamage, describe, is_database_down
from core.jobs import enqueue, job, waits_for_room
from hashing import actions, answering
from hashing.images import Limits
from hashing.jobs.scans import listed_kinds
from hashing.media import Media
from hashing.models import FileLookup

__all__ = ["look_up", "sweep_lookups"]

log = logging.getLogger(__name__)


@job
def look_up(lookup_id: str) -> None:
    """Hash one file, compare it if that was asked for, and destroy it. Safe to repeat and to kill."""
    lookup = actions.begin_lookup(FileLookup(pk=lookup_id))
    if lookup is None or lookup.blob is None:
        return
    blob = lookup.blob
    media = Media(
        lambda: vault.open(blob),
        limits=Limits(bytes=settings.HOLDFAST_MAX_UPLOAD_BYTES),
        algorithms=settings.HOLDFAST_DIGESTS | listed_kinds(),
    )
    try:
        with waits_for_room(lookup), actions.keep_lookup(lookup):
            # Kept before a decoder has its turn: an answer that can wait no longer has this much.
            actions.begin_answer(lookup, result=answering.beginning_of_file(lookup, media))
            result = answering.of_file(lookup, media)
    except DiskFull:
        raise
    except VaultDamage as damage:
        actions.end_lookup(lookup, problem=f"The file could not be read: {damage.reason}.")
    except Exception as failed:
        if is_database_down(failed):
            raise  # It is due again when its lease ends; whoever waits is told by then.
        log.error("lookup failed: %s", describe(failed))
        actions.end_lookup(lookup, problem="Looking at it failed. The log says where.")
    else:
        actions.end_lookup(lookup, result=result)


def sweep_lookups() -> int:
    """Wake a worker for lookups that wait, and forget old answers; return how many of both."""
    waiting = list(actions.waiting_lookups().values_list("pk", flat=True)[:200])
    for lookup_id in waiting:
        enqueue("look_up", lookup_id)
    return len(waiting) + actions.forget_lookups()
