"""Wrong passwords and codes: whoever guesses has to wait, and nobody else does."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client
from redis.exceptions import ConnectionError as NoValkey

from accounts import attempts
from accounts.models import SignIn, User
from accounts.permissions import Role
from core import rates
from core.audit_events import AuditEvent
from core.models import AuditEntry
from tests.cast import PASSWORD, code_for, make_person, signed_in

pytestmark = pytest.mark.django_db
SIGN_IN, CODE = "/sign-in/", "/sign-in/code/"
HOME, ELSEWHERE = "198.51.100.7", "203.0.113.9"


def give(client: Client, email: str, password: str = PASSWORD, *, ip: str = HOME) -> Any:
    return client.post(SIGN_IN, {"email": email, "password": password}, REMOTE_ADDR=ip)


def enter(client: Client, person: User, *, ip: str = HOME, steps: int = 0) -> int:
    """Sign in fully; return the status that ended it: 302, or of the step that failed."""
    answer = give(client, person.email, ip=ip)
    if answer.status_code != 302:
        return int(answer.status_code)
    code = code_for(person, steps=steps)
    return int(client.post(CODE, {"code": code}, REMOTE_ADDR=ip).status_code)


def guess_often(email: str, *, ip: str = ELSEWHERE, times: int = 6) -> Any:
    for _ in range(times):
        answer = give(Client(), email, "wrong", ip=ip)
    return answer


def spray(person: User) -> None:
    """Use up what all unknown browsers together have for this account."""
    for n in range(7):
        guess_often(person.email, ip=f"192.0.2.{n}", times=5)
    assert give(Client(), person.email, "wrong", ip="192.0.2.99").status_code == 429


# ── A stranger who knows the address ──────────────────────────────────────────────────────────
def test_a_strangers_wrong_passwords_keep_nobody_out(reviewer: User) -> None:
    assert guess_often(reviewer.email, times=12).status_code == 429
    assert enter(Client(), reviewer) == 302


def test_the_guesser_waits_longer_each_time(reviewer: User) -> None:
    answer = guess_often(reviewer.email, times=6)
    assert 1 <= int(answer["Retry-After"]) <= 60
    text = answer.content.decode()
    assert "Too many wrong attempts" in text
    assert give(Client(), reviewer.email, ip=ELSEWHERE).status_code == 429, "nor the right one"
    amounts = [(item.amount, item.get_expiry()) for item in attempts.PASSWORDS_HERE]
    assert amounts == [(5, 60), (10, 900), (20, 21600), (40, 86400)]


def test_guesses_from_everywhere_do_not_hold_back_the_persons_own_browser(reviewer: User) -> None:
    own = Client()
    assert enter(own, reviewer) == 302
    own.post("/sign-out/")
    spray(reviewer)
    assert enter(own, reviewer, ip="192.0.2.99", steps=1) == 302, "known wherever it is"


def test_guesses_from_everywhere_do_not_hold_back_an_address_the_person_signed_in_from(
    reviewer: User,
) -> None:
    assert enter(Client(), reviewer) == 302
    spray(reviewer)
    assert enter(Client(), reviewer, steps=1) == 302
    assert give(Client(), reviewer.email, ip="192.0.2.100").status_code == 429


def test_an_administrator_or_the_machine_lets_them_count_anew(reviewer: User, admin: User) -> None:
    spray(reviewer)
    out = StringIO()
    call_command("unlock_person", reviewer.email.upper(), stdout=out)
    assert reviewer.pseudonym in out.getvalue()
    entry = AuditEntry.objects.get(event=AuditEvent.PERSON_UNLOCKED.value)
    assert (entry.actor_kind, entry.actor_id) == ("system", "manage.py unlock_person")
    assert enter(Client(), reviewer, ip="192.0.2.100") == 302
    with pytest.raises(CommandError, match="no account"):
        call_command("unlock_person", "nobody@holdfast.example")


def test_the_answer_is_the_same_for_an_address_without_account(reviewer: User) -> None:
    pages = set()
    for email in (reviewer.email, "nobody@holdfast.example"):
        answers = [give(Client(), email, "wrong", ip=ELSEWHERE) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [422] * 5 + [429]
        text = answers[-1].content.decode()
        start = text.index("error-summary")
        pages.add(text[start : text.index("</div>", start)])
    assert len(pages) == 1


def test_nobody_at_work_is_held_back_by_strangers(client: Client, admin: User) -> None:
    signed_in(client, admin)
    spray(admin)
    assert client.post("/confirm/", {"confirm_password": PASSWORD}).status_code == 302


def test_a_session_has_its_own_budget_for_proofs(client: Client, admin: User) -> None:
    signed_in(client, admin)
    for _ in range(5):
        assert client.post("/confirm/", {"confirm_password": "wrong"}).status_code == 422
    page = client.post("/confirm/", {"confirm_password": PASSWORD}).content.decode()
    assert "Too many wrong attempts" in page
    page = client.post(
        "/account/password/",
        {
            "current_password": PASSWORD,
            "new_password": "another invented phrase",
            "repeat_password": "another invented phrase",
        },
    ).content.decode()
    assert "Too many wrong attempts" in page
    other = signed_in(Client(), admin)
    assert other.post("/confirm/", {"confirm_password": PASSWORD}).status_code == 302


# ── Codes ─────────────────────────────────────────────────────────────────────────────────────
def test_whoever_knows_the_password_gets_five_guesses_at_the_code(reviewer: User) -> None:
    thief = Client()
    for n in range(5):
        give(thief, reviewer.email, ip=f"192.0.2.{n}")
        answer = thief.post(CODE, {"code": "000000"}, REMOTE_ADDR=f"192.0.2.{n}")
        assert answer.status_code == 422
    assert enter(thief, reviewer, ip="192.0.2.50") == 429
    assert not SignIn.objects.filter(user=reviewer).exists()


def test_the_persons_own_browser_goes_on_while_somebody_guesses_codes(reviewer: User) -> None:
    own = Client()
    assert enter(own, reviewer) == 302
    own.post("/sign-out/")
    for _ in range(5):
        thief = Client()
        give(thief, reviewer.email, ip=ELSEWHERE)
        thief.post(CODE, {"code": "000000"}, REMOTE_ADDR=ELSEWHERE)
    assert enter(own, reviewer, steps=1) == 302


# ── Known browsers ────────────────────────────────────────────────────────────────────────────
def test_a_browser_is_known_after_a_full_sign_in_only(client: Client, reviewer: User) -> None:
    name = settings.HOLDFAST_DEVICE_COOKIE
    give(client, reviewer.email)
    assert name not in client.cookies
    client.post(CODE, {"code": code_for(reviewer)}, REMOTE_ADDR=HOME)
    cookie = client.cookies[name]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert reviewer.email not in cookie.value


def test_a_browser_is_known_to_its_person_until_the_password_changes(
    client: Client, reviewer: User, outsider: User
) -> None:
    assert enter(client, reviewer) == 302
    client.post("/sign-out/")
    spray(outsider)
    assert give(client, outsider.email, ip="192.0.2.99").status_code == 429, "of somebody else"
    reviewer.set_password(PASSWORD)
    reviewer.save()
    spray(reviewer)
    assert give(client, reviewer.email, ip="192.0.2.99").status_code == 429


# ── Addresses ─────────────────────────────────────────────────────────────────────────────────
def test_an_office_signs_in_at_once_from_one_address() -> None:
    """Fifty-two people behind one address, some of whom mistype, all get in within the same minute."""
    people = [make_person(f"Person {n}", Role.REVIEWER) for n in range(52)]
    for n, person in enumerate(people):
        browser = Client()
        if n % 5 == 0:
            assert give(browser, person.email, "mistyped").status_code == 422
        assert enter(browser, person) == 302, f"person {n}"
        assert browser.get("/account/").status_code == 200
    assert not AuditEntry.objects.filter(event=AuditEvent.SIGN_IN_LIMITED.value).exists()


def test_an_address_that_only_fails_is_held_back_after_thirty() -> None:
    for n in range(30):
        assert give(Client(), f"nobody-{n}@holdfast.example").status_code == 422
    for _ in range(2):
        answer = give(Client(), "nobody-31@holdfast.example")
        assert answer.status_code == 429
    assert AuditEntry.objects.filter(event=AuditEvent.SIGN_IN_LIMITED.value).count() == 1


@pytest.mark.parametrize(
    ("ip", "counted_as"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("", ""),
    ],
)
def test_a_network_that_one_customer_holds_is_one_address(ip: str, counted_as: str) -> None:
    assert attempts.address_of(ip) == counted_as


def test_guesses_are_limited_without_valkey_too(
    reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(question: Any) -> Any:
        raise NoValkey

    monkeypatch.setattr(rates, "_sliding", lambda: away(None))
    rates._own_count.cache_clear()
    try:
        assert guess_often(reviewer.email).status_code == 429
        assert enter(Client(), reviewer) == 302
    finally:
        rates._own_count.cache_clear()
