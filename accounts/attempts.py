"""Who may guess how often: wrong passwords and codes are limited without ever locking a person out.

A stranger who knows an e-mail address must not be able to keep its owner out. So no failure closes an account.
What runs out instead is a budget, and it belongs to whoever guesses:

========================  ======================================================================
an unknown browser        (its address, the account); and the account as a whole, over all unknown
                          browsers at addresses from which the person never signed in
a known browser           (the browser, the account): one that saw a full sign-in of this person
an address                failures only, over all accounts; known browsers do not ask it
an open session           its own, for proofs of presence; nobody else can spend it
========================  ======================================================================

Budgets are several limits at once, so waits grow from a minute to a day. They are keyed by the e-mail address as
typed, whether it has an account or not: the answers tell nobody which addresses exist. A person's browsers are
known by a signed cookie that ends with the password it was made under.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac
from limits import RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute

from accounts.models import SignIn, User
from core import audit, context, rates
from core.audit_events import AuditEvent
from core.errors import Refused

_Minute, _Hour, _Day = RateLimitItemPerMinute, RateLimitItemPerHour, RateLimitItemPerDay

PASSWORDS_HERE = (_Minute(5), _Minute(10, 15), _Hour(20, 6), _Day(40))
"""Of an unknown browser: for one account from one address."""
PASSWORDS_ANYWHERE = (_Minute(30, 15), _Hour(100, 6), _Day(200))
"""Of all unknown browsers at unknown addresses together: for one account."""
PASSWORDS_KNOWN = (_Minute(10), _Minute(20, 15), _Day(100))
"""Of one known browser: for its person's account."""
CODES = (_Minute(5, 15), _Hour(10, 6), _Day(20))
"""Of all unknown browsers: they gave the right password, and a code has only a million values."""
CODES_KNOWN = (_Minute(5), _Minute(10, 15), _Day(40))
"""Of one known browser."""
FAILURES_OF_ADDRESS = (_Minute(30), _Hour(300))
"""Wrong guesses of one address, at whatever account or token."""
PROOFS = (_Minute(5), _Minute(10, 15), _Hour(30, 6))
"""Wrong proofs of presence in one open session."""

DEVICE_LIFE = timedelta(days=180)
MOST_PEOPLE = 8
"""People whom one browser remembers; a shared desk forgets the one who signed in longest ago."""
_SALT = "accounts.devices"


class TooOften(Refused):
    """Too many wrong guesses (429). ``wait`` is in seconds. The sentence is the same for any account."""

    def __init__(self, wait: int) -> None:
        self.wait = wait
        super().__init__(
            f"Too many wrong attempts. Wait {_in_words(wait)} and try again. The browser you usually sign "
            "in with does not wait for other people's mistakes.",
            code="too_often",
            status=429,
        )


def _in_words(seconds: int) -> str:
    if seconds <= 60:
        return "a minute"
    if seconds < 3600:
        return f"{-(-seconds // 60)} minutes"
    hours = -(-seconds // 3600)
    return f"{hours} hour{'s' if hours > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One browser that tries to be one person. Made by ``at``; ``person`` is None when there is no account."""

    account: str
    address: str
    device: str
    person: User | None

    def take_password(self) -> None:
        """Use up one guess at the password. Raises TooOften."""
        if self.device:
            self._refuse(rates.take(PASSWORDS_KNOWN, "password", self.account, self.device))
            return
        self._refuse(rates.is_spent(FAILURES_OF_ADDRESS, "address", self.address))
        self._refuse(rates.take(PASSWORDS_HERE, "password", self.account, self.address))
        wait = rates.take(PASSWORDS_ANYWHERE, "password", self.account)
        if wait and not self._is_known_address():
            self._refuse(wait)

    def take_code(self) -> None:
        """Use up one guess at the code of somebody who gave the right password. Raises TooOften."""
        if self.device:
            self._refuse(rates.take(CODES_KNOWN, "code", self.account, self.device))
        else:
            self._refuse(rates.take(CODES, "code", self.account))

    def failed(self) -> None:
        """Count a wrong guess against the address."""
        if not self.device:
            rates.take(FAILURES_OF_ADDRESS, "address", self.address)

    def succeeded(self) -> None:
        """Forget the guesses: whoever made them is signed in now."""
        if self.device:
            rates.forget(PASSWORDS_KNOWN, "password", self.account, self.device)
            rates.forget(CODES_KNOWN, "code", self.account, self.device)
        else:
            rates.forget(PASSWORDS_HERE, "password", self.account, self.address)
            rates.forget(CODES, "code", self.account)

    def _is_known_address(self) -> bool:
        """Return whether the person signed in fully from this address within the last ninety days."""
        if self.person is None or not self.address:
            return False
        ip = context.current().ip
        return SignIn.objects.filter(
            user=self.person,
            ip=ip or None,
            second_factor_at__isnull=False,
            started_at__gt=Now() - timedelta(days=90),
        ).exists()

    def _refuse(self, wait: int) -> None:
        if wait:
            note_limited(self.person, self.address)
            raise TooOften(wait)


def at(request: HttpRequest, email: str) -> Attempt:
    """Return the attempt of this request's browser to be the person with this e-mail address."""
    email = email.strip().lower()
    person = User.objects.filter(email=email).first()
    # An administrator who unlocks raises the number: everything is counted anew.
    number = person.attempts_epoch if person else 0
    account = hashlib.sha256(f"{email}\n{number}".encode()).hexdigest()[:32]
    device = _device_of(request, person) if person else ""
    return Attempt(account, address_of(context.current().ip), device, person)


def address_of(ip: str) -> str:
    """Return whom an address counts as: itself, or its network of 64 bits, which one IPv6 customer holds."""
    try:
        found = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False).network_address)
    return str(getattr(found, "ipv4_mapped", None) or found)


def take_token() -> None:
    """Refuse an address that failed too often, before a one-time token is looked at. Raises TooOften."""
    address = address_of(context.current().ip)
    if wait := rates.is_spent(FAILURES_OF_ADDRESS, "address", address):
        note_limited(None, address)
        raise TooOften(wait)


def token_failed() -> None:
    """Count a wrong one-time token against the address."""
    rates.take(FAILURES_OF_ADDRESS, "address", address_of(context.current().ip))


def take_proof(sign_in: SignIn) -> None:
    """Use up one proof of presence of an open session. Raises TooOften."""
    if wait := rates.take(PROOFS, "proof", str(sign_in.pk)):
        raise TooOften(wait)


def proved(sign_in: SignIn) -> None:
    """Forget the wrong proofs of a session whose person is there."""
    rates.forget(PROOFS, "proof", str(sign_in.pk))


def note_limited(person: User | None, address: str) -> None:
    """Record that guesses are refused: once a minute for each address, or they would fill the log."""
    if rates.is_first(f"limited:{address}", 60):
        audit.record_apart(AuditEvent.SIGN_IN_LIMITED, actor=None, subject=person)


# ── Known browsers ────────────────────────────────────────────────────────────────────────────
def remember(request: HttpRequest, response: HttpResponse, person: User) -> None:
    """Let this browser be known to ``person`` from now on: it saw password and code."""
    known = {key: value for key, value in _known(request).items() if key != person.pk.hex}
    device = secrets.token_urlsafe(12)
    known[person.pk.hex] = f"{device}:{_proof(person, device)}"
    response.set_cookie(
        settings.HOLDFAST_DEVICE_COOKIE,
        signing.dumps(dict(list(known.items())[-MOST_PEOPLE:]), salt=_SALT),
        max_age=DEVICE_LIFE,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
        path="/",
    )


def _device_of(request: HttpRequest, person: User) -> str:
    device, _, proof = str(_known(request).get(person.pk.hex, "")).partition(":")
    is_known = bool(device) and constant_time_compare(proof, _proof(person, device))
    return device if is_known else ""


def _known(request: HttpRequest) -> dict[str, Any]:
    cookie = request.COOKIES.get(settings.HOLDFAST_DEVICE_COOKIE, "")
    try:
        known = signing.loads(cookie, salt=_SALT, max_age=DEVICE_LIFE) if cookie else {}
    except signing.BadSignature:
        return {}
    return known if isinstance(known, dict) else {}


def _proof(person: User, device: str) -> str:
    """Return what binds a browser to a person's password and last recovery: it is known until one changes."""
    recovered = person.recovered_at.isoformat() if person.recovered_at else ""
    bound = f"{person.pk.hex}:{device}:{person.password}:{recovered}"
    return salted_hmac(_SALT, bound).hexdigest()[:32]
