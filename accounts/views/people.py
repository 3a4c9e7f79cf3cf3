"""Administration of people and invitations. Nothing here shows a case."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import actions
from accounts.access import (
    ACCOUNT_EVENTS,
    account_history_for,
    account_requests_for,
    get_account_request_for,
    get_open_invitation_for,
    get_person_for,
    open_invitations_for,
    open_sign_ins_of,
    people_for,
    person_of,
    requires,
)
from accounts.destinations import is_htmx
from accounts.forms import InviteForm, PeopleFilterForm, ReasonForm, RoleForm, add_errors
from accounts.models import RECOVERY_SHOWN, AccountRequest, Invitation, User
from accounts.permissions import Permission, Role
from accounts.searches import searched, stored_search
from accounts.signing_in import one_time_address
from accounts.views.session import INVALID
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid
from core.models import AuditEntry

PEOPLE_ON_A_PAGE = 50
MANAGE = Permission.PEOPLE_MANAGE
Kind = AccountRequest.Kind


@require_http_methods(["GET", "HEAD", "POST"])
@requires(MANAGE)
@stored_search("search")
def index(request: HttpRequest) -> HttpResponse:
    """List people, narrowed by text, role and state."""
    user = person_of(request)
    form = PeopleFilterForm(searched(request))
    wanted = form.cleaned_data if form.is_valid() else {"state": "none"}
    people = people_for(user, **wanted)
    context = {
        "filter_form": form,
        "page": Paginator(people, PEOPLE_ON_A_PAGE).get_page(request.GET.get("page")),
        "open_invitations": open_invitations_for(user).count(),
        "open_requests": sum(each.is_open for each in account_requests_for(user)[:50]),
    }
    audit.record_apart(AuditEvent.PEOPLE_VIEWED, actor=user)
    template = "accounts/_people.html" if is_htmx(request) else "accounts/people.html"
    return render(request, template, context)


@require_safe
@requires(MANAGE)
def person(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Show one person: role, state, second factor, sessions and the latest sign-ins."""
    return _person(request, get_person_for(person_of(request), id))


@require_POST
@requires(MANAGE, recent_login=True)
def change_role(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Give a person another role."""
    user = person_of(request)
    subject = get_person_for(user, id)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _person(request, subject, role_form=form)
    role = form.cleaned_data["role"]
    if role == Role.ADMINISTRATOR:
        return _ask(request, subject, Kind.ADMINISTRATOR)
    subject = actions.change_role(subject, role=role, actor=user)
    messages.success(
        request, f"{subject.name} is {subject.get_role_display()} now. Their sessions have ended."
    )
    return redirect("accounts:person", id=id)


def _ask(request: HttpRequest, subject: User, kind: AccountRequest.Kind) -> HttpResponse:
    """Ask another administrator, with the reason of the form; show the form again when it is not given."""
    form = ReasonForm(request.POST)
    if form.is_valid():
        try:
            actions.ask_for(
                kind, subject, reason=form.cleaned_data["reason"], actor=person_of(request)
            )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(
                request, "Nothing is changed yet: another administrator has to confirm it."
            )
            return redirect("accounts:person", id=subject.pk)
    # The role that was chosen stays chosen: else giving the reason alone would change nothing.
    chosen = RoleForm(request.POST) if kind == Kind.ADMINISTRATOR else None
    return _person(request, subject, role_form=chosen, asks={kind.value: form})


def _verb(action: Callable[..., User], done: str) -> Callable[..., HttpResponseBase]:
    """Return the view of a verb that takes nothing but the person."""

    @require_POST
    @requires(MANAGE, recent_login=True)
    def view(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
        user = person_of(request)
        subject = action(get_person_for(user, id), actor=user)
        messages.success(request, done.format(name=subject.name))
        return redirect("accounts:person", id=id)

    return view


deactivate = _verb(
    actions.deactivate, "The account of {name} is deactivated and its sessions have ended."
)
reactivate = _verb(actions.reactivate, "The account of {name} is active again.")
unlock = _verb(actions.unlock, "{name} can try again at once: failures are counted anew.")


@require_POST
@requires(MANAGE, recent_login=True)
def reset_second_factor(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Ask another administrator to confirm that a person's second factor is reset."""
    return _ask(request, get_person_for(person_of(request), id), Kind.SECOND_FACTOR)


@never_cache
@require_POST
@requires(MANAGE, recent_login=True)
def password_link(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Make a link for a new password; it is shown on the answer to this request and never again.

    For somebody without a second factor the link alone would open the account: another administrator is asked.
    """
    user = person_of(request)
    subject = get_person_for(user, id)
    if not actions.has_totp(subject):
        return _ask(request, subject, Kind.PASSWORD_LINK)
    token = actions.issue_password_link(subject, actor=user)
    link = _link(request, "accounts:new_password", token)
    return render(request, "accounts/password_link.html", {"person": subject, "link": link})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@requires(MANAGE, recent_login=True)
def invite(request: HttpRequest) -> HttpResponse:
    """Invite a person; the link is shown on the answer to this request and never again."""
    user = person_of(request)
    form = InviteForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = INVALID
        if form.is_valid():
            try:
                invitation, token = _invite(form, user)
            except Invalid as invalid:
                add_errors(form, invalid)
            else:
                link = _link(request, "accounts:invitation", token)
                context = {"invitation": invitation, "link": link}
                return render(request, "accounts/invited.html", context)
    return render(request, "accounts/invite.html", {"form": form}, status=status)


def _invite(form: InviteForm, user: User) -> tuple[Invitation, str]:
    whom = {"email": form.cleaned_data["email"], "name": form.cleaned_data["name"]}
    if form.cleaned_data["role"] == Role.ADMINISTRATOR:
        return actions.invite_administrator(**whom, reason=form.cleaned_data["reason"], actor=user)
    return actions.invite(**whom, role=form.cleaned_data["role"], actor=user)


@require_safe
@requires(MANAGE)
def requests(request: HttpRequest) -> HttpResponse:
    """List what waits for a second administrator, and what was asked within the last thirty days."""
    user = person_of(request)
    found = list(account_requests_for(user).filter(requested_at__gt=Now() - RECOVERY_SHOWN))
    context = {
        "waiting": [each for each in found if each.is_open],
        "over": [each for each in found if not each.is_open],
        "is_only_one": not people_for(user, role=Role.ADMINISTRATOR, state="active")
        .exclude(pk=user.pk)
        .exists(),
    }
    return render(request, "accounts/requests.html", context)


@never_cache
@require_POST
@requires(MANAGE, recent_login=True)
def confirm_request(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Confirm what another administrator asked for. A password link is shown to whoever confirms it."""
    user = person_of(request)
    done, token = actions.confirm_request(get_account_request_for(user, id), actor=user)
    if token:
        link = _link(request, "accounts:new_password", token)
        context = {"person": done.person, "link": link}
        return render(request, "accounts/password_link.html", context)
    messages.success(request, f"Confirmed and done: {done.get_kind_display()}.")
    return redirect("accounts:requests")


@require_POST
@requires(MANAGE)
def cancel_request(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Close a request; nothing is changed."""
    user = person_of(request)
    actions.cancel_request(get_account_request_for(user, id), actor=user)
    messages.success(request, "The request is cancelled. Nothing was changed.")
    return redirect("accounts:requests")


@require_safe
@requires(MANAGE)
def invitations(request: HttpRequest) -> HttpResponse:
    """List invitations nobody accepted yet."""
    context = {"invitations": open_invitations_for(person_of(request))}
    return render(request, "accounts/invitations.html", context)


@require_POST
@requires(MANAGE)
def revoke_invitation(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Make an invitation's link useless."""
    user = person_of(request)
    actions.revoke_invitation(get_open_invitation_for(user, id), actor=user)
    messages.success(request, "The invitation is revoked. Its link does not work any more.")
    return redirect("accounts:invitations")


def _link(request: HttpRequest, view: str, token: str) -> str:
    return one_time_address(request.build_absolute_uri("/"), view, token)


_ALARMING = {
    AuditEvent.SIGN_IN_FAILED,
    AuditEvent.SECOND_FACTOR_FAILED,
    AuditEvent.CONFIRMATION_FAILED,
    AuditEvent.PERSON_LOCKED,
    AuditEvent.ACCOUNT_REQUESTED,
    AuditEvent.SECOND_FACTOR_RESET,
}


def _event(entry: AuditEntry) -> dict[str, object]:
    """Return an audit entry as the timeline shows it: who did what, from where."""
    is_alarming = entry.event in _ALARMING
    return {
        "icon": "lock" if is_alarming else "user",
        "tone": "warn" if is_alarming else "",
        "who": entry.actor_label if entry.actor_id else "",
        "text": ACCOUNT_EVENTS[entry.event],
        "at": entry.at,
        "note": f"from {entry.ip}" if entry.ip else "",
    }


def _person(
    request: HttpRequest,
    subject: User,
    *,
    role_form: RoleForm | None = None,
    asks: dict[str, ReasonForm] | None = None,
) -> HttpResponse:
    user = person_of(request)
    asks = asks or {}
    context = {
        "person": subject,
        "is_self": subject.pk == user.pk,
        "has_totp": actions.has_totp(subject),
        "sign_ins": open_sign_ins_of(subject),
        "history": [_event(entry) for entry in account_history_for(user, subject)],
        "role_form": role_form or RoleForm(initial={"role": subject.role}),
        "ask_reset": asks.get(Kind.SECOND_FACTOR.value) or ReasonForm(auto_id="reset_%s"),
        "ask_password": asks.get(Kind.PASSWORD_LINK.value) or ReasonForm(auto_id="password_%s"),
        "ask_administrator": asks.get(Kind.ADMINISTRATOR.value)
        or ReasonForm(auto_id="administrator_%s"),
        "waiting": [r for r in account_requests_for(user).filter(person=subject) if r.is_open],
    }
    is_refused = role_form is not None or bool(asks)
    return render(request, "accounts/person.html", context, status=INVALID if is_refused else 200)
