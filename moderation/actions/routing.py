"""Routing what was scanned, many rows in one transaction, and moving cases between queues.

Rules are data (``moderation.routing``). What cannot be routed is marked *failed*, shown, and tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar, cast
from uuid import UUID

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import SYSTEM, Actor, Line
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused, describe
from hashing.models import Flag, FlagKind
from moderation import access, routing
from moderation.actions.placing import Candidate, place
from moderation.actions.waiting_routes import patience
from moderation.models import (
    Case,
    CaseItem,
    CaseStatus,
    Claim,
    ClaimEnd,
    Queue,
    RoutingReason,
)
from reports.models import Item, Report, RouteState, ScanState

Row = TypeVar("Row", Report, Item)

log = logging.getLogger(__name__)

TO_BE_PLACED = (RouteState.NOT_YET, RouteState.WAITING, RouteState.FAILED)


def route_report(
    report: Report, *, actor: Actor = SYSTEM, rules: Sequence[routing.Rule] | None = None
) -> Case | None:
    """Place one report with all its items; see ``route_reports``. Returns the case, if any."""
    return route_reports([report], actor=actor, rules=rules).get(report.pk)


def route_reports(
    reports: Sequence[Report],
    *,
    actor: Actor = SYSTEM,
    rules: Sequence[routing.Rule] | None = None,
) -> dict[UUID, Case | None]:
    """Place reports with all their items in cases, or mark them clear; return the case, if any, of each placed one.

    A report waits (nothing changes) while items are still to be scanned, but not longer than
    ``HOLDFAST_ROUTE_ANYWAY_SECONDS``: a stuck scan never hides a report. One that has been routed, or that
    another process routes, is passed by. All in one transaction; when that fails, in halves, so that one that
    cannot be placed holds up none of the others. What goes wrong with it is recorded on the report, never
    raised: the sweep tries again.
    """
    return _halving(reports, lambda some: _route_reports(some, actor=actor, rules=rules))


def route_item(
    item: Item, *, actor: Actor = SYSTEM, rules: Sequence[routing.Rule] | None = None
) -> Case | None:
    """Place one scanned item; see ``route_items``. Returns the case, if any."""
    report = item.report
    if report is not None and report.route_state in {RouteState.WAITING, RouteState.FAILED}:
        return route_report(report, actor=actor, rules=rules)
    return route_items([item], actor=actor, rules=rules).get(item.pk)


def route_items(
    items: Sequence[Item],
    *,
    actor: Actor = SYSTEM,
    rules: Sequence[routing.Rule] | None = None,
) -> dict[UUID, Case | None]:
    """Place scanned items in cases, or mark them clear; as ``route_reports`` does with reports.

    An item of a report that waits goes with its report and is passed by here; one whose scan ended after its
    report was routed joins by itself, with what was found.
    """
    return _halving(items, lambda some: _route_items(some, actor=actor, rules=rules))


def _halving(
    rows: Sequence[Row], work: Callable[[Sequence[Row]], dict[UUID, Case | None]]
) -> dict[UUID, Case | None]:
    if not rows:
        return {}
    try:
        with transaction.atomic():
            return work(rows)
    except Exception as failed:  # noqa: BLE001 — recorded on the row, shown, and tried again
        if len(rows) == 1:
            _record_failure(rows[0], failed)
            return {}
        log.info("%d rows could not be placed together: %s", len(rows), describe(failed))
    half = len(rows) // 2
    return _halving(rows[:half], work) | _halving(rows[half:], work)


def _route_reports(
    reports: Sequence[Report], *, actor: Actor, rules: Sequence[routing.Rule] | None
) -> dict[UUID, Case | None]:
    late = Q(received_at__lt=Now() - patience())
    held = list(
        Report.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("source", "account", "group")
        .filter(
            pk__in=[report.pk for report in reports],
            route_state__in=[RouteState.WAITING, RouteState.FAILED],
        )
        .annotate(is_late=ExpressionWrapper(late, output_field=BooleanField()))
        .order_by("received_at", "pk")
    )
    items: dict[UUID, list[Item]] = {report.pk: [] for report in held}
    locked = (
        Item.objects.select_for_update(of=("self",))
        .select_related("blob")
        .filter(report__in=held)
        .order_by(
            "pk"
        )  # As the scans do: two who share items never wait for each other in a circle.
    )
    for item in locked:
        items[cast(UUID, item.report_id)].append(item)
    ready = []
    for report in held:
        items[report.pk].sort(key=lambda item: (item.received_at, item.pk))
        if report.is_late or not any(_is_waiting(item) for item in items[report.pk]):
            ready.append(report)
    found = _found_in([item for report in ready for item in items[report.pk]])
    candidates = [
        Candidate(
            report.subject,
            _facts_of_report(report, items[report.pk], found),
            report,
            items[report.pk],
            found.keys(),
        )
        for report in ready
    ]
    cases = place(candidates, actor=actor, rules=rules)
    placed = {report.pk: case for report, case in zip(ready, cases, strict=True)}
    clear = [report for report in ready if placed[report.pk] is None]
    for state, rows in (
        (RouteState.ROUTED, [report for report in ready if placed[report.pk] is not None]),
        (RouteState.CLEAR, clear),
    ):
        _mark(Report, [report.pk for report in rows], state)
        # An item that is still to be scanned is routed once more by itself when that is done.
        done = [i.pk for report in rows for i in items[report.pk] if not _is_waiting(i)]
        _mark(Item, done, state)
    audit.record_lines(
        [Line(AuditEvent.REPORT_CLEARED, report, audit.GENERAL, {}) for report in clear],
        actor=actor,
    )
    return placed


def _route_items(
    items: Sequence[Item], *, actor: Actor, rules: Sequence[routing.Rule] | None
) -> dict[UUID, Case | None]:
    held = sorted(
        Item.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("source", "account", "group", "report", "report__source", "blob")
        .filter(pk__in=[item.pk for item in items], route_state__in=TO_BE_PLACED)
        .exclude(scan_state=ScanState.WAITING)
        .order_by("pk"),
        key=lambda item: (item.received_at, item.pk),
    )
    found = _found_in(held)
    candidates = [
        Candidate(item.subject, _facts_of_item(item, found), None, [item], found.keys())
        for item in held
    ]
    cases = place(candidates, actor=actor, rules=rules)
    placed = {item.pk: case for item, case in zip(held, cases, strict=True)}
    clear = {item.pk for item in held if placed[item.pk] is None}
    # In its report's case, and nothing new was found.
    shown = [item.pk for item in held if item.pk in clear and item.report_id]
    if shown:
        clear -= set(CaseItem.objects.filter(item__in=shown).values_list("item", flat=True))
    _mark(Item, [item.pk for item in held if item.pk not in clear], RouteState.ROUTED)
    _mark(Item, clear, RouteState.CLEAR)
    return placed


def _is_waiting(item: Item) -> bool:
    return bool(item.scan_state == ScanState.WAITING)


def _mark(model: type[Report | Item], keys: Collection[UUID], state: RouteState) -> None:
    if keys:
        model.objects.filter(pk__in=keys).update(
            route_state=state, route_error="", route_attempts=0
        )


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
    if case.is_practice or to.is_practice:
        raise Refused(
            "What test keys send stays in practice, and nothing else goes there.", code="practice"
        )
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


Found = dict[UUID, list[Flag]]
"""What was found in each item, surest first. Items in which nothing was found are not in it."""


def _facts_of_report(report: Report, items: Sequence[Item], found: Found) -> routing.Facts:
    flags, hint = _speaking(items, found)
    return routing.Facts(
        subject="account" if report.account_id else "group",
        source_kind=report.source.kind,
        trust=report.source.trust,
        source_name=report.source.name,
        source_due_minutes=report.source.due_minutes,
        reason=report.reason,
        has_report=not report.scan_only,
        scan_pending=any(_is_waiting(item) for item in items),
        flags=flags,
        hint=hint,
    )


def _facts_of_item(item: Item, found: Found) -> routing.Facts:
    """Return the facts of an item that is placed by itself: only what was found speaks."""
    flags, hint = _speaking([item], found)
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


def _found_in(items: Sequence[Item]) -> Found:
    found: Found = {}
    for flag in Flag.objects.filter(item__in=items, superseded_at=None):
        found.setdefault(flag.item_id, []).append(flag)
    return found


def _speaking(
    items: Sequence[Item], found: Found
) -> tuple[tuple[routing.FlagFact, ...], routing.FlagFact | None]:
    """Return what speaks for a case, surest first, and the surest note that asks for priority, if there is one.

    Notes tell a person something; they bring nobody a case.
    """
    surfaces = {item.pk: item.surface for item in items}
    here = [flag for item in items for flag in found.get(item.pk, [])]
    here.sort(key=lambda flag: (-flag.score, flag.created_at, flag.pk))
    flags, hints = [], []
    for flag in here:
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


def _record_failure(row: Report | Item, failed: Exception) -> None:
    """Mark a row as failed with a sentence; its content is never quoted."""
    said = failed.message if isinstance(failed, Refused) else describe(failed)
    if isinstance(failed, routing.NoRule):
        said = f"No routing rule took it: {failed}"
    logging.getLogger(__name__).warning("%s was not routed: %s", row.pk, describe(failed))
    rows = type(row).objects.filter(pk=row.pk)
    with transaction.atomic():
        is_new = rows.filter(route_state__in=[RouteState.NOT_YET, RouteState.WAITING]).update(
            route_state=RouteState.FAILED, route_error=said[:500], route_attempts=0
        )
        rows.filter(route_state=RouteState.FAILED).update(route_error=said[:500], route_attempts=0)
        if is_new:  # One line per failure, not one per try of the sweep.
            audit.record(AuditEvent.ROUTING_FAILED, actor=SYSTEM, subject=row, error=said)
