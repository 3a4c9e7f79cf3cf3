"""The fixed cast of every test: people made by real actions, each with an authenticator app.

=============  =====================  =======================================================
fixture        role                   proves
=============  =====================  =======================================================
reviewer       reviewer               the ordinary path
lead           lead                   escalation, take-over
legal          legal                  drafts; sees a case without its media
legal2         legal                  the second person who approves
policy_admin   policy administrator   lists and rules, no case
auditor        auditor                reads the audit log, no case
outsider       reviewer               same rank, no grant on any queue: 404, not 403
admin          administrator          accounts and settings, sees no cases
=============  =====================  =======================================================

``reviewer`` and the others hold no queue grants of their own: tests of cases give them with the real
action of ``moderation``. Use::

    def test_a_stranger_gets_404(client, outsider, case):
        signed_in(client, outsider)
        assert client.get(case_url).status_code == 404

``signed_in(client, user)`` opens the session that the sign-in pages would open (by the same function),
without spending a code; ``second_factor=False`` opens one that never saw a code. Sign-in itself is
tested through the pages in ``tests/accounts``, which take codes from ``code_for(user)``. For browser
tests ``browser_cookie(live_server_url, user)`` returns the cookie of such a session.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.http import HttpRequest
from django.test import Client

from accounts import actions, attempts, signing_in
from accounts.models import User
from accounts.permissions import Role
from accounts.totp import STEP_SECONDS, code_of_step, new_secret
from core.errors import Invalid

PASSWORD = "an invented pass phrase"


def make_person(
    name: str,
    role: Role,
    *,
    email: str = "",
    password: str = PASSWORD,
    totp: bool = True,
) -> User:
    """Create a person with the real actions; ``totp=False`` leaves the second factor to be set up."""
    email = email or f"{name.lower().replace(' ', '.')}@holdfast.example"
    person = actions.create_person(email=email, name=name, role=role, password=password)
    if totp:
        set_up_totp(person)
    person.refresh_from_db()
    return person


def set_up_totp(person: User) -> None:
    """Set up an authenticator with the code of the step before: the current one stays unspent.

    At the turn of a step that code may grow too old between here and the check, so there is a second try.
    """
    secret = new_secret()
    try:
        actions.enable_totp(person, secret=secret, code=totp_code(secret, steps=-1), actor=person)
    except Invalid:
        actions.enable_totp(person, secret=secret, code=totp_code(secret, steps=-1), actor=person)


def totp_code(secret: str, *, steps: int = 0) -> str:
    """Return what an authenticator app shows for ``secret`` now, or ``steps`` times 30 s later."""
    return code_of_step(secret, int(time.time()) // STEP_SECONDS + steps)


def code_for(user: User, *, steps: int = 0) -> str:
    """Return the person's TOTP code. A code works once: ask the next step for a second sign-in."""
    row = Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
    return totp_code(decrypt(row.data["secret"]), steps=steps)


def use_link(client: Client, link: str, form: dict[str, str] | None = None) -> Any:
    """Open a one-time link as its page does: the token of the fragment is posted, then with the form."""
    path, _, token = link.partition("#")
    assert token, f"no token in the fragment of {path}"
    return client.post(path, {"token": token, **(form or {})})


def find(client: Client, page: str, fields: dict[str, Any], *, at: str = "", **headers: Any) -> Any:
    """Search a page whose search is posted and kept; return the page that the answer leads to.

    ``at`` is another address that opens the same search, such as an export.
    """
    places = {
        name: fields[name] for name in ("page", "before", "after", "format") if name in fields
    }
    typed = {name: text for name, text in fields.items() if name not in places}
    answer = client.post(page, typed)
    assert answer.status_code in {302, 303}, answer.status_code
    path, _, query = answer["Location"].partition("?")
    extra = "".join(f"&{name}={text}" for name, text in places.items())
    return client.get(f"{at or path}?{query}{extra}", **headers)


def guess(person: User, password: str = PASSWORD) -> User | None:
    """Try a password as an unknown browser does at the sign-in page."""
    attempt = attempts.at(HttpRequest(), person.email)
    return actions.try_password(person.email, password=password, attempt=attempt)


def guess_code(person: User, code: str) -> bool:
    """Try a code as an unknown browser does after the password."""
    return actions.try_code(person, code=code, attempt=attempts.at(HttpRequest(), person.email))


def signed_in(client: Client, user: User, second_factor: bool = True) -> Client:
    """Open a session of ``user`` in ``client`` and return the client."""
    client.cookies[settings.SESSION_COOKIE_NAME] = _session_key(user, second_factor)
    return client


def browser_cookie(url: str, user: User, second_factor: bool = True) -> Any:
    """Return a cookie for Playwright's ``context.add_cookies([...])`` that signs ``user`` in at ``url``."""
    return {
        "name": settings.SESSION_COOKIE_NAME,
        "value": _session_key(user, second_factor),
        "url": url,
    }


def _session_key(user: User, second_factor: bool) -> str:
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": "127.0.0.1", "HTTP_USER_AGENT": "tests"}
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()
    signing_in.begin(request, user, second_factor=second_factor)
    request.session.save()
    return str(request.session.session_key)


@pytest.fixture
def reviewer(db: None) -> User:
    """Return the reviewer Robin."""
    return make_person("Robin Reed", Role.REVIEWER)


@pytest.fixture
def lead(db: None) -> User:
    """Return the lead Lena."""
    return make_person("Lena Lind", Role.LEAD)


@pytest.fixture
def legal(db: None) -> User:
    """Return the legal colleague who drafts."""
    return make_person("Lionel Lark", Role.LEGAL)


@pytest.fixture
def legal2(db: None) -> User:
    """Return the legal colleague who approves."""
    return make_person("Lotte Lund", Role.LEGAL)


@pytest.fixture
def policy_admin(db: None) -> User:
    """Return the policy administrator."""
    return make_person("Paula Pohl", Role.POLICY_ADMIN)


@pytest.fixture
def auditor(db: None) -> User:
    """Return the auditor."""
    return make_person("Aurel Alt", Role.AUDITOR)


@pytest.fixture
def outsider(db: None) -> User:
    """Return a reviewer without a grant on any queue."""
    return make_person("Otto Orr", Role.REVIEWER)


@pytest.fixture
def admin(db: None) -> User:
    """Return the administrator."""
    return make_person("Ada Arnold", Role.ADMINISTRATOR)


@pytest.fixture
def admin_client(client: Client, admin: User) -> Client:
    """Return a client of the administrator; replaces pytest-django's, which wants a superuser."""
    return signed_in(client, admin)
