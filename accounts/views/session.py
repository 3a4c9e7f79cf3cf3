"""Getting in and out: sign-in, second factor, confirmation, invitation, first set-up."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import actions, attempts, signing_in
from accounts.access import current_sign_in, person_of, requires, sign_in_of
from accounts.attempts import TooOften
from accounts.confirming import proves
from accounts.destinations import go, next_path
from accounts.forms import (
    AcceptForm,
    CodeForm,
    ConfirmForm,
    FirstAdministratorForm,
    LinkPasswordForm,
    SignInForm,
    add_errors,
)
from accounts.idle import idle_state
from accounts.models import User
from accounts.permissions import Permission, Role
from core.errors import Invalid

INVALID = 422


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Ask e-mail and password; people with a second factor are asked for its code next."""
    destination = next_path(request)
    if current_sign_in(request) is not None:
        return go(request, destination)
    form = SignInForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = INVALID
        if form.is_valid():
            email = form.cleaned_data["email"]
            try:
                user = actions.try_password(
                    email,
                    password=form.cleaned_data["password"],
                    attempt=attempts.at(request, email),
                )
            except TooOften as refused:
                return _too_often(request, "accounts/sign_in.html", form, destination, refused)
            if user is None:
                form.add_error(None, SignInForm.NO_MATCH)
            elif actions.has_totp(user):
                signing_in.remember_password_step(request, user)
                return go(request, "accounts:second_factor", next=destination)
            else:
                return _enter(request, user, destination)
    context_ = {"form": form, "next": destination}
    return render(request, "accounts/sign_in.html", context_, status=status)


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def second_factor(request: HttpRequest) -> HttpResponse:
    """Ask for the code after the password."""
    destination = next_path(request)
    user = signing_in.pending_user(request)
    if user is None:
        return go(request, "accounts:sign_in", next=destination)
    form = CodeForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = INVALID
        if form.is_valid():
            attempt = attempts.at(request, user.email)
            try:
                is_right = actions.try_code(user, code=form.cleaned_data["code"], attempt=attempt)
            except TooOften as refused:
                return _too_often(
                    request, "accounts/second_factor.html", form, destination, refused
                )
            if is_right:
                signing_in.begin(request, user, second_factor=True)
                if user.after_reset:
                    messages.warning(request, signing_in.WAS_RESET)
                attempt.succeeded()
                response = go(request, destination)
                attempts.remember(request, response, user)
                return response
            form.add_error("code", CodeForm.NO_MATCH)
    context_ = {"form": form, "next": destination}
    return render(request, "accounts/second_factor.html", context_, status=status)


@require_POST
@requires(Permission.OWN_ACCOUNT, before_second_factor=True)
def sign_out(request: HttpRequest) -> HttpResponse:
    """End this session."""
    signing_in.end(request, sign_in_of(request), person_of(request))
    messages.success(request, "You are signed out.")
    return go(request, "accounts:sign_in")


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.OWN_ACCOUNT, before_second_factor=True)
def confirm(request: HttpRequest) -> HttpResponse:
    """Ask password or code again before a verb that cannot be undone, then go back to it."""
    user, destination = person_of(request), next_path(request)
    form = ConfirmForm(request.POST or None, asks_code=actions.has_totp(user))
    status = 200
    if request.method == "POST":
        status = INVALID
        if form.is_valid() and proves(form, sign_in=sign_in_of(request), user=user):
            return go(request, destination)
    context_ = {
        "form": form,
        "held": [("next", destination)],
        "action": request.path,
        "back": destination,
    }
    return render(request, "accounts/confirm.html", context_, status=status)


@never_cache
@require_safe
@requires(Permission.OWN_ACCOUNT, before_second_factor=True)
def idle(request: HttpRequest) -> HttpResponse:
    """Return the idle warning when its time has come, else the moment to ask again.

    The page asks with ``X-Background``, so asking keeps nobody signed in; a session that has ended in
    the meantime is answered by the guard with the way to sign in.
    """
    return render(request, "accounts/_idle.html", idle_state(sign_in_of(request)))


@require_POST
@requires(Permission.OWN_ACCOUNT, before_second_factor=True)
def stay(request: HttpRequest) -> HttpResponse:
    """Keep the session: the person pressed the button of the warning."""
    actions.mark_seen(sign_in_of(request))
    return render(request, "accounts/_idle.html", idle_state(None))


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def accept_invitation(request: HttpRequest) -> HttpResponse:
    """Let an invited person choose name and password, sign them in and lead to the second factor."""
    if current_sign_in(request) is not None:
        return render(
            request, "accounts/invitation_closed.html", {"is_signed_in": True}, status=409
        )
    if request.method != "POST":
        return _ask_token(request, "Create your account", "the invitation")
    token = _token(request)
    attempts.take_token()
    invitation = actions.find_invitation(token)
    if invitation is None:
        is_waiting = actions.waits_for_confirmation(token)
        if not is_waiting:
            attempts.token_failed()
        context = {"is_waiting": is_waiting}
        status = 409 if is_waiting else 404
        return render(request, "accounts/invitation_closed.html", context, status=status)
    form = AcceptForm(_typed(request), email=invitation.email, initial={"name": invitation.name})
    if form.is_valid():
        user = actions.accept_invitation(
            token, name=form.cleaned_data["name"], password=form.cleaned_data["new_password"]
        )
        return _enter(request, user, "/")
    context_ = {
        "form": form,
        "token": token,
        "invitation": invitation,
        "role": Role(invitation.role).label,
    }
    status = INVALID if form.is_bound else 200
    return render(request, "accounts/invitation.html", context_, status=status)


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def first_set_up(request: HttpRequest) -> HttpResponse:
    """Create the first administrator with the token that the machine printed; 404 ever after."""
    if not actions.is_set_up_open():
        return render(request, "accounts/set_up_closed.html", status=404)
    if request.method != "POST":
        return _ask_token(request, "Create the first administrator", "the set-up link")
    token = _token(request)
    attempts.take_token()
    if not actions.is_set_up_token(token):
        attempts.token_failed()
        return render(request, "accounts/set_up_closed.html", status=404)
    form = FirstAdministratorForm(_typed(request), initial={"token": token})
    if form.is_valid():
        try:
            user = actions.create_first_administrator(
                token,
                email=form.cleaned_data["email"],
                name=form.cleaned_data["name"],
                password=form.cleaned_data["new_password"],
            )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            return _enter(request, user, "/")
    status = INVALID if form.is_bound else 200
    return render(request, "accounts/set_up.html", {"form": form}, status=status)


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def new_password(request: HttpRequest) -> HttpResponse:
    """Let somebody with a link from an administrator set a new password, then sign in with it."""
    if request.method != "POST":
        return _ask_token(request, "Set a new password", "the link for a new password")
    token = _token(request)
    attempts.take_token()
    link = actions.find_password_link(token)
    if link is None:
        attempts.token_failed()
        return render(request, "accounts/new_password_closed.html", status=404)
    form = LinkPasswordForm(_typed(request), user=link.user)
    if form.is_valid():
        actions.set_password_by_link(token, password=form.cleaned_data["new_password"])
        messages.success(request, "Your new password is set. Sign in with it.")
        return go(request, "accounts:sign_in")
    context_ = {"form": form, "token": token}
    status = INVALID if form.is_bound else 200
    return render(request, "accounts/new_password.html", context_, status=status)


def _ask_token(request: HttpRequest, heading: str, what: str) -> HttpResponse:
    """Ask for a one-time token: the page takes it from its own address's fragment, or a person pastes it.

    Browsers never send the fragment, so no proxy and no log on the way sees the token.
    """
    return render(request, "accounts/token.html", {"heading": heading, "what": what})


def _token(request: HttpRequest) -> str:
    """Return the token that was sent; of a whole link that was pasted, what follows the #."""
    return request.POST.get("token", "").strip().rpartition("#")[2][:200]


def _typed(request: HttpRequest) -> QueryDict | None:
    """Return the form, None when only the token was sent yet."""
    return request.POST if "new_password" in request.POST else None


def _enter(request: HttpRequest, user: User, destination: str) -> HttpResponse:
    """Open a session without a second factor and lead to set-up when the role needs one."""
    signing_in.begin(request, user, second_factor=False)
    if user.needs_second_factor:
        return go(request, "accounts:totp_set_up", next=destination)
    return go(request, destination)


def _too_often(
    request: HttpRequest, template: str, form: forms.Form, destination: str, refused: TooOften
) -> HttpResponse:
    form.add_error(None, refused.message)
    answer = render(request, template, {"form": form, "next": destination}, status=refused.status)
    answer["Retry-After"] = str(refused.wait)
    return answer
