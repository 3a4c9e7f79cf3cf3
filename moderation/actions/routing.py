"""Opening cases and joining them: the only writer of cases, their reports, items and reasons.

Rules are data (``moderation.routing``). What cannot be routed is marked *failed*, shown, and tried again.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Func, Value
from django.db.models.functions import Least, Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import SYSTEM, Actor
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused, describe
from hashing.models import Flag, FlagKind
from moderation import access, routing
from moderation.actions.previews import request_preview
from moderation.actions.waiting_routes import patience
from moderation.models import (
    Case,
    CaseItem,
    CaseLink,
    CaseReport,
    CaseStatus,
    Claim,
    ClaimEnd,
    Queue,
    RoutingReason,
    RoutingRule,
)
from reports.models import NOT_SENT, Account, Group, Item, ItemKind, Report, RouteState, ScanState

RACES_BEFORE_GIVING_UP = 5


def route_report(
    report: Report, *, actor: Actor = SYSTEM, rules: list[routing.Rule] | None = None
) -> Case | None:
    """Place a report with all its items in a case, or mark it clear. Returns the case, if any.

    Waits (returns None, changes nothing) while items are still to be scanned, but not longer than
    ``HOLDFAST_ROUTE_ANYWAY_SECONDS``: a stuck scan never hides a report. Does nothing when the report
    has been routed, or while another process routes it. What goes wrong is recorded on the report, never raised: the sweep tries again.
    """
    try:
        with transaction.atomic():
            held = (
                Report.objects.select_for_update(of=("self",), skip_locked=True)
                .select_related("source", "account", "group")
                .filter(pk=report.pk)
                .first()
            )
            if held is None:
                return None
            report = held
            if report.route_state not in {RouteState.WAITING, RouteState.FAILED}:
                return None
            items = list(report.items.select_for_update(of=("self",)).order_by("received_at", "pk"))
            pending = [item for item in items if item.scan_state == ScanState.WAITING]
            if pending and not _has_waited_long_enough(report):
                return None
            facts = _facts_of_report(report, items, pending=bool(pending))
            case = place_subject(
                report.subject, facts, report=report, items=items, actor=actor, rules=rules
            )
            state = RouteState.ROUTED if case else RouteState.CLEAR
            Report.objects.filter(pk=report.pk).update(route_state=state, route_error="")
            # An item that is still to be scanned is routed once more by itself when that is done.
            done = [item.pk for item in items if item.scan_state != ScanState.WAITING]
            Item.objects.filter(pk__in=done).update(route_state=state, route_error="")
            if case is None:
                audit.record(AuditEvent.REPORT_CLEARED, actor=actor, subject=report)
            return case
    except Exception as failed:  # noqa: BLE001 — recorded on the row, shown, and tried again
        _record_failure(report, failed)
        return None


def route_item(
    item: Item, *, actor: Actor = SYSTEM, rules: list[routing.Rule] | None = None
) -> Case | None:
    """Place one scanned item in a case, or mark it clear. Returns the case, if any.

    An item of a report that waits goes with its report; one whose scan ended after its report was
    routed joins by itself, with what was found. What goes wrong is recorded on the item.
    """
    report = item.report
    if report is not None and report.route_state in {RouteState.WAITING, RouteState.FAILED}:
        return route_report(report, actor=actor, rules=rules)
    try:
        with transaction.atomic():
            held = (
                Item.objects.select_for_update(of=("self",), skip_locked=True)
                .select_related("source", "account", "group", "report", "report__source")
                .filter(pk=item.pk)
                .first()
            )
            if held is None:
                return None
            item = held
            if item.scan_state == ScanState.WAITING or item.route_state not in {
                RouteState.NOT_YET,
                RouteState.WAITING,
                RouteState.FAILED,
            }:
                return None
            case = place_subject(
                item.subject,
                _facts_of_item(item),
                report=None,
                items=[item],
                actor=actor,
                rules=rules,
            )
            state = RouteState.ROUTED if case else RouteState.CLEAR
            if case is None and item.report_id and item.case_items.exists():
                state = RouteState.ROUTED  # It is in its report's case; nothing new was found.
            Item.objects.filter(pk=item.pk).update(route_state=state, route_error="")
            return case
    except Exception as failed:  # noqa: BLE001 — recorded on the row, shown, and tried again
        _record_failure(item, failed)
        return None


@transaction.atomic
def move_case(case: Case, *, to: Queue, reason: str, case_version: int, actor: User) -> Case:
    """Put an open case into another queue. Never widens who can see it: the category stays.

    For leads who work the case. Who moves it out of their own sight gives it back with that: a lease on
    a case that its holder cannot open would keep everybody else from it. Can be undone by moving it
    back. Raises Refused, or Invalid without a reason.
    """
    require(actor, Permission.CASES_MOVE)
    case = Case.objects.select_for_update().get(pk=case.pk)
    actor = User.objects.get(pk=actor.pk)
    if not actor.may(Permission.CASES_MOVE) or not access.may_work(actor, case):
        raise Refused("You may not move this case.", code="not_permitted", status=403)
    if not reason.strip():
        raise Invalid({"reason": ["Say why the case belongs elsewhere."]})
    if case.status != CaseStatus.OPEN:
        raise Refused("Only an open case can be moved.", code="not_open")
    if case.version != case_version:
        raise Refused("This case changed while you looked at it. Reload it first.", code="changed")
    if not to.is_active or to.pk == case.queue_id:
        raise Refused("Choose another queue that is in use.", code="same_queue")
    holder = access.live_claim_on(case)
    if holder is not None and holder.user_id != actor.pk:
        raise Refused(f"{holder.user.pseudonym} is working on this case.", code="held")
    former = case.queue_id
    case.queue = to
    case.version += 1
    case.save(update_fields=["queue", "version"])
    text = f"Moved here by {actor.pseudonym}: {reason.strip()}"[:500]
    RoutingReason.objects.create(
        case=case,
        text=text,
        severity=case.severity,
        score=case.score,
        case_version=case.version,
    )
    audit.record(
        AuditEvent.CASE_MOVED,
        actor=actor,
        subject=case,
        case=case,
        queue_from=former,
        queue_to=to.pk,
    )
    if holder is not None and not access.may_work(actor, case):
        Claim.objects.filter(pk=holder.pk).update(
            ended_at=Now(),
            end=ClaimEnd.RELEASED,
            end_reason=f"Moved to {to}: {reason.strip()}"[:500],
            ended_by=actor,
        )
        audit.record(AuditEvent.CLAIM_RELEASED, actor=actor, subject=holder, case=case)
    return case


def _has_waited_long_enough(report: Report) -> bool:
    return Report.objects.filter(pk=report.pk, received_at__lt=Now() - patience()).exists()


def current_rules() -> list[routing.Rule]:
    """Return the rules in force. Whoever places many rows reads them once for some of them."""
    return [
        routing.Rule(
            id=rule.pk,
            name=rule.name,
            conditions=rule.conditions,
            category=rule.category,
            queue_id=rule.queue_id,
            severity=rule.severity,
            due_minutes=rule.due_minutes,
            explanation=rule.explanation,
        )
        for rule in RoutingRule.objects.filter(is_active=True, queue__is_active=True)
    ]


def _facts_of_report(report: Report, items: list[Item], *, pending: bool) -> routing.Facts:
    flags, hint = _found_in(items)
    return routing.Facts(
        subject="account" if report.account_id else "group",
        source_kind=report.source.kind,
        trust=report.source.trust,
        source_name=report.source.name,
        source_due_minutes=report.source.due_minutes,
        reason=report.reason,
        has_report=not report.scan_only,
        scan_pending=pending,
        flags=flags,
        hint=hint,
    )


def _facts_of_item(item: Item) -> routing.Facts:
    """Return the facts of an item that is placed by itself: only what was found speaks."""
    flags, hint = _found_in([item])
    return routing.Facts(
        subject="account" if item.account_id else "group",
        source_kind=item.source.kind,
        trust=item.source.trust,
        source_name=item.source.name,
        source_due_minutes=item.source.due_minutes,
        reason=item.report.reason if item.report else "",
        has_report=False,
        flags=flags,
        hint=hint,
    )


def _found_in(
    items: list[Item],
) -> tuple[tuple[routing.FlagFact, ...], routing.FlagFact | None]:
    """Return what speaks for a case, surest first, and the surest note that asks for priority, if there is one.

    Notes tell a person something; they bring nobody a case.
    """
    surfaces = {item.pk: item.surface for item in items}
    found = Flag.objects.filter(item__in=items, superseded_at=None).order_by(
        "-score", "created_at", "pk"
    )
    flags, hints = [], []
    for flag in found:
        if flag.kind != FlagKind.NOTE:
            flags.append(_fact_of(flag, surfaces[flag.item_id]))
        elif flag.evidence.get("priority") is True:
            hints.append(_fact_of(flag, surfaces[flag.item_id]))
    return tuple(flags), hints[0] if hints else None


def _fact_of(flag: Flag, surface: str) -> routing.FlagFact:
    return routing.FlagFact(
        kind=flag.kind,
        category=flag.category,
        score=flag.score,
        summary=flag.summary,
        detector=flag.detector,
        surface=surface,
        acts_automatically=bool(flag.evidence.get("acts_automatically")),
    )


def place_subject(
    subject: Account | Group,
    facts: routing.Facts,
    *,
    report: Report | None,
    items: list[Item],
    actor: Actor,
    rules: list[routing.Rule] | None = None,
) -> Case | None:
    """Open a case about a subject or join its open one, in the caller's transaction. Raises NoRule.

    By ``rules``, or those in force.
    """
    if not routing.needs_case(facts):
        return None
    placement = routing.route(facts, current_rules() if rules is None else rules)
    case, is_new = _open_or_lock(subject, placement)
    if not is_new:
        case.version += 1
    _join(case, placement, report=report, items=items, is_new=is_new)
    if not is_new:
        # Further material only raises: a case never becomes less urgent because more came in.
        Case.objects.filter(pk=case.pk).update(
            version=case.version,
            severity=max(case.severity, placement.severity),
            score=max(case.score, placement.score),
            due_at=Least("due_at", Now() + timedelta(minutes=placement.due_minutes)),
        )
        case.refresh_from_db(fields=["severity", "score", "due_at"])
    audit.record(
        AuditEvent.CASE_OPENED if is_new else AuditEvent.CASE_JOINED,
        actor=actor,
        subject=case,
        case=case,
        report=report.pk if report else None,
        items=[item.pk for item in items],
        queue=case.queue_id,
        category=case.category,
        severity=placement.severity,
        rules=[reason.rule_id for reason in placement.reasons if reason.rule_id],
        version=case.version,
    )
    return case


def _open_or_lock(subject: Account | Group, placement: routing.Placement) -> tuple[Case, bool]:
    """Return the open case of a subject and category, locked, or a new one.

    Two reports on one subject may arrive together: the partial unique constraint lets one open the
    case, the other waits for it and joins. A case may also be decided between the two looks, hence
    the loop.
    """
    about: dict[str, Account | Group] = (
        {"account": subject} if isinstance(subject, Account) else {"group": subject}
    )
    standing = (
        Case.objects.select_for_update()
        .filter(**about, category=placement.category)
        .exclude(status=CaseStatus.DECIDED)
    )
    for _ in range(RACES_BEFORE_GIVING_UP):
        case = standing.first()
        if case is not None:
            return case, False
        new = Case(
            number=Func(Value("moderation_case_number"), function="nextval"),
            **about,
            category=placement.category,
            queue_id=placement.queue_id,
            severity=placement.severity,
            score=placement.score,
            due_at=Now() + timedelta(minutes=placement.due_minutes),
            subject_snapshot=snapshot_of(subject),
        )
        Case.objects.bulk_create([new], ignore_conflicts=True)
        case = standing.first()
        if case is None:
            continue  # Another one was opened and decided in between.
        if case.pk == new.pk:
            _link_earlier(case, about)
        return case, case.pk == new.pk
    raise Refused(
        "The case of this subject keeps changing; it is tried again shortly.", code="race"
    )


def _link_earlier(case: Case, about: dict[str, Account | Group]) -> None:
    earlier = (
        Case.objects.filter(**about, status=CaseStatus.DECIDED)
        .exclude(pk=case.pk)
        .order_by("-opened_at")[:20]
    )
    CaseLink.objects.bulk_create(
        CaseLink(case=case, earlier=other, reason="Earlier case about the same subject")
        for other in earlier
    )


def _join(
    case: Case,
    placement: routing.Placement,
    *,
    report: Report | None,
    items: list[Item],
    is_new: bool,
) -> None:
    """Note what belongs to a case. The caller holds its row, so nobody else adds to it meanwhile."""
    if report is not None:
        CaseReport.objects.bulk_create(
            [CaseReport(case=case, report=report, case_version=case.version)],
            ignore_conflicts=True,
        )
    shown = _shown(items)
    position = 0
    if shown and not is_new:
        there = set(case.case_items.filter(item__in=shown).values_list("item", flat=True))
        shown = [item for item in shown if item.pk not in there]
        position = case.case_items.count()
    CaseItem.objects.bulk_create(
        [
            CaseItem(case=case, item=item, position=place, case_version=case.version)
            for place, item in enumerate(shown, position)
        ]
    )
    for item in shown:
        if item.kind != ItemKind.TEXT and item.blob is not None:
            request_preview(item.blob)
    RoutingReason.objects.bulk_create(
        RoutingReason(
            case=case,
            rule_id=reason.rule_id,
            report=report,
            item=items[0] if report is None and items else None,
            text=reason.text,
            severity=reason.severity,
            score=reason.score,
            case_version=case.version,
        )
        for reason in placement.reasons
    )


def _shown(items: list[Item]) -> list[Item]:
    """Return the items that a case holds: what a reporter wrote only where something was found in it.

    The case shows every report's description anyway; as an item it comes with its findings, in place.
    """
    found = set(
        Flag.objects.filter(
            item__in=[item for item in items if item.surface in NOT_SENT], superseded_at=None
        ).values_list("item", flat=True)
    )
    return [item for item in items if item.surface not in NOT_SENT or item.pk in found]


def snapshot_of(subject: Account | Group) -> dict[str, str | int | None]:
    """Return the subject as it looks now: what it is called may be changed after it was reported."""
    if isinstance(subject, Account):
        return {
            "kind": "account",
            "external_id": subject.external_id,
            "username": subject.username,
            "display_name": subject.display_name,
            "profile_text": subject.profile_text,
            "country": subject.country,
            "language": subject.language,
            "joined_at": subject.joined_at.isoformat() if subject.joined_at else None,
            "platform_status": subject.platform_status,
        }
    return {
        "kind": "group",
        "external_id": subject.external_id,
        "name": subject.name,
        "description": subject.description,
        "invite_link": subject.invite_link,
        "member_count": subject.member_count,
        "platform_status": subject.platform_status,
    }


def _record_failure(row: Report | Item, failed: Exception) -> None:
    """Mark a row as failed with a sentence; its content is never quoted."""
    said = failed.message if isinstance(failed, Refused) else describe(failed)
    if isinstance(failed, routing.NoRule):
        said = f"No routing rule took it: {failed}"
    logging.getLogger(__name__).warning("%s was not routed: %s", row.pk, describe(failed))
    rows = type(row).objects.filter(pk=row.pk)
    with transaction.atomic():
        is_new = rows.filter(route_state__in=[RouteState.NOT_YET, RouteState.WAITING]).update(
            route_state=RouteState.FAILED, route_error=said[:500]
        )
        rows.filter(route_state=RouteState.FAILED).update(route_error=said[:500])
        if is_new:  # One line per failure, not one per try of the sweep.
            audit.record(AuditEvent.ROUTING_FAILED, actor=SYSTEM, subject=row, error=said)
