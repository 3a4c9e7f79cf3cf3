"""May this role do it, in this session? And: which people and invitations may be seen.

``requires`` is the first of the three questions of the design; the object and the policy are asked in
each room's own ``access.py`` and ``actions.py``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, DurationField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.module_loading import import_string

from accounts import confirming
from accounts.models import RECOVERY_SHOWN, AccountRequest, Invitation, SignIn, StoredSearch, User
from accounts.permissions import Permission, Role
from core import audit
from core.audit_events import AuditEvent
from core.models import AuditEntry

View = Callable[..., HttpResponseBase]


def requires(
    permission: Permission, *, recent_login: bool = False, before_second_factor: bool = False
) -> Callable[[View], View]:
    """Let a view run only for people whose role holds ``permission``.

    * Nobody signed in never gets here: ``LoginRequiredMiddleware`` sends them to sign in.
    * The role lacks the permission: 403, and the refusal is audited.
    * The session saw no second factor and the role needs one: ``SessionGuardMiddleware`` leads the person
      to set it up, whatever the address. ``before_second_factor=True`` marks the few views that setting it
      up needs (people who have one cannot sign in without it).
    * ``recent_login=True`` and the person last proved their presence more than
      ``HOLDFAST_REAUTH_MINUTES`` ago: a GET is sent to confirm and comes back; a POST is answered with
      a page that holds its fields and sends them again together with the password or code, so nothing
      typed is lost (see ``accounts.confirming``).

    The decorator leaves ``holdfast_permission``, ``holdfast_recent_login`` and
    ``holdfast_before_second_factor`` on the view, for the middleware and the permission matrix test.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user, sign_in = request.user, current_sign_in(request)
            if not isinstance(user, User) or sign_in is None or not user.may(permission):
                match = request.resolver_match
                audit.record_apart(
                    AuditEvent.PERMISSION_REFUSED,
                    actor=user if isinstance(user, User) else None,
                    permission=permission.value,
                    view=match.view_name if match else "",
                    method=request.method,
                )
                raise PermissionDenied
            if recent_login and (
                answer := confirming.ask_if_stale(request, sign_in=sign_in, user=user)
            ):
                return answer
            return view(request, *args, **kwargs)

        guarded.holdfast_permission = permission  # type: ignore[attr-defined]
        guarded.holdfast_recent_login = recent_login  # type: ignore[attr-defined]
        guarded.holdfast_before_second_factor = before_second_factor  # type: ignore[attr-defined]
        return guarded

    return decorate


# ── Sessions ──────────────────────────────────────────────────────────────────────────────────
def current_sign_in(request: HttpRequest) -> SignIn | None:
    """Return the open sign-in that ``SessionGuardMiddleware`` found for this request."""
    return getattr(request, "sign_in", None)


def person_of(request: HttpRequest) -> User:
    """Return the person a guarded view works for. Raises PermissionDenied when there is none."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def sign_in_of(request: HttpRequest) -> SignIn:
    """Return the sign-in a guarded view runs in. Raises PermissionDenied when there is none."""
    sign_in = current_sign_in(request)
    if sign_in is None:
        raise PermissionDenied
    return sign_in


def _since(field: str) -> ExpressionWrapper:
    return ExpressionWrapper(Now() - F(field), output_field=DurationField())


def find_open_sign_in(id: object, user: User) -> SignIn | None:
    """Return the person's sign-in ``id`` if nobody ended it, with ``idle``, ``age``, ``since_confirmed``.

    The three durations are measured by the database's clock.
    """
    try:
        key = uuid.UUID(str(id))
    except ValueError:
        return None
    durations = {
        "idle": _since("last_seen_at"),
        "age": _since("started_at"),
        "since_confirmed": _since("confirmed_at"),
    }
    found = SignIn.objects.filter(pk=key, user=user, ended_at=None).annotate(**durations).first()
    if found is not None:
        found.user = user  # It is known already: no second query for it.
    return found


def open_sign_ins_of(user: User) -> QuerySet[SignIn]:
    """Return the person's sign-ins that are open and not yet idle or too old, newest first."""
    return SignIn.objects.filter(
        user=user,
        ended_at=None,
        last_seen_at__gt=Now() - timedelta(minutes=settings.HOLDFAST_IDLE_MINUTES),
        started_at__gt=Now() - SESSION_LONGEST,
    ).order_by("-started_at")


SESSION_LONGEST = timedelta(hours=12)
"""A session ends after this time whatever happens in it: one working day."""


FAILURES_TO_SHOW = 5
"""Wrong passwords and codes since the last sign-in from which an administrator should ask the person."""


def find_search_of(user: User, page: str, id: uuid.UUID | None) -> StoredSearch | None:
    """Return the person's own search ``id`` of ``page`` while it is kept; nobody else's, ever."""
    if id is None:
        return None
    return StoredSearch.objects.filter(pk=id, owner=user, page=page, expires_at__gt=Now()).first()


# ── People ────────────────────────────────────────────────────────────────────────────────────
def people_for(user: User, *, search: str = "", role: str = "", state: str = "") -> QuerySet[User]:
    """Return the people an administrator sees, with ``is_failing``, narrowed by text, role and state.

    ``state`` is ``active``, ``failing`` (repeated failures since the last sign-in), ``inactive`` or empty for all; an unknown role or state finds
    nobody rather than everybody. Anyone else than an administrator sees no one.
    """
    if not user.may(Permission.PEOPLE_MANAGE):
        return User.objects.none()
    people = User.objects.annotate(
        is_failing=ExpressionWrapper(
            Q(failed_sign_ins__gte=FAILURES_TO_SHOW), output_field=BooleanField()
        )
    ).order_by("name", "pseudonym")
    for word in search.split():
        people = people.filter(
            Q(name__icontains=word) | Q(email__icontains=word) | Q(pseudonym__iexact=word)
        )
    if role:
        people = people.filter(role=role) if role in set(Role) else people.none()
    match state:
        case "":
            return people
        case "active":
            return people.filter(is_active=True)
        case "failing":
            return people.filter(is_active=True, is_failing=True)
        case "inactive":
            return people.filter(is_active=False)
    return people.none()


def get_person_for(user: User, id: uuid.UUID) -> User:
    """Return one person for an administrator. Raises Http404 when not visible."""
    person = people_for(user).filter(pk=id).first()
    if person is None:
        raise Http404
    return person


def open_invitations_for(user: User) -> QuerySet[Invitation]:
    """Return invitations that can still be accepted or have run out unused, newest first."""
    if not user.may(Permission.PEOPLE_MANAGE):
        return Invitation.objects.none()
    return (
        Invitation.objects.filter(accepted_at=None, revoked_at=None)
        .select_related("invited_by")
        .annotate(left=ExpressionWrapper(F("expires_at") - Now(), output_field=DurationField()))
        .order_by("-created_at")
    )


def get_open_invitation_for(user: User, id: uuid.UUID) -> Invitation:
    """Return one open invitation for an administrator. Raises Http404 when not visible."""
    invitation = open_invitations_for(user).filter(pk=id).first()
    if invitation is None:
        raise Http404
    return invitation


def account_requests_for(user: User) -> QuerySet[Any]:
    """Return what takes two administrators, with ``is_open``, newest first; nobody else sees any."""
    if not user.may(Permission.PEOPLE_MANAGE):
        return AccountRequest.objects.none()
    is_open = Q(confirmed_at=None, closed_at=None, expires_at__gt=Now())
    return (
        AccountRequest.objects.select_related(
            "person", "invitation", "requested_by", "confirmed_by", "closed_by"
        )
        .annotate(is_open=ExpressionWrapper(is_open, output_field=BooleanField()))
        .order_by("-requested_at")
    )


def get_account_request_for(user: User, id: uuid.UUID) -> AccountRequest:
    """Return one request for an administrator. Raises Http404 when not visible."""
    found = account_requests_for(user).filter(pk=id).first()
    if found is None:
        raise Http404
    return found


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many things of one kind that wait for a person, and where they stand."""

    what: str
    count: int
    url: str


def waiting_for(user: User) -> list[Waiting]:
    """Return what waits for an administrator: requests of colleagues that take a second one."""
    if not user.may(Permission.PEOPLE_MANAGE):
        return []
    others = account_requests_for(user).filter(is_open=True)
    count = others.exclude(requested_by=user).exclude(person=user).count()
    return [
        Waiting("Requests of other administrators to confirm", count, reverse("accounts:requests"))
    ]


def all_waiting_for(user: User) -> list[Waiting]:
    """Return what waits for a person in all rooms (``settings.HOLDFAST_WAITING``), only what there is."""
    found = [each for path in settings.HOLDFAST_WAITING for each in import_string(path)(user)]
    return [each for each in found if each.count]


def recoveries_for(user: User) -> QuerySet[AccountRequest]:
    """Return who was let in anew by administrators within the last thirty days, newest first.

    The person is told of the own ones; administrators and leads are told of all, so that two who agree
    to become somebody else cannot do it unseen.
    """
    found = AccountRequest.objects.filter(
        kind__in=[AccountRequest.Kind.SECOND_FACTOR, AccountRequest.Kind.PASSWORD_LINK],
        confirmed_at__gt=Now() - RECOVERY_SHOWN,
    ).select_related("person", "requested_by", "confirmed_by")
    if user.role not in {Role.ADMINISTRATOR, Role.LEAD}:
        found = found.filter(person=user)
    return found.order_by("-confirmed_at")


ACCOUNT_EVENTS: dict[str, str] = {
    AuditEvent.SIGNED_IN: "signed in",
    AuditEvent.SIGN_IN_FAILED: "A sign-in failed",
    AuditEvent.SECOND_FACTOR_FAILED: "A code was wrong",
    AuditEvent.CONFIRMATION_FAILED: "A confirmation failed",
    AuditEvent.RECOVERY_CODE_USED: "used a recovery code",
    AuditEvent.SIGNED_OUT: "was signed out",
    AuditEvent.SIGN_INS_ENDED: "ended sessions",
    AuditEvent.PERSON_LOCKED: "The account was locked",
    AuditEvent.PERSON_UNLOCKED: "let failures be counted anew",
    AuditEvent.PERSON_CREATED: "created the account",
    AuditEvent.PERSON_RENAMED: "changed the name",
    AuditEvent.PERSON_ROLE_CHANGED: "changed the role",
    AuditEvent.PERSON_DEACTIVATED: "deactivated the account",
    AuditEvent.PERSON_REACTIVATED: "reactivated the account",
    AuditEvent.PASSWORD_CHANGED: "changed the password",
    AuditEvent.PASSWORD_LINK_ISSUED: "made a link for a new password",
    AuditEvent.SECOND_FACTOR_SET_UP: "set up the second factor",
    AuditEvent.SECOND_FACTOR_REMOVED: "removed the second factor",
    AuditEvent.SECOND_FACTOR_RESET: "reset the second factor",
    AuditEvent.ACCOUNT_REQUESTED: "asked another administrator to confirm a change",
    AuditEvent.ACCOUNT_REQUEST_CONFIRMED: "confirmed the change",
    AuditEvent.ACCOUNT_REQUEST_CANCELLED: "cancelled the change",
    AuditEvent.RECOVERY_CODES_RENEWED: "made new recovery codes",
}
"""What an administrator sees of the audit log: what concerns getting in, and nothing about cases."""


def account_history_for(user: User, person: User, *, limit: int = 25) -> QuerySet[AuditEntry]:
    """Return the latest audit entries about the account of ``person``, newest first."""
    if not user.may(Permission.PEOPLE_MANAGE):
        return AuditEntry.objects.none()
    return AuditEntry.objects.filter(
        subject_type=User._meta.label_lower,  # noqa: SLF001 — Django documents it
        subject_id=str(person.pk),
        event__in=list(ACCOUNT_EVENTS),
    ).order_by("-at", "-pk")[:limit]
