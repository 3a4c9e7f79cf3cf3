"""Contacting a host that an administrator configured, and nothing else.

The host name is resolved once, every address it has is checked, and the connection goes to a checked
address, so that a name that resolves differently a moment later (DNS rebinding) gains nothing.
Certificates are verified against the name. Redirects and proxies from the environment are not followed.

Messages are signed by the Standard Webhooks convention (standardwebhooks.com): ``webhook-id``,
``webhook-timestamp`` and ``webhook-signature`` over id, time and body.
"""

from __future__ import annotations

import base64
import ipaddress
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

__all__ = [
    "Address",
    "AddressRefused",
    "check_url",
    "is_allowed",
    "new_secret",
    "posting",
    "resolve",
    "sign",
]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(Exception):
    """The address may not be contacted from here. The message says why."""


def new_secret() -> str:
    """Return a fresh signing secret: 256 random bits in the convention's writing."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def check_url(url: str, *, allow_private: bool) -> str:
    """Return why ``url`` may not be contacted, or an empty text. Does not resolve the name.

    Plain http and literal private addresses pass only with ``allow_private``.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is not an address."
    allowed = {"https", "http"} if allow_private else {"https"}
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
    if is_allowed(literal, allow_private=allow_private):
        return ""
    return "This address is private and may not be contacted."


def is_allowed(address: Address, *, allow_private: bool) -> bool:
    """Return whether an address is public, or private ones are allowed by the operator.

    Addresses that carry an IPv4 address inside (mapped, 6to4, Teredo, NAT64) are as good as that one.
    """
    if allow_private:
        return True
    inner: list[ipaddress.IPv4Address] = []
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return is_allowed(address.ipv4_mapped, allow_private=False)
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


def resolve(host: str, port: int, *, allow_private: bool) -> str:
    """Return a checked address of a host. Raises AddressRefused, or OSError when there is none.

    One private address among several is enough to refuse: which one a library picks is chance.
    """
    found = {
        ipaddress.ip_address(str(info[4][0]).partition("%")[0])
        for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    }
    if not all(is_allowed(address, allow_private=allow_private) for address in found):
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


@contextmanager
def posting(
    url: str,
    body: bytes,
    headers: dict[str, str],
    *,
    connect_seconds: float,
    answer_seconds: float,
    allow_private: bool,
) -> Iterator[httpx.Response]:
    """POST to a checked address; within the block the answer's body can be read piece by piece.

    Raises AddressRefused, OSError when the name does not resolve, and httpx's exceptions.
    """
    if refused := check_url(url, allow_private=allow_private):
        raise AddressRefused(refused)
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = resolve(host, port, allow_private=allow_private)
    with (
        httpx.Client(
            timeout=httpx.Timeout(answer_seconds, connect=connect_seconds),
            follow_redirects=False,
            trust_env=False,
        ) as client,
        client.stream(
            "POST",
            httpx.URL(url).copy_with(host=address, port=port),
            content=body,
            headers={"Host": parts.netloc} | headers,
            extensions={"sni_hostname": host},
        ) as response,
    ):
        yield response
