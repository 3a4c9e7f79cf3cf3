"""Setting up and replacing one's second factor."""

from __future__ import annotations

from allauth.mfa.adapter import get_adapter
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import actions, attempts
from accounts.access import person_of, requires, sign_in_of
from accounts.destinations import next_path
from accounts.forms import CodeForm, add_errors
from accounts.models import User
from accounts.permissions import Permission
from accounts.totp import new_secret
from accounts.views.session import INVALID
from core.errors import Invalid

_SECRET_KEY = "holdfast_totp_secret"  # noqa: S105 — a name in the session


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.OWN_ACCOUNT, recent_login=True, before_second_factor=True)
def set_up(request: HttpRequest) -> HttpResponse:
    """Show a new secret as QR code and text; the first right code makes it the second factor."""
    user, destination = person_of(request), next_path(request)
    secret = _secret(request)
    form = CodeForm(request.POST or None)
    form.fields["code"].widget.attrs["maxlength"] = 7
    status = 200
    if request.method == "POST":
        status = INVALID
        if form.is_valid():
            try:
                codes = actions.enable_totp(
                    user,
                    secret=secret,
                    code=form.cleaned_data["code"],
                    actor=user,
                    sign_in=sign_in_of(request),
                )
            except Invalid as invalid:
                add_errors(form, invalid)
            else:
                del request.session[_SECRET_KEY]
                response = _show_codes(request, codes, destination)
                attempts.remember(request, response, user)
                return response
    context = {
        "form": form,
        "next": destination,
        "secret": _in_groups(secret),
        "qr": _qr(user, secret),
        "replaces": actions.has_totp(user),
        "must": user.needs_second_factor,
    }
    return render(request, "accounts/totp_set_up.html", context, status=status)


@never_cache
@require_POST
@requires(Permission.OWN_ACCOUNT, recent_login=True)
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Replace the recovery codes and show the new ones, once."""
    user = person_of(request)
    return _show_codes(request, actions.new_recovery_codes(user, actor=user), "/account/")


def _show_codes(request: HttpRequest, codes: list[str], destination: str) -> HttpResponse:
    context = {"codes": [f"{code[:4]} {code[4:]}" for code in codes], "next": destination}
    return render(request, "accounts/recovery_codes.html", context)


def _secret(request: HttpRequest) -> str:
    """Return the secret offered to this session. Sessions are stored in clear, so it is sealed."""
    adapter = get_adapter()
    if sealed := request.session.get(_SECRET_KEY):
        return adapter.decrypt(sealed)
    secret = new_secret()
    request.session[_SECRET_KEY] = adapter.encrypt(secret)
    return secret


def _qr(user: User, secret: str) -> str:
    adapter = get_adapter()
    svg = adapter.build_totp_svg(adapter.build_totp_url(user, secret))
    return mark_safe(svg)  # noqa: S308 — drawn by qrcode: paths only, none of it from outside


def _in_groups(secret: str) -> str:
    return " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))
