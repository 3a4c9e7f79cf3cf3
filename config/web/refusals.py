"""Answers given before Django is asked: a problem document for programs, a sentence for everybody else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Refusal:
    """An answer that Django is not asked for. ``detail`` says what happened and what to do."""

    status: int
    code: str
    detail: str
    retry_after: int = 0
    document: Mapping[str, str] | None = None
    """What is said instead, as JSON."""

    def answer(self, path: bytes) -> tuple[Headers, bytes]:
        """Return headers and body for a request of this path; an unreadable request has an empty one."""
        phrase, request_id = HTTPStatus(self.status).phrase, uuid4().hex
        if self.document is not None:
            kind = b"application/json"
            body = json.dumps({**self.document, "detail": self.detail}).encode()
        elif path.startswith(b"/api/"):
            kind = b"application/problem+json"
            document = {"type": "about:blank", "title": phrase, "status": self.status}
            said = {"detail": self.detail, "code": self.code, "request_id": request_id}
            body = json.dumps(document | said).encode()
        else:
            kind = b"text/plain; charset=utf-8"
            body = f"{phrase}\n\n{self.detail}\n".encode()
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
            (b"x-request-id", request_id.encode()),
        ]
        if self.retry_after:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        return headers, body

    def raw(self, path: bytes) -> bytes:
        """Return the whole answer as bytes; the connection is closed after it."""
        headers, body = self.answer(path)
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}".encode()]
        lines += [name + b": " + value for name, value in headers]
        return b"\r\n".join([*lines, b"connection: close", b"", body])


class RequestRefused(Exception):
    """Ends the work on a request with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


UNREADABLE = Refusal(
    400,
    "bad_request",
    "The request could not be read: its first line, a header or its length is not what HTTP allows. "
    "Nothing of it was used.",
)
NO_HOST = Refusal(
    400,
    "bad_request",
    "A request in HTTP/1.1 needs exactly one Host header (RFC 9112 section 3.2). Nothing of it was used.",
)
HEADER_TOO_LARGE = Refusal(
    431,
    "header_too_large",
    "The header of the request is too large: 64 KB and 200 lines are taken. In a browser, remove the "
    "cookies of this site and try again. Nothing of the request was used.",
)
HEADER_TOO_SLOW = Refusal(
    408, "timeout", "The header of the request did not arrive in time. Send it again."
)
BODY_TOO_SLOW = Refusal(
    408,
    "timeout",
    "The rest of the request did not arrive in time, or too slowly. Nothing of it was kept. Send it again.",
)
LENGTH_REQUIRED = Refusal(
    411,
    "length_required",
    "A body of more than 128 KB needs a Content-Length header; this one came in chunks of unknown number. "
    "Nothing of it was kept.",
)
BUSY = Refusal(
    503,
    "busy",
    "Too many requests are waiting at this moment. Nothing of yours was kept; try again in a few seconds.",
    retry_after=5,
)
LATE = Refusal(
    503,
    "unavailable",
    "Holdfast did not answer in time. Whether this request was carried out is not known: look, or send it again "
    "with the same Idempotency-Key, and it is done once.",
    retry_after=5,
)
NO_HEALTH = Refusal(
    503,
    "unavailable",
    "There was no answer in time: the database or a disk hangs, or the machine is overloaded.",
    retry_after=5,
    document={"status": "down", "database": "silent"},
)
STOPPING = Refusal(
    503,
    "unavailable",
    "Holdfast is being restarted. Nothing of this request was kept; try again in a few seconds.",
    retry_after=5,
)


def ambiguous_header(name: str) -> Refusal:
    """Return the refusal of a header whose name Django could not tell from another one's."""
    return Refusal(
        400,
        "bad_request",
        f"A header with the name {name!a} cannot be told from one with hyphens instead of underscores. "
        "Send it with hyphens. Nothing of the request was used.",
    )


def too_large(size: str, limit: str) -> Refusal:
    """Return the refusal of a request that is larger than all its parts may be together."""
    return Refusal(
        413,
        "too_large",
        f"The request has {size}; this installation takes {limit} at once. Nothing of it was kept. Send "
        "large files one by one.",
    )
