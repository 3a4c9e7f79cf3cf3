"""Signing in: password, code, lock-out, limits, and what a stranger may learn."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts import actions, signing_in
from accounts.actions.locking import lock_time
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
        reviewer, current=PASSWORD, new="another invented phrase", actor=reviewer
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


def test_five_wrong_passwords_lock_the_account_for_fifteen_minutes(
    client: Client, reviewer: User
) -> None:
    for _ in range(5):
        give_password(client, reviewer.email, "wrong")
    assert give_password(client, reviewer.email).status_code == 422
    assert recorded(AuditEvent.PERSON_LOCKED, subject_id=str(reviewer.pk)) == 1
    reviewer.refresh_from_db()
    assert reviewer.failed_sign_ins == 5, "attempts during the lock do not count"
    User.objects.filter(pk=reviewer.pk, locked_until__lt=Now() + timedelta(minutes=15)).update(
        locked_until=Now()
    )
    assert give_password(client, reviewer.email).status_code == 302


def test_a_wiped_valkey_does_not_unlock(client: Client, reviewer: User) -> None:
    from django.core.cache import cache

    for _ in range(5):
        give_password(client, reviewer.email, "wrong")
    cache.clear()
    assert give_password(client, reviewer.email).status_code == 422


def test_wrong_codes_count_although_the_password_was_right(client: Client, reviewer: User) -> None:
    for _ in range(5):
        assert give_password(client, reviewer.email).status_code == 302
        assert client.post(CODE, {"code": "000000"}).status_code == 422
    assert client.post(CODE, {"code": code_for(reviewer)}).status_code == 422
    assert not is_signed_in(client)
    assert recorded(AuditEvent.SECOND_FACTOR_FAILED) == 6


def test_signing_in_forgets_earlier_failures(client: Client, reviewer: User) -> None:
    give_password(client, reviewer.email, "wrong")
    give_password(client, reviewer.email)
    client.post(CODE, {"code": code_for(reviewer)})
    reviewer.refresh_from_db()
    assert reviewer.failed_sign_ins == 0


@pytest.mark.parametrize(
    ("failures", "minutes"),
    [(1, None), (4, None), (5, 15), (6, None), (10, 30), (15, 60), (50, 1440), (500, 1440)],
)
def test_locks_grow_up_to_a_day(failures: int, minutes: int | None) -> None:
    time = lock_time(failures)
    assert (time.total_seconds() / 60 if time else None) == minutes


def test_an_address_gets_thirty_attempts_a_minute(client: Client) -> None:
    for _ in range(signing_in.ATTEMPTS_PER_MINUTE):
        assert give_password(client, "nobody@holdfast.example").status_code == 422
    assert give_password(client, "nobody@holdfast.example").status_code == 429
    assert recorded(AuditEvent.SIGN_IN_LIMITED) == 1


def test_people_get_in_without_valkey(
    client: Client, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.cache import cache
    from redis.exceptions import ConnectionError as NoValkey

    def refuse(*args: object, **kwargs: object) -> bool:
        raise NoValkey

    store: Any = cache
    monkeypatch.setattr(type(store._connections[store._alias]), "add", refuse)
    give_password(client, reviewer.email)
    assert client.post(CODE, {"code": code_for(reviewer)}).status_code == 302


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
