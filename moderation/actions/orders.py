"""Orders come into force: each gets its number, its message and a row in the outbox.

One call for all orders of a decision, in the transaction in which it takes effect. Numbers are given out under one
lock, last of all: whoever sees an order sees every order with a smaller number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from core import audit
from core.audit import SYSTEM, Actor, AuditEvent, Line
from core.errors import Refused
from core.jobs import enqueue
from hashing.models import Flag, FlagKind
from moderation.detection import ways_of
from moderation.enforcement import (
    GIVE_UP_AFTER,
    MOST_REPORTS,
    Order,
    ReportName,
    Target,
    payload_of,
    verb_taken_back,
)
from moderation.models import (
    IN_FORCE,
    CaseItem,
    CaseReport,
    Decision,
    Delivery,
    Enforcement,
    EnforcementState,
    Verb,
    WebhookEndpoint,
)
from moderation.things import Removal, removal_of
from reports.models import ItemRole

__all__ = ["bring_into_force", "hears_orders", "note_pulled", "queue_deliveries", "takes"]

AT_ONCE = 500
"""Orders that one statement writes."""


def takes(endpoint: WebhookEndpoint, verb: str) -> bool:
    """Return whether an endpoint wants to hear about a verb, or about what takes it back. A paused one does, later."""
    return not endpoint.verbs or verb_taken_back(verb) in endpoint.verbs


def hears_orders(endpoint: WebhookEndpoint) -> bool:
    """Return whether an endpoint is the platform's: orders go to no other one, whoever reported."""
    return endpoint.source is None or endpoint.source.is_own_platform


@transaction.atomic
def queue_deliveries(enforcement: Enforcement, *, actor: Actor = SYSTEM) -> list[Delivery]:
    """Bring one pending enforcement into force; see ``bring_into_force``. Safe to repeat."""
    enforcement = (
        Enforcement.objects.select_for_update(of=("self",))
        .select_related("decision")
        .get(pk=enforcement.pk)
    )
    standing = list(enforcement.deliveries.order_by("created_at", "pk"))
    if standing:
        return standing
    decision = enforcement.decision
    if enforcement.state != EnforcementState.PENDING or decision.published_at is None:
        raise Refused("Only an enforcement of a published decision is sent.", code="not_pending")
    return bring_into_force(
        decision,
        [enforcement.pk],
        at=decision.published_at,
        decided_at=decision.made_at,
        actor=actor,
    )


def bring_into_force(
    decision: Decision,
    enforcements: Sequence[UUID],
    *,
    at: datetime,
    decided_at: datetime,
    actor: Actor = SYSTEM,
) -> list[Delivery]:
    """Give orders of a decision their numbers and put them into the outbox: one row per endpoint that takes the verb.

    ``at`` is when they come into force, ``decided_at`` when the person decided. Without such an endpoint one row
    waits, visibly, for the first that is configured. For the caller's transaction, which holds the case's row,
    and the last thing in it: the lock on the numbers is kept until its end. Cannot be undone: the platform
    will be told.
    """
    rows = list(
        Enforcement.objects.select_for_update(of=("self",))
        .select_related(
            "account", "group", "item__blob", "item__sender", "item__in_group", "reverses"
        )
        .filter(pk__in=list(enforcements), sequence=None)
        .order_by("verb", "item__received_at", "pk")
    )
    if not rows:
        return []
    decision = Decision.objects.select_related("case", "policy_version__policy").get(pk=decision.pk)
    background = _Background.of(decision, rows)
    endpoints = [
        endpoint
        for endpoint in WebhookEndpoint.objects.select_related("source").order_by("created_at")
        if hears_orders(endpoint)
    ]
    first = _numbers(len(rows))
    queued: list[Delivery] = []
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        lines: list[Line] = []
        deliveries: list[Delivery] = []
        for offset, row in enumerate(part, start=first + start):
            row.state, row.sequence, row.published_at = EnforcementState.PENDING, offset, at
            payload = payload_of(background.order(row, decided_at=decided_at))
            listening = [each for each in endpoints if takes(each, row.verb)]
            targets: list[WebhookEndpoint | None] = [*listening] or [None]
            own = [
                Delivery(
                    enforcement=row,
                    endpoint=target,
                    payload=payload,
                    give_up_at=Now() + GIVE_UP_AFTER,
                )
                for target in targets
            ]
            deliveries += own
            said = {
                "verb": row.verb,
                "sequence": row.sequence,
                "deliveries": [delivery.pk for delivery in own],
                "endpoints": [endpoint.pk for endpoint in listening],
            }
            lines.append(Line(AuditEvent.DELIVERIES_QUEUED, row, f"case:{decision.case_id}", said))
        Enforcement.objects.bulk_update(part, ["state", "sequence", "published_at"])
        queued += Delivery.objects.bulk_create(deliveries)
        audit.record_lines(lines, actor=actor)
    enqueue("send_due")
    return queued


def note_pulled(sequences: Sequence[int]) -> None:
    """Note that the platform reads orders now, in the transaction that then reads them.

    What was read once is taken back by a counterpart, what nobody had is withdrawn: whoever overturns a decision locks
    the same rows.
    """
    Enforcement.objects.filter(
        sequence__in=list(sequences), pulled_at=None, state__in=IN_FORCE
    ).update(pulled_at=Now())


def _numbers(count: int) -> int:
    """Take ``count`` numbers and return the first. Others wait until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO moderation_ordercounter AS c (id, last) VALUES (1, %s) "
            "ON CONFLICT (id) DO UPDATE SET last = c.last + EXCLUDED.last RETURNING last",
            [count],
        )
        return int(cursor.fetchone()[0]) - count + 1


class _Told(NamedTuple):
    """What is behind an order: the platform's own reports, how many, and how it was detected."""

    reports: list[ReportName]
    how_many: int
    ways: list[str]


@dataclass(slots=True)
class _Behind:
    """What is known of one thing that is to be removed, from all items that are this thing."""

    reports: dict[int, ReportName] = field(default_factory=dict)
    reporters: set[str] = field(default_factory=set)
    scanners: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)

    def told(self) -> _Told:
        names = [self.reports[number] for number in sorted(self.reports)]
        ways = ways_of(reporters=self.reporters, scanners=self.scanners, flags=self.flags)
        return _Told(names[:MOST_REPORTS], len(names), ways)


class _Background:
    """What all orders of one decision have in common, and what is behind each thing that is to be removed."""

    def __init__(self, decision: Decision, case: _Told, things: dict[Removal, _Told]) -> None:
        self.decision = decision
        self.case = case
        self.things = things

    @classmethod
    def of(cls, decision: Decision, rows: Iterable[Enforcement]) -> _Background:
        blobs = {row.item.blob_id for row in rows if row.item is not None}
        return cls(decision, _behind_case(decision), _behind_things(decision, blobs))

    def order(self, row: Enforcement, *, decided_at: datetime) -> Order:
        policy = self.decision.policy_version.policy
        told = self.case
        if row.item is not None:
            told = self.things.get(removal_of(row.item), told)
        return Order(
            enforcement_id=str(row.pk),
            decision_id=str(self.decision.pk),
            sequence=row.sequence or 0,
            verb=row.verb,
            target=_target_of(row),
            case_number=str(self.decision.case),
            category=policy.category,
            policy_code=policy.code,
            policy_name=policy.title,
            policy_url=policy_address(policy.code),
            decided_at=decided_at,
            decided_by_person=self.decision.made_by_id is not None,
            detected_by=told.ways,
            reports=told.reports,
            reports_count=told.how_many,
            reverses=str(row.reverses_id) if row.reverses_id else None,
        )


def policy_address(code: str) -> str | None:
    """Return where people outside read a policy, as the operator set it (``HOLDFAST_POLICY_ADDRESS``)."""
    address: str = settings.HOLDFAST_POLICY_ADDRESS
    return address.replace("{code}", code) if address else None


def _target_of(row: Enforcement) -> Target:
    item, group = row.item, row.group
    is_about_link = verb_taken_back(row.verb) == Verb.REVOKE_INVITE_LINK
    return Target(
        account=row.account.external_id if row.account else None,
        group=group.external_id if group else None,
        invite_link=_link_of(row) if group and is_about_link else "",
        item={
            "external_id": item.external_id,
            "surface": item.surface,
            "sha256": item.blob.sha256 if item.blob else "",
            "sender": item.sender.external_id if item.sender else "",
            "conversation": item.conversation,
            "group": item.in_group.external_id if item.in_group else "",
        }
        if item
        else None,
    )


def _link_of(row: Enforcement) -> str:
    """Return the link that an order closes, or opens again: that of the order taken back, not the group's of today."""
    first = row.reverses.deliveries.order_by("created_at").first() if row.reverses else None
    if first is not None:
        told = first.payload.get("data", {}).get("target", {}).get("group", {})
        return str(told.get("invite_link", ""))
    return row.group.invite_link if row.group else ""


def _name_of(row: dict[str, Any]) -> ReportName:
    return ReportName(
        str(row["report"]), f"R-{row['report__number']:06d}", row["report__external_id"]
    )


def _behind_case(decision: Decision) -> _Told:
    judged = CaseReport.objects.filter(
        case=decision.case_id, case_version__lte=decision.case_version
    )
    items = CaseItem.objects.filter(case=decision.case_id, case_version__lte=decision.case_version)
    own = judged.filter(report__source__is_own_platform=True).order_by("report__number")
    kinds = judged.order_by().values_list("report__source__kind", "report__scan_only").distinct()
    found = set(
        Flag.objects.filter(item__in=items.values("item"), superseded_at=None)
        .order_by()
        .values_list("kind", flat=True)
        .distinct()
    )
    if decision.case.reasons.filter(
        rule__conditions__flag_kinds__contains=[FlagKind.RISK]
    ).exists():
        found.add(FlagKind.RISK)
    scans = items.filter(item__report=None).order_by().values_list("item__source__kind", flat=True)
    return _Told(
        [_name_of(row) for row in own.values(*_REPORT_FIELDS)[:MOST_REPORTS]],
        own.count(),
        ways_of(
            reporters={kind for kind, scan_only in kinds if not scan_only},
            scanners={kind for kind, scan_only in kinds if scan_only} | set(scans.distinct()),
            flags=found,
        ),
    )


_REPORT_FIELDS = ("report", "report__number", "report__external_id")


def _behind_things(decision: Decision, blobs: set[UUID | None]) -> dict[Removal, _Told]:
    """Return what is behind each thing with one of these files: all items that are it, whoever sent them."""
    if not blobs:
        return {}
    rows = CaseItem.objects.filter(
        case=decision.case_id,
        case_version__lte=decision.case_version,
        item__role=ItemRole.REPORTED,
        item__blob__in=blobs,
    ).select_related("item__report__source", "item__source")
    things: dict[Removal, _Behind] = {}
    of_item: dict[UUID, _Behind] = {}
    for row in rows.iterator(chunk_size=2000):
        item, report = row.item, row.item.report
        thing = of_item[item.pk] = things.setdefault(removal_of(item), _Behind())
        if report is None or report.scan_only:
            thing.scanners.add(item.source.kind)
        else:
            thing.reporters.add(report.source.kind)
        if report is not None and report.source.is_own_platform:
            thing.reports[report.number] = ReportName(
                str(report.pk), str(report), report.external_id
            )
    flags = Flag.objects.filter(
        item__in=rows.order_by().values("item"), superseded_at=None
    ).values_list("item", "kind")
    for key, kind in flags.iterator(chunk_size=2000):
        of_item[key].flags.add(kind)
    return {removal: thing.told() for removal, thing in things.items()}
