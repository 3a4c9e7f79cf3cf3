"""What every template may ask about the person looking at it."""

from __future__ import annotations

import functools
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts.access import recoveries_for
from accounts.idle import idle_state
from accounts.models import User
from accounts.permissions import Permission, user_can


def permissions(request: HttpRequest) -> dict[str, Any]:
    """Return ``can`` (``{% if can.cases_decide %}``), the person's page settings and the idle time.

    An unknown name in ``can`` is empty, so a misspelt permission hides a thing rather than shows it.
    """
    user = getattr(request, "user", None)
    person = user if isinstance(user, User) else None
    sign_in = getattr(request, "sign_in", None)
    is_signed_in = sign_in is not None
    # A session that owes its second factor can do nothing yet, so pages offer it nothing.
    may_act = sign_in is not None and not sign_in.lacks_second_factor
    return {
        "can": {
            permission.name.lower(): may_act and user_can(user, permission)  # type: ignore[arg-type]
            for permission in Permission
        },
        "owes_second_factor": is_signed_in and not may_act,
        # Called by the pages that show it.
        "recent_recoveries": functools.partial(recoveries_for, person)
        if may_act and person
        else (),
        "theme": person.theme
        if person
        else request.COOKIES.get(settings.HOLDFAST_THEME_COOKIE, "auto"),
        "keys_off": person is not None and not person.keys_enabled,
        "idle_wait": idle_state(None)["idle_wait"] if is_signed_in else None,
    }
