"""Letting decisions take effect when their undo window is over."""

from __future__ import annotations

import time

from core.jobs import enqueue, is_stopping, is_time_for, job
from moderation import actions

BUSY_SECONDS = 20.0
OUTCOMES_EVERY = 600


@job
def publish_due() -> None:
    """Publish every decision whose time has come and that nobody undid, each in a transaction of its own; the same
    with decisions that were overturned.

    Safe to repeat, to kill and to run beside itself. One that cannot be published says why and does not hold up
    the others, also when it kills the process (``actions.take_decision_to_publish``).
    """
    over = time.monotonic() + BUSY_SECONDS
    failed: Exception | None = None
    while not is_stopping():
        if time.monotonic() > over:
            enqueue("publish_due")
            return
        decision = actions.take_decision_to_publish()
        if decision is None:
            break
        try:
            actions.publish_decision(decision)
        except Exception as one:  # noqa: BLE001 — the others go on; it is raised in the end
            actions.record_publish_failure(decision, one)
            failed = one
    while not is_stopping() and time.monotonic() <= over:
        overturn = actions.overturns_due().first()
        if overturn is None:
            break
        try:
            actions.carry_out_overturn(overturn)
        except Exception as one:  # noqa: BLE001 — the others go on; it is raised in the end
            actions.record_overturn_failure(overturn, one)
            failed = one
    if failed is not None:
        raise failed


def sweep_outcomes() -> int:
    """Tell reports of decisions that took effect before this version told them; return how many."""
    over = time.monotonic() + BUSY_SECONDS
    told = 0
    if is_time_for("moderation-outcomes", OUTCOMES_EVERY):
        while (some := actions.tell_missed_outcomes()) and not is_stopping():
            told += some
            if time.monotonic() > over:
                break
    return told


def sweep_decisions() -> int:
    """Wake the publishing when the undo window of a decision is over; return how many, at most 500."""
    due = int(actions.decisions_due().values("pk")[:500].count())
    due += int(actions.overturns_due().values("pk")[:500].count())
    if due:
        enqueue("publish_due")
    return due
