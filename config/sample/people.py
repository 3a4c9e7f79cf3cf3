"""The sample installation's people: invented names, own random pass phrases, an authenticator each."""

from __future__ import annotations

import secrets
import time
from typing import TypedDict

from accounts import actions
from accounts.models import User
from accounts.permissions import Role
from accounts.totp import STEP_SECONDS, code_of_step, new_secret
from core.errors import Invalid

_WORDS = [
    "amber",
    "bridge",
    "candle",
    "dune",
    "ember",
    "field",
    "garden",
    "harbour",
    "island",
    "juniper",
    "kettle",
    "lantern",
    "maple",
    "north",
    "orchard",
    "pebble",
    "quiet",
    "river",
    "stone",
    "timber",
    "umbrella",
    "valley",
    "willow",
    "yellow",
]

CAST = [
    ("Robin Reed", "robin@sample.example", Role.REVIEWER),
    ("Remy Rowe", "remy@sample.example", Role.REVIEWER),
    ("Lena Lind", "lena@sample.example", Role.LEAD),
    ("Lionel Lark", "lionel@sample.example", Role.LEGAL),
    ("Lucia Lund", "lucia@sample.example", Role.LEGAL),
    ("Pia Pohl", "pia@sample.example", Role.POLICY_ADMIN),
    ("Una Ulm", "una@sample.example", Role.AUDITOR),
    ("Ada Arendt", "ada@sample.example", Role.ADMINISTRATOR),
]


class Credential(TypedDict):
    """What somebody needs to sign in as a sample person."""

    role: str
    name: str
    email: str
    password: str
    totp_secret: str


def code_now(secret: str, *, steps: int = 0) -> str:
    """Return the six digits an authenticator app shows now, or ``steps`` times 30 s later (RFC 6238)."""
    return code_of_step(secret, int(time.time()) // STEP_SECONDS + steps)


def create_people() -> tuple[dict[str, User], list[Credential]]:
    """Create the cast through the real actions. Returns the users by e-mail and their credentials."""
    users, credentials = {}, []
    for name, email, role in CAST:
        password = (
            "-".join(secrets.choice(_WORDS) for _ in range(4)) + f"-{secrets.randbelow(90) + 10}"
        )
        secret = new_secret()
        person = actions.create_person(email=email, name=name, role=role, password=password)
        _set_up_totp(person, secret)
        person.refresh_from_db()
        users[email] = person
        credentials.append(
            Credential(
                role=role.value, name=name, email=email, password=password, totp_secret=secret
            )
        )
    return users, credentials


def _set_up_totp(person: User, secret: str) -> None:
    # The code of the step before: the current one stays unspent for the first sign-in. At the turn of
    # a step it may grow too old on the way, so there is a second try.
    try:
        actions.enable_totp(person, secret=secret, code=code_now(secret, steps=-1), actor=person)
    except Invalid:
        actions.enable_totp(person, secret=secret, code=code_now(secret, steps=-1), actor=person)
