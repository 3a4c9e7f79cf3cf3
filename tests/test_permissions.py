"""Every address, every role: the matrix of ``tests/permission_matrix.py`` against the real pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyrage
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.converters import (
    IntConverter,
    PathConverter,
    SlugConverter,
    StringConverter,
    UUIDConverter,
)

import moderation.actions
import referrals.actions
from accounts.models import SignIn, User
from accounts.permissions import Role, permissions_of
from moderation.jobs import make_preview
from reports.door import OwnIdConverter
from tests.casework import Casework, grant_all
from tests.cast import make_person, signed_in
from tests.permission_matrix import (
    API,
    CAST,
    MATRIX,
    PUBLIC,
    REFERRAL_CAST,
    WITH_A_CASE,
    WITH_A_REFERRAL,
    Row,
)
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db

NOBODYS: dict[type, str | int] = {
    IntConverter: 2**31 - 1,
    UUIDConverter: "00000000-0000-0000-0000-000000000000",
    SlugConverter: "nothing-like-this",
    StringConverter: "nothing-like-this",
    PathConverter: "nothing-like-this",
    OwnIdConverter: "nothing-like-this",
}
"""Arguments that name no object, by kind."""

METHODS = ("get", "post")
ROWS = {row.name: row for row in MATRIX}


@dataclass(frozen=True)
class Address:
    """One view of the installation."""

    name: str
    view: Callable[..., HttpResponse]
    arguments: dict[str, Any]

    @property
    def url(self) -> str:
        return reverse(self.name, kwargs=self.arguments)


def walk(patterns: list[URLPattern | URLResolver], space: str = "") -> Iterator[Address]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = ":".join(part for part in (space, pattern.namespace) if part)
            yield from walk(pattern.url_patterns, inner)
        else:
            name = ":".join(part for part in (space, pattern.name or str(pattern.pattern)) if part)
            arguments = {
                key: NOBODYS[type(converter)]
                for key, converter in pattern.pattern.converters.items()
            }
            yield Address(name, pattern.callback, arguments)


def addresses() -> dict[str, Address]:
    return {address.name: address for address in walk(get_resolver().url_patterns)}


@contextmanager
def taken_back() -> Iterator[None]:
    """Forget what a request changed. A bare savepoint: an atomic block would divert refusals."""
    point = transaction.savepoint()
    try:
        yield
    finally:
        transaction.savepoint_rollback(point)
        connection.needs_rollback = False


def ask(session: str | None, address: Address, method: str, **headers: str) -> HttpResponse:
    client = Client(raise_request_exception=False)
    if session:
        client.cookies[settings.SESSION_COOKIE_NAME] = session
    with taken_back():
        answer = getattr(client, method)(address.url, headers=headers)
        if not answer.streaming:
            return answer
        b"".join(answer.streaming_content)
        return answer


def session_of(person: User, *, second_factor: bool = True) -> str:
    client = signed_in(Client(), person, second_factor=second_factor)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def offered(row: Row) -> list[tuple[str, int]]:
    pairs = (("get", row.get), ("post", row.post))
    return [(method, status) for method, status in pairs if status is not None]


def is_led_to_sign_in(answer: HttpResponse) -> bool:
    return answer.status_code == 302 and answer["Location"].startswith("/sign-in/")


# ── Completeness ──────────────────────────────────────────────────────────────────────────────
def test_every_view_is_in_the_matrix_and_every_row_has_a_view() -> None:
    known = set(addresses())
    listed = set(ROWS) | set(PUBLIC) | set(API)
    assert known - listed == set(), "add these to tests/permission_matrix.py"
    assert listed - known == set(), "these addresses are gone"
    assert len(MATRIX) == len(ROWS), "a view has two rows"


def test_every_view_asks_for_a_permission_or_is_counted_as_public() -> None:
    for address in addresses().values():
        permission = getattr(address.view, "holdfast_permission", None)
        is_public = not getattr(address.view, "login_required", True)
        if address.name in ROWS:
            assert permission is not None, f"{address.name} asks for no permission"
            assert not is_public, f"{address.name} is open to everybody"
        else:
            assert permission is None, f"{address.name} is listed as public but asks a permission"
            assert is_public, f"{address.name} is listed as public but wants somebody signed in"


@pytest.mark.parametrize("name", ROWS)
def test_the_roles_of_the_row_are_those_that_hold_the_permission(name: str) -> None:
    permission = addresses()[name].view.holdfast_permission  # type: ignore[attr-defined]
    holders = {role for role in Role if permission in permissions_of(role)}
    assert holders == ROWS[name].roles


# ── Behaviour ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("role", list(Role))
def test_each_role_gets_what_the_matrix_says(role: Role) -> None:
    session = session_of(make_person("Somebody", role))
    everywhere = addresses()
    wrong = []
    for row in MATRIX:
        for method in METHODS:
            status = getattr(row, method)
            if role in row.roles:
                expected = {405 if status is None else status}
            else:
                expected = {403, 405} if status is None else {403}
            found = ask(session, everywhere[row.name], method).status_code
            if found not in expected:
                wrong.append(f"{method.upper()} {row.name}: {found}, not {sorted(expected)}")
    assert not wrong, f"{role.label}:\n" + "\n".join(wrong)


def test_whoever_is_not_signed_in_is_led_to_sign_in() -> None:
    everywhere = addresses()
    wrong = []
    for row in MATRIX:
        for method, _ in offered(row):
            if not is_led_to_sign_in(ask(None, everywhere[row.name], method)):
                wrong.append(f"{method.upper()} {row.name}")
            answer = ask(None, everywhere[row.name], method, HX_Request="true")
            if answer.status_code != 401 or "HX-Redirect" not in answer.headers:
                wrong.append(f"{method.upper()} {row.name} by htmx: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


BEFORE_A_SECOND_FACTOR = {
    "accounts:sign_out",
    "accounts:confirm",
    "accounts:idle",
    "accounts:stay",
    "accounts:totp_set_up",
}
"""All that a session may use before its second factor was checked: setting it up, and leaving."""


@pytest.mark.parametrize("role", list(Role))
def test_a_session_without_a_second_factor_reaches_nothing(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each address, by each method: led to set-up, and no view is run."""
    session = session_of(make_person("Somebody", role, totp=False), second_factor=False)
    everywhere = addresses()
    run: list[str] = []
    may = User.may

    def noted(self: User, asked: Any) -> bool:
        run.append(asked.value)
        return may(self, asked)

    monkeypatch.setattr(User, "may", noted)
    wrong = []
    for row in MATRIX:
        for method in METHODS:
            if row.name in BEFORE_A_SECOND_FACTOR:
                continue
            run.clear()
            answer = ask(session, everywhere[row.name], method)
            led = answer.headers.get("Location", "").startswith("/account/second-factor/")
            if answer.status_code != 302 or not led or run:
                wrong.append(f"{method.upper()} {row.name}: {answer.status_code} {run}")
    assert not wrong, "\n".join(wrong)


def test_a_fragment_leads_the_whole_page_to_set_the_second_factor_up() -> None:
    session = session_of(make_person("Robin", Role.REVIEWER, totp=False), second_factor=False)
    everywhere = addresses()
    for name, method in (("moderation:heartbeat", "post"), ("moderation:preview", "get")):
        answer = ask(session, everywhere[name], method, HX_Request="true")
        assert answer.status_code == 403
        assert answer["HX-Redirect"].startswith("/account/second-factor/")
        assert not answer.content


def test_what_a_session_may_use_before_its_second_factor_is_this_list() -> None:
    marked = {
        address.name
        for address in addresses().values()
        if getattr(address.view, "holdfast_before_second_factor", False)
    }
    assert marked == BEFORE_A_SECOND_FACTOR


@pytest.mark.parametrize("role", list(Role))
def test_what_needs_fresh_proof_asks_for_it(role: Role) -> None:
    person = make_person("Somebody", role)
    session = session_of(person)
    SignIn.objects.update(confirmed_at=Now() - timedelta(minutes=settings.HOLDFAST_REAUTH_MINUTES))
    everywhere = addresses()
    wrong = []
    for row in MATRIX:
        address = everywhere[row.name]
        if role not in row.roles or not address.view.holdfast_recent_login:  # type: ignore[attr-defined]
            continue
        for method, _ in offered(row):
            answer = ask(session, address, method)
            if method == "get":
                asked = answer.headers.get("Location", "").startswith("/confirm/")
            else:
                asked = answer.status_code == 403 and b'id="confirm"' in answer.content
            if not asked:
                wrong.append(f"{method.upper()} {row.name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", API)
def test_the_machine_api_wants_a_key_and_no_session_will_do(name: str) -> None:
    address = addresses()[name]
    for session in (None, session_of(make_person("Somebody", Role.ADMINISTRATOR))):
        answer = ask(session, address, API[name].lower())
        assert answer.status_code == 401
        assert answer["Content-Type"] == "application/problem+json"


def test_each_of_the_cast_gets_what_the_grants_allow(
    request: pytest.FixtureRequest, casework: Casework
) -> None:
    """The same addresses with a real case: the role is right, and the object decides."""
    cast: dict[str, User] = {name: request.getfixturevalue(name) for name in CAST}
    grant_all(cast["reviewer"])
    grant_all(cast["lead"])
    case = casework.case(pictures=[jpeg(3, (96, 64))], reason="csam")
    moderation.actions.grant_category(case.category, to=cast["legal"], actor=cast["admin"])
    moderation.actions.claim(case, actor=cast["reviewer"])
    item = case.case_items.get().item
    make_preview(str(item.blob_id))
    real = {"id": case.pk, "item_id": item.pk, "slug": case.queue.slug}
    assert not differences(cast, WITH_A_CASE, real)


def test_a_referral_is_seen_by_legal_staff_of_its_category_alone(
    request: pytest.FixtureRequest, casework: Casework
) -> None:
    cast: dict[str, User] = {name: request.getfixturevalue(name) for name in REFERRAL_CAST}
    for name in ("reviewer", "lead", "legal"):
        grant_all(cast[name])
    case = casework.case(pictures=[jpeg(4, (96, 64))], reason="csam")
    casework.published(case, by=cast["reviewer"])
    recipient = referrals.actions.create_recipient(
        name="Invented Agency",
        keys=str(pyrage.x25519.Identity.generate().to_public()),
        actor=cast["legal"],
    )
    referral = referrals.actions.open_referral(case, recipient=recipient, actor=cast["legal"])
    real = {"case_id": case.pk, "referral_id": referral.pk}
    assert not differences(cast, WITH_A_REFERRAL, real)


def differences(
    cast: dict[str, User], table: dict[tuple[str, str], dict[str, int]], real: dict[str, Any]
) -> str:
    """Ask every address of ``table`` as every person, with the ids of ``real``; return what differs."""
    everywhere, wrong = addresses(), []
    for name, person in cast.items():
        session = session_of(person)
        for (method, view), expected in table.items():
            address = everywhere[view]
            address = Address(view, address.view, {k: real[k] for k in address.arguments})
            found = ask(session, address, method).status_code
            if found != expected[name]:
                wrong.append(f"{name}: {method.upper()} {view}: {found}, not {expected[name]}")
    return "\n".join(wrong)


IRREVERSIBLE = {
    "accounts:change_role",
    "accounts:confirm_request",
    "accounts:deactivate",
    "accounts:invite",
    "accounts:password_link",
    "accounts:reset_second_factor",
    "accounts:recovery_codes",
    "accounts:totp_set_up",
    "moderation:webhook",
    "moderation:webhook_new",
    "moderation:webhook_rotate",
    "referrals:approve",
    "referrals:package",
    "referrals:recipient_new",
    "referrals:recipient",
    "reports:key_issue",
    "reports:key_revoke",
    "reports:key_rotate",
}
"""Verbs that open a door, close one, or let something leave: they ask who is at the keyboard."""


@pytest.mark.parametrize("name", sorted(IRREVERSIBLE))
def test_irreversible_verbs_ask_for_fresh_proof(name: str) -> None:
    assert addresses()[name].view.holdfast_recent_login is True  # type: ignore[attr-defined]


def test_the_walk_finds_every_kind_of_view() -> None:
    found: dict[str, Any] = addresses()
    assert {"health", "accounts:person", "moderation:case", "referrals:approve"} <= set(found)
    assert found["accounts:person"].url == "/people/00000000-0000-0000-0000-000000000000/"
