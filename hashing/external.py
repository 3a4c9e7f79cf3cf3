"""Asking a classifier outside, over HTTP: the request, the wait, and an answer that can be trusted.

``docs/detection/external.md`` is written for who builds such a service. Nothing is contacted unless an
administrator set a service up and turned it on; addresses are checked as those of webhooks are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from django.conf import settings
from PIL import Image
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from core.context import VERSION
from core.outbound import AddressRefused, posting, sign, words_for
from hashing import opinions
from hashing.images import Frame, Picture
from hashing.opinions import BadAnswer, Opinion

__all__ = ["NoAnswer", "Service", "ask", "picture_request", "pseudonym", "text_request"]

LARGEST_ANSWER = 64 * 1024
CONNECT_SECONDS = 3.0
ATTEMPTS = 2
_WORTH_ANOTHER = frozenset({429, 502, 503, 504})
_QUALITY = 85
_LONGEST_TEXT = 20_000


class NoAnswer(Exception):
    """The service gave no answer that counts. ``code`` is for programs; the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Service:
    """Where and how to ask. ``seconds`` is for everything together, both attempts included."""

    url: str
    secret: str
    seconds: float
    needs_signature: bool = True


def pseudonym(secret: str, item_id: str) -> str:
    """Return the id under which a service knows an item: the same for a repeat, and of no use elsewhere."""
    digest = hmac.new(secret.encode(), f"item:{item_id}".encode(), hashlib.sha256)
    return f"itm_{digest.hexdigest()[:32]}"


def text_request(id: str, surface: str, text: str) -> dict[str, Any]:
    """Return the request about a text, cut to 20,000 characters."""
    return {
        "version": 1,
        "id": id,
        "kind": "text",
        "surface": surface,
        "text": text[:_LONGEST_TEXT],
        "is_cut": len(text) > _LONGEST_TEXT,
    }


def picture_request(
    id: str, surface: str, picture: Picture, frames: Collection[Frame]
) -> dict[str, Any]:
    """Return the request about a picture: frames as new JPEG files of at most 512 points a side.

    Nothing of the original file goes along, so no metadata and nothing that attacks a decoder.
    """
    return {
        "version": 1,
        "id": id,
        "kind": "image",
        "surface": surface,
        "width": picture.width,
        "height": picture.height,
        "frames_total": picture.frames_total,
        "pictures": [
            {
                "frame": frame.index,
                "media_type": "image/jpeg",
                "data": base64.b64encode(_jpeg(frame.pixels, picture)).decode(),
            }
            for frame in frames
        ],
    }


def _jpeg(pixels: Image.Image, picture: Picture) -> bytes:
    """Return a JPEG in the original's proportions: larger pictures come squashed to a square."""
    longest = max(picture.width, picture.height, 1)
    side = max(pixels.size)
    size = (
        max(1, round(side * picture.width / longest)),
        max(1, round(side * picture.height / longest)),
    )
    if pixels.size != size:
        pixels = pixels.resize(size, Image.Resampling.BILINEAR)
    file = io.BytesIO()
    pixels.convert("RGB").save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def ask(
    service: Service, request: Mapping[str, Any], *, message_id: str, categories: Collection[str]
) -> tuple[str, tuple[Opinion, ...]]:
    """Send a request and return the model's name and the results. Raises NoAnswer; never returns a guess.

    A connection that fails, or an answer 429, 502, 503 or 504, is tried once more with the same id.
    """
    deadline = time.monotonic() + service.seconds
    body = json.dumps(request, separators=(",", ":"), ensure_ascii=False)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            raw, headers = _post(service, body, message_id, deadline)
            break
        except NoAnswer as none:
            is_last = attempt == ATTEMPTS or time.monotonic() >= deadline
            if is_last or none.code not in {"no_connection", "busy"}:
                raise
    if service.needs_signature:
        _verify(service, raw, headers, message_id)
    try:
        document = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise NoAnswer("bad_answer", "The answer is not JSON.") from None
    try:
        return opinions.read(document, categories)
    except BadAnswer as bad:
        raise NoAnswer("bad_answer", f"The answer is not understood: {bad}.") from None


def _post(
    service: Service, body: str, message_id: str, deadline: float
) -> tuple[bytes, httpx.Headers]:
    left = deadline - time.monotonic()
    if left <= 0:
        raise NoAnswer("too_slow", "No answer in time.")
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # A kilobyte of gzip can be a megabyte of zeros.
        "User-Agent": f"Holdfast/{VERSION}",
    }
    headers |= sign(message_id, datetime.now(UTC), body, [service.secret])
    try:
        with posting(
            service.url,
            body.encode(),
            headers,
            connect_seconds=min(CONNECT_SECONDS, left),
            seconds=left,
            allow_private=settings.HOLDFAST_CLASSIFIER_ALLOW_PRIVATE,
        ) as response:
            _check_status(response)
            return _read(response, deadline), response.headers
    except AddressRefused as refused:
        raise NoAnswer("not_allowed", f"Not contacted: {refused}.") from None
    except httpx.ConnectError:
        raise NoAnswer("no_connection", "No connection.") from None
    except httpx.TimeoutException:
        raise NoAnswer("too_slow", "No answer in time.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        raise NoAnswer("no_connection", words_for(failed)) from None
    except OSError as failed:
        raise NoAnswer("no_connection", words_for(failed)) from None


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status in _WORTH_ANOTHER:
        raise NoAnswer("busy", f"It answered with status {status}.")
    if 300 <= status < 400:
        raise NoAnswer("bad_answer", "It answered with a redirect, which is not followed.")
    if status != 200:
        raise NoAnswer("bad_answer", f"It answered with status {status}.")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise NoAnswer("bad_answer", "The answer is compressed, which was not asked for.")
    if response.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
        raise NoAnswer("bad_answer", "The answer is not JSON.")


def _read(response: httpx.Response, deadline: float) -> bytes:
    """Read the body piece by piece: the clock of a connection starts anew with every byte, ours does not."""
    parts = bytearray()
    for piece in response.iter_raw(8192):
        parts += piece
        if len(parts) > LARGEST_ANSWER:
            raise NoAnswer("bad_answer", "The answer is larger than 64 KB.")
        if time.monotonic() > deadline:
            raise NoAnswer("too_slow", "No answer in time.")
    return bytes(parts)


def _verify(service: Service, raw: bytes, headers: httpx.Headers, message_id: str) -> None:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    given = {name: headers.get(name, "") for name in names}
    if given["webhook-id"] != message_id:
        raise NoAnswer("bad_signature", "The answer is not signed for this request.")
    try:
        Webhook(service.secret).verify(raw, given)
    except (json.JSONDecodeError, RecursionError):
        return  # The signature was right; that the body is not JSON is found where it is read.
    except (WebhookVerificationError, ValueError):
        raise NoAnswer("bad_signature", "The answer's signature is wrong or too old.") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
