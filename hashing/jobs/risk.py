"""Rating groups and accounts in the background, and reading files of links."""

from __future__ import annotations

import logging
import time

from core import vault
from core.errors import VaultDamage, describe
from core.jobs import enqueue, job, waits_for_room
from hashing import actions
from hashing.models import LinkImport
from reports.models import SubjectChange

__all__ = ["compute_risk", "read_links", "sweep_links", "sweep_risk"]

log = logging.getLogger(__name__)

BUSY_SECONDS = 30.0


@job
def compute_risk(lane: int) -> None:
    """Rate what changed until nothing did or the time of this job is over. Safe to repeat and to kill.

    ``lane`` is always 0: one at a time rates.
    """
    over = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < over:
        if not actions.rate_changed():
            return
    enqueue("compute_risk", lane)


def sweep_risk() -> int:
    """Mark what has grown old, and wake a worker if anything is marked; return how many marks, at most 1,000."""
    actions.mark_old_ratings()
    marked = SubjectChange.objects.values("pk")[:1000].count()
    if marked:
        enqueue("compute_risk", 0)
    return marked


@job
def read_links(import_id: str) -> None:
    """Read one file of links. Killed at any moment, nothing of it counts and it begins anew."""
    link_import = actions.begin_link_import(LinkImport(pk=import_id))
    if link_import is None or link_import.blob is None:
        return
    try:
        with (
            waits_for_room(link_import),
            actions.keep_link_import(link_import),
            vault.open(link_import.blob) as stream,
        ):
            actions.finish_link_import(link_import, stream)
    except ValueError as unreadable:
        actions.fail_link_import(link_import, problem=str(unreadable))
    except VaultDamage as damage:
        actions.fail_link_import(
            link_import, problem=f"The stored file cannot be read: {damage.reason}."
        )
    except Exception as failed:
        log.error("import of links failed: %s", describe(failed))
        raise


def sweep_links() -> int:
    """Wake a worker for imports of links that are due; return how many."""
    waiting = list(actions.waiting_link_imports().values_list("pk", flat=True)[:50])
    for import_id in waiting:
        enqueue("read_links", import_id)
    return len(waiting)
