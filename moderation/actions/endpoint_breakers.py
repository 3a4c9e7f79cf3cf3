"""Whether an endpoint is sent anything at present. One row an endpoint, shared by all senders.

After some failures in a row an endpoint is held back; then one order at a time is tried, and the first that
gets through opens the way for the others. So a receiver that hangs costs one attempt every few minutes and
not every slot of the senders, and one that comes back gets what waited at once. In ordinary times the row is only
read.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from core import audit
from core.audit import SYSTEM, AuditEvent
from moderation.enforcement import tells_of_trouble
from moderation.models import EndpointBreaker, WebhookEndpoint
from moderation.webhooks import Answer

__all__ = ["FAILURES_TO_OPEN", "begin_probe", "note_answer", "room_of"]

FAILURES_TO_OPEN = 5
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=5)
PROBE_LEASE = timedelta(seconds=30)
"""How long the one sender that probes has; if it dies, the next probe may start then."""

MOST_AT_ONCE = 8
"""Attempts that one process makes to one endpoint at the same time."""

MOST_IN_TROUBLE = 2
"""The same after a failure, until an attempt goes well."""


def room_of(endpoint: WebhookEndpoint, *, busy: int) -> int:
    """Return how many further attempts may begin, with ``busy`` of this process under way.

    For an endpoint that was read with its ``breaker`` and ``is_held``: none while it is held back, and one when a
    probe is due, for which ``begin_probe`` decides who makes it.
    """
    breaker: EndpointBreaker | None = getattr(endpoint, "breaker", None)
    if breaker is None or breaker.failures == 0:
        return max(0, MOST_AT_ONCE - busy)
    if breaker.open_until is None:
        return max(0, MOST_IN_TROUBLE - busy)
    return 0 if endpoint.is_held else 1  # type: ignore[attr-defined]


def needs_probe(endpoint: WebhookEndpoint) -> bool:
    """Return whether the next attempt is a probe, of which there is one at a time."""
    breaker: EndpointBreaker | None = getattr(endpoint, "breaker", None)
    return breaker is not None and breaker.open_until is not None


def begin_probe(endpoint: WebhookEndpoint) -> bool:
    """Take the right to probe; False when somebody else has it. Ends by ``note_answer``, or by itself."""
    due = EndpointBreaker.objects.filter(endpoint=endpoint, open_until__lte=Now())
    return bool(due.update(open_until=Now() + PROBE_LEASE, is_probing=True))


@transaction.atomic
def note_answer(endpoint: WebhookEndpoint, *, answer: Answer) -> None:
    """Count what came back: trouble opens the breaker after a while, anything else closes it.

    The wait doubles from 15 s to five minutes; a receiver's own ``Retry-After`` lengthens it within these
    bounds. Audited when the endpoint is held back and when it is sent to again.
    """
    if tells_of_trouble(answer.status):
        _note_failure(endpoint, answer)
        return
    troubled = EndpointBreaker.objects.filter(
        Q(failures__gt=0) | Q(open_until__isnull=False), endpoint=endpoint
    )
    before = troubled.first()
    if before is None:
        return
    troubled.update(failures=0, openings=0, open_until=None, is_probing=False)
    if before.open_until is not None:
        EndpointBreaker.objects.filter(pk=before.pk).update(resumed_at=Now())
        audit.record(AuditEvent.WEBHOOK_RESUMED, actor=SYSTEM, subject=endpoint)


def _note_failure(endpoint: WebhookEndpoint, answer: Answer) -> None:
    EndpointBreaker.objects.get_or_create(endpoint=endpoint)
    breaker = EndpointBreaker.objects.select_for_update().get(endpoint=endpoint)
    # Others may have been under way before it opened and fail only now: that is no news and adds no wait.
    was_closed = breaker.open_until is None
    opens = breaker.is_probing or (was_closed and breaker.failures + 1 >= FAILURES_TO_OPEN)
    said = answer.error or f"It answered with status {answer.status}."
    fields = {
        "failures": breaker.failures + 1,
        "last_error": said[:300],
        "last_failed_at": Now(),
    }
    if opens:
        wait = min(FIRST_WAIT * 2 ** min(breaker.openings, 10), LONGEST_WAIT)
        asked = timedelta(seconds=answer.retry_after or 0)
        wait = max(wait, min(asked, LONGEST_WAIT))
        fields |= {"openings": breaker.openings + 1, "open_until": Now() + wait}
        fields["is_probing"] = False
    EndpointBreaker.objects.filter(pk=breaker.pk).update(**fields)
    if opens and was_closed:
        audit.record(
            AuditEvent.WEBHOOK_HELD,
            actor=SYSTEM,
            subject=endpoint,
            failures=breaker.failures + 1,
            status=answer.status,
            error=answer.error,
        )
