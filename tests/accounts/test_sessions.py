"""Sessions end when they should, at once and on every machine."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django.test import Client

from accounts import actions
from accounts.access import find_open_sign_in
from accounts.models import SignIn, User
from accounts.permissions import Role
from accounts.sweeps import sweep_clocks
from tests.cast import signed_in

pytestmark = pytest.mark.django_db
PROFILE = "/account/"


def age(user: User, **fields: timedelta) -> None:
    """Let the person's sessions have been seen, begun or confirmed that long ago."""
    SignIn.objects.filter(user=user).update(
        **{name: Now() - duration for name, duration in fields.items()}
    )


def ended(user: User) -> str:
    return SignIn.objects.get(user=user).ended_because


def test_an_idle_session_is_signed_out(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    age(reviewer, last_seen_at=timedelta(minutes=settings.HOLDFAST_IDLE_MINUTES))
    answer = client.get(PROFILE)
    assert answer.status_code == 302
    assert answer["Location"] == "/sign-in/?next=/account/"
    assert ended(reviewer) == SignIn.Ended.IDLE


def test_a_used_session_stays_open(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    age(reviewer, last_seen_at=timedelta(minutes=settings.HOLDFAST_IDLE_MINUTES - 1))
    assert client.get(PROFILE).status_code == 200
    assert SignIn.objects.filter(last_seen_at__gt=Now() - timedelta(seconds=10)).exists()


def test_what_a_page_sends_by_itself_keeps_nobody_signed_in(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    age(reviewer, last_seen_at=timedelta(minutes=5))
    client.get("/session/idle/", headers={"X-Background": "1"})
    assert SignIn.objects.filter(last_seen_at__lt=Now() - timedelta(minutes=4)).exists()


def test_a_clock_that_was_put_back_lengthens_no_session_and_no_proof(
    client: Client, reviewer: User
) -> None:
    signed_in(client, reviewer)
    assert actions.pull_back_sessions() == 0
    age(reviewer, last_seen_at=timedelta(hours=-1), confirmed_at=timedelta(hours=-1))
    assert sweep_clocks() == 2
    found = find_open_sign_in(SignIn.objects.get(user=reviewer).pk, reviewer)
    assert found is not None
    assert timedelta() <= found.idle < timedelta(minutes=1)
    assert found.since_confirmed >= timedelta(minutes=settings.HOLDFAST_REAUTH_MINUTES)
    assert client.get(PROFILE).status_code == 200


def test_a_session_ends_after_twelve_hours_however_busy(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    age(reviewer, started_at=timedelta(hours=12))
    assert client.get(PROFILE).status_code == 302
    assert ended(reviewer) == SignIn.Ended.TOO_OLD


def test_deactivating_somebody_ends_their_sessions_at_once(
    client: Client, reviewer: User, admin: User
) -> None:
    signed_in(client, reviewer)
    actions.deactivate(reviewer, actor=admin)
    assert client.get(PROFILE).status_code == 302
    assert ended(reviewer) == SignIn.Ended.DEACTIVATED


def test_a_new_role_ends_sessions_at_once(client: Client, reviewer: User, admin: User) -> None:
    signed_in(client, reviewer)
    actions.change_role(reviewer, role=Role.AUDITOR, actor=admin)
    assert client.get(PROFILE).status_code == 302
    assert ended(reviewer) == SignIn.Ended.ROLE_CHANGED


def test_a_session_without_a_row_is_no_session(client: Client, reviewer: User) -> None:
    client.force_login(reviewer)
    assert client.get(PROFILE).status_code == 302


def test_a_session_cannot_borrow_the_row_of_somebody_else(
    client: Client, reviewer: User, lead: User
) -> None:
    signed_in(client, reviewer)
    signed_in(Client(), lead)
    session = client.session
    session["holdfast_sign_in"] = str(SignIn.objects.get(user=lead).pk)
    session.save()
    assert client.get(PROFILE).status_code == 302


def test_htmx_in_an_expired_session_is_led_to_sign_in_and_back_to_its_page(
    client: Client, reviewer: User
) -> None:
    signed_in(client, reviewer)
    age(reviewer, last_seen_at=timedelta(days=1))
    answer = client.get(
        "/session/idle/",
        headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/account/?a=1"},
    )
    assert answer.status_code == 401
    assert answer["HX-Redirect"] == "/sign-in/?next=%2Faccount%2F%3Fa%3D1"


def test_a_post_in_an_expired_session_leads_back_to_the_page_it_came_from(
    client: Client, reviewer: User
) -> None:
    signed_in(client, reviewer)
    age(reviewer, last_seen_at=timedelta(days=1))
    answer = client.post(
        "/account/name/", {"name": "R"}, headers={"Referer": "http://testserver/account/"}
    )
    assert answer["Location"] == "/sign-in/?next=%2Faccount%2F"


def test_the_idle_warning_comes_a_minute_before_the_end(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    page = client.get(PROFILE).content.decode()
    wait = settings.HOLDFAST_IDLE_MINUTES * 60 - 60 + 1
    assert f'hx-trigger="load delay:{wait}s"' in page
    assert "Still there?" not in page
    age(reviewer, last_seen_at=timedelta(minutes=settings.HOLDFAST_IDLE_MINUTES - 1, seconds=5))
    background = {"HX-Request": "true", "X-Background": "1"}
    assert "Still there?" in client.get("/session/idle/", headers=background).content.decode()
    fresh = client.post("/session/stay/", headers=background).content.decode()
    assert "Still there?" not in fresh
    assert f"delay:{wait}s" in fresh
    assert "Still there?" not in client.get("/session/idle/", headers=background).content.decode()


def test_signing_out_elsewhere_keeps_this_browser(client: Client, reviewer: User) -> None:
    other = signed_in(Client(), reviewer)
    signed_in(client, reviewer)
    assert "Sign out everywhere else" in client.get(PROFILE).content.decode()
    client.post("/account/sessions/end/")
    assert client.get(PROFILE).status_code == 200
    assert other.get(PROFILE).status_code == 302


def test_signed_in_pages_are_not_stored_by_browsers(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    assert "no-store" in client.get(PROFILE)["Cache-Control"]
