"""Leases: who works on which case right now. The database's clock and constraint decide, nobody else.

Lock order everywhere: the person's row, the case's row, the audit chain.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Least, Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import SYSTEM
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused
from moderation import access, workflow
from moderation.models import Case, CaseStatus, Claim, ClaimEnd, Queue, Skip

LOOKS_AT_A_QUEUE = 100
"""How often ``claim_next`` looks before it gives up; each failed look means that a colleague got a case."""


class LeaseLost(Refused):
    """The person had the case and has it no more; the sentence says who has it now."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="lease_lost")


def lease() -> timedelta:
    """Return how long a lease lasts without a sign of life."""
    return timedelta(seconds=settings.HOLDFAST_LEASE_SECONDS)


@transaction.atomic
def claim_next(queue: Queue | None = None, *, actor: User) -> Claim | None:
    """Lease the most urgent waiting case of a queue to the person; None when nothing waits for them.

    Without a queue it is the most urgent one of all queues that the person works.

    Many people pull at once: ``SKIP LOCKED`` gives each another case, and what the person may not see
    or has passed by is outside the query. Two gaps are closed by looking again. The query's snapshot may
    be older than a colleague's commit, so a row it finds unlocked can be leased already. And a row may
    be locked by somebody who does not lease it (a report that joins), so when only locked rows are
    left, this waits for the first of them instead of saying that nothing waits.
    Raises Refused when the person holds enough cases. Can be undone by ``release_claim``.
    """
    require(actor, Permission.CASES_CLAIM)
    actor = _lock_person(actor)
    _refuse_too_many(actor)
    for _ in range(LOOKS_AT_A_QUEUE):
        here = queue or _queue_of_next(actor)
        if here is None:
            return None
        waiting = access.waiting_cases(actor, here)
        case = waiting.select_for_update(of=("self",), skip_locked=True).first()
        if case is None:
            case = waiting.select_for_update(of=("self",)).first()
        if case is None and queue is not None:
            return None
        if case is None:
            continue  # A colleague had it meanwhile; another queue may hold one.
        if access.live_claim_on(case) is None and case.status == CaseStatus.OPEN:
            return _start(case, actor=actor)
    raise Refused("Many colleagues start at this moment. Press once more.", code="busy")


def _queue_of_next(person: User) -> Queue | None:
    first = access.next_waiting(person)
    return first.queue if first is not None else None


@transaction.atomic
def claim(case: Case, *, actor: User) -> Claim:
    """Lease one particular case. Raises Refused when it is held or no longer open.

    Two people may press together: the second waits for the row and is told who was first. Claiming a
    case one holds already returns the lease as it is. Can be undone by ``release_claim``.
    """
    require(actor, Permission.CASES_CLAIM)
    actor = _lock_person(actor)
    case = _lock(case)
    _check_may_work(case, actor)
    if case.status != CaseStatus.OPEN:
        raise Refused(f"{case} is not open any more.", code="not_open")
    holder = access.live_claim_on(case)
    if holder is not None and holder.user_id == actor.pk:
        return holder
    if holder is not None:
        raise Refused(
            f"{holder.user.pseudonym} has been working on {case} since "
            f"{holder.started_at:%H:%M} UTC.",
            code="held",
        )
    _refuse_too_many(actor)
    return _start(case, actor=actor)


def heartbeat(claim: Claim, *, actor: User) -> Claim:
    """Keep a lease alive while its holder works. Never revives one that ran out.

    One conditional update: the database's clock decides whether the lease still holds.
    """
    require(actor, Permission.CASES_CLAIM)
    kept = (
        access.live_claims()
        .filter(pk=claim.pk, user=actor)
        .update(expires_at=Greatest(F("expires_at"), Now() + lease()))
    )
    if not kept:
        raise LeaseLost(_why_lost(claim, actor))
    claim.refresh_from_db()
    return claim


@transaction.atomic
def extend_claim(claim: Claim, *, actor: User) -> Claim:
    """Add one lease to what is left, up to ``LONGEST_LEASE_MINUTES``.

    Can be done ``MOST_EXTENSIONS`` times; then a lead is asked. Raises Refused when the lease is gone.
    """
    require(actor, Permission.CASES_CLAIM)
    longest = timedelta(minutes=workflow.LONGEST_LEASE_MINUTES)
    mine = access.live_claims().filter(pk=claim.pk, user=actor)
    extended = mine.filter(extensions__lt=workflow.MOST_EXTENSIONS).update(
        expires_at=Greatest(F("expires_at"), Least(F("expires_at") + lease(), Now() + longest)),
        extensions=F("extensions") + 1,
    )
    if not extended:
        if mine.exists():
            raise Refused(
                "This lease has been extended as often as possible. Ask a lead to take the case over.",
                code="too_many_extensions",
            )
        raise LeaseLost(_why_lost(claim, actor))
    claim.refresh_from_db()
    audit.record(
        AuditEvent.CLAIM_EXTENDED,
        actor=actor,
        subject=claim,
        case=claim.case,
        until=claim.expires_at,
    )
    return claim


@transaction.atomic
def release_claim(claim: Claim, *, reason: str, actor: User) -> Skip:
    """Give a case back. It does not come to the same person again for ``SKIP_MINUTES``.

    Can be undone by claiming it again.
    """
    require(actor, Permission.CASES_CLAIM)
    if not reason.strip():
        raise Invalid({"reason": ["Say why you pass this case by; the next person will read it."]})
    case = _lock(claim.case)
    mine = access.live_claims().filter(pk=claim.pk, user=actor)
    if case.status == CaseStatus.DECIDING:
        raise Refused(
            "You have decided this case. Undo the decision before you give it back.",
            code="deciding",
        )
    if not mine.exists():
        raise LeaseLost(_why_lost(claim, actor))
    mine.update(
        ended_at=Now(), end=ClaimEnd.RELEASED, end_reason=reason.strip()[:500], ended_by=actor
    )
    skip = Skip.objects.create(
        case=case,
        user=actor,
        until=Now() + timedelta(minutes=workflow.SKIP_MINUTES),
        reason=reason.strip()[:500],
    )
    audit.record(AuditEvent.CLAIM_RELEASED, actor=actor, subject=claim, case=case)
    return skip


@transaction.atomic
def take_over(case: Case, *, reason: str, actor: User) -> Claim:
    """Take a case from the person who holds it. The former holder is told who and why.

    For leads. Not while a decision is in its undo window: that is undone first, so that nobody's
    decision takes effect under somebody else's name. Cannot be undone; the case can be released.
    """
    require(actor, Permission.CASES_TAKE_OVER)
    if not reason.strip():
        raise Invalid(
            {"reason": ["Say why you take the case over; the other person will read it."]}
        )
    actor = _lock_person(actor)
    case = _lock(case)
    _check_may_work(case, actor)
    if case.status == CaseStatus.DECIDING:
        raise Refused(
            "This case has a decision in its undo window. Undo the decision, then take the case over.",
            code="deciding",
        )
    if case.status != CaseStatus.OPEN:
        raise Refused(f"{case} is not open any more.", code="not_open")
    former = access.live_claim_on(case)
    if former is not None and former.user_id == actor.pk:
        return former
    _refuse_too_many(actor)
    if former is not None:
        Claim.objects.filter(pk=former.pk).update(
            ended_at=Now(),
            end=ClaimEnd.TAKEN_OVER,
            end_reason=reason.strip()[:500],
            ended_by=actor,
        )
    taken = _start(case, actor=actor, is_audited=False)
    audit.record(
        AuditEvent.CLAIM_TAKEN_OVER,
        actor=actor,
        subject=taken,
        case=case,
        former=former.pk if former else None,
        former_holder=former.user.pseudonym if former else None,
    )
    return taken


def end_expired_claims() -> int:
    """End leases that ran out, one case at a time; return how many. Can be run at any time.

    A case in its undo window keeps its lease until the decision is published or undone.
    """
    ran_out = Claim.objects.filter(
        ended_at=None, expires_at__lte=Now(), case__status=CaseStatus.OPEN
    ).select_related("case")
    ended = 0
    for old in ran_out[:500]:
        with transaction.atomic():
            case = _lock(old.case)
            if case.status == CaseStatus.OPEN:
                ended += _end_expired_on(case)
    return ended


def check_lease(case: Case, *, actor: User) -> Claim:
    """Return the actor's live lease on a case. Raises Refused without one.

    Call it with the case's row locked, in the transaction that writes.
    """
    mine = access.live_claims().filter(case=case, user=actor).first()
    if mine is None:
        raise LeaseLost(why_no_lease(case, actor=actor))
    return mine


def why_no_lease(case: Case, *, actor: User) -> str:
    """Return the sentence that tells a person why a case is not (any more) in their hands."""
    last = case.claims.filter(user=actor).order_by("-started_at").first()
    if last is None:
        holder = access.live_claim_on(case)
        if holder is not None:
            return f"{holder.user.pseudonym} holds this case. Ask them, or a lead, to hand it over."
        return "Claim this case first: only the person who holds it can do this."
    return _why_lost(last, actor)


def _why_lost(claim: Claim, actor: User) -> str:
    if claim.user_id != actor.pk:
        return "This is not your lease."
    claim = Claim.objects.select_related("ended_by", "case").get(pk=claim.pk)
    holder = access.live_claim_on(claim.case)
    now_with = (
        f" {holder.user.pseudonym} has it now."
        if holder is not None and holder.user_id != actor.pk
        else ""
    )
    at = f"{claim.ended_at:%H:%M} UTC" if claim.ended_at else f"{claim.expires_at:%H:%M} UTC"
    match claim.end:
        case ClaimEnd.TAKEN_OVER:
            by = claim.ended_by.pseudonym if claim.ended_by else "Somebody"
            return f"{by} took this case over at {at}: {claim.end_reason}"
        case ClaimEnd.RELEASED:
            return f"You gave this case back at {at}.{now_with}"
        case ClaimEnd.DECIDED:
            return f"This case was decided at {at}."
        case ClaimEnd.WITHDRAWN:
            return access.WITHDRAWN
    return f"Your lease ran out at {at}.{now_with}"


def _lock(case: Case) -> Case:
    return Case.objects.select_for_update().get(pk=case.pk)


def _lock_person(actor: User) -> User:
    """Lock and re-read the person: their claims happen one after the other, with today's role."""
    return User.objects.select_for_update(no_key=True).get(pk=actor.pk)


def _check_may_work(case: Case, actor: User) -> None:
    if not access.may_work(actor, case):
        raise Refused("You may not work this case.", code="not_permitted", status=403)


def _refuse_too_many(actor: User) -> None:
    held = access.claims_of(actor).count()
    if held >= workflow.LEASES_AT_ONCE:
        raise Refused(
            f"You hold {held} cases. Finish or give back one of them first.", code="too_many_leases"
        )


def _end_expired_on(case: Case) -> int:
    expired = list(
        Claim.objects.filter(case=case, ended_at=None, expires_at__lte=Now()).values_list(
            "pk", "user__pseudonym"
        )
    )
    for key, pseudonym in expired:
        Claim.objects.filter(pk=key).update(ended_at=Now(), end=ClaimEnd.EXPIRED)
        audit.record(
            AuditEvent.CLAIM_EXPIRED,
            actor=SYSTEM,
            subject=case,
            case=case,
            claim=key,
            holder=pseudonym,
        )
    return len(expired)


def _start(case: Case, *, actor: User, is_audited: bool = True) -> Claim:
    """End what ran out and insert the new lease; the constraint has the last word."""
    _end_expired_on(case)
    try:
        with transaction.atomic():
            started = Claim.objects.create(case=case, user=actor, expires_at=Now() + lease())
    except IntegrityError:
        raise Refused("Somebody else claimed this case a moment ago.", code="held") from None
    started.refresh_from_db()
    if is_audited:
        audit.record(
            AuditEvent.CLAIM_STARTED,
            actor=actor,
            subject=started,
            case=case,
            until=started.expires_at,
        )
    return started
