"""What came of a report, for whoever sent it. Cases say so here: reports know nothing of cases."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from core import audit
from core.audit import Actor, AuditEvent, Line, Person
from reports.models import Report, ReportOutcome

__all__ = ["record_outcome", "return_to_review"]


@transaction.atomic
def record_outcome(
    reports: Iterable[UUID],
    *,
    outcome: ReportOutcome,
    decided_at: datetime,
    chain: str,
    actor: Actor | Person,
) -> list[Report]:
    """Say on reports what came of them, by a decision in effect since ``decided_at``; return those it was new for.

    For the room that decides, in the transaction in which the decision takes effect. Said twice it is said once;
    what a later decision said stays. One line a report goes to the audit chain ``chain``. Undone by
    ``return_to_review``.
    """
    rows = list(
        Report.objects.select_for_update(no_key=True)
        .filter(pk__in=list(reports))
        .exclude(outcome=outcome.value, decided_at=decided_at)
        .exclude(decided_at__gt=decided_at)
        .order_by("pk")
    )
    Report.objects.filter(pk__in=[row.pk for row in rows]).update(
        outcome=outcome.value, decided_at=decided_at
    )
    said = {"outcome": outcome.value, "decided_at": decided_at}
    audit.record_lines(
        [Line(AuditEvent.REPORT_DECIDED, row, chain, said) for row in rows], actor=actor
    )
    for row in rows:
        row.outcome, row.decided_at = outcome.value, decided_at
    return rows


@transaction.atomic
def return_to_review(reports: Iterable[UUID], *, chain: str, actor: Actor | Person) -> int:
    """Take back what was said to have come of reports: their decision does not stand. Return of how many.

    Their sender reads ``in_review`` again. Reports of which nothing was said are passed by. Undone by
    ``record_outcome``.
    """
    rows = list(
        Report.objects.select_for_update(no_key=True)
        .filter(pk__in=list(reports), decided_at__isnull=False)
        .order_by("pk")
    )
    Report.objects.filter(pk__in=[row.pk for row in rows]).update(outcome="", decided_at=None)
    audit.record_lines(
        [Line(AuditEvent.REPORT_REOPENED, row, chain, {}) for row in rows], actor=actor
    )
    return len(rows)
