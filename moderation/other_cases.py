"""What else there is about the subject of a case: what its page warns of before a decision, and lists as linked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.models import User
from moderation import access
from moderation.models import Case, CaseStatus, Decision, Outcome

__all__ = ["about"]

MOST_NAMED = 3
MOST_LINKED = 20


@dataclass(frozen=True, slots=True)
class Other:
    """Another case, what became of it, and whether it holds the very same media."""

    case: Case
    outcome: str
    shares_media: bool


def about(user: User, case: Case) -> dict[str, Any]:
    """Return what the page of a case says of others that the person may see; each of them stands in one list only."""
    about_it = access.related_cases(user, case)
    standing = about_it.exclude(status=CaseStatus.DECIDED)
    shared = access.cases_sharing_media(user, case)
    related = list(about_it[:MOST_LINKED])
    open_ones = list(standing.order_by("-severity", "due_at")[:MOST_NAMED])
    same_subject = {row.pk for row in related} | {row.pk for row in open_ones}
    elsewhere = shared.exclude(pk__in=same_subject)
    sharing = list(elsewhere[:MOST_LINKED])
    rows = [*related, *open_ones, *sharing]
    outcomes = {
        decision.case_id: Outcome(decision.outcome)
        for decision in Decision.objects.filter(
            case__in=rows, published_at__isnull=False, overturned_at=None
        ).order_by("published_at")
    }
    with_media = set(shared.filter(pk__in=same_subject).values_list("pk", flat=True))

    def told(row: Case) -> Other:
        outcome = outcomes.get(row.pk)
        words = str(outcome.label) if outcome else row.get_status_display()
        return Other(row, words, row.pk in with_media)

    confirmed = [
        row
        for row in related
        if row.status == CaseStatus.DECIDED
        and outcomes.get(row.pk) in {Outcome.CONFIRM, Outcome.CONFIRM_REFER}
    ]
    return {
        "related": [told(row) for row in related],
        "sharing": [told(row) for row in sharing],
        "more_related": max(0, about_it.count() - MOST_LINKED),
        "more_sharing": max(0, elsewhere.count() - MOST_LINKED),
        "open_others": [told(row) for row in open_ones],
        "open_others_count": standing.count(),
        "open_others_less": -len(open_ones),
        "decided_others": [told(row) for row in confirmed[:MOST_NAMED]],
    }
