"""Searches whose texts stand in no address.

An account's id, an e-mail or a digest in a query string is written down by every proxy on the way, and by the
browser's history, while the audit log takes care to hash it. So such a form is posted; the answer leads to the page
with the id of a stored search, which only its owner can open. Pages, *Back* and reloading work with it as
with any address, until it runs out.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import render

from accounts import actions
from accounts.access import find_search_of, person_of

PARAMETER = "stored"
_NOT_TYPED = frozenset({"csrfmiddlewaretoken", "page", "before", "after", PARAMETER})
_LONGEST = 2000
View = Callable[..., HttpResponseBase]


def stored_search(*private: str, page: str = "") -> Callable[[View], View]:
    """Let a page's search be posted and kept; ``private`` are the fields that no address may hold.

    Stands below ``requires``: whoever may not see the page stores nothing. The view reads what was typed
    with ``searched``. ``page`` names the view whose searches it shares, by default its own.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def kept(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            match = request.resolver_match
            name = page or (match.view_name if match else "")
            if request.method == "POST":
                return _keep(request, name)
            typed = request.GET.copy()
            for field in private:
                typed.pop(field, None)
            if asked := typed.pop(PARAMETER, None):
                found = find_search_of(person_of(request), name, _uuid(asked[-1]))
                if found is None:
                    context = {"page_url": request.path}
                    return render(request, "accounts/search_gone.html", context, status=404)
                for field, values in found.fields.items():
                    typed.setlist(field, values)
            request.searched = typed  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)

        return kept

    return decorate


def searched(request: HttpRequest) -> QueryDict:
    """Return what was typed into the search of this page: of the stored search, else of the address."""
    found: QueryDict = request.searched  # type: ignore[attr-defined]
    return found


def _keep(request: HttpRequest, name: str) -> HttpResponse:
    fields = {
        field: [value[:_LONGEST].replace("\x00", "") for value in values if value.strip()]
        for field, values in request.POST.lists()
        if field not in _NOT_TYPED
    }
    fields = {field: values for field, values in fields.items() if values}
    if not fields:
        return HttpResponseRedirect(request.path)
    kept = actions.keep_search(name, fields, actor=person_of(request))
    response = HttpResponseRedirect(f"{request.path}?{PARAMETER}={kept.pk}")
    response.status_code = HTTPStatus.SEE_OTHER
    return response


def _uuid(text: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(text))
    except ValueError:
        return None
