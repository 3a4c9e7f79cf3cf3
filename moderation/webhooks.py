"""Sending a signed message to an address that an administrator configured, and nowhere else.

Signed by the Standard Webhooks convention (standardwebhooks.com): ``webhook-id``, ``webhook-timestamp``
and ``webhook-signature`` over id, time and body.

The host name is resolved once, every address it has is checked, and the connection goes to a checked
address, so that a name that resolves differently a moment later (DNS rebinding) gains nothing.
Certificates are verified against the name. Redirects and proxies from the environment are not followed.
"""

from __future__ import annotations

import base64
import ipaddress
import secrets
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from standardwebhooks import Webhook

from core.context import VERSION
from moderation.enforcement import retry_after_of

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(Exception):
    """The address may not be contacted from here. The message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``status`` is None when nothing did; ``error`` then says why."""

    status: int | None
    error: str
    duration_ms: int
    retry_after: int | None = None


def new_secret() -> str:
    """Return a fresh signing secret: 256 random bits in the convention's writing."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def check_url(url: str) -> str:
    """Return why ``url`` cannot be a webhook address, or an empty text. Does not resolve the name."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is not an address."
    allowed = {"https", "http"} if settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE else {"https"}
    if parts.scheme not in allowed:
        return f"The address must start with {' or '.join(f'{s}://' for s in sorted(allowed))}."
    if not parts.hostname or port == 0 or any(character.isspace() for character in url):
        return "This is not an address."
    if parts.username or parts.password:
        return "Leave out the user name and password; messages are signed instead."
    if parts.fragment:
        return "Leave out the part after #."
    try:
        literal = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return ""
    return "" if is_allowed(literal) else "This address is private and may not be contacted."


def is_allowed(address: Address) -> bool:
    """Return whether an address is public, or private ones are allowed by the operator.

    Addresses that carry an IPv4 address inside (mapped, 6to4, Teredo, NAT64) are as good as that one.
    """
    if settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE:
        return True
    inner: list[ipaddress.IPv4Address] = []
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return is_allowed(address.ipv4_mapped)
        if address.sixtofour:
            inner.append(address.sixtofour)
        if address.teredo:
            inner.extend(address.teredo)
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and all(one.is_global for one in inner)
    )


def resolve(host: str, port: int) -> str:
    """Return a checked address of a host. Raises AddressRefused, or OSError when there is none.

    One private address among several is enough to refuse: which one a library picks is chance.
    """
    found = {
        ipaddress.ip_address(str(info[4][0]).partition("%")[0])
        for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    }
    if not all(is_allowed(address) for address in found):
        raise AddressRefused("the name leads to a private address")
    # IPv4 first: where IPv6 is configured but does not work, every delivery would wait for it.
    return str(min(found, key=lambda address: (address.version, int(address))))


def sign(message_id: str, at: datetime, body: str, signing_secrets: list[str]) -> dict[str, str]:
    """Return the three headers. During a rotation the message carries a signature of each secret."""
    signatures = [Webhook(secret).sign(message_id, at, body) for secret in signing_secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def send(url: str, *, message_id: str, body: str, signing_secrets: list[str]) -> Answer:
    """Send one message and return what came back. Never raises for what the network does.

    The body of the answer is not read: nobody needs it, and it could be anything. Takes at most about
    ``CONNECT_SECONDS`` + ``ANSWER_SECONDS``.
    """
    started = time.monotonic()
    status: int | None = None
    error, retry_after = "", None
    try:
        status, retry_after = _post(url, message_id, body, signing_secrets)
        if 300 <= status < 400:
            error = "The receiver answered with a redirect, which is not followed."
    except AddressRefused as refused_address:
        error = f"Not contacted: {refused_address}"
    except httpx.TimeoutException:
        error = "No answer in time."
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        error = f"No answer: {type(failed).__name__}."
    except OSError:
        error = "The host name could not be resolved."
    return Answer(status, error, round((time.monotonic() - started) * 1000), retry_after)


def _post(
    url: str, message_id: str, body: str, signing_secrets: list[str]
) -> tuple[int, int | None]:
    if refused := check_url(url):
        raise AddressRefused(refused)
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = resolve(host, port)
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    pinned = httpx.URL(url).copy_with(host=address, port=port)
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": f"Holdfast/{VERSION}",
    }
    headers |= sign(message_id, datetime.now(UTC), body, signing_secrets)
    with (
        httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False) as client,
        client.stream(
            "POST",
            pinned,
            content=body.encode(),
            headers=headers,
            extensions={"sni_hostname": host},
        ) as response,
    ):
        return response.status_code, retry_after_of(response.headers.get("Retry-After", ""))
