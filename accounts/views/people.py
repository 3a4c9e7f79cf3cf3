"""Administration of people and invitations. Nothing here shows a case."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import actions
from accounts.access import (
    ACCOUNT_EVENTS,
    account_history_for,
    get_open_invitation_for,
    get_person_for,
    open_invitations_for,
    open_sign_ins_of,
    people_for,
    person_of,
    requires,
)
from accounts.destinations import is_htmx
from accounts.forms import InviteForm, PeopleFilterForm, RoleForm, add_errors
from accounts.models import User
from accounts.permissions import Permission
from accounts.views.session import INVALID
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid
from core.models import AuditEntry

PEOPLE_ON_A_PAGE = 50
MANAGE = Permission.PEOPLE_MANAGE


@require_safe
@requires(MANAGE)
def index(request: HttpRequest) -> HttpResponse:
    """List people, narrowed by text, role and state."""
    user = person_of(request)
    form = PeopleFilterForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {"state": "none"}
    people = people_for(user, **wanted)
    context = {
        "filter_form": form,
        "page": Paginator(people, PEOPLE_ON_A_PAGE).get_page(request.GET.get("page")),
        "open_invitations": open_invitations_for(user).count(),
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
    subject = actions.change_role(subject, role=form.cleaned_data["role"], actor=user)
    messages.success(
        request, f"{subject.name} is {subject.get_role_display()} now. Their sessions have ended."
    )
    return redirect("accounts:person", id=id)


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
unlock = _verb(actions.unlock, "The account of {name} is unlocked.")
reset_second_factor = _verb(
    actions.reset_second_factor,
    "The second factor of {name} is removed. The next sign-in leads to set-up.",
)


@never_cache
@require_POST
@requires(MANAGE, recent_login=True)
def password_link(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Make a link for a new password; it is shown on the answer to this request and never again."""
    user = person_of(request)
    subject = get_person_for(user, id)
    token = actions.issue_password_link(subject, actor=user)
    link = request.build_absolute_uri(reverse("accounts:new_password", args=[token]))
    return render(request, "accounts/password_link.html", {"person": subject, "link": link})


@never_cache
@require_http_methods(["GET", "POST"])
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
                invitation, token = actions.invite(
                    email=form.cleaned_data["email"],
                    name=form.cleaned_data["name"],
                    role=form.cleaned_data["role"],
                    actor=user,
                )
            except Invalid as invalid:
                add_errors(form, invalid)
            else:
                link = request.build_absolute_uri(reverse("accounts:invitation", args=[token]))
                context = {"invitation": invitation, "link": link}
                return render(request, "accounts/invited.html", context)
    return render(request, "accounts/invite.html", {"form": form}, status=status)


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


_ALARMING = {
    AuditEvent.SIGN_IN_FAILED,
    AuditEvent.SECOND_FACTOR_FAILED,
    AuditEvent.CONFIRMATION_FAILED,
    AuditEvent.PERSON_LOCKED,
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
    request: HttpRequest, subject: User, *, role_form: RoleForm | None = None
) -> HttpResponse:
    user = person_of(request)
    context = {
        "person": subject,
        "is_self": subject.pk == user.pk,
        "has_totp": actions.has_totp(subject),
        "sign_ins": open_sign_ins_of(subject),
        "history": [_event(entry) for entry in account_history_for(user, subject)],
        "role_form": role_form or RoleForm(initial={"role": subject.role}),
    }
    return render(
        request, "accounts/person.html", context, status=INVALID if role_form is not None else 200
    )
