"""Rating groups and accounts as facts arrive, the versions of the weights, and asking for cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent
from core.errors import Invalid, Refused
from core.jobs import enqueue
from hashing import risk, risk_facts
from hashing.models import CaseState, LongWork, LongWorkKind, RiskPolicy, RiskScore
from hashing.models.risk import GROUP_LIMIT, QUIET_DAYS, RAISE_BY
from hashing.risk import Standing, Terms, Weight
from reports.actions import note_changes
from reports.models import Account, Group, SubjectChange
from reports.practice import MARK

__all__ = [
    "change_risk_policy",
    "current_risk_policy",
    "mark_old_ratings",
    "mark_subjects_of",
    "quiet_risk",
    "rate_changed",
    "record_risk_case",
    "take_risk_case",
    "waiting_risk_cases",
]

BATCH = 400
"""Marks that are worked off in one transaction."""
HISTORY_KEPT = 40
LONGEST_TRANSACTION = timedelta(minutes=10)
"""A membership bears the time at which its transaction began, and may be seen this much later."""
CASE_LEASE = timedelta(minutes=2)
_LOCK = 7_421_301
"""PostgreSQL's advisory lock of whoever rates: two at once could leave the older of two answers."""
_WRITTEN = (
    "score",
    "facts",
    "contributions",
    "policy",
    "history",
    "is_above",
    "asked_score",
    "quiet_until",
    "reason",
    "is_banned",
    "is_reported",
    "is_hit",
    "is_linked",
    "computed_at",
    "recheck_at",
    "case_state",
    "case_due_at",
    "case_error",
)


def current_risk_policy() -> RiskPolicy:
    """Return the version of the weights that counts: the newest."""
    return RiskPolicy.objects.order_by("-version")[0]  # Migration 0012 makes the first one.


@transaction.atomic
def rate_changed(*, limit: int = BATCH) -> int:
    """Rate the subjects of the oldest marks and remove these; return how many marks.

    0 also when somebody else is at it. Killed at any moment, nothing is lost: scores and marks change
    in one transaction. What changes for others (a ban, a group that crossed) marks them in turn; that ends,
    because accounts look at groups only through their threshold, and groups never at accounts' scores.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0
    marks = list(
        SubjectChange.objects.select_for_update(skip_locked=True)
        .order_by("pk")
        .values_list("pk", "account", "group")[:limit]
    )
    policy = current_risk_policy()
    now = timezone.now()
    _rate("account", _no_practice(Account, {row[1] for row in marks if row[1]}), policy, now)
    _rate("group", _no_practice(Group, {row[2] for row in marks if row[2]}), policy, now)
    SubjectChange.objects.filter(pk__in=[row[0] for row in marks]).delete()
    return len(marks)


def _no_practice(model: type[Account | Group], keys: set[UUID]) -> list[UUID]:
    """Return the keys of those that are of the platform, in order: nobody is rated by what test keys say."""
    if not keys:
        return []
    practice = model.objects.filter(pk__in=keys, external_id__startswith=MARK)
    return sorted(keys - set(practice.values_list("pk", flat=True)))


def _rate(kind: str, ids: Sequence[UUID], policy: RiskPolicy, now: datetime) -> None:
    if not ids:
        return
    standing = {
        getattr(row, f"{kind}_id"): row
        for row in RiskScore.objects.select_for_update()
        .filter(**{f"{kind}__in": ids})
        .order_by("pk")
    }
    facts: Mapping[UUID, risk.Facts]
    if kind == "group":
        facts = risk_facts.group_facts(ids, limit=policy.group_limit)
        open_at = policy.group_open_at
    else:
        facts = risk_facts.account_facts(ids)
        open_at = policy.account_open_at
    status = risk_facts.statuses(kind, ids)
    weights = risk.weights_of(policy.weights, kind)
    terms = Terms(open_at=open_at, drop=policy.drop, raise_by=policy.raise_by)
    written: list[RiskScore] = []
    asking: list[UUID] = []
    seen_anew: list[UUID] = []
    banned_anew: list[UUID] = []
    crossed: list[UUID] = []
    still_above: dict[UUID, datetime] = {}
    for key in ids:
        row = standing.get(key)
        outward = (
            risk_facts.outward_of(facts[key], status.get(key, ""))  # type: ignore[arg-type]  # An account's.
            if kind == "account"
            else {}
        )
        contributions = risk.assess(facts[key], weights)
        if row is None and not contributions and not any(outward.values()):
            continue  # Nothing is known that counts, and nothing was.
        row = row or RiskScore(**{f"{kind}_id": key})
        was_above, rated_at = row.is_above, row.computed_at
        if any(getattr(row, name) != value for name, value in outward.items()):
            seen_anew.append(key)
            if row.is_banned != outward["is_banned"]:
                banned_anew.append(key)
        _write(row, facts[key], contributions, outward, policy, now)
        gone = status.get(key, "") in risk_facts.GONE
        news = risk.news_of(facts[key], weights, is_judged=row.is_judged)
        if _ask(row, news, terms=terms, now=now, gone=gone, opens_cases=policy.opens_cases):
            asking.append(key)
        if kind == "group" and row.is_above != was_above:
            crossed.append(key)
        elif kind == "group" and row.is_above and rated_at is not None:
            still_above[key] = rated_at - LONGEST_TRANSACTION
        written.append(row)
    RiskScore.objects.bulk_create(
        written, update_conflicts=True, unique_fields=[kind], update_fields=_WRITTEN
    )
    for row in RiskScore.objects.filter(**{f"{kind}__in": asking}):
        enqueue("route_risk_case", row.pk)
        audit.record(
            AuditEvent.RISK_CROSSED,
            actor=audit.SYSTEM,
            subject=row.subject,
            chain=f"risk:{row.pk}",
            score=row.score,
            policy=policy.version,
            points={each["key"]: each["points"] for each in row.contributions},
        )
    note_changes(
        groups=risk_facts.groups_of(seen_anew),
        accounts={
            *risk_facts.sharers_of(banned_anew),
            *risk_facts.members_of(crossed),
            *risk_facts.moved_in(still_above),
        },
    )


def _write(
    row: RiskScore,
    facts: risk.Facts,
    contributions: list[risk.Contribution],
    outward: Mapping[str, bool],
    policy: RiskPolicy,
    now: datetime,
) -> None:
    score = risk.total_of(contributions)
    if row.computed_at is None or score != row.score:
        row.history = [*row.history, {"at": now.isoformat(), "score": score}][-HISTORY_KEPT:]
    row.score = score
    row.facts = asdict(facts)
    row.contributions = [asdict(each) for each in contributions]
    row.policy = policy
    row.computed_at = now
    wait = risk.recheck_after(facts)
    row.recheck_at = now + wait if wait else None
    for name, value in outward.items():
        setattr(row, name, value)


def _ask(
    row: RiskScore, news: int, *, terms: Terms, now: datetime, gone: bool, opens_cases: bool
) -> bool:
    before = Standing(row.is_above, row.asked_score, row.quiet_until, row.is_judged)
    step = risk.next_step(before, row.score, terms=terms, now=now, gone=gone, news=news)
    if step.ask and not opens_cases:
        row.is_above = step.standing.is_above
        row.reason = "Scores open no cases: an administrator turned that off."
        return False
    row.is_above = step.standing.is_above
    row.asked_score = step.standing.asked_score
    row.quiet_until = step.standing.quiet_until
    row.reason = step.reason
    if step.ask:
        row.case_state, row.case_due_at, row.case_error = CaseState.WAITING, now, ""
    return step.ask


@transaction.atomic
def mark_old_ratings(*, limit: int = 5000) -> int:
    """Mark the subjects whose facts have grown old by themselves; return how many."""
    old = list(
        RiskScore.objects.select_for_update(skip_locked=True)
        .filter(recheck_at__lte=Now())
        .values_list("pk", "account", "group")[:limit]
    )
    RiskScore.objects.filter(pk__in=[row[0] for row in old]).update(recheck_at=None)
    note_changes(
        accounts=[row[1] for row in old if row[1]], groups=[row[2] for row in old if row[2]]
    )
    return len(old)


def mark_subjects_of(items: Iterable[Any]) -> None:
    """Mark the subjects and senders of items about which something was found, in the caller's transaction."""
    accounts: set[UUID] = set()
    groups: set[UUID] = set()
    for item in items:
        accounts |= {key for key in (item.account_id, item.sender_id) if key}
        groups |= {item.group_id} if item.group_id else set()
    note_changes(accounts=sorted(accounts), groups=sorted(groups))


# ── Weights ───────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def change_risk_policy(
    *,
    based_on: int,
    weights: Mapping[str, Mapping[str, Weight]],
    group_open_at: int,
    account_open_at: int,
    drop: int,
    raise_by: int,
    quiet_days: int,
    group_limit: int,
    opens_cases: bool,
    note: str,
    actor: User,
) -> RiskPolicy:
    """Make a new version of the weights and have everything that is rated rated again.

    Raises Invalid for weights out of range and Refused when somebody made a newer version than ``based_on``
    meanwhile. Can be undone by making a version with the earlier values.
    """
    require(actor, Permission.HASHING_RISK_EDIT)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    newest = current_risk_policy()
    if newest.version != based_on:
        raise Refused(
            f"Somebody made version {newest.version} while you worked on this one. Reload the page; "
            "your values are still in its form.",
            code="changed",
        )
    said: dict[str, list[str]] = {}
    for kind in ("group", "account"):
        for signal in risk.signals_of(kind):
            wrong = risk.problems_of(signal, weights[kind][signal.key])
            if wrong:
                said[f"{kind}_{signal.key}"] = wrong
    for name, value in (("group_open_at", group_open_at), ("account_open_at", account_open_at)):
        if not 1 <= value <= risk.HIGHEST:
            said[name] = ["A threshold lies between 1 and 100."]
    if not 0 <= drop < min(group_open_at, account_open_at):
        said["drop"] = ["It is smaller than both thresholds."]
    for name, value, (least, most) in (
        ("raise_by", raise_by, RAISE_BY),
        ("quiet_days", quiet_days, QUIET_DAYS),
        ("group_limit", group_limit, GROUP_LIMIT),
    ):
        if not least <= value <= most:
            said[name] = [f"It lies between {least:,} and {most:,}."]
    if said:
        raise Invalid(said)
    policy = RiskPolicy.objects.create(
        version=newest.version + 1,
        weights={
            kind: {key: asdict(weight) for key, weight in of_kind.items()}
            for kind, of_kind in weights.items()
        },
        group_open_at=group_open_at,
        account_open_at=account_open_at,
        drop=drop,
        raise_by=raise_by,
        quiet_days=quiet_days,
        group_limit=group_limit,
        opens_cases=opens_cases,
        note=note[:300],
        created_by=actor,
    )
    # Every score is rated again, in batches; what an earlier change still had to do is done with it.
    LongWork.objects.filter(kind=LongWorkKind.RERATE, ended_at=None).update(ended_at=Now())
    work = LongWork.objects.create(kind=LongWorkKind.RERATE, policy=policy)
    enqueue("do_long_work", work.pk)
    audit.record(
        AuditEvent.RISK_POLICY_CHANGED,
        actor=actor,
        subject=policy,
        version=policy.version,
        group_open_at=group_open_at,
        account_open_at=account_open_at,
        opens_cases=opens_cases,
    )
    enqueue("compute_risk", 0)
    return policy


# ── Cases ─────────────────────────────────────────────────────────────────────────────────────
def waiting_risk_cases() -> QuerySet[RiskScore]:
    """Return the scores whose case is still to be placed."""
    return RiskScore.objects.filter(
        case_state__in=[CaseState.WAITING, CaseState.FAILED], case_due_at__lte=Now()
    ).order_by("case_due_at")


@transaction.atomic
def take_risk_case(score: RiskScore) -> RiskScore | None:
    """Take a score whose case is due; None if somebody else has it or there is nothing to do.

    It is due again after two minutes if nobody records what came of it. No lock outlasts this: whoever places it
    locks the case first and the score last, as decisions do.
    """
    taken = waiting_risk_cases().filter(pk=score.pk)
    if not taken.update(case_due_at=Now() + CASE_LEASE):
        return None
    return RiskScore.objects.select_related("account", "group").get(pk=score.pk)


def record_risk_case(score: RiskScore, *, error: str = "") -> None:
    """Note that a score got its case, or why not yet: it is due again in two minutes. Safe to repeat.

    A score that asked again since it was taken is due at another time, and keeps asking.
    """
    RiskScore.objects.filter(pk=score.pk, case_due_at=score.case_due_at).exclude(
        case_state=CaseState.PLACED
    ).update(
        case_state=CaseState.FAILED if error else CaseState.PLACED,
        case_error=error[:300],
        case_due_at=Now() + CASE_LEASE if error else None,
    )


@transaction.atomic
def quiet_risk(
    subject: Account | Group, *, is_violation: bool = False, actor: Actor = audit.SYSTEM
) -> None:
    """Ask nobody about a subject that people have just decided on, in the caller's transaction.

    After "no violation" for a while; after a confirmed one until something new comes. Either way the score can
    ask again when it rises by more than our own verdicts (``hashing.risk.next_step``), measured from what is known
    at this moment, rated or not. A case that the score still waits for is not opened any more.
    """
    kind = "account" if isinstance(subject, Account) else "group"
    about = {kind: subject}
    policy = current_risk_policy()
    row = RiskScore.objects.select_for_update().filter(**about).first()
    if row is None:
        if not is_violation:
            return
        # It is rated soon, by what this very decision says: that must find what was decided.
        RiskScore.objects.bulk_create([RiskScore(**about)], ignore_conflicts=True)
        row = RiskScore.objects.select_for_update().get(**about)
    known = risk.news_of(
        _facts_of(kind, subject.pk, policy),
        risk.weights_of(policy.weights, kind),
        is_judged=is_violation,
    )
    changes: dict[str, Any] = {"is_judged": True, "asked_score": known}
    if not is_violation:
        until = Now() + timedelta(days=policy.quiet_days)
        changes = {"quiet_until": until, "asked_score": max(row.asked_score or 0, row.score)}
    if is_violation and row.case_state in {CaseState.WAITING, CaseState.FAILED}:
        changes |= {"case_state": CaseState.NONE, "case_due_at": None, "case_error": ""}
    RiskScore.objects.filter(pk=row.pk).update(**changes)
    audit.record(
        AuditEvent.RISK_QUIETED,
        actor=actor,
        subject=subject,
        chain=f"risk:{row.pk}",
        days=None if is_violation else policy.quiet_days,
        score=row.score,
    )


@transaction.atomic
def allow_risk(subject: Account | Group) -> None:
    """Let the score of a subject ask again as if nobody had decided: the decision that quieted it does not stand.

    In the caller's transaction, whose line in the log names the decision. Undone by ``quiet_risk``.
    """
    kind = "account" if isinstance(subject, Account) else "group"
    RiskScore.objects.filter(**{kind: subject}).update(
        is_judged=False, quiet_until=None, asked_score=None
    )


def _facts_of(kind: str, key: UUID, policy: RiskPolicy) -> risk.Facts:
    if kind == "group":
        return risk_facts.group_facts([key], limit=policy.group_limit)[key]
    return risk_facts.account_facts([key])[key]
