"""The door of the machine API: who knocks, how often, with what body, and what every answer carries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.urls import register_converter
from django.urls.converters import StringConverter
from django.utils.http import http_date
from ninja.errors import HttpError, Throttled
from ninja.security import HttpBearer
from pydantic import TypeAdapter, ValidationError

from core.errors import Invalid, Refused, is_contention, problem
from core.rates import spend
from reports import access, admission, practice
from reports.actions import Answer, StillRunning, answer_once, mark_key_used
from reports.models import ApiKey, Scope, Source
from reports.payloads import ExternalId, Shape
from reports.wording import field_errors

S = TypeVar("S", bound=Shape)
T = TypeVar("T")
TRIES = 3
LONGEST_IDEMPOTENCY_KEY = 200
NOT_KEPT = "Nothing is kept of this request, so there is nothing to repeat. Leave the key out; ask again freely."
ADDING = {Scope.REPORTS_WRITE, Scope.DIRECTORY_WRITE, Scope.SCANS_WRITE, Scope.MEDIA_WRITE}
"""Scopes by which things come in that wait for work."""


class Malformed(HttpError):
    """The body is not what its media type says (400)."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


class SourceKey(HttpBearer):
    """Lets a request in whose key works, has one of the scopes and has not asked too often."""

    def __init__(self, *scopes: Scope, adds: bool = True, repeats: bool = True) -> None:
        super().__init__()
        self.scopes = scopes
        self.adds = adds and bool(ADDING & set(scopes))
        """Whether what is sent here waits for work; it may be told to come later."""
        self.repeats = repeats
        """Whether an Idempotency-Key is honoured here. Where it is not, it is refused: nobody shall believe to be protected."""

    def __call__(self, request: HttpRequest) -> ApiKey:
        """Return the key. Raises HttpError 401, 403 or 429, SlowDown or DiskFull. Without scopes any key that works may enter."""
        try:
            key = access.authenticate_key(request.headers.get("Authorization", ""))
        except access.KeyRefused as refused:
            raise HttpError(refused.status, refused.message) from None
        request.key = key  # type: ignore[attr-defined]
        rate = spend(str(key.pk), key.rate_per_minute)
        request.rate = rate  # type: ignore[attr-defined]
        if rate is not None and not rate.is_allowed:
            access.note_refusal(key, "Too many requests.", limit=rate.limit)
            raise Throttled(wait=rate.reset)
        if not key.is_marked:  # type: ignore[attr-defined]  # annotated
            mark_key_used(key)
        practice.practise(is_test=key.source.is_practice)
        if self.scopes and not set(self.scopes) & set(key.scopes):
            needed = " or ".join(scope.value for scope in self.scopes)
            access.note_refusal(key, "The key lacks the scope.", needed=needed)
            raise HttpError(403, f"This key lacks the scope {needed}.")
        if request.method in {"POST", "PUT"} and idempotency_key(request) and not self.repeats:
            raise Invalid({"Idempotency-Key": [NOT_KEPT]})
        if self.adds and request.method in {"POST", "PUT"}:
            # Before a byte of the body is read: what was begun is taken to its end.
            admission.check(key.source)
        return key

    def authenticate(self, request: HttpRequest, token: str) -> ApiKey:  # pragma: no cover
        raise NotImplementedError  # __call__ reads the header itself.


def machine_door(view: Callable[..., Any]) -> Callable[..., HttpResponse]:
    """Give every answer of a machine view its rate headers, the end of its key (RFC 8594), and 405 the form of a problem.

    A compressed body is refused as such: it would be called broken JSON, or a broken form.
    """

    @wraps(view, assigned=("__doc__",), updated=())
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        coding = request.headers.get("Content-Encoding", "").strip().lower()
        if coding not in {"", "identity"}:
            response = problem(
                415,
                "Unsupported Media Type",
                f"The body is compressed (Content-Encoding: {coding[:40]}). Send it as it is.",
                code="unsupported_media_type",
            )
            response["Accept-Encoding"] = "identity"  # RFC 9110, section 15.5.16.
            return response
        try:
            with practice.by_itself():
                response = view(request, *args, **kwargs)
        except UnreadablePostError:
            response = problem(400, "Bad request", "The connection broke.", code="bad_request")
        if response.status_code == 405:
            allowed = response.headers.get("Allow", "")
            response = problem(
                405, "Method not allowed", f"Allowed here: {allowed}.", code="method_not_allowed"
            )
            response["Allow"] = allowed
        rate = getattr(request, "rate", None)
        if rate is not None:
            for name, value in rate.headers().items():
                response[name] = value
        key = getattr(request, "key", None)
        if key is not None and key.expires_at is not None:
            response["Sunset"] = http_date(key.expires_at.timestamp())
        return response

    answered.csrf_exempt = True  # type: ignore[attr-defined]  # Keys travel in a header, never by cookie.
    answered.login_required = False  # type: ignore[attr-defined]  # SourceKey decides.
    return answered


# ── Bodies ────────────────────────────────────────────────────────────────────────────────────
def parse_json(raw: bytes | str) -> Any:
    """Return a JSON document. Raises Malformed for anything else, NaN and Infinity included.

    A member that stands twice is refused by its name: which one counts differs from reader to reader.
    """

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise Malformed(f"The member {twice[:80]!r} stands twice in one object.")
        return found

    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise Malformed("The body is not valid JSON (UTF-8).") from None


def check(shape: type[S], document: Any) -> S:
    """Return a document as a shape. Raises Invalid naming each field."""
    try:
        return shape.model_validate(document)
    except ValidationError as invalid:
        raise Invalid(field_errors(invalid)) from None


def read_json(request: HttpRequest, shape: type[S]) -> S:
    """Return the JSON body of a request as a shape. Raises HttpError 400, 415 or Invalid."""
    if request.content_type != "application/json":
        raise HttpError(415, "Send application/json.")
    return check(shape, parse_json(request.body))


class OwnIdConverter(StringConverter):
    """An id of the sender in an address: anything at all, so that ``external_id`` says what is wrong with it.

    Django's own ``path`` does not match a line break; such an id would be called not found.
    """

    regex = r"[\s\S]+"


register_converter(OwnIdConverter, "own_id")


def check_parameters(request: HttpRequest, shape: type[Shape]) -> None:
    """Refuse parameters of an address that ``shape`` does not have, and one that stands twice. Raises Invalid."""
    known = set(shape.model_fields)
    errors = {
        name: ["There is no such parameter." if name not in known else "Send it once."]
        for name, values in request.GET.lists()
        if name not in known or len(values) > 1
    }
    if errors:
        raise Invalid(errors)


def own_platform_of(request: HttpRequest) -> Source:
    """Return the source of a request that only the platform itself may make. Raises Refused (403)."""
    source: Source = request.auth.source  # type: ignore[attr-defined]
    if not source.is_own_platform:
        raise Refused(
            "Orders are for the platform itself: an administrator marks its source as the platform's own.",
            code="not_own_platform",
            status=403,
        )
    return source


def external_id(value: str) -> str:
    """Return an external id from the path. Raises Invalid."""
    try:
        return TypeAdapter(ExternalId).validate_python(value)
    except ValidationError as invalid:
        errors = field_errors(invalid)
        raise Invalid({"external_id": next(iter(errors.values()))}) from None


# ── Idempotency ───────────────────────────────────────────────────────────────────────────────
def idempotency_key(request: HttpRequest) -> str:
    """Return the Idempotency-Key, or an empty text when there is no such header.

    Raises Invalid for one that cannot be used, an empty one too: whoever sends it means to be protected.
    """
    sent = request.headers.get("Idempotency-Key")
    if sent is None:
        return ""
    key = sent.strip()
    if (
        not key
        or len(key) > LONGEST_IDEMPOTENCY_KEY
        or not all("!" <= character <= "~" for character in key)
    ):
        raise Invalid(
            {
                "Idempotency-Key": [
                    f"Use 1 to {LONGEST_IDEMPOTENCY_KEY} visible ASCII characters without blanks, a UUID for example."
                ]
            }
        )
    return key


def digest(*parts: Any) -> str:
    """Return the hash of a request's meaning: the same for the same document and the same files."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def once(
    request: HttpRequest, endpoint: str, body_hash: str, work: Callable[[], tuple[int, Any]]
) -> HttpResponse:
    """Do the work of a POST once per Idempotency-Key and return its answer."""
    source: Source = request.auth.source  # type: ignore[attr-defined]
    key = idempotency_key(request)

    def answer() -> Answer:
        if not key:
            return Answer(*work())
        return answer_once(source, endpoint=endpoint, key=key, body_hash=body_hash, work=work)

    return respond(lambda: steadily(answer))


def steadily(work: Callable[[], T]) -> T:
    """Do ``work``, once more when PostgreSQL ended its transaction as one of two in a deadlock.

    Files that come with a report take the source's audit chain before the report takes its accounts; a
    report without files does it the other way round. Whoever loses has changed nothing.
    """
    for left in reversed(range(TRIES)):
        try:
            return work()
        except OperationalError as failed:
            # Inside a larger transaction everything before is lost too: that is not ours to repeat.
            if not left or connection.in_atomic_block or not is_contention(failed):
                raise
    raise AssertionError("unreachable")


def respond(answer: Callable[[], Answer]) -> HttpResponse:
    """Return an answer as JSON; a repeated one says so, one that is not there yet says when to ask."""
    try:
        given = answer()
    except StillRunning as running:
        response = problem(running.status, "Refused", running.message, code=running.code)
        response["Retry-After"] = "1"
        return response
    response = JsonResponse(given.body, status=given.status)
    if given.is_replayed:
        response["Idempotent-Replayed"] = "true"
    return response
