"""Invitations and the first administrator."""

from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client

from accounts import actions
from accounts.models import Invitation, SetUpLink, User
from accounts.permissions import Role
from core.audit_events import AuditEvent
from core.errors import Refused
from core.models import AuditEntry
from tests.cast import PASSWORD, signed_in, use_link

pytestmark = pytest.mark.django_db
NILS = {"name": "Nils Nord", "email": "Nils@Holdfast.example", "role": "legal"}
PASSWORDS = {"new_password": PASSWORD, "repeat_password": PASSWORD}


def invite(client: Client) -> str:
    page = client.post("/people/invite/", NILS).content.decode()
    found = re.search(r"http://testserver(/invitation/#[\w-]+)", page)
    assert found, page
    return found[1]


def test_a_link_creates_the_account_and_leads_to_the_second_factor(
    client: Client, admin: User
) -> None:
    link = invite(signed_in(client, admin))
    new = Client()
    page = use_link(new, link).content.decode()
    assert "nils@holdfast.example" in page
    answer = use_link(new, link, {"name": "Nils N.", **PASSWORDS})
    assert answer["Location"] == "/account/second-factor/"
    nils = User.objects.get(email="nils@holdfast.example")
    assert (nils.name, nils.role) == ("Nils N.", Role.LEGAL)
    assert new.get("/account/second-factor/").status_code == 200
    assert new.get("/account/")["Location"].startswith("/account/second-factor/")
    events = AuditEntry.objects.values_list("event", flat=True)
    assert AuditEvent.INVITATION_ACCEPTED.value in events
    assert AuditEvent.INVITATION_CREATED.value in events


def test_a_whole_link_can_be_pasted_and_the_page_itself_tells_nothing(
    client: Client, admin: User
) -> None:
    link = invite(signed_in(client, admin))
    page = Client().get("/invitation/").content.decode()
    assert "Paste the invitation" in page
    answer = Client().post("/invitation/", {"token": f" http://testserver{link}\n"})
    assert "nils@holdfast.example" in answer.content.decode()


def test_a_link_works_once(client: Client, admin: User) -> None:
    link = invite(signed_in(client, admin))
    use_link(Client(), link, {"name": "Nils", **PASSWORDS})
    assert use_link(Client(), link).status_code == 404
    assert use_link(Client(), link, {"name": "Other", **PASSWORDS}).status_code == 404
    assert User.objects.filter(email="nils@holdfast.example").count() == 1


def test_a_link_runs_out_after_three_days(client: Client, admin: User) -> None:
    link = invite(signed_in(client, admin))
    left = Invitation.objects.get().expires_at - Invitation.objects.get().created_at
    assert left == timedelta(hours=72)
    Invitation.objects.update(expires_at=Now())
    assert use_link(Client(), link).status_code == 404
    assert "Ran out" in client.get("/people/invitations/").content.decode()
    assert invite(client) != link, "somebody whose invitation ran out is invited again"


def test_a_revoked_link_is_dead(client: Client, admin: User) -> None:
    link = invite(signed_in(client, admin))
    invitation = Invitation.objects.get()
    assert invitation.email in client.get("/people/invitations/").content.decode()
    url = f"/people/invitations/{invitation.pk}/revoke/"
    assert client.post(url).status_code == 302
    assert client.post(url).status_code == 404
    assert use_link(Client(), link).status_code == 404
    assert "No open invitation" in client.get("/people/invitations/").content.decode()


def test_the_token_is_shown_once_and_not_stored(client: Client, admin: User) -> None:
    link = invite(signed_in(client, admin))
    token = link.partition("#")[2]
    assert Invitation.objects.filter(token_hash=token).count() == 0
    assert token not in client.get("/people/invitations/").content.decode()
    assert not AuditEntry.objects.filter(line__contains=token).exists()


def test_nobody_is_invited_twice(client: Client, admin: User, reviewer: User) -> None:
    invite(signed_in(client, admin))
    assert client.post("/people/invite/", NILS).status_code == 422
    taken = client.post("/people/invite/", {**NILS, "email": reviewer.email.upper()})
    assert taken.status_code == 422
    assert "already an account" in taken.content.decode()


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ("short", "short", "too short"),
        ("nils.nord@holdfast", "nils.nord@holdfast", "too similar"),
        (PASSWORD, "another", "differ"),
    ],
)
def test_a_poor_password_is_refused(
    client: Client, admin: User, first: str, second: str, sentence: str
) -> None:
    link = invite(signed_in(client, admin))
    answer = use_link(
        Client(), link, {"name": "Nils", "new_password": first, "repeat_password": second}
    )
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not User.objects.filter(email="nils@holdfast.example").exists()


def test_somebody_signed_in_does_not_accept_by_accident(client: Client, admin: User) -> None:
    link = invite(signed_in(client, admin))
    assert use_link(client, link).status_code == 409
    assert use_link(client, link, {"name": "Nils", **PASSWORDS}).status_code == 409
    assert Invitation.objects.get().accepted_at is None


def test_a_guessed_token_is_404(client: Client) -> None:
    assert use_link(client, "/invitation/#not-a-token").status_code == 404


# ── The first administrator ───────────────────────────────────────────────────────────────────
def first_link() -> str:
    out = StringIO()
    call_command("first_admin_link", base="http://testserver", stdout=out)
    return out.getvalue().strip().removeprefix("http://testserver")


def first_form(link: str) -> dict[str, str]:
    token = link.partition("#")[2]
    return {"token": token, "name": "Ada", "email": "ada@holdfast.example", **PASSWORDS}


def test_the_printed_link_creates_the_first_administrator(client: Client) -> None:
    link = first_link()
    assert use_link(client, link).status_code == 200
    answer = client.post("/set-up/", first_form(link))
    assert answer["Location"] == "/account/second-factor/"
    ada = User.objects.get()
    assert ada.role == Role.ADMINISTRATOR
    assert ada.check_password(PASSWORD)


def test_set_up_is_closed_without_the_token(client: Client) -> None:
    first_link()
    assert "Paste the set-up link" in client.get("/set-up/").content.decode()
    assert client.post("/set-up/", first_form("/set-up/#guessed")).status_code == 404
    assert not User.objects.exists()


def test_set_up_is_closed_once_anybody_exists(client: Client) -> None:
    link = first_link()
    actions.create_person(
        email="x@holdfast.example", name="X", role=Role.REVIEWER, password=PASSWORD
    )
    assert use_link(client, link).status_code == 404
    assert client.post("/set-up/", first_form(link)).status_code == 404
    with pytest.raises(CommandError, match="already has an administrator"):
        first_link()
    with pytest.raises(Refused):
        actions.create_first_administrator(
            link.partition("#")[2], email="a@b.example", name="A", password=PASSWORD
        )


def test_a_newer_link_replaces_the_older(client: Client) -> None:
    old, new = first_link(), first_link()
    assert use_link(client, old).status_code == 404
    assert use_link(client, new).status_code == 200


def test_a_link_for_the_first_administrator_runs_out(client: Client) -> None:
    link = first_link()
    SetUpLink.objects.update(expires_at=Now())
    assert use_link(client, link).status_code == 404
