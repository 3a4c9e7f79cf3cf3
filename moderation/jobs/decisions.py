"""Letting decisions take effect when their undo window is over."""

from __future__ import annotations

from core.jobs import enqueue, job
from moderation import actions
from moderation.models import Decision


@job
def publish_decision(decision_id: str) -> None:
    """Publish one decision, if its time has come and nobody undid it."""
    actions.publish_decision(Decision.objects.get(pk=decision_id))


def sweep_decisions() -> int:
    """Enqueue every decision whose undo window is over."""
    due = list(actions.decisions_to_publish().values_list("pk", flat=True)[:500])
    for key in due:
        enqueue("publish_decision", key)
    return len(due)
