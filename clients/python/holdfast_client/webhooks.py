"""Messages from Holdfast: whether one is genuine (Standard Webhooks), and what it says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOLERANCE = 5 * 60
"""Seconds that sender's and receiver's clocks, and the way between, may differ by."""


class NotGenuine(Exception):
    """The message was not signed with the secret, or too long ago. Answer 401, change nothing."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message. Act on an ``id`` once: it comes again when your answer was lost."""

    id: str
    type: str
    timestamp: str
    data: Mapping[str, Any]

    @property
    def is_order(self) -> bool:
        """Whether something is to be done. Take every other message with a 2xx."""
        return self.type.startswith("enforcement.")


def verify(
    secrets: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float | None = None,
) -> Message:
    """Return the message of a request. ``body`` are its bytes as they arrived, before any parsing.

    Several ``secrets`` while one follows another. Raises NotGenuine.
    """
    named = {name.lower(): value for name, value in headers.items()}
    try:
        identity, sent = named["webhook-id"], named["webhook-timestamp"]
        signatures = named["webhook-signature"].split()
    except KeyError as missing:
        raise NotGenuine(f"the header {missing.args[0]} is missing") from None
    if not (sent.isascii() and sent.isdigit() and len(sent) < 16):
        raise NotGenuine("webhook-timestamp is no time")
    if abs((time.time() if now is None else now) - int(sent)) > TOLERANCE:
        raise NotGenuine("it was signed too long ago, or one of the clocks is wrong")
    signed = f"{identity}.{sent}.".encode() + body
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise ValueError("a secret looks like whsec_ and base64") from None
        if not key:
            raise ValueError("a secret is empty: anybody could sign with it")
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        for each in signatures:
            version, _, value = each.partition(",")
            if version == "v1" and hmac.compare_digest(wanted, value.encode()):
                return _read(identity, body)
    raise NotGenuine("no signature fits")


def _read(identity: str, body: bytes) -> Message:
    document = json.loads(body)
    return Message(
        identity, document["type"], document.get("timestamp", ""), document.get("data", {})
    )
