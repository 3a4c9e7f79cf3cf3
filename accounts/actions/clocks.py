"""Times of open sessions that lie ahead: the database's clock was put back, and no session lasts longer for it."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts.models import SignIn
from core.jobs import CLOCK_SLACK

__all__ = ["pull_back_sessions"]


@transaction.atomic
def pull_back_sessions() -> int:
    """Let the idle time of open sessions begin now, and ask for a new proof of presence; return how many times.

    Not audited: nobody is signed out. Cannot be undone; safe to repeat.
    """
    ahead = Now() + CLOCK_SLACK
    open_ = SignIn.objects.filter(ended_at=None)
    pulled = open_.filter(last_seen_at__gt=ahead).update(last_seen_at=Now())
    stale = Now() - timedelta(minutes=settings.HOLDFAST_REAUTH_MINUTES)
    return pulled + open_.filter(confirmed_at__gt=ahead).update(confirmed_at=stale)
