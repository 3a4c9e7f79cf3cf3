"""One's own account: second factor, recovery codes, password, name, colours, keys."""

from __future__ import annotations

import re

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from accounts import actions
from accounts.models import SignIn, User
from accounts.permissions import Role
from core.audit_events import AuditEvent
from core.errors import Refused
from core.models import AuditEntry
from tests.cast import PASSWORD, guess, guess_code, make_person, signed_in, totp_code

pytestmark = pytest.mark.django_db
SET_UP = "/account/second-factor/"


@pytest.fixture
def newcomer() -> User:
    return make_person("Nora New", Role.ADMINISTRATOR, totp=False)


def offered_secret(client: Client) -> str:
    page = client.get(SET_UP).content.decode()
    found = re.search(r'id="totp-secret">([A-Z2-7 ]+)<', page)
    assert found
    return found[1].replace(" ", "")


def test_setting_up_shows_codes_once_and_verifies_the_session(
    client: Client, newcomer: User
) -> None:
    signed_in(client, newcomer, second_factor=False)
    assert client.get("/people/").status_code == 302
    secret = offered_secret(client)
    assert offered_secret(client) == secret, "the secret stays while one looks for the phone"
    answer = client.post(SET_UP, {"code": totp_code(secret), "next": "/people/"})
    page = answer.content.decode()
    assert len(re.findall(r"<li>\d{4} \d{4}</li>", page)) == 10
    assert 'href="/people/"' in page
    assert client.get("/people/").status_code == 200
    assert "10 of 10 left" in client.get("/account/").content.decode()
    assert AuditEntry.objects.filter(event=AuditEvent.SECOND_FACTOR_SET_UP.value).count() == 1


def test_a_wrong_code_sets_up_nothing(client: Client, newcomer: User) -> None:
    signed_in(client, newcomer, second_factor=False)
    secret = offered_secret(client)
    wrong = f"{(int(totp_code(secret)) + 1) % 1_000_000:06}"
    assert client.post(SET_UP, {"code": wrong}).status_code == 422
    assert not actions.has_totp(newcomer)


def test_the_qr_code_is_inline_svg_without_inline_style(client: Client, newcomer: User) -> None:
    signed_in(client, newcomer, second_factor=False)
    page = client.get(SET_UP).content.decode()
    svg = page[page.index("<svg ", page.index('aria-label="QR code')) :]
    svg = svg[: svg.index("</svg>")]
    assert "<path" in svg
    assert "style" not in svg
    assert "<?xml" not in page


def test_the_secret_is_sealed_at_rest(client: Client, newcomer: User) -> None:
    signed_in(client, newcomer, second_factor=False)
    secret = offered_secret(client)
    assert all(secret not in str(s.get_decoded()) for s in Session.objects.all())
    client.post(SET_UP, {"code": totp_code(secret)})
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(data::text, ' ') FROM mfa_authenticator")
        stored = cursor.fetchone()[0]
    assert "secret" in stored
    assert secret not in stored


def test_replacing_the_device_voids_the_old_one(client: Client, reviewer: User) -> None:
    old_codes = actions.new_recovery_codes(reviewer, actor=reviewer)
    signed_in(client, reviewer)
    secret = offered_secret(client)
    assert client.post(SET_UP, {"code": totp_code(secret)}).status_code == 200
    assert not guess_code(reviewer, old_codes[0])
    assert guess_code(reviewer, totp_code(secret, steps=1))


def test_setting_up_ends_sessions_that_saw_only_the_password(
    client: Client, newcomer: User
) -> None:
    """Else whoever opened one with a stolen password could put in a device of their own."""
    thief = signed_in(Client(), newcomer, second_factor=False)
    stolen = offered_secret(thief)
    signed_in(client, newcomer, second_factor=False)
    assert client.post(SET_UP, {"code": totp_code(offered_secret(client))}).status_code == 200
    assert thief.post(SET_UP, {"code": totp_code(stolen)})["Location"].startswith("/sign-in/")
    assert client.get("/people/").status_code == 200


def test_new_recovery_codes_replace_the_old_ones(client: Client, reviewer: User) -> None:
    old = actions.new_recovery_codes(reviewer, actor=reviewer)
    signed_in(client, reviewer)
    page = client.post("/account/recovery-codes/").content.decode()
    new = re.findall(r"<li>(\d{4} \d{4})</li>", page)
    assert len(new) == 10
    assert not guess_code(reviewer, old[0])
    assert guess_code(reviewer, new[0])


def test_without_a_second_factor_there_are_no_recovery_codes(newcomer: User) -> None:
    with pytest.raises(Refused, match="Set up an authenticator app first"):
        actions.new_recovery_codes(newcomer, actor=newcomer)


def test_a_new_password_needs_the_old_one_and_signs_out_other_browsers(
    client: Client, reviewer: User
) -> None:
    other = signed_in(Client(), reviewer)
    signed_in(client, reviewer)
    new = {"new_password": "brand new invented phrase"}
    new["repeat_password"] = new["new_password"]
    wrong = client.post("/account/password/", {"current_password": "wrong", **new})
    assert wrong.status_code == 422
    assert (
        client.post("/account/password/", {"current_password": PASSWORD, **new}).status_code == 302
    )
    assert client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302
    ended = set(SignIn.objects.exclude(ended_at=None).values_list("ended_because", flat=True))
    assert ended == {SignIn.Ended.PASSWORD_CHANGED.value}
    assert guess(reviewer, new["new_password"]) == reviewer


def test_a_name_is_changed_and_not_written_to_the_log(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    assert client.post("/account/name/", {"name": "Robin Rosewood"}).status_code == 302
    assert "Robin Rosewood" in client.get("/account/").content.decode()
    assert client.post("/account/name/", {"name": ""}).status_code == 422
    assert not AuditEntry.objects.filter(line__contains="Rosewood").exists()


def test_colours_are_kept_for_the_person_and_the_sign_in_page(
    client: Client, reviewer: User
) -> None:
    signed_in(client, reviewer)
    answer = client.post("/theme/", {"theme": "dark", "next": "/account/"})
    assert answer["Location"] == "/account/"
    assert 'data-theme="dark"' in client.get("/account/").content.decode()
    client.post("/sign-out/")
    assert 'data-theme="dark"' in client.get("/sign-in/").content.decode()
    assert client.post("/theme/", {"theme": "neon"}).status_code == 422


def test_single_keys_are_switched_off(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    assert 'data-keys="off"' not in client.get("/account/").content.decode()
    client.post("/account/keys/", {})
    assert 'data-keys="off"' in client.get("/account/").content.decode()
    client.post("/account/keys/", {"keys_enabled": "on"})
    assert 'data-keys="off"' not in client.get("/account/").content.decode()
