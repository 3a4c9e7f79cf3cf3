"""Which decision takes effect next, and what becomes of one that cannot.

An attempt is written down before it begins: a decision whose publication kills the process would otherwise be tried
for ever, and nobody would know.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from core.errors import Refused, describe
from moderation.actions.decisions import decisions_to_publish
from moderation.models import Decision

__all__ = ["decisions_due", "record_publish_failure", "take_decision_to_publish"]

LEASE = timedelta(seconds=30)
"""How long a decision that was taken is left to whoever took it."""
PAUSE = timedelta(minutes=1)
MOST_ATTEMPTS = 4
"""Attempts that never ended; with this many the decision may be what ends the process."""
GIVEN_UP_PAUSE = timedelta(days=1)
GAVE_UP = (
    "Letting it take effect began 4 times and the process was gone each time before it ended. Nothing was sent to "
    "the platform. It is tried again once a day. Whoever runs this installation should look at the log of the case worker."
)


def decisions_due() -> QuerySet[Decision]:
    """Return decisions whose undo window is over and that nobody has in hand or waits with."""
    found: QuerySet[Decision] = decisions_to_publish()
    return found.filter(Q(publish_retry_at=None) | Q(publish_retry_at__lte=Now()))


@transaction.atomic
def take_decision_to_publish() -> Decision | None:
    """Take the decision that is due the longest, and count the attempt before it begins; None when none is due.

    Those whose attempt began before and never ended come last. From ``MOST_ATTEMPTS`` on such a one says so to
    people (``publish_error``) and has its turn once in ``GIVEN_UP_PAUSE``. Not audited: what comes of it is.
    """
    taken = (
        decisions_due()
        .select_for_update(no_key=True, skip_locked=True, of=("self",))
        .order_by("publish_attempts", "publish_at", "pk")
        .first()
    )
    if taken is None:
        return None
    rows = Decision.objects.filter(pk=taken.pk)
    if taken.publish_attempts >= MOST_ATTEMPTS and taken.publish_error != GAVE_UP:
        rows.update(publish_error=GAVE_UP, publish_retry_at=Now() + GIVEN_UP_PAUSE)
        return take_decision_to_publish()
    pause = GIVEN_UP_PAUSE if taken.publish_attempts >= MOST_ATTEMPTS else LEASE
    rows.update(publish_attempts=F("publish_attempts") + 1, publish_retry_at=Now() + pause)
    return taken


@transaction.atomic
def record_publish_failure(decision: Decision, failed: Exception) -> None:
    """Say on a decision why it has not taken effect; it is tried again in a minute. What people wrote is not quoted."""
    said = failed.message if isinstance(failed, Refused) else describe(failed)
    Decision.objects.filter(pk=decision.pk, published_at=None, undone_at=None).update(
        publish_error=f"{said} It is tried again every minute."[:500],
        publish_attempts=0,
        publish_retry_at=Now() + PAUSE,
    )
