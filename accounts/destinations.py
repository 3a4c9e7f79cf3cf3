"""Where a person is sent next. Only addresses of this installation, however they were asked for."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

HOME = "/"


def is_htmx(request: HttpRequest) -> bool:
    """Return whether htmx made the request (it follows ``HX-Redirect``, never a 302, to a new page)."""
    return request.headers.get("HX-Request") == "true"


def safe_path(request: HttpRequest, address: str | None) -> str:
    """Return ``address`` if it stays on this host, else the home page.

    An open redirect after sign-in is how a copied sign-in page gets a second password out of people.
    """
    if address and url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        parts = urlsplit(address)
        # Keep path and query only: a same-host absolute address becomes a plain path.
        path = parts.path or HOME
        if not path.startswith("//"):
            return f"{path}?{parts.query}" if parts.query else path
    return HOME


def next_path(request: HttpRequest) -> str:
    """Return the wanted destination from the form or the query (``next``), made safe."""
    return safe_path(request, request.POST.get("next") or request.GET.get("next"))


def here(request: HttpRequest) -> str:
    """Return the page the person is looking at: htmx names it, otherwise it is a GET's own path.

    A POST address often has no page of its own, so it is replaced by the page it was sent from.
    """
    if is_htmx(request) and (current := request.headers.get("HX-Current-URL")):
        return safe_path(request, current)
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    return safe_path(request, request.headers.get("Referer"))


def go(request: HttpRequest, to: str, **query: str) -> HttpResponse:
    """Redirect the whole page to a view name or path, also when htmx asked for a fragment."""
    address = resolve_url(to)
    if query := {name: value for name, value in query.items() if value and value != HOME}:
        address = f"{address}?{urlencode(query)}"
    if is_htmx(request):
        return HttpResponse(status=200, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def go_sign_in(request: HttpRequest) -> HttpResponse:
    """Send the browser to sign in and back to the page it showed.

    htmx obeys ``HX-Redirect`` whatever the status; the 401 tells our own scripts that a lease they
    wanted to renew is out of reach.
    """
    response = go(request, reverse("accounts:sign_in"), next=here(request))
    if is_htmx(request):
        response.status_code = HTTPStatus.UNAUTHORIZED
    return response


def go_set_up(request: HttpRequest) -> HttpResponse:
    """Send a session that owes its second factor to set it up, and afterwards back to its page.

    The 403 tells our own scripts that nothing was done; htmx obeys ``HX-Redirect`` all the same.
    """
    response = go(request, "accounts:totp_set_up", next=here(request))
    if is_htmx(request):
        response.status_code = HTTPStatus.FORBIDDEN
    return response
