"""Appeals against orders: taken from the platform, decided by a lead who did not make the decision.

Small on purpose: an appeal is a task on its case. A lead upholds the decision here, or overturns it (``actions.overturns``), which
decides every appeal that waits against it.
"""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent
from core.errors import Invalid, Refused
from moderation import access, workflow
from moderation.audit_orders import appeal_said
from moderation.models import Appeal, AppealState, Case, Enforcement, Overturn
from reports.models import Source

__all__ = ["settle_appeals", "submit_appeal", "uphold_appeal"]


@transaction.atomic
def submit_appeal(
    source: Source,
    *,
    enforcement: Enforcement,
    external_id: str,
    reason: str,
    appealed_at: datetime | None,
    actor: Actor,
) -> tuple[Appeal, bool]:
    """Take an appeal against an order; return it, and whether it is new.

    The same ``external_id`` again is the same appeal. Raises Refused when it names another order or says
    something else (409, ``duplicate_appeal``), and for an order that only takes another one back. One against a decision that was overturned
    already is answered so at once. Cannot be undone.
    """
    # The case's row first, as whoever overturns locks it: an appeal never waits for a decision that is gone.
    case = Case.objects.select_for_update().get(decisions=enforcement.decision_id)
    order = Enforcement.objects.select_related("decision").get(pk=enforcement.pk)
    known = Appeal.objects.filter(source=source, external_id=external_id).first()
    if known is not None:
        return _same_again(known, order, reason), False
    if order.reverses_id is not None:
        raise Refused(
            "This order takes another one back. Appeal against an order that does something.",
            code="not_appealable",
        )
    overturned_at = order.decision.overturned_at
    try:
        with transaction.atomic():
            appeal = Appeal.objects.create(
                source=source,
                enforcement=order,
                external_id=external_id,
                reason=reason,
                appealed_at=appealed_at,
                state=AppealState.OVERTURNED if overturned_at else AppealState.OPEN,
                decided_at=overturned_at,
            )
    except IntegrityError:
        # The same one, against an order of another case, at this very moment.
        return _same_again(
            Appeal.objects.get(source=source, external_id=external_id), order, reason
        ), False
    audit.record(
        AuditEvent.APPEAL_RECEIVED, actor=actor, subject=appeal, case=case, **appeal_said(appeal)
    )
    appeal.refresh_from_db()
    return appeal, True


@transaction.atomic
def uphold_appeal(appeal: Appeal, *, reason: str, actor: User) -> Appeal:
    """Say that the decision stands. For a lead who did not make it; once. Cannot be undone. Raises Invalid, Refused."""
    require(actor, Permission.DECISIONS_OVERTURN)
    case = Case.objects.select_for_update().get(decisions__enforcements=appeal.enforcement_id)
    appeal = Appeal.objects.select_related("enforcement__decision").get(pk=appeal.pk)
    if not access.may_work(actor, case):
        raise Refused("You may not decide this case.", code="not_permitted", status=403)
    if appeal.enforcement.decision.made_by_id == actor.pk:
        raise Refused(
            "You made this decision. Another lead decides the appeal.", code="own_decision"
        )
    if appeal.state != AppealState.OPEN:
        raise Refused("This appeal is decided already.", code="already_decided")
    if not workflow.SHORTEST_REASON <= len(reason.strip()) <= workflow.LONGEST_REASON:
        said = f"Say why the decision stands, in at least {workflow.SHORTEST_REASON} characters."
        raise Invalid({"reason": [said]})
    Appeal.objects.filter(pk=appeal.pk).update(
        state=AppealState.UPHELD, decided_by=actor, decided_at=Now(), answer=reason.strip()
    )
    appeal.refresh_from_db()
    audit.record(
        AuditEvent.APPEAL_DECIDED,
        actor=actor,
        subject=appeal,
        case=case,
        state=appeal.state,
        decided_at=appeal.decided_at,
    )
    return appeal


def settle_appeals(overturn: Overturn, case: Case, *, actor: Actor) -> None:
    """Decide the appeals that wait against a decision, in the transaction in which it is overturned."""
    waiting = Appeal.objects.filter(
        enforcement__decision=overturn.decision_id, state=AppealState.OPEN
    )
    keys = list(waiting.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    for appeal in Appeal.objects.filter(pk__in=keys).order_by("pk"):
        Appeal.objects.filter(pk=appeal.pk).update(
            state=AppealState.OVERTURNED,
            decided_by=overturn.made_by_id,
            decided_at=overturn.published_at,
            answer=overturn.reason,
        )
        audit.record(
            AuditEvent.APPEAL_DECIDED,
            actor=actor,
            subject=appeal,
            case=case,
            state=AppealState.OVERTURNED,
            decided_at=overturn.published_at,
        )


def _same_again(known: Appeal, order: Enforcement, reason: str) -> Appeal:
    if known.enforcement_id != order.pk or known.reason != reason:
        raise Refused(
            "This source handed on another appeal with this id.",
            code="duplicate_appeal",
            members={"existing": {"id": str(known.pk)}},
        )
    return known
