"""Telling reports what was decided on the case that they joined."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, QuerySet

from core.audit import SYSTEM, Actor
from moderation.actions.notices import tell_closed
from moderation.models import Case, CaseReport, Decision, Outcome, Verb
from reports.actions import record_outcome
from reports.models import ReportOutcome, RouteState

__all__ = ["outcome_of", "tell_missed_outcomes", "tell_outcome"]

AT_ONCE = 100
"""Decisions that one call of ``tell_missed_outcomes`` looks after."""


def outcome_of(decision: Decision) -> ReportOutcome:
    """Return what a reporter may hear: whether the platform is told to do something, or the case is referred."""
    acts = decision.enforcements.exclude(verb=Verb.NO_ACTION).exists()
    if acts or decision.outcome == Outcome.CONFIRM_REFER:
        return ReportOutcome.ACTION_TAKEN
    return ReportOutcome.NO_ACTION


def tell_outcome(decision: Decision, *, actor: Actor = SYSTEM) -> int:
    """Say on the reports that a published decision judged what came of them; return how many it was new for.

    Reports that joined after the decision was made are not among them: nobody judged them, and they are
    routed again. The caller holds the case's row.
    """
    if decision.published_at is None or decision.overturned_at is not None:
        return 0
    judged = CaseReport.objects.filter(
        case=decision.case_id, case_version__lte=decision.case_version
    )
    told = record_outcome(
        judged.values_list("report", flat=True),
        outcome=outcome_of(decision),
        decided_at=decision.published_at,
        chain=f"case:{decision.case_id}",
        actor=actor,
    )
    tell_closed(decision, told)
    return len(told)


def tell_missed_outcomes() -> int:
    """Tell reports of decisions that took effect before reports were told; return how many were.

    So an installation that is brought up to date catches up, with a line in the audit log for each report
    (which a migration could not write). ``AT_ONCE`` decisions a call, each in its own transaction. Safe to repeat,
    to kill and to run beside itself.
    """
    told = 0
    for key in _missed().values_list("case__decisions", flat=True).distinct()[:AT_ONCE]:
        with transaction.atomic():
            decision = Decision.objects.get(pk=key)
            Case.objects.select_for_update().get(pk=decision.case_id)
            told += tell_outcome(decision)
    return told


def _missed() -> QuerySet[CaseReport]:
    return CaseReport.objects.filter(
        report__decided_at=None,
        report__route_state=RouteState.ROUTED,
        case__decisions__published_at__isnull=False,
        case__decisions__overturned_at=None,
        case__decisions__case_version__gte=F("case_version"),
    )
