"""Opening cases and joining them: the only writer of cases, their reports, items and reasons.

Many candidates go through together: each statement is one for all of them, so that a report costs a part of a
round trip and not fifteen. Whoever calls holds the rows of the reports and items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, Func, Q, Value, Window
from django.db.models.functions import Now, RowNumber

from core import audit
from core.audit import SYSTEM, Actor, Line
from core.audit_events import AuditEvent
from core.errors import Refused
from hashing.models import Flag
from moderation import routing
from moderation.actions.previews import request_preview
from moderation.audit_cases import opened_as
from moderation.models import (
    Case,
    CaseItem,
    CaseLink,
    CaseReport,
    CaseStatus,
    Queue,
    RoutingReason,
    RoutingRule,
)
from reports.models import NOT_SENT, Account, Group, Item, ItemKind, Report

__all__ = ["Candidate", "current_rules", "place", "place_subject"]

RACES_BEFORE_GIVING_UP = 5
EARLIER_CASES_LINKED = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may need a case: a subject, what is known, and what comes along.

    ``flagged`` holds the keys of the items in which something was found.
    """

    subject: Account | Group
    facts: routing.Facts
    report: Report | None
    items: Sequence[Item]
    flagged: Container[UUID]


class _Key(NamedTuple):
    """Of what there is one open case at a time. In an order, so that two who open several never wait in a circle."""

    account: str
    group: str
    category: str


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


def practice_queue() -> Queue:
    """Return the queue that takes what test keys send. Migration 0014 makes it."""
    return Queue.objects.get(is_practice=True)


def place_subject(
    subject: Account | Group,
    facts: routing.Facts,
    *,
    items: Sequence[Item],
    actor: Actor = SYSTEM,
) -> Case | None:
    """Place one subject with its items, by the rules in force; see ``place``."""
    flagged = Flag.objects.filter(item__in=items, superseded_at=None).values_list("item", flat=True)
    candidate = Candidate(subject, facts, None, items, set(flagged))
    return place([candidate], actor=actor)[0]


def place(
    candidates: Sequence[Candidate],
    *,
    actor: Actor = SYSTEM,
    rules: Sequence[routing.Rule] | None = None,
) -> list[Case | None]:
    """Open a case for each candidate or join its open one, in the caller's transaction; None where none is needed.

    By ``rules``, or those in force. All or none: raises routing.NoRule when no rule takes one of them, Refused
    when a case keeps changing.
    """
    asking = [each for each in candidates if routing.needs_case(each.facts)]
    if not asking:
        return [None] * len(candidates)
    rules = current_rules() if rules is None else rules
    joining: list[tuple[Candidate, routing.Placement, _Key]] = []
    for each in asking:
        placement = routing.route(each.facts, rules)
        if each.subject.is_practice:
            placement = routing.as_practice(placement, practice_queue().pk)
        joining.append((each, placement, _key_of(each.subject, placement.category)))
    wanted: dict[_Key, tuple[Account | Group, routing.Placement]] = {}
    for each, placement, key in joining:
        wanted.setdefault(key, (each.subject, placement))
    cases, opened = _open_or_lock(wanted)
    _write_down(joining, cases, opened, actor)
    found = {id(each): cases[key] for each, _, key in joining}
    return [found.get(id(each)) for each in candidates]


def _key_of(subject: Account | Group, category: str) -> _Key:
    if isinstance(subject, Account):
        return _Key(str(subject.pk), "", category)
    return _Key("", str(subject.pk), category)


def _open_or_lock(
    wanted: dict[_Key, tuple[Account | Group, routing.Placement]],
) -> tuple[dict[_Key, Case], set[UUID]]:
    """Return the open cases of subjects and categories, locked, and which of them are new.

    Two reports on one subject may arrive together: the partial unique constraint lets one open the
    case, the other waits for it and joins. A case may also be decided between the two looks, hence
    the loop.
    """
    cases: dict[_Key, Case] = {}
    opened: set[UUID] = set()
    for _ in range(RACES_BEFORE_GIVING_UP):
        cases |= _lock_open(wanted.keys() - cases.keys())
        missing = sorted(wanted.keys() - cases.keys())
        if not missing:
            _link_earlier([case for case in cases.values() if case.pk in opened])
            return cases, opened
        new = [_new_case(*wanted[key]) for key in missing]
        Case.objects.bulk_create(new, ignore_conflicts=True)
        opened |= {case.pk for case in new}
    raise Refused(
        "The case of this subject keeps changing; it is tried again shortly.", code="race"
    )


def _lock_open(keys: Iterable[_Key]) -> dict[_Key, Case]:
    keys = set(keys)
    if not keys:
        return {}
    about = Q(account__in={key.account for key in keys if key.account})
    if groups := {key.group for key in keys if key.group}:
        about |= Q(group__in=groups)
    standing = Case.objects.filter(about, category__in={key.category for key in keys}).exclude(
        status=CaseStatus.DECIDED
    )
    rows = [
        pk
        for pk, account, group, category in standing.values_list(
            "pk", "account_id", "group_id", "category"
        )
        if _Key(str(account or ""), str(group or ""), category) in keys
    ]
    if not rows:
        return {}
    # What is decided while this waits for its row is left out: PostgreSQL looks at the newest version again.
    locked = (
        Case.objects.select_for_update()
        .filter(pk__in=rows)
        .exclude(status=CaseStatus.DECIDED)
        .order_by("pk")
    )
    return {
        _Key(str(case.account_id or ""), str(case.group_id or ""), case.category): case
        for case in locked
    }


def _new_case(subject: Account | Group, placement: routing.Placement) -> Case:
    return Case(
        number=Func(Value("moderation_case_number"), function="nextval"),
        account=subject if isinstance(subject, Account) else None,
        group=subject if isinstance(subject, Group) else None,
        category=placement.category,
        queue_id=placement.queue_id,
        severity=placement.severity,
        score=placement.score,
        due_at=Now() + timedelta(minutes=placement.due_minutes),
        subject_snapshot=_snapshot_of(subject),
        is_practice=subject.is_practice,
    )


def _link_earlier(opened: Sequence[Case]) -> None:
    """Link new cases to the latest decided ones about the same subjects."""
    accounts = {case.account_id for case in opened if case.account_id}
    groups = {case.group_id for case in opened if case.group_id}
    if not accounts and not groups:
        return
    about = Q(account__in=accounts)
    if groups:
        about |= Q(group__in=groups)
    earlier = (
        Case.objects.filter(about, status=CaseStatus.DECIDED)
        .annotate(
            place=Window(
                RowNumber(),
                partition_by=[F("account"), F("group")],
                order_by=F("opened_at").desc(),
            )
        )
        .filter(place__lte=EARLIER_CASES_LINKED)
        .values_list("pk", "account_id", "group_id")
    )
    by_subject: dict[tuple[UUID | None, UUID | None], list[UUID]] = {}
    for pk, account, group in earlier:
        by_subject.setdefault((account, group), []).append(pk)
    links = [
        CaseLink(case=case, earlier_id=pk, reason="Earlier case about the same subject")
        for case in opened
        for pk in by_subject.get((case.account_id, case.group_id), [])
    ]
    if links:
        CaseLink.objects.bulk_create(links)


def _write_down(
    joining: Sequence[tuple[Candidate, routing.Placement, _Key]],
    cases: dict[_Key, Case],
    opened: set[UUID],
    actor: Actor,
) -> None:
    """Note what joins each case. The caller holds their rows, so nobody else adds to them meanwhile."""
    reports: list[CaseReport] = []
    items: list[CaseItem] = []
    reasons: list[RoutingReason] = []
    lines: list[Line] = []
    raised: dict[UUID, Case] = {}
    due_minutes: dict[UUID, int] = {}
    there, positions = _items_there([(cases[key], each) for each, _, key in joining], opened)
    begun: set[UUID] = set()
    for each, placement, key in joining:
        case = cases[key]
        is_new = case.pk in opened and case.pk not in begun
        begun.add(case.pk)
        if not is_new:
            # Further material only raises: a case never becomes less urgent because more came in.
            case.version += 1
            case.severity = max(case.severity, placement.severity)
            case.score = max(case.score, placement.score)
            raised[case.pk] = case
            due_minutes[case.pk] = min(
                due_minutes.get(case.pk, placement.due_minutes), placement.due_minutes
            )
        joined: list[UUID] = []
        if each.report is not None:
            reports.append(CaseReport(case=case, report=each.report, case_version=case.version))
        for item in _shown(each):
            if (case.pk, item.pk) in there:
                continue
            there.add((case.pk, item.pk))
            items.append(
                CaseItem(
                    case=case, item=item, position=positions[case.pk], case_version=case.version
                )
            )
            joined.append(item.pk)
            positions[case.pk] += 1
        reasons += [
            RoutingReason(
                case=case,
                rule_id=reason.rule_id,
                report=each.report,
                item=each.items[0] if each.report is None and each.items else None,
                text=reason.text,
                severity=reason.severity,
                score=reason.score,
                case_version=case.version,
            )
            for reason in placement.reasons
        ]
        said = {
            "report": each.report.pk if each.report else None,
            "items": [item.pk for item in each.items],
            "joined": joined,
            "queue": case.queue_id,
            "category": case.category,
            "severity": placement.severity,
            "rules": [reason.rule_id for reason in placement.reasons if reason.rule_id],
            "version": case.version,
        }
        event = AuditEvent.CASE_OPENED if is_new else AuditEvent.CASE_JOINED
        if is_new:
            said |= opened_as(case)
        lines.append(Line(event, case, f"case:{case.pk}", said))
    if raised:
        _raise_cases(raised, due_minutes)
    CaseReport.objects.bulk_create(reports, ignore_conflicts=True)
    CaseItem.objects.bulk_create(items)
    RoutingReason.objects.bulk_create(reasons)
    audit.record_lines(lines, actor=actor)
    media = {
        row.item.blob_id: row.item.blob
        for row in items
        if row.item.kind != ItemKind.TEXT and row.item.blob is not None
    }
    # In one order: two who ask for the same previews never wait for each other in a circle.
    for _, blob in sorted(media.items(), key=lambda each: str(each[0])):
        request_preview(blob)


def _items_there(
    joining: Sequence[tuple[Case, Candidate]], opened: set[UUID]
) -> tuple[set[tuple[UUID, UUID]], Counter[UUID]]:
    """Return which of the items are in cases that stood before, and how many items those hold."""
    standing = [case for case, _ in joining if case.pk not in opened]
    shown = [item for case, each in joining if case.pk not in opened for item in each.items]
    if not shown:
        return set(), Counter()
    rows = CaseItem.objects.filter(case__in=standing).order_by()
    there = set(rows.filter(item__in=shown).values_list("case", "item"))
    return there, Counter(dict(rows.values_list("case").annotate(Count("pk"))))


def _raise_cases(raised: dict[UUID, Case], due_minutes: dict[UUID, int]) -> None:
    """Write what was raised, all cases in one statement; the time they are due is the database's to say."""
    rows = list(raised.values())
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE moderation_case c SET version = n.version, severity = n.severity, score = n.score, "
            "due_at = least(c.due_at, statement_timestamp() + n.minutes * interval '1 minute') "
            "FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::float8[], %s::int[]) "
            "AS n (id, version, severity, score, minutes) WHERE c.id = n.id RETURNING c.id, c.due_at",
            [
                [case.pk for case in rows],
                [case.version for case in rows],
                [case.severity for case in rows],
                [case.score for case in rows],
                [due_minutes[case.pk] for case in rows],
            ],
        )
        for pk, due_at in cursor.fetchall():
            raised[pk].due_at = due_at


def _shown(candidate: Candidate) -> list[Item]:
    """Return the items that a case holds: what a reporter wrote only where something was found in it.

    The case shows every report's description anyway; as an item it comes with its findings, in place.
    """
    return [
        item
        for item in candidate.items
        if item.surface not in NOT_SENT or item.pk in candidate.flagged
    ]


def _snapshot_of(subject: Account | Group) -> dict[str, str | int | None]:
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
