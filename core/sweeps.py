"""The core's own sweeps, run by the scheduler with those of the apps."""

from __future__ import annotations

from core import vault
from core.audit_job import sweep_audit_check

__all__ = ["sweep_audit_check", "sweep_staged_blobs"]


def sweep_staged_blobs() -> int:
    """Destroy originals nobody referred to for a day, and finish interrupted destructions."""
    return vault.sweep_staged() + vault.sweep_removed()
