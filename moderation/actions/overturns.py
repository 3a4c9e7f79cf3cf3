"""Taking back a decision in effect: by another lead, with a reason, and never twice.

overturn_decision ──(undo window)──▶ carry_out_overturn ──▶ counterparts go out, the case is open again
   └── undo_overturn: everything stays as it was
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import SYSTEM, Actor, AuditEvent
from core.errors import Invalid, Refused, describe
from core.jobs import enqueue
from hashing.actions import allow_risk, withdraw_verdicts
from moderation import access, workflow
from moderation.actions.appeals import settle_appeals
from moderation.actions.orders import bring_into_force
from moderation.audit_orders import overturn_said
from moderation.enforcement import REVERSALS
from moderation.models import (
    IN_FORCE,
    Case,
    CaseLink,
    CaseReport,
    CaseStatus,
    Decision,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    Enforcement,
    EnforcementState,
    Overturn,
    RoutingReason,
)
from reports.actions import return_to_review
from reports.models import Item, Report, RouteState

__all__ = [
    "carry_out_overturn",
    "overturn_decision",
    "overturns_due",
    "record_overturn_failure",
    "take_back_late",
    "undo_overturn",
    "what_follows",
]

AT_ONCE = 1000
PAUSE = timedelta(minutes=1)
NOT_DONE = frozenset({EnforcementState.IMPOSSIBLE, EnforcementState.REFUSED})


@dataclass(slots=True)
class Consequences:
    """What overturning a decision does to its orders: keys of those that a counterpart takes back, of those that
    nobody had and are withdrawn, and of those that the platform says it never carried out.
    """

    reversed: list[UUID] = field(default_factory=list)
    withdrawn: list[UUID] = field(default_factory=list)
    never_done: list[UUID] = field(default_factory=list)
    stopped: list[UUID] = field(default_factory=list)
    """Of the reversed: those that were still on their way."""


def what_follows(decision: Decision) -> Consequences:
    """Return what overturning a decision would do to its orders, as they stand now. Changes nothing.

    An order that was sent, tried to be sent, read or answered may have been carried out, whatever was heard of it.
    """
    tried = set(
        Delivery.objects.filter(enforcement__decision=decision)
        .filter(
            # Not the counter alone: a delivery that is sent again begins to count anew.
            Q(attempts_made__gt=0)
            | Q(delivered_at__isnull=False)
            | Q(replayed_at__isnull=False)
            | Exists(DeliveryAttempt.objects.filter(delivery=OuterRef("pk")))
        )
        .values_list("enforcement", flat=True)
    )
    found = Consequences()
    rows = decision.enforcements.filter(state__in=IN_FORCE, reverses=None, sequence__isnull=False)
    for row in rows.order_by("sequence").iterator(chunk_size=2000):
        if row.state in NOT_DONE:
            found.never_done.append(row.pk)
        elif row.pk in tried or row.pulled_at or row.state == EnforcementState.DONE:
            found.reversed.append(row.pk)
            if row.state in {EnforcementState.PENDING, EnforcementState.FAILED}:
                found.stopped.append(row.pk)
        else:
            found.withdrawn.append(row.pk)
    return found


@transaction.atomic
def overturn_decision(decision: Decision, *, reason: str, actor: User) -> Overturn:
    """Say that a decision in effect does not stand; it takes effect after the undo window, as decisions do.

    For a lead who did not make it. Said twice, also by two leads at once, it is said once. Raises Invalid without a
    reason, Refused when the decision is not in effect, was overturned, or is the person's own. Can be undone by
    ``undo_overturn`` until it takes effect.
    """
    require(actor, Permission.DECISIONS_OVERTURN)
    case = Case.objects.select_for_update().get(pk=decision.case_id)
    decision = Decision.objects.get(pk=decision.pk)
    actor = User.objects.get(pk=actor.pk)
    if not actor.may(Permission.DECISIONS_OVERTURN) or not access.may_work(actor, case):
        raise Refused("You may not decide this case.", code="not_permitted", status=403)
    if decision.made_by_id == actor.pk:
        raise Refused(
            "You made this decision. Another lead has to look at it and overturn it.",
            code="own_decision",
        )
    if case.is_practice:
        raise Refused("Practice orders nothing: there is nothing to take back.", code="practice")
    if decision.published_at is None or decision.overturned_at is not None:
        raise Refused("This decision is not in effect (any more).", code="not_in_effect")
    length = len(reason.strip())
    if not workflow.SHORTEST_REASON <= length <= workflow.LONGEST_REASON:
        said = f"Say why it does not stand, in {workflow.SHORTEST_REASON} to {workflow.LONGEST_REASON:,} characters."
        raise Invalid({"reason": [said]})
    standing = decision.overturns.filter(undone_at=None).first()
    if standing is not None:
        return standing
    overturn = Overturn.objects.create(
        decision=decision,
        reason=reason.strip(),
        made_by=actor,
        publish_at=Now() + timedelta(seconds=settings.HOLDFAST_UNDO_SECONDS),
    )
    overturn.refresh_from_db()
    audit.record(
        AuditEvent.OVERTURN_MADE,
        actor=actor,
        subject=overturn,
        case=case,
        **overturn_said(overturn),
    )
    if settings.HOLDFAST_UNDO_SECONDS <= 0:
        enqueue("publish_due")
    return overturn


@transaction.atomic
def undo_overturn(overturn: Overturn, *, actor: User) -> Overturn:
    """Take it back within its undo window: the decision stands as before. Undone twice is undone. Cannot be undone."""
    require(actor, Permission.DECISIONS_OVERTURN)
    case = Case.objects.select_for_update().get(decisions=overturn.decision_id)
    overturn = Overturn.objects.get(pk=overturn.pk)
    if overturn.undone_at is not None:
        return overturn
    if not access.may_work(actor, case):
        raise Refused("You may not work this case.", code="not_permitted", status=403)
    if not Overturn.objects.filter(
        pk=overturn.pk, published_at=None, publish_at__gt=Now()
    ).exists():
        raise Refused("The undo window is over: it has taken effect.", code="window_over")
    return _take_back(overturn, case, reason="", actor=actor)


def overturns_due() -> QuerySet[Overturn]:
    """Return what takes effect now by the database's clock, the one that waits longest first."""
    waiting = Overturn.objects.filter(undone_at=None, published_at=None, publish_at__lte=Now())
    return waiting.filter(Q(retry_at=None) | Q(retry_at__lte=Now())).order_by("publish_at")


@transaction.atomic
def carry_out_overturn(overturn: Overturn, *, actor: Actor = SYSTEM) -> bool:
    """Let it take effect once its undo window is over. Returns whether this call did it.

    May run any number of times and in parallel: the case's row is locked and the state read again. Whose permission
    ended meanwhile has overturned nothing. Otherwise, all at once: orders that may have been carried out get their
    counterparts, what nobody had is withdrawn, reports are in review again, what detection learnt is taken back,
    and the case is open for another decision. Where another case about the same is open, its reports and items join that one.
    """
    case = Case.objects.select_for_update().get(decisions=overturn.decision_id)
    due = overturns_due().filter(pk=overturn.pk).select_related("made_by", "decision").first()
    if due is None:
        return False
    if not due.made_by.may(Permission.DECISIONS_OVERTURN) or not access.may_work(due.made_by, case):
        why = "The permission of who overturned it ended before it took effect."
        _take_back(due, case, reason=why, actor=actor)
        return False
    decision = due.decision
    # Deliveries before orders, as the senders lock them.
    list(
        Delivery.objects.select_for_update(of=("self",))
        .filter(enforcement__decision=decision)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    list(
        decision.enforcements.select_for_update(of=("self",))
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    orders = what_follows(decision)
    counterparts = _take_orders_back(decision, orders)
    Overturn.objects.filter(pk=due.pk).update(published_at=Now(), error="")
    due.refresh_from_db()
    Decision.objects.filter(pk=decision.pk).update(overturned_at=due.published_at)
    is_reopened = _reopen(case, due)
    _return_reports(decision, case, route_again=not is_reopened, actor=actor)
    withdraw_verdicts(decision.pk, actor=actor)
    allow_risk(case.subject)
    settle_appeals(due, case, actor=actor)
    audit.record(
        AuditEvent.DECISION_OVERTURNED,
        actor=actor,
        subject=decision,
        case=case,
        overturn=due.pk,
        overturned_at=due.published_at,
        overturned_by=due.made_by_id,
        orders=counterparts,
        withdrawn=orders.withdrawn,
        is_reopened=is_reopened,
    )
    if due.published_at is not None:
        bring_into_force(
            decision, counterparts, at=due.published_at, decided_at=due.made_at, actor=actor
        )
    if not is_reopened:
        enqueue("route_waiting")
    return True


@transaction.atomic
def record_overturn_failure(overturn: Overturn, failed: Exception) -> None:
    """Say why it has not taken effect; it is tried again in a minute."""
    said = failed.message if isinstance(failed, Refused) else describe(failed)
    Overturn.objects.filter(pk=overturn.pk, published_at=None, undone_at=None).update(
        error=f"{said} It is tried again every minute."[:500], retry_at=Now() + PAUSE
    )


def _take_orders_back(decision: Decision, orders: Consequences) -> list[UUID]:
    """Withdraw what nobody had, stop what is on its way, and make the counterparts; return their keys."""
    gone = [*orders.withdrawn, *orders.stopped]
    Enforcement.objects.filter(pk__in=gone).update(state=EnforcementState.WITHDRAWN)
    Delivery.objects.filter(
        enforcement__in=[*gone, *orders.reversed], state=DeliveryState.PENDING
    ).update(state=DeliveryState.WITHDRAWN)
    return _counterparts(decision, Enforcement.objects.filter(pk__in=orders.reversed))


def take_back_late(order: Enforcement, *, at: datetime, actor: Actor) -> None:
    """Give an order its counterpart that is said to be done after its decision was overturned as never done.

    For the caller's transaction, which holds the order's row. Does nothing for any other order, nor twice.
    """
    decision = Decision.objects.get(pk=order.decision_id)
    is_counterpart = order.reverses_id is not None
    if decision.overturned_at is None or is_counterpart or order.verb not in REVERSALS:
        return
    if Enforcement.objects.filter(reverses=order).exists():
        return
    made = _counterparts(decision, Enforcement.objects.filter(pk=order.pk))
    audit.record(
        AuditEvent.DECISION_COUNTERPART,
        actor=actor,
        subject=decision,
        case=order.decision.case,
        orders=made,
    )
    bring_into_force(decision, made, at=at, decided_at=decision.overturned_at, actor=actor)


def _counterparts(decision: Decision, originals: QuerySet[Enforcement]) -> list[UUID]:
    made = Enforcement.objects.bulk_create(
        [
            Enforcement(
                decision=decision,
                verb=REVERSALS[row.verb],
                account_id=row.account_id,
                group_id=row.group_id,
                item_id=row.item_id,
                reverses=row,
            )
            for row in originals.order_by("sequence")
        ],
        batch_size=AT_ONCE,
    )
    return [row.pk for row in made]


def _reopen(case: Case, overturn: Overturn) -> bool:
    """Open the case for another decision; False where another one about the same is open already."""
    about = {"account": case.account_id, "group": case.group_id, "category": case.category}
    clock = case.due_at - case.opened_at
    other = (
        Case.objects.filter(**about).exclude(pk=case.pk).exclude(status=CaseStatus.DECIDED).first()
    )
    case.version += 1
    if other is None:
        try:
            with transaction.atomic():
                case.status, case.decided_at = CaseStatus.OPEN, None
                case.due_at = Now() + clock
                case.save(update_fields=["status", "decided_at", "version", "due_at"])
        except IntegrityError:
            # One was opened at this very moment.
            other = (
                Case.objects.filter(**about)
                .exclude(pk=case.pk)
                .exclude(status=CaseStatus.DECIDED)
                .first()
            )
        else:
            case.refresh_from_db()
            RoutingReason.objects.create(
                case=case,
                text=f"Open again: {overturn.made_by.pseudonym} overturned the decision.",
                severity=case.severity,
                score=case.score,
                case_version=case.version,
            )
            return True
    Case.objects.filter(pk=case.pk).update(version=F("version") + 1)
    case.refresh_from_db()
    if other is not None:
        CaseLink.objects.bulk_create(
            [CaseLink(case=other, earlier=case, reason="The decision on it was overturned")],
            ignore_conflicts=True,
        )
    return False


def _return_reports(decision: Decision, case: Case, *, route_again: bool, actor: Actor) -> None:
    judged = CaseReport.objects.filter(case=case, case_version__lte=decision.case_version)
    reports = list(judged.values_list("report", flat=True))
    return_to_review(reports, chain=f"case:{case.pk}", actor=actor)
    if route_again:
        items = case.case_items.filter(case_version__lte=decision.case_version)
        _to_be_routed(Report, reports)
        _to_be_routed(Item, items.values_list("item", flat=True))


def _to_be_routed(model: type[Report | Item], keys: Iterable[UUID]) -> None:
    model.objects.filter(pk__in=list(keys), route_state=RouteState.ROUTED).update(
        route_state=RouteState.WAITING
    )


def _take_back(overturn: Overturn, case: Case, *, reason: str, actor: User | Actor) -> Overturn:
    Overturn.objects.filter(pk=overturn.pk).update(undone_at=Now(), undone_reason=reason, error="")
    overturn.refresh_from_db()
    audit.record(
        AuditEvent.OVERTURN_UNDONE,
        actor=actor,
        subject=overturn,
        case=case,
        undone_at=overturn.undone_at,
        reason=reason,
    )
    return overturn
