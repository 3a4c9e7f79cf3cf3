"""A new password by a link from an administrator."""

from __future__ import annotations

import re

import pytest
from django.db.models.functions import Now
from django.test import Client

from accounts import actions
from accounts.models import PasswordLink, SignIn, User
from core.audit_events import AuditEvent
from core.errors import Refused
from core.models import AuditEntry
from tests.cast import code_for, guess, signed_in, use_link

pytestmark = pytest.mark.django_db
NEW = "a brand new invented phrase"
FORM = {"new_password": NEW, "repeat_password": NEW}


def make_link(client: Client, person: User) -> str:
    page = client.post(f"/people/{person.pk}/password-link/").content.decode()
    found = re.search(r"http://testserver(/new-password/#[\w-]+)", page)
    assert found, page
    return found[1]


def test_a_link_sets_the_password_and_the_code_is_still_asked(
    client: Client, admin: User, reviewer: User
) -> None:
    signed_in(Client(), reviewer)
    link = make_link(signed_in(client, admin), reviewer)
    person = Client()
    assert use_link(person, link).status_code == 200
    assert use_link(person, link, FORM)["Location"] == "/sign-in/"
    assert SignIn.objects.get(user=reviewer).ended_because == SignIn.Ended.PASSWORD_CHANGED
    assert guess(reviewer) is None
    answer = person.post("/sign-in/", {"email": reviewer.email, "password": NEW})
    assert answer["Location"] == "/sign-in/code/"
    person.post("/sign-in/code/", {"code": code_for(reviewer)})
    assert person.get("/account/").status_code == 200
    events = set(AuditEntry.objects.values_list("event", flat=True))
    assert {AuditEvent.PASSWORD_LINK_ISSUED.value, AuditEvent.PASSWORD_CHANGED.value} <= events


def test_a_link_works_once(client: Client, admin: User, reviewer: User) -> None:
    link = make_link(signed_in(client, admin), reviewer)
    use_link(Client(), link, FORM)
    assert use_link(Client(), link).status_code == 404
    assert use_link(Client(), link, FORM).status_code == 404
    with pytest.raises(Refused):
        actions.set_password_by_link(link.partition("#")[2], password=NEW)


def test_a_newer_link_replaces_the_older(client: Client, admin: User, reviewer: User) -> None:
    old = make_link(signed_in(client, admin), reviewer)
    new = make_link(client, reviewer)
    assert use_link(Client(), old).status_code == 404
    assert use_link(Client(), new).status_code == 200


def test_a_link_runs_out_and_dies_with_the_account(
    client: Client, admin: User, reviewer: User
) -> None:
    link = make_link(signed_in(client, admin), reviewer)
    actions.deactivate(reviewer, actor=admin)
    assert use_link(Client(), link).status_code == 404
    assert client.post(f"/people/{reviewer.pk}/password-link/").status_code == 409
    actions.reactivate(reviewer, actor=admin)
    assert use_link(Client(), link).status_code == 404
    PasswordLink.objects.update(expires_at=Now())
    assert use_link(Client(), link).status_code == 404


def test_nobody_makes_a_link_for_themselves(client: Client, admin: User) -> None:
    signed_in(client, admin)
    assert client.post(f"/people/{admin.pk}/password-link/").status_code == 409


def test_a_poor_password_is_refused_and_the_link_stays(
    client: Client, admin: User, reviewer: User
) -> None:
    link = make_link(signed_in(client, admin), reviewer)
    poor = {"new_password": "short", "repeat_password": "short"}
    assert use_link(Client(), link, poor).status_code == 422
    assert use_link(Client(), link).status_code == 200


def test_the_token_is_not_stored(client: Client, admin: User, reviewer: User) -> None:
    token = make_link(signed_in(client, admin), reviewer).partition("#")[2]
    assert not PasswordLink.objects.filter(token_hash=token).exists()
    assert not AuditEntry.objects.filter(line__contains=token).exists()
