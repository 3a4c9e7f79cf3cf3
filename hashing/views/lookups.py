"""Trying a file or a digest: what is known of it, what a scan would find. Nothing is kept."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from accounts.searches import searched, stored_search
from core.errors import Invalid
from hashing import actions, exploring, lookup_access
from hashing.lookup_forms import DigestLookupForm, FileLookupForm
from hashing.models import LookupState
from hashing.views.lists import add_errors

NEAR_A_PAGE = 25


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_VIEW)
def match(request: HttpRequest) -> HttpResponse:
    """Send a file to try, or look around a digest."""
    form = FileLookupForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        person = person_of(request)
        try:
            (lookup,) = actions.ask_about_files(
                [form.cleaned_data["file"]], asked_for=person, actor=person
            )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            return redirect("hashing:match_file", lookup.pk)
    context: dict[str, Any] = {"form": form, "explore": DigestLookupForm()}
    status = 422 if request.method == "POST" else 200
    return render(request, "hashing/match.html", context, status=status)


@require_safe
@requires(Permission.HASHING_LISTS_VIEW)
def match_file(request: HttpRequest, lookup_id: uuid.UUID) -> HttpResponse:
    """What is known of the file that somebody sent; asks again by itself until a worker has looked."""
    lookup = lookup_access.get_lookup_for(person_of(request), lookup_id)
    context = {
        "lookup": lookup,
        "is_waiting": lookup.state == LookupState.WAITING,
        "result": lookup.result or {},
    }
    is_fragment = request.headers.get("HX-Target") == "lookup"
    return render(
        request, "hashing/_lookup.html" if is_fragment else "hashing/match_file.html", context
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_VIEW)
@stored_search("algorithm", "value", "radius")
def explore(request: HttpRequest) -> HttpResponse:
    """The entries and the stored media around a digest, with their distances."""
    person = person_of(request)
    form = DigestLookupForm(searched(request) or None)
    context: dict[str, Any] = {"form": form}
    status = 200
    if searched(request):
        status = 422
        if form.is_valid():
            try:
                around = exploring.around(person, **form.cleaned_data)
            except Invalid as invalid:
                add_errors(form, invalid)
            else:
                status = 200
                actions.record_match(
                    digests=1, texts=0, found=len(around.entries), asked_for=person, actor=person
                )
                page = Paginator(around.entries, NEAR_A_PAGE).get_page(request.GET.get("page"))
                context |= {"around": around, "page": page}
    if request.headers.get("HX-Target") == "around":
        return render(request, "hashing/_around.html", context, status=status)
    return render(request, "hashing/match_explore.html", context, status=status)
