"""The steps between a browser and an open session: password, then code, then the row that counts."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth import login, logout
from django.db import connection
from django.http import HttpRequest
from django.urls import reverse

from accounts import actions
from accounts.models import SignIn, User
from core import context

SESSION_KEY = "holdfast_sign_in"
_PENDING_KEY = "holdfast_pending"
_PENDING_LIFE = timedelta(minutes=10)
WAS_RESET = (
    "Administrators let you in anew within the last 30 days. If you did not ask for it, tell your lead at once: "
    "your account page says when and who."
)
_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def begin(request: HttpRequest, user: User, *, second_factor: bool) -> SignIn:
    """Open the session of a person who proved everything asked of them."""
    request.session.flush()  # Nothing that was put there before may survive into the session.
    login(request, user, backend=_BACKEND)
    where = context.current()
    sign_in = actions.open_sign_in(
        user, second_factor=second_factor, ip=where.ip or None, user_agent=where.user_agent
    )
    request.session[SESSION_KEY] = str(sign_in.pk)
    return sign_in


def end(request: HttpRequest, sign_in: SignIn, user: User) -> None:
    """Sign out this browser."""
    actions.end_sign_in(sign_in, because=SignIn.Ended.SIGNED_OUT, actor=user)
    logout(request)


def remember_password_step(request: HttpRequest, user: User) -> None:
    """Keep for ten minutes that this browser gave the right password and still owes the code."""
    request.session.cycle_key()
    request.session[_PENDING_KEY] = {
        "user": str(user.pk),
        "at": _database_now().isoformat(),
        "password": user.get_session_auth_hash(),
    }


def pending_user(request: HttpRequest) -> User | None:
    """Return who owes the code in this browser, unless the password changed or the time ran out."""
    pending = request.session.get(_PENDING_KEY)
    if not pending:
        return None
    user = User.objects.filter(pk=pending["user"], is_active=True).first()
    if user is None or user.get_session_auth_hash() != pending["password"]:
        return None
    age = _database_now() - datetime.fromisoformat(pending["at"])
    return user if age < _PENDING_LIFE else None


def _database_now() -> datetime:
    """Return the database's time: web servers may disagree about when ten minutes are over."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        return cursor.fetchone()[0]


def one_time_address(base: str, view: str, token: str) -> str:
    """Return the address of a one-time link, the token in its fragment: browsers send that to nobody.

    ``view`` is the name of the page that takes it; ``base`` the address of the installation.
    """
    return f"{base.rstrip('/')}{reverse(view)}#{token}"
