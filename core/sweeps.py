"""The core's own sweeps, run by the scheduler with those of the apps."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.core.files.storage import storages

from core import jobs, vault
from core.audit_job import sweep_audit_check
from core.jobs import is_time_for
from core.vault.folder import DurableFolder

STAGED_EVERY = 600
"""Seconds between two looks for originals that nobody refers to.

The look compares every original with every table that may refer to it, and they live a day anyway."""

DAILY = 24 * 3600
"""Seconds between two sweeps of rows that only grow old."""

__all__ = ["sweep_audit_check", "sweep_half_written", "sweep_old_rows", "sweep_staged_blobs"]


def sweep_staged_blobs() -> int:
    """Destroy originals nobody referred to for a day, and finish interrupted destructions."""
    is_time = is_time_for("staged", STAGED_EVERY)
    return (vault.sweep_staged() if is_time else 0) + vault.sweep_removed()


def sweep_half_written() -> int:
    """Remove files that a killed process left half written in the folders of the stores; return how many."""
    stores = (storages[name] for name in ("vault", "packages", "anchors"))
    return sum(store.sweep_incoming() for store in stores if isinstance(store, DurableFolder))


def sweep_old_rows() -> int:
    """Delete sessions that have expired and the signs of life of processes long gone; return how many
    of the latter.

    Nothing else deletes a session whose browser never came back: its row would stay for ever.
    """
    if not is_time_for("old-rows", DAILY):
        return 0
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return jobs.forget_processes()
