"""When to warn somebody who has not touched the page for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings

from accounts.models import SignIn

WARN_BEFORE = timedelta(seconds=60)
"""WCAG 2.2.1 asks for at least 20 seconds and a simple way to stay."""


def idle_state(sign_in: SignIn | None) -> dict[str, Any]:
    """Return what the idle region shows: a warning, or the seconds until the page should ask again.

    Without a sign-in the person was seen this moment. One second is added so that the page that asks
    at the end finds the session ended.
    """
    allowed = timedelta(minutes=settings.HOLDFAST_IDLE_MINUTES)
    idle = sign_in.idle if sign_in is not None else timedelta(0)
    left = max(allowed - idle, timedelta(0))
    is_warning = left <= WARN_BEFORE
    wait = left if is_warning else left - WARN_BEFORE
    return {
        "is_idle_warning": is_warning,
        "idle_wait": int(wait.total_seconds()) + 1,
        "idle_left": int(left.total_seconds()),
    }
