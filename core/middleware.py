"""What every request gets: a context for the audit log, headers, and clear refusals."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import Resolver404, resolve

from core.context import RequestContext, working_for
from core.errors import UploadRefused
from core.uploads import may_upload
from core.views import response_for, wants_problem

GetResponse = Callable[[HttpRequest], HttpResponse]

_DIRECTIVES = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    # A revealed original is shown from a blob: URL that exists only in the page that asked.
    "img-src 'self' blob:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "font-src 'self'",
    "manifest-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
CONTENT_SECURITY_POLICY = "; ".join(_DIRECTIVES)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), microphone=(), geolocation=(), display-capture=(), usb=(), payment=(), "
        "screen-wake-lock=(), browsing-topics=()"
    ),
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{8,64}")


class RequestContextMiddleware:
    """Give each request an id and note where it comes from."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        context = RequestContext(
            request_id=request_id_of(request),
            ip=ip_of(request),
            user_agent=request.headers.get("User-Agent", "")[:200],
        )
        with working_for(context):
            response = self.get_response(request)
        response["X-Request-ID"] = context.request_id
        return response


def request_id_of(request: HttpRequest) -> str:
    """Return the proxy's request id where a proxy is trusted, else a new one."""
    given = request.headers.get("X-Request-ID", "")
    if settings.HOLDFAST_TRUST_FORWARDED_FOR and _REQUEST_ID.fullmatch(given):
        return given
    return uuid4().hex


def ip_of(request: HttpRequest) -> str:
    """Return the client's address, or an empty text (a Unix socket has none).

    Behind a trusted proxy it is the last hop of ``X-Forwarded-For``: the one the proxy itself added.
    Everything before it is the sender's claim.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.HOLDFAST_TRUST_FORWARDED_FOR:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
        address = forwarded.rpartition(",")[2].strip() or address
    try:
        return str(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        return ""


class SecurityHeadersMiddleware:
    """Strict content policy on everything; nothing dynamic is kept by browsers or proxies."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        # Static files carry a lifetime of their own; every page and answer without one is case work.
        if "Cache-Control" not in response:
            response["Cache-Control"] = "no-store"
        return response


class ArrivingBodyMiddleware:
    """Ask who sends a large body before the first byte of it is read.

    The web server hands large bodies on while they arrive, and a thread waits for each. Django's CSRF check
    reads the form before any view asks who sent it; this stands before that check, so that a stranger never
    holds a thread. Machine views ask for a key before they read.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Refuse a large body from somebody who may send none to this view. Raises UploadRefused."""
        asks_for_a_key = getattr(view, "csrf_exempt", False)
        arrives = bool(request.META.get("holdfast.body_arrives"))
        if arrives and not asks_for_a_key and not may_upload(request):
            raise UploadRefused("Sign in to send files.")
        return None


class RefusalMiddleware:
    """Turn our exceptions into a page, a fragment or a problem document, never a stack trace."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED and _is_looked_at(request):
            return HttpResponseRedirect(_page_above(request.path))
        return response

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        """Answer a view's refusal. Exceptions of others go on to Django's handlers."""
        return response_for(request, exc)


def _is_looked_at(request: HttpRequest) -> bool:
    """Return whether a person's browser opens this address as a page, not a program, a script or a fragment."""
    is_read = request.method in {"GET", "HEAD"}
    return (
        is_read
        and "text/html" in request.headers.get("Accept", "")
        and not (wants_problem(request) or request.headers.get("HX-Request") == "true")
    )


def _page_above(path: str) -> str:
    """Return the nearest address above one that only takes what is sent to it.

    A refused form leaves such an address in the browser; opened anew (a bookmark, a second tab, a restored window) it
    leads to the page that holds the form. The address gets shorter each time, so this ends on the start page.
    """
    parts = path.strip("/").split("/")
    while len(parts) > 1:
        parts.pop()
        above = f"/{'/'.join(parts)}/"
        try:
            resolve(above)
        except Resolver404:
            continue
        return above
    return "/"
