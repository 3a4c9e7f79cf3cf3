"""Who may send a file at all, asked before its first byte is taken (``core.uploads``)."""

from __future__ import annotations

from django.http import HttpRequest

from accounts.access import current_sign_in
from accounts.models import User


def may_upload(request: HttpRequest) -> bool:
    """Return whether the sender could use the view that the request is addressed to.

    Django reads a form for the CSRF check, before the view's own guard is asked. A signed-in person who lacks
    the view's permission must not be able to fill the vault through it; a view without a permission takes no
    files. Machine requests come with a key that was accepted (``request.auth``).
    """
    if getattr(request, "auth", None):
        return True
    user, sign_in = request.user, current_sign_in(request)
    match = request.resolver_match
    permission = getattr(match.func, "holdfast_permission", None) if match else None
    if not isinstance(user, User) or sign_in is None or permission is None:
        return False
    if sign_in.lacks_second_factor:
        return False
    return user.may(permission)
