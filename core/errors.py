"""How Holdfast says no: exceptions with a sentence, and problem documents for machines (RFC 9457)."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFilesSent,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError

from core.context import current

if TYPE_CHECKING:
    from ninja import NinjaAPI

RETRY_AFTER_SECONDS = 5
DISK_RETRY_SECONDS = 60
"""When to ask again after a full disk: somebody has to make room first."""


class Refused(Exception):
    """The right person at the wrong moment: a rule of the work forbids this now.

    ``message`` is one sentence the person can act on. ``code`` is stable and for programs.
    ``status`` is the HTTP status, 409 unless the rule says otherwise. ``members`` are further members of the
    problem document (RFC 9457, section 3.2), for programs too. ``retry_after`` says in seconds when it may pass.
    """

    retry_after = 0

    def __init__(
        self,
        message: str,
        code: str = "refused",
        status: int = 409,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.members = dict(members or {})


class Invalid(Exception):
    """What was sent does not make sense. ``errors`` maps a field name to its sentences (422).

    The key ``""`` holds sentences about the whole.
    """

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(sentence for found in errors.values() for sentence in found))
        self.errors = errors


class UploadTooLarge(RequestDataTooBig):
    """A file is larger than the installation accepts (413). Nothing of it was kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"The file is larger than {in_words(limit)}, the limit of this installation. "
            "Nothing of it was kept."
        )


class UploadRefused(PermissionDenied):
    """Somebody who may not send files tried to (403)."""


class DiskFull(Exception):
    """A disk is full. Nothing of what was asked was kept; it can be repeated (503).

    ``holds`` says in words what lies on that disk, such as "the stored originals".
    """

    def __init__(self, holds: str) -> None:
        self.holds = holds
        super().__init__(f"The disk that holds {holds} is full.")


class VaultDamage(Exception):
    """A stored original cannot be read as it was received. Never ignore it, never decide on it."""

    def __init__(self, blob: Any, reason: str) -> None:
        self.blob = blob
        self.blob_id = str(getattr(blob, "pk", blob))
        self.reason = reason
        super().__init__(f"stored original {self.blob_id}: {reason}")


class VaultDestroyed(VaultDamage):
    """The original was destroyed on purpose; its row and its digests remain."""


def disk_full_sentence(holds: str) -> str:
    """Return what a sender is told of a full disk."""
    return (
        f"The disk that holds {holds} is full. Nothing of this request was taken: send it again "
        "later. What was acknowledged before is kept."
    )


def in_words(size: int) -> str:
    """Return a number of bytes the way people say it: ``100 MB`` (1 MB = 1,048,576 bytes)."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if size >= factor:
            amount = f"{size / factor:.1f}".removesuffix(".0")
            return f"{amount} {unit}"
    return f"{size} bytes"


def describe(exc: BaseException) -> str:
    """Return the kind of an exception and where it was raised, without its message.

    Messages of database drivers and decoders quote rows and file content; neither belongs in a log,
    in Valkey or on the operations page.
    """
    frames = traceback.extract_tb(exc.__traceback__)
    where = ""
    if frames:
        last = frames[-1]
        own = [f for f in frames if "site-packages" not in f.filename]
        last = own[-1] if own else last
        path = Path(last.filename)
        where = f" at {path.parent.name}/{path.name}:{last.lineno}"
    return f"{type(exc).__name__}{where}"


class QuietFormatter(logging.Formatter):
    """Writes log lines without what exceptions say and without secrets that stand in an address.

    Django logs a failed request with its exception, whose message may quote a row, and every answer from
    400 on with its path, which for a one-time link is the link. Kinds and places of errors stay.
    """

    # ``secrets.token_urlsafe(32)``, alone or behind the prefix of an API key.
    _SECRET = re.compile(r"(?<![\w-])(?:hf_(?:test_)?[0-9a-f]{10}_)?[A-Za-z0-9_-]{43}(?![\w-])")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, secrets left out."""
        return self._SECRET.sub("…", super().format(record))

    def formatException(  # noqa: N802 — the name is logging's
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return the kinds of an exception and of its causes with their places, no messages."""
        lines: list[str] = []
        exc = ei[1]
        while exc is not None and len(lines) < 5:
            lines.append(("  from " if lines else "  ") + describe(exc))
            exc = exc.__cause__ or exc.__context__
        return "\n".join(lines)


def is_database_down(exc: BaseException | None) -> bool:
    """Return whether the exception means that PostgreSQL cannot be reached just now."""
    seen = 0
    while exc is not None and seen < 8:
        if isinstance(exc, InterfaceError):
            return True
        if isinstance(exc, OperationalError) or type(exc).__name__ in {
            "PoolTimeout",
            "PoolClosed",
            "TooManyRequests",
        }:
            # Class 08 is a connection failure, 57P0x a server that stops or starts. A driver that
            # never reached the server has no code at all. Deadlocks (40P01) and the like are not this.
            state = getattr(getattr(exc, "__cause__", None), "sqlstate", None)
            return state is None or state.startswith(("08", "57P", "53"))
        exc = exc.__cause__ or exc.__context__
        seen += 1
    return False


def is_contention(exc: BaseException | None) -> bool:
    """Return whether PostgreSQL ended a transaction because two of them stood in each other's way."""
    state = getattr(getattr(exc, "__cause__", None), "sqlstate", None)
    return isinstance(exc, OperationalError) and state is not None and state.startswith("40")


def problem(status: int, title: str, detail: str = "", **extra: Any) -> HttpResponse:
    """Return an ``application/problem+json`` response. ``extra`` adds members to the document.

    ``request_id`` is the answer's ``X-Request-Id``: whoever asks about a refusal has often kept only its body.
    """
    document = {"type": "about:blank", "title": title, "status": int(status)}
    if detail:
        document["detail"] = detail
    document.update(extra)
    if request_id := current().request_id:
        document["request_id"] = request_id
    response = JsonResponse(document, status=status, content_type="application/problem+json")
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def problem_for(exc: BaseException) -> HttpResponse | None:
    """Return the problem document for one of our exceptions, or None for a stranger."""
    from core.disk import full_disk

    response: HttpResponse | None = None
    if isinstance(exc, Refused):
        response = problem(exc.status, "Refused", exc.message, code=exc.code, **exc.members)
        if exc.retry_after:
            response["Retry-After"] = str(exc.retry_after)
    elif isinstance(exc, Invalid):
        response = problem(422, "Invalid", str(exc), code="invalid", errors=exc.errors)
    elif isinstance(exc, UploadTooLarge):
        response = problem(413, "File too large", str(exc), code="too_large", limit=exc.limit)
    elif isinstance(exc, RequestDataTooBig):
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        response = problem(
            413,
            "Request too large",
            f"The request body is larger than {in_words(limit)}. Send media as files, and many things as a batch.",
            code="too_large",
            limit=limit,
        )
    elif isinstance(exc, VaultDamage):
        response = problem(
            410 if isinstance(exc, VaultDestroyed) else 500,
            "Original destroyed" if isinstance(exc, VaultDestroyed) else "Original unreadable",
            f"The stored original {exc.blob_id} cannot be read: {exc.reason}.",
            code="vault_damage",
        )
    elif isinstance(exc, Http404):
        response = problem(404, "Not found", code="not_found")
    elif isinstance(exc, PermissionDenied):
        response = problem(403, "Forbidden", str(exc) or "This is not allowed.", code="forbidden")
    elif isinstance(exc, TooManyFilesSent):
        response = problem(
            413,
            "Too many files",
            f"The request has more than {settings.DATA_UPLOAD_MAX_NUMBER_FILES} files. Nothing of it was kept: send them in several.",
            code="too_many_files",
        )
    elif isinstance(exc, MultiPartParserError | SuspiciousOperation):
        response = problem(400, "Bad request", "The request could not be read.", code="bad_request")
    elif (holds := full_disk(exc)) is not None:
        # 503 rather than 507: it is the answer that senders repeat by themselves, with Retry-After.
        response = problem(503, "Disk full", disk_full_sentence(holds), code="disk_full")
        response["Retry-After"] = str(DISK_RETRY_SECONDS)
    elif is_database_down(exc):
        response = problem(
            503,
            "Not available",
            "The database cannot be reached or does not answer. Whether this was done may not be known: send it "
            "again with the same Idempotency-Key, and it is done once.",
            code="unavailable",
        )
    elif is_contention(exc):
        response = problem(
            503, "Busy", "Others changed the same thing. Nothing was done; try again.", code="busy"
        )
    return response


def _as_it_is(found: Mapping[str, Any]) -> str:
    return str(found.get("msg", "is not valid"))


def install_problem_handlers(
    api: NinjaAPI, *, sentence_of: Callable[[Mapping[str, Any]], str] = _as_it_is
) -> None:
    """Make a ninja API answer every error with a problem document; ``sentence_of`` words a fault that pydantic found."""
    from ninja.errors import HttpError, Throttled, ValidationError

    def ours(request: HttpRequest, exc: Any) -> HttpResponse:
        response = problem_for(exc)
        if response is None:
            raise exc
        return response

    def http_error(request: HttpRequest, exc: Any) -> HttpResponse:
        status = HTTPStatus(exc.status_code)
        response = problem(
            exc.status_code, status.phrase, str(exc.message), code=status.name.lower()
        )
        wait = getattr(exc, "wait", None)
        if wait is not None:
            response["Retry-After"] = str(wait)
        return response

    def validation_error(request: HttpRequest, exc: Any) -> HttpResponse:
        errors: dict[str, list[str]] = {}
        malformed = False
        for found in exc.errors:
            location = [str(part) for part in found.get("loc", ())]
            # The first parts name ninja's parameter, not the sender's document.
            field = ".".join(location[1:]) if len(location) > 1 else ".".join(location)
            errors.setdefault(field, []).append(sentence_of(found))
            malformed = malformed or found.get("type") == "json_invalid"
        if malformed:
            return problem(400, "Malformed JSON", "The body is not valid JSON.", code="malformed")
        first = next(iter(errors.items()), ("", ["is not valid"]))
        detail = f"{first[0]}: {first[1][0]}" if first[0] else first[1][0]
        return problem(422, "Invalid", detail, code="invalid", errors=errors)

    for kind in (
        Refused,
        Invalid,
        VaultDamage,
        RequestDataTooBig,
        SuspiciousOperation,
        MultiPartParserError,
        PermissionDenied,
        Http404,
        DiskFull,
        OSError,
        OperationalError,
        InterfaceError,
    ):
        api.add_exception_handler(kind, ours)
    api.add_exception_handler(HttpError, http_error)
    api.add_exception_handler(Throttled, http_error)
    api.add_exception_handler(ValidationError, validation_error)
