"""What people decided about items, as far as detection learns from it."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction

from core import audit
from core.audit import Actor, AuditEvent
from hashing.actions.exchange_reviews import note_reviews
from hashing.actions.risk import mark_subjects_of
from hashing.models import Verdict
from reports.models import NOT_SENT, Item

__all__ = ["record_verdicts", "withdraw_verdicts"]


@transaction.atomic
def record_verdicts(
    items: Iterable[Item],
    *,
    decision: UUID,
    is_violation: bool,
    category: str,
    actor: Actor = audit.SYSTEM,
) -> int:
    """Record what a decision that took effect said about each item; return how many are new.

    Safe to repeat. A later decision about the same item adds a row; the newest one counts. Undone by
    ``withdraw_verdicts``. What a reporter wrote is a claim about content and no example
    of it: nothing is recorded for it. Context, which may be the victim's own, is left out by the caller.
    """
    rows = [
        Verdict(item=item, decision=decision, is_violation=is_violation, category=category)
        for item in items
        if item.surface not in NOT_SENT
    ]
    known = set(Verdict.objects.filter(decision=decision).values_list("item", flat=True))
    new = [row for row in rows if row.item_id not in known]
    Verdict.objects.bulk_create(new, ignore_conflicts=True)
    if new:
        note_reviews(new)
        mark_subjects_of(row.item for row in new)
        audit.record(
            AuditEvent.VERDICTS_RECORDED,
            actor=actor,
            subject=new[0].item,
            decision=decision,
            items=len(new),
            is_violation=is_violation,
            category=category,
        )
    return len(new)


@transaction.atomic
def withdraw_verdicts(decision: UUID, *, actor: Actor = audit.SYSTEM) -> int:
    """Take back what a decision said about items, which does not stand any more; return how many rows went.

    Labels, precision and risk no longer know of it from now on. What was trained or sent to partners before stays until it is
    trained or reviewed again. Safe to repeat. Undone by another decision.
    """
    rows = Verdict.objects.filter(decision=decision)
    items = [row.item for row in rows.select_related("item")]
    if not items:
        return 0
    rows.delete()
    mark_subjects_of(items)
    audit.record(
        AuditEvent.VERDICTS_WITHDRAWN,
        actor=actor,
        subject=items[0],
        decision=decision,
        items=len(items),
    )
    return len(items)
