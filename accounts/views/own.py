"""The page about oneself: name, password, colours, keys, sessions."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import actions
from accounts.access import open_sign_ins_of, person_of, requires, sign_in_of
from accounts.attempts import TooOften
from accounts.destinations import go, next_path
from accounts.forms import ChangePasswordForm, KeysForm, NameForm, ThemeForm
from accounts.models import SignIn, User
from accounts.permissions import Permission
from accounts.views.session import INVALID

ONE_YEAR = 365 * 24 * 3600


@never_cache
@require_safe
@requires(Permission.OWN_ACCOUNT)
def profile(request: HttpRequest) -> HttpResponse:
    """Show everything people may change about themselves."""
    return _profile(request)


@require_POST
@requires(Permission.OWN_ACCOUNT)
def name(request: HttpRequest) -> HttpResponse:
    """Change the name colleagues see."""
    form = NameForm(request.POST)
    if not form.is_valid():
        return _profile(request, name_form=form)
    user = person_of(request)
    actions.rename(user, name=form.cleaned_data["name"], actor=user)
    messages.success(request, "Your name is changed.")
    return redirect("accounts:profile")


@require_POST
@requires(Permission.OWN_ACCOUNT)
def keys(request: HttpRequest) -> HttpResponse:
    """Switch single-key shortcuts."""
    form = KeysForm(request.POST)
    form.full_clean()
    user = person_of(request)
    enabled = form.cleaned_data["keys_enabled"]
    actions.set_keys_enabled(user, enabled=enabled, actor=user)
    messages.success(request, f"Single-key shortcuts are {'on' if enabled else 'off'}.")
    return redirect("accounts:profile")


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.OWN_ACCOUNT)
def password(request: HttpRequest) -> HttpResponse:
    """Change the password; every other session ends."""
    user = person_of(request)
    form = ChangePasswordForm(request.POST or None, user=user)
    status = 200
    if request.method == "POST":
        status = INVALID
        if form.is_valid():
            wrong = "This is not your current password."
            try:
                changed = actions.change_password(
                    user,
                    current=form.cleaned_data["current_password"],
                    new=form.cleaned_data["new_password"],
                    actor=user,
                    keep=sign_in_of(request),
                )
            except TooOften as refused:
                changed, wrong = False, refused.message
            if changed:
                user.refresh_from_db()
                update_session_auth_hash(request, user)
                messages.success(
                    request, "Your password is changed. Other browsers are signed out."
                )
                return redirect("accounts:profile")
            form.add_error("current_password", wrong)
    return render(request, "accounts/password.html", {"form": form}, status=status)


@require_POST
@requires(Permission.OWN_ACCOUNT)
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out every other browser of this person."""
    user = person_of(request)
    count = actions.end_other_sign_ins(
        user, because=SignIn.Ended.BY_OWNER, actor=user, keep=sign_in_of(request)
    )
    messages.success(
        request,
        f"{count} other session{'s' if count != 1 else ''} ended."
        if count
        else "There was no other session.",
    )
    return redirect("accounts:profile")


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Choose light, dark or system colours; a cookie keeps them for the sign-in page."""
    form = ThemeForm(request.POST)
    if not form.is_valid():
        return HttpResponse("There is no such theme.", status=INVALID, content_type="text/plain")
    chosen = form.cleaned_data["theme"]
    if isinstance(request.user, User):
        actions.set_theme(request.user, theme=chosen, actor=request.user)
    response = go(request, next_path(request))
    response.set_cookie(
        settings.HOLDFAST_THEME_COOKIE,
        chosen,
        max_age=ONE_YEAR,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )
    return response


def _profile(request: HttpRequest, *, name_form: NameForm | None = None) -> HttpResponse:
    user = person_of(request)
    context = {
        "name_form": name_form or NameForm(initial={"name": user.name}),
        "theme_form": ThemeForm(initial={"theme": user.theme}),
        "keys_form": KeysForm(initial={"keys_enabled": user.keys_enabled}),
        "has_totp": actions.has_totp(user),
        "codes_left": actions.recovery_codes_left(user),
        "sign_ins": open_sign_ins_of(user),
        "this_sign_in": sign_in_of(request),
    }
    status = INVALID if name_form is not None else 200
    return render(request, "accounts/profile.html", context, status=status)
