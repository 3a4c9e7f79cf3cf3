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
import queue
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import requests
from requests.adapters import HTTPAdapter
from standardwebhooks import Webhook

from core.timed_transport import TimedTransport

__all__ = [
    "Address",
    "AddressRefused",
    "PinnedAdapter",
    "check_url",
    "is_allowed",
    "new_secret",
    "posting",
    "resolve",
    "sign",
    "words_for",
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


def resolve(host: str, port: int, *, allow_private: bool, seconds: float = 10.0) -> str:
    """Return a checked address of a host. Raises AddressRefused, or OSError when there is none in time.

    One private address among several is enough to refuse: which one a library picks is chance.
    """
    found = {
        ipaddress.ip_address(str(info[4][0]).partition("%")[0])
        for info in _look_up(host, port, seconds)
    }
    if not all(is_allowed(address, allow_private=allow_private) for address in found):
        raise AddressRefused("the name leads to a private address")
    # IPv4 first: where IPv6 is configured but does not work, every delivery would wait for it.
    return str(min(found, key=lambda address: (address.version, int(address))))


def _look_up(host: str, port: int, seconds: float) -> list[Any]:
    """Ask the system's resolver, in a thread: it knows no time limit and may hang for half a minute."""
    answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as failed:
            answers.put(failed)
        except UnicodeError:  # A label that is too long, or empty.
            answers.put(OSError("not a host name"))

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError("the host name was not resolved in time") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


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
    seconds: float,
    allow_private: bool,
) -> Iterator[httpx.Response]:
    """POST to a checked address; within the block the answer's body can be read piece by piece.

    ``seconds`` is one deadline over all of it: the name, connecting, TLS, sending, waiting and the body that is
    read, however the receiver drips. Raises AddressRefused, OSError when the name does not resolve, and httpx's
    exceptions, for which ``words_for`` has a sentence.
    """
    if refused := check_url(url, allow_private=allow_private):
        raise AddressRefused(refused)
    end = time.monotonic() + seconds
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = resolve(
        host, port, allow_private=allow_private, seconds=min(connect_seconds, seconds)
    )
    with (
        httpx.Client(
            transport=TimedTransport(
                address=address, seconds=end - time.monotonic(), connect_seconds=connect_seconds
            ),
            follow_redirects=False,
            trust_env=False,
        ) as client,
        client.stream("POST", url, content=body, headers=headers) as response,
    ):
        yield response


class PinnedAdapter(HTTPAdapter):
    """The same rule for clients that speak through ``requests``: mount it on their session.

    Each request resolves its host once, checks every address, and connects to the checked one; the certificate
    and the Host header are the name's. Raises AddressRefused, OSError when the name does not resolve, and
    what requests raises.
    """

    def __init__(self, *, allow_private: bool, max_retries: Any = 0) -> None:
        super().__init__(max_retries=max_retries)
        self._allow_private = allow_private

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: bool | str,  # noqa: FBT001 — the signature is that of requests
        cert: Any = None,
    ) -> tuple[Any, Any]:
        """Return where to connect: the address instead of the name, with the name for TLS."""
        if refused := check_url(request.url or "", allow_private=self._allow_private):
            raise AddressRefused(refused)
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        parts = urlsplit(request.url or "")
        name = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        request.headers["Host"] = parts.netloc
        host["host"] = resolve(name, port, allow_private=self._allow_private)
        if parts.scheme == "https":
            pool["server_hostname"] = pool["assert_hostname"] = name
        return host, pool


def words_for(failed: Exception) -> str:
    """Return what became of a request that got no answer, as a sentence for people."""
    causes = list(_causes(failed))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = getattr(cause, "verify_message", "") or "the reason is not known"
            return f"No answer: its certificate was not accepted ({why})."
        if isinstance(cause, ssl.SSLError):
            return "No answer: no secure connection (TLS) could be agreed on."
        if isinstance(cause, ConnectionRefusedError):
            return "No answer: the connection was refused, nobody listens at this address."
    if isinstance(failed, httpx.ConnectTimeout):
        return "No connection in time."
    if isinstance(failed, httpx.TimeoutException):
        return "No answer in time."
    if isinstance(failed, httpx.ConnectError):
        return "No answer: the address could not be reached."
    if isinstance(failed, httpx.NetworkError):
        return "No answer: the receiver broke the connection off before it answered."
    if isinstance(failed, httpx.RemoteProtocolError):
        return "No answer: what came back is not a whole HTTP answer."
    if isinstance(failed, TimeoutError):
        return "The host name was not resolved in time."
    if isinstance(failed, OSError):
        return "The host name could not be resolved."
    return "Not sent: the request cannot be written as HTTP. Look at the address."


def _causes(failed: BaseException | None) -> Iterator[BaseException]:
    while failed is not None:
        yield failed
        failed = failed.__cause__ or failed.__context__
