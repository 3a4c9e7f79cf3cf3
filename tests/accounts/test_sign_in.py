"""Signing in: password, code, lock-out, limits, and what a stranger may learn."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import actions
from accounts.models import SignIn, User
from accounts.permissions import Role
from core.audit_events import AuditEvent
from core.models import AuditEntry
from tests.cast import PASSWORD, code_for, make_person, signed_in

pytestmark = pytest.mark.django_db
SIGN_IN = "/sign-in/"
CODE = "/sign-in/code/"
PROFILE = "/account/"


def give_password(client: Client, email: str, password: str = PASSWORD, **extra: str) -> Any:
    return client.post(SIGN_IN, {"email": email, "password": password, **extra})


def is_signed_in(client: Client) -> bool:
    return client.get(PROFILE).status_code == 200


def recorded(event: AuditEvent, **where: object) -> int:
    return AuditEntry.objects.filter(event=event.value, **where).count()


def test_password_and_code_open_the_page_that_was_wanted(client: Client, reviewer: User) -> None:
    answer = give_password(client, reviewer.email, next=PROFILE)
    assert answer.status_code == 302
    assert answer["Location"] == f"{CODE}?next=%2Faccount%2F"
    assert not is_signed_in(client)
    answer = client.post(CODE, {"code": code_for(reviewer), "next": PROFILE})
    assert answer.status_code == 302
    assert answer["Location"] == PROFILE
    assert is_signed_in(client)
    assert SignIn.objects.get(user=reviewer).second_factor_at is not None
    assert recorded(AuditEvent.SIGNED_IN, actor_id=str(reviewer.pk)) == 1


def test_capitals_in_the_address_do_not_matter(client: Client, reviewer: User) -> None:
    assert give_password(client, reviewer.email.upper())["Location"].startswith(CODE)


def test_a_role_with_second_factor_permissions_is_led_to_set_up(client: Client) -> None:
    person = make_person("New Here", Role.REVIEWER, totp=False)
    answer = give_password(client, person.email)
    assert answer["Location"] == reverse("accounts:totp_set_up")


def test_the_code_alone_is_worth_nothing(client: Client, reviewer: User) -> None:
    answer = client.post(CODE, {"code": code_for(reviewer)})
    assert answer["Location"] == SIGN_IN
    assert not is_signed_in(client)


def test_a_code_works_once(client: Client, reviewer: User) -> None:
    code = code_for(reviewer)
    give_password(client, reviewer.email)
    client.post(CODE, {"code": code})
    assert is_signed_in(client)
    other = Client()
    give_password(other, reviewer.email)
    assert other.post(CODE, {"code": code}).status_code == 422
    assert not is_signed_in(other)
    assert other.post(CODE, {"code": code_for(reviewer, steps=1)}).status_code == 302


def test_a_recovery_code_works_once(client: Client, reviewer: User) -> None:
    code = actions.new_recovery_codes(reviewer, actor=reviewer)[3]
    for browser, expected in ((client, 302), (Client(), 422)):
        give_password(browser, reviewer.email)
        assert browser.post(CODE, {"code": f"{code[:4]} {code[4:]}"}).status_code == expected
    assert actions.recovery_codes_left(reviewer) == 9
    assert recorded(AuditEvent.RECOVERY_CODE_USED) == 1


def test_the_password_step_is_forgotten_after_ten_minutes(client: Client, reviewer: User) -> None:
    give_password(client, reviewer.email)
    session = client.session
    pending = session["holdfast_pending"]
    pending["at"] = pending["at"].replace(pending["at"][:4], "2020", 1)
    session["holdfast_pending"] = pending
    session.save()
    assert client.post(CODE, {"code": code_for(reviewer)})["Location"] == SIGN_IN


def test_a_new_password_voids_the_password_step(client: Client, reviewer: User) -> None:
    give_password(client, reviewer.email)
    actions.change_password(
        reviewer,
        current=PASSWORD,
        new="another invented phrase",
        actor=reviewer,
        keep=SignIn.objects.create(user=reviewer),
    )
    assert client.post(CODE, {"code": code_for(reviewer)})["Location"] == SIGN_IN


def test_every_failure_looks_the_same(client: Client, reviewer: User, outsider: User) -> None:
    admin = make_person("Adi Ames", Role.ADMINISTRATOR)
    actions.deactivate(outsider, actor=admin)
    pages = set()
    for email, password in (
        ("nobody@holdfast.example", PASSWORD),
        (reviewer.email, "wrong"),
        (outsider.email, PASSWORD),
    ):
        answer = give_password(client, email, password)
        assert answer.status_code == 422
        text = answer.content.decode()
        start = text.index("error-summary")
        pages.add(text[start : text.index("</div>", start)])
    assert len(pages) == 1


def test_an_unknown_address_costs_one_hash_like_a_known_one(
    client: Client, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.contrib.auth.hashers import MD5PasswordHasher

    hashed: list[str] = []
    usual = MD5PasswordHasher.encode

    def counting(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return usual(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
    counts = []
    for email in ("nobody@holdfast.example", reviewer.email):
        hashed.clear()
        give_password(client, email, "wrong")
        counts.append(len(hashed))
    assert counts == [1, 1]


def test_signing_in_forgets_earlier_failures(client: Client, reviewer: User) -> None:
    give_password(client, reviewer.email, "wrong")
    give_password(client, reviewer.email)
    client.post(CODE, {"code": code_for(reviewer)})
    reviewer.refresh_from_db()
    assert reviewer.failed_sign_ins == 0


@pytest.mark.parametrize(
    "target",
    ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", "/\\elsewhere"],
)
def test_sign_in_never_leads_to_another_host(client: Client, auditor: User, target: str) -> None:
    give_password(client, auditor.email, next=target)
    answer = client.post(CODE, {"code": code_for(auditor), "next": target})
    assert answer["Location"] == "/"


def test_the_password_is_neither_in_the_page_nor_in_the_log(client: Client, reviewer: User) -> None:
    answer = give_password(client, reviewer.email, "a wrong but secret phrase")
    assert b"a wrong but secret phrase" not in answer.content
    assert not AuditEntry.objects.filter(line__contains="secret phrase").exists()
    assert not AuditEntry.objects.filter(line__contains=reviewer.email).exists()


def test_signing_out_needs_a_post_and_ends_the_session(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    assert client.get("/sign-out/").status_code == 405
    assert is_signed_in(client)
    assert client.post("/sign-out/")["Location"] == SIGN_IN
    assert not is_signed_in(client)
    assert SignIn.objects.get(user=reviewer).ended_because == SignIn.Ended.SIGNED_OUT


def test_somebody_signed_in_is_not_asked_again(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    assert client.get(SIGN_IN, {"next": PROFILE})["Location"] == PROFILE


def test_the_session_key_changes_at_sign_in(client: Client, reviewer: User) -> None:
    give_password(client, reviewer.email)
    before = client.session.session_key
    client.post(CODE, {"code": code_for(reviewer)})
    assert client.session.session_key != before
