"""Sending a signed message to an address that an administrator configured, and nowhere else.

How a host is checked and contacted, and how messages are signed, stands in ``core.outbound``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from django.conf import settings

from core import outbound
from core.context import VERSION
from core.outbound import Address, AddressRefused, new_secret, sign
from moderation.enforcement import retry_after_of

__all__ = ["Answer", "check_url", "is_allowed", "new_secret", "send", "sign"]

CONNECT_SECONDS = 5.0
SECONDS = 10.0
"""How long one attempt may take altogether, as docs/integrate.md promises the receiver."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``status`` is None when nothing did; ``error`` then says why."""

    status: int | None
    error: str
    duration_ms: int
    retry_after: int | None = None


def check_url(url: str) -> str:
    """Return why ``url`` cannot be a webhook address, or an empty text. Does not resolve the name."""
    return outbound.check_url(url, allow_private=settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE)


def is_allowed(address: Address) -> bool:
    """Return whether an address is public, or private ones are allowed by the operator."""
    return outbound.is_allowed(address, allow_private=settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE)


def send(url: str, *, message_id: str, body: str, signing_secrets: list[str]) -> Answer:
    """Send one message and return what came back. Never raises for what the network does.

    The body of the answer is not read: nobody needs it, and it could be anything. Takes at most
    ``SECONDS``, whatever the receiver does.
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
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as failed:
        error = outbound.words_for(failed)
    return Answer(status, error, round((time.monotonic() - started) * 1000), retry_after)


def _post(
    url: str, message_id: str, body: str, signing_secrets: list[str]
) -> tuple[int, int | None]:
    headers = {"Content-Type": "application/json", "User-Agent": f"Holdfast/{VERSION}"}
    headers |= sign(message_id, datetime.now(UTC), body, signing_secrets)
    with outbound.posting(
        url,
        body.encode(),
        headers,
        connect_seconds=CONNECT_SECONDS,
        seconds=SECONDS,
        allow_private=settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE,
    ) as response:
        return response.status_code, retry_after_of(response.headers.get("Retry-After", ""))
