"""Whether the decision that a referral rests on still stands: a lead may have overturned it since.

A referral that was approved rests on the decision of that moment; one that was not, on whatever decision of its case
stands. Nothing leaves without one that says “Confirm and refer”. What was sealed before stays as it is, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from moderation.models import Case, Decision, Outcome, Overturn
from referrals.models import OverturnNotice, Referral, ReferralState

NOTHING_LEAVES = (
    "The decision on this case was overturned. Nothing of it may leave until it is decided "
    "“Confirm and refer” anew."
)
RESTED_ON_ANOTHER = (
    "The decision that this approval rested on was overturned. Nothing was sealed. Return the referral: "
    "once the case is decided “Confirm and refer” anew, a second person can approve it again."
)


@dataclass(frozen=True, slots=True)
class Fallen:
    """A referral whose decision was overturned."""

    overturn: Overturn
    decided_anew: Decision | None
    """The decision that stands on the case now."""
    notice: OverturnNotice | None
    """What legal staff noted about telling the agency, if anything yet."""

    @property
    def by(self) -> str:
        return self.overturn.made_by.pseudonym

    @property
    def at(self) -> datetime:
        """When it took effect: nothing else is read here."""
        return self.overturn.published_at or self.overturn.made_at

    @property
    def words(self) -> str:
        """Who overturned it, when and why, and what became of the case, in sentences."""
        why = self.overturn.reason.strip()
        end = "" if why.endswith((".", "!", "?")) else "."
        now = (
            f"The case was decided anew: {self.decided_anew.get_outcome_display()}."
            if self.decided_anew
            else "Nobody has decided the case anew yet."
        )
        return f"{self.by} overturned it on {self.at:%Y-%m-%d at %H:%M} UTC: {why}{end} {now}"


def standing_decisions(cases: Iterable[UUID]) -> QuerySet[Decision]:
    """Return the decisions in effect on these cases that nobody overturned, the latest last."""
    found = Decision.objects.filter(
        case__in=list(cases), published_at__isnull=False, overturned_at=None
    )
    return found.order_by("published_at")


def fallen(referrals: Iterable[Referral]) -> dict[UUID, Fallen]:
    """Return those of the referrals whose decision was overturned, by their ids. Three queries, for however many."""
    referrals = list(referrals)
    cases = {referral.case_id for referral in referrals}
    overturns: dict[UUID, list[Overturn]] = {}
    rows = Overturn.objects.filter(decision__case__in=cases, published_at__isnull=False)
    for row in rows.select_related("made_by", "decision").order_by("published_at"):
        overturns.setdefault(row.decision.case_id, []).append(row)
    if not overturns:
        return {}
    standing = {decision.case_id: decision for decision in standing_decisions(overturns)}
    noted = OverturnNotice.objects.filter(referral__in=referrals).select_related("told_by")
    notices = {(notice.referral_id, notice.overturn_id): notice for notice in noted}
    found = {}
    for referral in referrals:
        decision = standing.get(referral.case_id)
        row_ = _relevant(referral, overturns.get(referral.case_id, []), decision)
        if row_ is not None:
            found[referral.pk] = Fallen(row_, decision, notices.get((referral.pk, row_.pk)))
    return found


def _relevant(
    referral: Referral, overturns: list[Overturn], standing: Decision | None
) -> Overturn | None:
    if (approved := referral.approved_at) is not None:
        return next(
            (row for row in overturns if row.published_at and row.published_at > approved), None
        )
    if not overturns or (standing is not None and standing.outcome == Outcome.CONFIRM_REFER):
        return None
    return overturns[-1]


def fallen_one(referral: Referral) -> Fallen | None:
    """Return how the decision of one referral was overturned, if it was."""
    return fallen([referral]).get(referral.pk)


def only_fallen(referrals: QuerySet[Referral]) -> QuerySet[Referral]:
    """Return those of the referrals whose decision was overturned, as ``fallen`` finds them."""
    overturned = Overturn.objects.filter(
        decision__case=OuterRef("case"), published_at__isnull=False
    )
    standing = Decision.objects.filter(
        case=OuterRef("case"),
        published_at__isnull=False,
        overturned_at=None,
        outcome=Outcome.CONFIRM_REFER,
    )
    after = overturned.filter(published_at__gt=OuterRef("approved_at"))
    return referrals.filter(
        Q(Exists(after)) | (Q(approved_at=None) & Exists(overturned) & ~Exists(standing))
    )


def to_tell(referrals: QuerySet[Referral]) -> QuerySet[Referral]:
    """Return sealed referrals whose decision was overturned and about which nobody noted that the agency was told.

    A correction that was sealed afterwards tells it as well.
    """
    sealed = only_fallen(referrals).filter(state=ReferralState.SEALED)
    noted = OverturnNotice.objects.filter(
        referral=OuterRef("pk"), overturn__published_at__gt=OuterRef("approved_at")
    )
    later = Referral.objects.filter(supersedes=OuterRef("pk"), state=ReferralState.SEALED)
    return sealed.exclude(Exists(noted)).exclude(Exists(later))


def may_leave(case: Case) -> bool:
    """Whether a decision stands on the case that says “Confirm and refer”."""
    return standing_decisions([case.pk]).filter(outcome=Outcome.CONFIRM_REFER).exists()


def decision_of(referral: Referral) -> Decision | None:
    """Return the decision that an approved referral rests on, or None if it was overturned since.

    A decision that was made anew after the approval is not the one that was approved.
    """
    found = standing_decisions([referral.case_id]).filter(outcome=Outcome.CONFIRM_REFER)
    if referral.approved_at is not None:
        found = found.filter(published_at__lte=referral.approved_at)
    return found.select_related("policy_version__policy", "made_by").last()
