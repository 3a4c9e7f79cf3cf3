"""``requires``: role, second factor and fresh proof, on views of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client

from accounts.models import SignIn, User
from accounts.permissions import Permission, Role, needs_second_factor, permissions_of, user_can
from core.audit_events import AuditEvent
from core.models import AuditEntry
from tests.cast import PASSWORD, code_for, make_person, signed_in

pytestmark = pytest.mark.django_db
PEOPLE = "/people/"
INVITE = "/people/invite/"
INVITATION = {"name": "Nils Nord", "email": "nils@holdfast.example", "role": "reviewer"}


def make_stale(user: User) -> None:
    SignIn.objects.filter(user=user).update(confirmed_at=Now() - timedelta(minutes=10))


def test_the_wrong_role_gets_403_and_the_refusal_is_recorded(
    client: Client, reviewer: User
) -> None:
    signed_in(client, reviewer)
    assert client.get(PEOPLE).status_code == 403
    entry = AuditEntry.objects.get(event=AuditEvent.PERMISSION_REFUSED.value)
    assert entry.actor_id == str(reviewer.pk)
    assert entry.data == {
        "permission": "accounts:people:manage",
        "view": "accounts:people",
        "method": "GET",
    }


def test_nobody_signed_in_is_led_to_sign_in(client: Client) -> None:
    assert client.get(PEOPLE)["Location"] == "/sign-in/?next=/people/"


def test_a_session_without_a_second_factor_is_led_to_set_up(client: Client) -> None:
    person = make_person("Ann Admin", Role.ADMINISTRATOR, totp=False)
    signed_in(client, person, second_factor=False)
    answer = client.get(PEOPLE)
    assert answer.status_code == 302
    assert answer["Location"] == "/account/second-factor/?next=%2Fpeople%2F"
    answer = client.get(PEOPLE, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"].startswith("/account/second-factor/")


def test_an_old_proof_sends_a_get_to_confirm_and_back(client: Client, admin: User) -> None:
    signed_in(client, admin)
    assert client.get(INVITE).status_code == 200
    make_stale(admin)
    answer = client.get(INVITE)
    assert answer["Location"] == "/confirm/?next=%2Fpeople%2Finvite%2F"
    assert client.get(answer["Location"]).status_code == 200
    answer = client.post("/confirm/", {"confirm_password": "wrong", "next": INVITE})
    assert answer.status_code == 422
    answer = client.post("/confirm/", {"confirm_password": PASSWORD, "next": INVITE})
    assert answer["Location"] == INVITE
    assert client.get(INVITE).status_code == 200


def test_a_code_confirms_as_well_but_once(client: Client, admin: User) -> None:
    signed_in(client, admin)
    make_stale(admin)
    code = code_for(admin)
    assert client.post("/confirm/", {"confirm_code": code}).status_code == 302
    assert client.post("/confirm/", {"confirm_code": code}).status_code == 422


def test_a_post_with_an_old_proof_keeps_every_field_and_goes_on_with_the_password(
    client: Client, admin: User
) -> None:
    signed_in(client, admin)
    make_stale(admin)
    answer = client.post(INVITE, INVITATION)
    assert answer.status_code == 403
    page = answer.content.decode()
    for name, value in INVITATION.items():
        assert f'<input type="hidden" name="{name}" value="{value}">' in page
    assert f'action="{INVITE}"' in page
    answer = client.post(INVITE, {**INVITATION, "confirm_password": "wrong"})
    assert answer.status_code == 403
    assert "wrong" not in answer.content.decode()
    answer = client.post(INVITE, {**INVITATION, "confirm_password": PASSWORD})
    assert answer.status_code == 200
    assert "The invitation is ready" in answer.content.decode()


def test_htmx_gets_the_question_in_place_of_the_page(client: Client, admin: User) -> None:
    signed_in(client, admin)
    make_stale(admin)
    answer = client.post(INVITE, INVITATION, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer["HX-Retarget"] == "#main"
    assert answer.content.lstrip().startswith(b'<section class="card" id="confirm"')


def test_no_answer_mentions_what_was_typed_as_proof(client: Client, admin: User) -> None:
    signed_in(client, admin)
    answer = client.post(INVITE, {**INVITATION, "name": "", "confirm_password": PASSWORD})
    assert answer.status_code == 422
    assert PASSWORD not in answer.content.decode()


def test_inactive_people_hold_no_permission(reviewer: User) -> None:
    assert user_can(reviewer, Permission.CASES_VIEW)  # type: ignore[arg-type]
    reviewer.is_active = False
    assert not user_can(reviewer, Permission.CASES_VIEW)  # type: ignore[arg-type]


def test_an_unknown_role_holds_nothing() -> None:
    assert permissions_of("superuser") == frozenset()


def test_administration_is_not_access() -> None:
    held = permissions_of(Role.ADMINISTRATOR)
    assert not {p for p in held if p.startswith(("moderation:cases", "moderation:media"))}
    assert not {p for p in held if p.startswith(("referrals:referrals", "core:audit"))}


def test_every_permission_is_held_by_some_role() -> None:
    held = frozenset().union(*(permissions_of(role) for role in Role))
    assert held == frozenset(Permission)


def test_every_role_needs_a_second_factor() -> None:
    assert all(needs_second_factor(role) for role in Role)


def test_templates_see_no_permission_without_an_open_session(reviewer: User) -> None:
    from django.http import HttpRequest

    from accounts.context import permissions

    request = HttpRequest()
    request.user = reviewer
    request.sign_in = None  # type: ignore[attr-defined]  # What the middleware sets.
    assert not any(permissions(request)["can"].values())
