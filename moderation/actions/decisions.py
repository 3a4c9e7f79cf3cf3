"""Verdicts: made on a lease, held for the undo window, then published. Rows stay for ever.

decide ──(undo window)──▶ publish_decision ──▶ enforcements go out
   └── undo_decision: the case is open again, nothing left the building
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import SYSTEM, Actor
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused
from core.jobs import enqueue
from hashing.actions import quiet_risk, record_verdicts
from moderation import access, workflow
from moderation.actions.claims import check_lease
from moderation.actions.orders import bring_into_force
from moderation.actions.outcomes import tell_outcome
from moderation.audit_rows import orders_digest, policy_digest, reason_digest
from moderation.models import (
    Case,
    CaseReport,
    CaseStatus,
    Claim,
    ClaimEnd,
    Decision,
    Enforcement,
    EnforcementState,
    Outcome,
    PolicyVersion,
    Verb,
)
from moderation.things import once_each, things_of
from reports.actions import return_to_review
from reports.models import Item, ItemRole, Report, RouteState

AT_ONCE = 1000
"""Orders that one statement keeps ready: removal names every piece of media of a case."""
CHANGES_NAMED = 20
"""Reports and reasons that joined meanwhile are named up to so many; of more the number is said."""


class DecisionUndone(Refused):
    """The decision was taken back; the key that recorded it is spent, deciding anew needs a new one."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="undone")


class CaseChanged(Refused):
    """The case is not what the person saw any more. ``since`` is the version they saw."""

    def __init__(self, case: Case, since: int) -> None:
        super().__init__(
            "This case changed while you worked on it. Look at what is new, then confirm again.",
            code="changed",
        )
        self.case = case
        self.since = since


@transaction.atomic
def decide(
    case: Case,
    *,
    policy: PolicyVersion,
    outcome: str,
    enforcements: Sequence[str],
    reason: str,
    case_version: int,
    idempotency_key: str,
    actor: User,
) -> Decision:
    """Record a verdict on a leased case; it takes effect after the undo window.

    The same key again returns the same decision: a form sent twice decides once. When that decision was
    taken back since, the key is spent and the form Refused. Raises Invalid for a verdict that the policy
    does not allow, CaseChanged when something joined since ``case_version``, Refused when the lease is
    not live in this very transaction or the case was decided by somebody else.
    Can be undone by ``undo_decision`` until it is published.
    """
    require(actor, Permission.CASES_DECIDE)
    case = Case.objects.select_for_update().get(pk=case.pk)
    actor = User.objects.get(pk=actor.pk)
    earlier = case.decisions.filter(idempotency_key=idempotency_key, made_by=actor).first()
    if earlier is not None:
        return _same_again(earlier)
    if not idempotency_key.strip() or len(idempotency_key) > 80:
        raise Invalid({"idempotency_key": ["The form is incomplete. Reload the page."]})
    if not actor.may(Permission.CASES_DECIDE) or not access.may_work(actor, case):
        raise Refused("You may not decide this case.", code="not_permitted", status=403)
    if case.status != CaseStatus.OPEN:
        raise Refused(_decided_sentence(case), code="already_decided")
    check_lease(case, actor=actor)
    if case.version != case_version:
        raise CaseChanged(case, case_version)
    _check_current(policy)
    media = _media_of(case)
    chosen = tuple(dict.fromkeys(enforcements))
    problems = workflow.problems_of(
        workflow.Verdict(outcome=outcome, enforcements=chosen, reason=reason),
        fitting=fitting_verbs(case, policy, has_media=bool(media)),
        requires_referral=policy.requires_referral,
    )
    if problems:
        raise Invalid(problems)
    case.status = CaseStatus.DECIDING
    case.version += 1
    case.save(update_fields=["status", "version"])
    decision = Decision.objects.create(
        case=case,
        policy_version=policy,
        outcome=outcome,
        reason=reason.strip(),
        case_version=case_version,
        made_by=actor,
        publish_at=Now() + timedelta(seconds=settings.HOLDFAST_UNDO_SECONDS),
        idempotency_key=idempotency_key,
    )
    for verb in chosen:
        _hold(decision, verb, case=case, media=media)
    decision.refresh_from_db()
    audit.record(
        AuditEvent.CASE_DECIDED,
        actor=actor,
        subject=decision,
        case=case,
        policy=str(policy),
        policy_version=policy.pk,
        reason_digest=reason_digest(decision),
        made_at=decision.made_at,
        outcome=outcome,
        enforcements=list(chosen),
        orders=orders_digest(decision),
        policy_digest=policy_digest(policy),
        case_version=case_version,
        publish_at=decision.publish_at,
    )
    if settings.HOLDFAST_UNDO_SECONDS <= 0:
        enqueue("publish_due")
    return decision


@transaction.atomic
def undo_decision(decision: Decision, *, actor: User) -> Decision:
    """Take a decision back within its undo window; the case is open again. Undone twice is undone.

    For the person who made it, and for leads. Nothing has left the building. Cannot be undone; the case
    is decided anew.
    """
    require(actor, Permission.CASES_DECIDE)
    case = Case.objects.select_for_update().get(pk=decision.case_id)
    decision = Decision.objects.select_related("policy_version__policy").get(pk=decision.pk)
    if decision.undone_at is not None:
        return decision
    if not access.may_work(actor, case):
        raise Refused("You may not work this case.", code="not_permitted", status=403)
    if decision.made_by_id != actor.pk and not actor.may(Permission.CASES_TAKE_OVER):
        raise Refused(
            "Only the person who made a decision, or a lead, can undo it.",
            code="not_yours",
            status=403,
        )
    is_open = Decision.objects.filter(
        pk=decision.pk, published_at=None, publish_at__gt=Now()
    ).exists()
    if not is_open:
        raise Refused("The undo window is over: the decision has taken effect.", code="window_over")
    return _take_back(decision, case, reason="", actor=actor, by=actor)


@transaction.atomic
def send_now(decision: Decision, *, actor: User) -> Decision:
    """End the undo window of one's own decision early: it takes effect at once. Cannot be undone."""
    require(actor, Permission.CASES_DECIDE)
    case = Case.objects.select_for_update().get(pk=decision.case_id)
    decision = Decision.objects.get(pk=decision.pk)
    if decision.undone_at is not None:
        raise DecisionUndone("This decision was undone.")
    if decision.made_by_id != actor.pk and not actor.may(Permission.CASES_TAKE_OVER):
        raise Refused(
            "Only the person who made a decision, or a lead, can send it early.",
            code="not_yours",
            status=403,
        )
    if decision.published_at is None:
        Decision.objects.filter(pk=decision.pk, publish_at__gt=Now()).update(publish_at=Now())
        audit.record(AuditEvent.DECISION_SENT_EARLY, actor=actor, subject=decision, case=case)
        enqueue("publish_due")
    decision.refresh_from_db()
    return decision


@transaction.atomic
def publish_decision(decision: Decision, *, actor: Actor = SYSTEM) -> bool:
    """Let a decision take effect once its undo window is over. Returns whether this call did it.

    May run any number of times and in parallel: the case's row is locked and the state read again.
    * Undone, published already, or still in its window: nothing happens.
    * The decider may not decide such cases any more (deactivated, permission withdrawn): the decision is
      taken back and the case is open for others. What somebody did with an account they should not
      have had must not reach the platform.
    * Otherwise: the reports that were judged say what came of them, enforcements are queued, the lease ends. What
      joined the case after the decision was made has not been judged by anybody, so it is routed again, into a case
      that links this one.
    """
    case = Case.objects.select_for_update().get(pk=decision.case_id)
    decision = Decision.objects.select_related("made_by").get(pk=decision.pk)
    is_due = Decision.objects.filter(
        pk=decision.pk, undone_at=None, published_at=None, publish_at__lte=Now()
    ).exists()
    if not is_due:
        return False
    decider = decision.made_by
    if not decider.may(Permission.CASES_DECIDE) or not access.may_work(decider, case):
        _take_back(
            decision,
            case,
            reason="The decider's permission ended before the decision took effect.",
            actor=actor,
            by=None,
        )
        return False
    Decision.objects.filter(pk=decision.pk).update(
        published_at=Now(), publish_error="", publish_retry_at=None
    )
    decision.refresh_from_db()
    case.status = CaseStatus.DECIDED
    case.decided_at = decision.published_at
    case.version += 1
    case.save(update_fields=["status", "decided_at", "version"])
    Claim.objects.filter(case=case, ended_at=None).update(ended_at=Now(), end=ClaimEnd.DECIDED)
    late_reports, late_items = _route_again(case, since=decision.case_version, actor=actor)
    if not case.is_practice:  # Detection learns nothing from practice, and nobody is rated by it.
        judged = case.case_items.filter(case_version__lte=decision.case_version)
        record_verdicts(
            [
                row.item
                for row in judged.select_related("item")
                if row.item.role == ItemRole.REPORTED
            ],
            decision=decision.pk,
            is_violation=decision.outcome != Outcome.NOT_VIOLATING,
            category=case.category,
            actor=actor,
        )
        quiet_risk(
            case.subject, is_violation=decision.outcome != Outcome.NOT_VIOLATING, actor=actor
        )
    audit.record(
        AuditEvent.DECISION_PUBLISHED,
        actor=actor,
        subject=decision,
        case=case,
        outcome=decision.outcome,
        published_at=decision.published_at,
        late_reports=late_reports,
        late_items=late_items,
    )
    tell_outcome(decision, actor=actor)
    held = decision.enforcements.filter(state=EnforcementState.HELD)
    unsent = held if case.is_practice else held.filter(verb=Verb.NO_ACTION)
    unsent.update(state=EnforcementState.NOT_SENT)
    bring_into_force(
        decision,
        list(held.values_list("pk", flat=True)),
        at=case.decided_at or decision.publish_at,
        decided_at=decision.made_at,
        actor=actor,
    )
    return True


def _same_again(earlier: Decision) -> Decision:
    """Return the decision that a form made before; refuse when it does not stand any more.

    The browser's Back shows the old form with its old key: to answer it as recorded would leave an
    open case that somebody believes to be decided.
    """
    if earlier.undone_at is not None:
        raise DecisionUndone("This decision was taken back. Reload the case and decide again.")
    return earlier


def decisions_to_publish():  # type: ignore[no-untyped-def]
    """Return decisions whose undo window is over by the database's clock."""
    return Decision.objects.filter(undone_at=None, published_at=None, publish_at__lte=Now())


def fitting_verbs(case: Case, policy: PolicyVersion, *, has_media: bool) -> list[str]:
    """Return the enforcements that this policy allows for this case, in the policy's order."""
    return workflow.verbs_for(
        "account" if case.account_id else "group", policy.enforcements, has_media=has_media
    )


def changes_since(case: Case, version: int) -> list[str]:
    """Return what joined or changed on a case after ``version``, in sentences."""
    said = [
        f"{joined.report} joined, from {joined.report.source.name}."
        for joined in CaseReport.objects.filter(case=case, case_version__gt=version)
        .select_related("report__source")
        .order_by("joined_at", "pk")[:CHANGES_NAMED]
    ]
    more = case.case_reports.filter(case_version__gt=version).count() - len(said)
    if more > 0:
        said.append(f"{more} more reports joined.")
    items = case.case_items.filter(case_version__gt=version).count()
    if items:
        said.append("1 item joined." if items == 1 else f"{items} items joined.")
    said += [
        f"New reason: {reason.text}"
        for reason in case.reasons.filter(case_version__gt=version).order_by("pk")[:CHANGES_NAMED]
    ]
    decisions = case.decisions.filter(case_version__gte=version).select_related("made_by")
    for decision in decisions.order_by("made_at")[:CHANGES_NAMED]:
        if decision.undone_at is not None:
            said.append(f"{decision.made_by.pseudonym} decided and took it back.")
    return said


def has_media(case: Case) -> bool:
    """Return whether a case holds anything that the platform could remove as media."""
    return things_of(case, to_remove=True).exists()


def _media_of(case: Case) -> list[Item]:
    """Return what the platform could remove: each thing once, however many reports name it."""
    firsts = things_of(case, to_remove=True).values("item")
    return once_each(list(Item.objects.filter(pk__in=firsts).order_by("received_at", "pk")))


def _hold(decision: Decision, verb: str, *, case: Case, media: list[Item]) -> None:
    """Keep one enforcement ready for the moment of publication; removal names every piece of media."""
    about = {"account_id": case.account_id, "group_id": case.group_id}
    targets: list[Item | None] = list(media) if verb == Verb.REMOVE_MEDIA else [None]
    Enforcement.objects.bulk_create(
        [Enforcement(decision=decision, verb=verb, item=item, **about) for item in targets],
        batch_size=AT_ONCE,
    )


def _take_back(
    decision: Decision, case: Case, *, reason: str, actor: User | Actor, by: User | None
) -> Decision:
    Decision.objects.filter(pk=decision.pk).update(
        undone_at=Now(), undone_by=by, undone_reason=reason, publish_error=""
    )
    decision.enforcements.update(state=EnforcementState.CANCELLED)
    if by is None:
        # Who decided may not work the case any more: a lease of theirs would keep everybody else out.
        _end_lease_of(decision.made_by, case, reason=reason)
    case.status = CaseStatus.OPEN
    case.version += 1
    case.save(update_fields=["status", "version"])
    audit.record(
        AuditEvent.DECISION_UNDONE,
        actor=actor,
        subject=decision,
        case=case,
        reason=reason,
        made_by=decision.made_by_id,
    )
    decision.refresh_from_db()
    return decision


def _end_lease_of(person: User, case: Case, *, reason: str) -> None:
    for claim in Claim.objects.select_for_update().filter(case=case, user=person, ended_at=None):
        Claim.objects.filter(pk=claim.pk).update(
            ended_at=Now(), end=ClaimEnd.WITHDRAWN, end_reason=reason[:500]
        )
        audit.record(AuditEvent.CLAIM_RELEASED, actor=SYSTEM, subject=claim, case=case)


def _route_again(case: Case, *, since: int, actor: Actor) -> tuple[list[str], list[str]]:
    reports = list(
        CaseReport.objects.filter(case=case, case_version__gt=since).values_list(
            "report", flat=True
        )
    )
    items = list(case.case_items.filter(case_version__gt=since).values_list("item", flat=True))
    # Whatever was said of them before: nobody judged what they brought here.
    return_to_review(reports, chain=f"case:{case.pk}", actor=actor)
    Report.objects.filter(pk__in=reports, route_state=RouteState.ROUTED).update(
        route_state=RouteState.WAITING
    )
    Item.objects.filter(pk__in=items, route_state=RouteState.ROUTED).update(
        route_state=RouteState.WAITING
    )
    if reports or items:
        enqueue("route_waiting")
    return [str(key) for key in reports], [str(key) for key in items]


def _check_current(policy: PolicyVersion) -> None:
    newest = (
        PolicyVersion.objects.filter(policy=policy.policy_id, effective_from__lte=Now())
        .order_by("-version")
        .first()
    )
    if newest is None or newest.pk != policy.pk or not policy.policy.is_active:
        raise Refused(
            f"{policy.policy.code} has a newer wording. Reload the page and read it before you decide.",
            code="policy_changed",
        )


def _decided_sentence(case: Case) -> str:
    last = (
        case.decisions.filter(undone_at=None).select_related("made_by").order_by("-made_at").first()
    )
    if last is None:
        return "This case is not open any more."
    return (
        f"{last.made_by.pseudonym} decided this case at {last.made_at:%H:%M} UTC: "
        f"{Outcome(last.outcome).label.lower()}."
    )
