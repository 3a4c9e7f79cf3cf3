"""Reviews on their way back to the exchanges whose entries they are about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent
from core.errors import Refused
from core.jobs import enqueue
from hashing.actions.exchanges import exchange_credentials
from hashing.exchanges import TAKES_FEEDBACK, missing_for_feedback
from hashing.models import (
    Exchange,
    ExchangeRecord,
    ExchangeReview,
    Flag,
    FlagKind,
    ReviewState,
    Verdict,
)

__all__ = [
    "begin_review",
    "end_review",
    "note_reviews",
    "retry_reviews",
    "switch_reviews",
    "waiting_reviews",
]

NEAR = 10
"""PDQ bits: what differs more may be another picture, and says nothing of the entry."""
MOST_ATTEMPTS = 8
SHORTEST_PAUSE = timedelta(minutes=10)


def note_reviews(verdicts: Iterable[Verdict]) -> None:
    """Keep what decisions say of entries of exchanges that want to know, in the caller's transaction.

    The written rule: 1. The exchange takes feedback, and an administrator had its reviews sent. 2. The item was
    flagged by an exact digest, or by PDQ within ``NEAR`` bits. 3. One row for each record and entry; a later decision of the
    other kind sends the correction, one of the same kind nothing.
    """
    by_item = {verdict.item_id: verdict for verdict in verdicts}
    flags = Flag.objects.filter(
        item__in=by_item,
        kind=FlagKind.HASH_MATCH,
        superseded_at=None,
        hash_entry__isnull=False,
        hash_list__exchange__sends_reviews=True,
        hash_list__exchange__kind__in=TAKES_FEEDBACK,
    )
    said = {
        flag.hash_entry_id: by_item[flag.item_id].is_violation
        for flag in flags
        if flag.evidence.get("algorithm") in {"md5", "sha1", "sha256"}
        or (flag.evidence.get("algorithm") == "pdq" and flag.evidence.get("distance", 256) <= NEAR)
    }
    if not said:
        return
    records = ExchangeRecord.objects.filter(entry__in=said, exchange__sends_reviews=True)
    rows = [
        ExchangeReview(
            exchange_id=record.exchange_id,
            remote_id=record.remote_id,
            entry_id=record.entry_id,
            is_violation=said[record.entry_id],
        )
        for record in records.order_by("pk")
    ]
    ExchangeReview.objects.bulk_create(rows, ignore_conflicts=True)
    known = (
        ExchangeReview.objects.select_for_update(no_key=True).filter(entry__in=said).order_by("pk")
    )
    for review in known:
        if review.is_violation != said[review.entry_id]:
            ExchangeReview.objects.filter(pk=review.pk).update(
                is_violation=said[review.entry_id],
                state=ReviewState.WAITING,
                attempts=0,
                due_at=Now(),
                decided_at=Now(),
            )
        enqueue("send_review", review.pk)


def waiting_reviews() -> QuerySet[ExchangeReview]:
    """Return the reviews that are due, of exchanges that are contacted and want them."""
    return ExchangeReview.objects.filter(
        state=ReviewState.WAITING,
        due_at__lte=Now(),
        exchange__is_active=True,
        exchange__sends_reviews=True,
    ).order_by("due_at")


def pause_after(attempts: int) -> timedelta:
    """Return how long a review that was taken up after ``attempts`` earlier attempts waits for the next."""
    return SHORTEST_PAUSE * 2 ** min(attempts, 7)


@transaction.atomic
def begin_review(review: ExchangeReview) -> ExchangeReview | None:
    """Take up sending a review; None if there is nothing to do. Due again later if nobody comes back."""
    taken = (
        waiting_reviews()
        .select_for_update(no_key=True, skip_locked=True, of=("self",))
        .select_related("exchange", "entry")
        .filter(pk=review.pk)
        .first()
    )
    if taken is None:
        return None
    ExchangeReview.objects.filter(pk=taken.pk).update(
        attempts=F("attempts") + 1, due_at=Now() + pause_after(taken.attempts)
    )
    taken.attempts += 1
    return taken


@transaction.atomic
def end_review(review: ExchangeReview, *, problem: str = "", actor: Actor = audit.SYSTEM) -> None:
    """Record that a review was sent, or why not: it is tried again, and given up after eight attempts.

    A decision of the other kind that came meanwhile stays to be sent.
    """
    rows = ExchangeReview.objects.filter(
        pk=review.pk, state=ReviewState.WAITING, is_violation=review.is_violation
    )
    if problem:
        given_up = review.attempts >= MOST_ATTEMPTS
        rows.update(
            last_error=problem[:300],
            state=ReviewState.FAILED if given_up else ReviewState.WAITING,
        )
        return
    if rows.update(state=ReviewState.SENT, sent_at=Now(), last_error=""):
        audit.record(
            AuditEvent.EXCHANGE_REVIEW_SENT,
            actor=actor,
            subject=review.exchange,
            entry=review.entry_id,
            is_violation=review.is_violation,
        )


@transaction.atomic
def switch_reviews(exchange: Exchange, *, is_on: bool, actor: User) -> Exchange:
    """Have reviews of an exchange's entries sent back to it from now on, or no more.

    Raises Refused when the exchange takes none, or something for it is missing. Can be undone by the opposite.
    """
    require(actor, Permission.HASHING_EXCHANGES_MANAGE)
    exchange = Exchange.objects.select_for_update(no_key=True).get(pk=exchange.pk)
    if is_on:
        said = exchange_credentials(exchange)
        if missing := missing_for_feedback(exchange.kind, said):
            raise Refused(missing, code="no_feedback")
    Exchange.objects.filter(pk=exchange.pk).update(sends_reviews=is_on, changed_by=actor)
    audit.record(AuditEvent.EXCHANGE_REVIEWS_SWITCHED, actor=actor, subject=exchange, is_on=is_on)
    exchange.refresh_from_db()
    return exchange


@transaction.atomic
def retry_reviews(exchange: Exchange, *, actor: User) -> int:
    """Put the reviews that were given up in line again; return how many. Safe to repeat."""
    require(actor, Permission.HASHING_EXCHANGES_MANAGE)
    count = exchange.reviews.filter(state=ReviewState.FAILED).update(
        state=ReviewState.WAITING, attempts=0, due_at=Now()
    )
    audit.record(AuditEvent.EXCHANGE_REVIEWS_SWITCHED, actor=actor, subject=exchange, retried=count)
    return count
