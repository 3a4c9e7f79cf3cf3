"""Letting decisions take effect when their undo window is over."""

from __future__ import annotations

import time
from uuid import UUID

from core.jobs import enqueue, is_stopping, job
from moderation import actions

BATCH = 50
BUSY_SECONDS = 20.0


@job
def publish_due() -> None:
    """Publish every decision whose time has come and that nobody undid, each in a transaction of its own.

    Safe to repeat, to kill and to run beside itself. One that cannot be published does not hold up the others.
    """
    over = time.monotonic() + BUSY_SECONDS
    seen: set[UUID] = set()
    failed: Exception | None = None
    while batch := list(_due().exclude(pk__in=seen)[:BATCH]):
        for decision in batch:
            if is_stopping():
                return
            if time.monotonic() > over:
                enqueue("publish_due")
                return
            seen.add(decision.pk)
            try:
                actions.publish_decision(decision)
            except Exception as one:  # noqa: BLE001 — the others go on; it is raised in the end
                failed = one
    if failed is not None:
        raise failed


def _due():  # type: ignore[no-untyped-def]
    return actions.decisions_to_publish().order_by("publish_at", "pk")


def sweep_decisions() -> int:
    """Wake the publishing when the undo window of a decision is over; return how many, at most 500."""
    due = int(_due().values("pk")[:500].count())
    if due:
        enqueue("publish_due")
    return due
