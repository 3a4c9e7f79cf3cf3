"""Administration of sources and keys. No report is shown here."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid
from reports import access, actions
from reports.forms import KeyForm, SourceForm, add_errors
from reports.models import ApiKey, Source

MANAGE = Permission.SOURCES_MANAGE
INVALID = 422


@require_safe
@requires(MANAGE)
def index(request: HttpRequest) -> HttpResponse:
    """List the sources."""
    user = person_of(request)
    audit.record_apart(AuditEvent.SOURCES_VIEWED, actor=user)
    return render(request, "reports/sources.html", {"sources": access.sources_for(user)})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(MANAGE)
def new(request: HttpRequest) -> HttpResponse:
    """Create a source."""
    form = SourceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            source = actions.create_source(**form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, f"{source.name} can report as soon as it has a key.")
            return redirect("reports:source", source.slug)
    elif request.method == "POST":
        form = SourceForm(request.POST)
        form.is_valid()
    status = INVALID if request.method == "POST" else 200
    return render(request, "reports/source_form.html", {"form": form}, status=status)


@require_safe
@requires(MANAGE)
def source(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a source with its keys."""
    return _source_page(request, access.get_source_for(person_of(request), slug), KeyForm())


@require_http_methods(["GET", "HEAD", "POST"])
@requires(MANAGE)
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Change or pause a source."""
    user = person_of(request)
    found = access.get_source_for(user, slug)
    form = SourceForm(request.POST if request.method == "POST" else None, source=found)
    if request.method == "POST" and form.is_valid():
        actions.change_source(found, **form.cleaned_data, actor=user)
        messages.success(request, "Saved.")
        return redirect("reports:source", slug)
    status = INVALID if request.method == "POST" else 200
    context = {"form": form, "source": found}
    return render(request, "reports/source_form.html", context, status=status)


@require_POST
@requires(MANAGE, recent_login=True)
def issue(request: HttpRequest, slug: str) -> HttpResponse:
    """Issue a key and show it, once."""
    user = person_of(request)
    found = access.get_source_for(user, slug)
    form = KeyForm(request.POST)
    if form.is_valid():
        try:
            key, text = actions.issue_key(found, **form.cleaned_data, actor=user)
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            return _shown_once(request, found, key, text)
    return _source_page(request, found, form, status=INVALID)


@require_POST
@requires(MANAGE, recent_login=True)
def rotate(request: HttpRequest, slug: str, key_id: uuid.UUID) -> HttpResponse:
    """Replace a key and show the new one, once."""
    user = person_of(request)
    found = access.get_source_for(user, slug)
    key, text = actions.rotate_key(access.get_key_for(user, found, key_id), actor=user)
    return _shown_once(request, found, key, text, is_rotation=True)


@require_POST
@requires(MANAGE, recent_login=True)
def revoke(request: HttpRequest, slug: str, key_id: uuid.UUID) -> HttpResponse:
    """End a key at once."""
    user = person_of(request)
    found = access.get_source_for(user, slug)
    key = actions.revoke_key(access.get_key_for(user, found, key_id), actor=user)
    messages.success(request, f"The key {key} is revoked.")
    return redirect("reports:source", slug)


def _source_page(
    request: HttpRequest, found: Source, form: KeyForm, *, status: int = 200
) -> HttpResponse:
    context = {
        "source": found,
        "keys": access.keys_for(person_of(request), found),
        "form": form,
        "may_have_keys": access.may_have_keys(found),
    }
    return render(request, "reports/source.html", context, status=status)


def _shown_once(
    request: HttpRequest, found: Source, key: ApiKey, text: str, *, is_rotation: bool = False
) -> HttpResponse:
    context = {"source": found, "key": key, "text": text, "is_rotation": is_rotation}
    return render(request, "reports/key_issued.html", context)
