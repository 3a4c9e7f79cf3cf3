"""The core's own sweeps, run by the scheduler with those of the apps."""

from __future__ import annotations

from django.core.cache import cache
from redis.exceptions import RedisError

from core import vault
from core.audit_job import sweep_audit_check

STAGED_EVERY = 600
"""Seconds between two looks for originals that nobody refers to.

The look compares every original with every table that may refer to it, and they live a day anyway."""

__all__ = ["sweep_audit_check", "sweep_staged_blobs"]


def sweep_staged_blobs() -> int:
    """Destroy originals nobody referred to for a day, and finish interrupted destructions."""
    try:
        is_time = cache.add("sweep-staged", 1, STAGED_EVERY)
    except (RedisError, OSError):
        is_time = False  # They can wait until Valkey is back.
    return (vault.sweep_staged() if is_time else 0) + vault.sweep_removed()
