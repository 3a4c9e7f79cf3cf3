"""Ends sessions that are idle, too old or ended by somebody; holds back those without a second factor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts import access, actions
from accounts.destinations import go_set_up, go_sign_in, is_htmx
from accounts.models import SignIn, User
from accounts.signing_in import SESSION_KEY
from core import audit
from core.audit_events import AuditEvent

BACKGROUND_HEADER = "X-Background"
"""Requests the page sends by itself carry it (``hx-headers='{"X-Background": "1"}'``): they keep a lease
alive, but never a session that nobody is sitting at."""

SEEN_EVERY = timedelta(seconds=15)
"""How often a busy session writes that it was seen; a write for every request would be waste."""


class SessionGuardMiddleware:
    """Attach ``request.sign_in`` to requests of people who are signed in, and sign the others out.

    A session without an open ``SignIn`` row is no session: that is how deactivation, a new role or
    "sign out elsewhere" take effect on the very next request, on every machine.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.sign_in = None  # type: ignore[attr-defined]
        # Only a request that brought a session pays for finding out whose it is.
        if request.session.session_key and isinstance(request.user, User):
            request.sign_in = self._open_sign_in(request, request.user)  # type: ignore[attr-defined]
        return _lead_to_sign_in(request, self.get_response(request))

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Lead a session that owes its second factor to set it up. Nothing else of the request happens.

        By session, not by verb: a password that was guessed or handed over must not read one case. Views
        that answer people who are not signed in stay open; they show nothing of the person's.
        """
        sign_in: SignIn | None = request.sign_in  # type: ignore[attr-defined]
        if sign_in is None or not sign_in.lacks_second_factor:
            return None
        is_public = not getattr(view, "login_required", True)
        if is_public or getattr(view, "holdfast_before_second_factor", False):
            return None
        if request.method not in {"GET", "HEAD"}:
            match = request.resolver_match
            audit.record_apart(
                AuditEvent.PERMISSION_REFUSED,
                actor=sign_in.user,
                permission="second factor",
                view=match.view_name if match else "",
                method=request.method,
            )
        return go_set_up(request)

    def _open_sign_in(self, request: HttpRequest, user: User) -> SignIn | None:
        sign_in = access.find_open_sign_in(request.session.get(SESSION_KEY), user)
        ended: SignIn.Ended | None = None
        if sign_in is not None:
            if sign_in.idle >= timedelta(minutes=settings.HOLDFAST_IDLE_MINUTES):
                ended = SignIn.Ended.IDLE
            elif sign_in.age >= access.SESSION_LONGEST:
                ended = SignIn.Ended.TOO_OLD
            if ended:
                actions.end_sign_in(sign_in, because=ended, actor=user)
        if sign_in is None or ended or not user.is_active:
            logout(request)
            return None
        if sign_in.idle > SEEN_EVERY and BACKGROUND_HEADER not in request.headers:
            actions.mark_seen(sign_in)
        return sign_in


def _lead_to_sign_in(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Make the redirect of ``LoginRequiredMiddleware`` useful for htmx and for forms.

    htmx would follow the 302 itself and put the sign-in page into a corner of the old page; and the
    address of a POST is no page to come back to.
    """
    match = request.resolver_match
    asked_to_sign_in = (
        response.status_code == HTTPStatus.FOUND
        and request.sign_in is None  # type: ignore[attr-defined]
        and match is not None
        and getattr(match.func, "login_required", True)
        and response["Location"].startswith(reverse("accounts:sign_in"))
    )
    if asked_to_sign_in and (is_htmx(request) or request.method not in {"GET", "HEAD"}):
        return go_sign_in(request)
    return response
