"""Versions of text rules, and who reads a restricted list."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid, Refused
from hashing import actions
from hashing import term_access as access
from hashing.term_forms import ReaderForm, VersionsForm


@require_safe
@requires(Permission.HASHING_RULES_VIEW)
def versions(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """What changed between two versions of a list; without any named, the newest and the one before."""
    term_list = access.get_readable_list_for(person_of(request), list_id)
    form = VersionsForm(request.GET)
    said = form.cleaned_data if form.is_valid() else {}
    newer = min(said.get("newer") or term_list.version, term_list.version)
    older = said.get("older")
    if older is None:
        older = newer - 1
    context = {
        "term_list": term_list,
        "changes": access.changes_of(term_list),
        "older": older,
        "newer": newer,
        "changed": access.compare_versions(term_list, older, newer),
    }
    return render(request, "hashing/rule_versions.html", context)


@require_POST
@requires(Permission.HASHING_RULES_EDIT)
def restore(request: HttpRequest, list_id: uuid.UUID, version: int) -> HttpResponse:
    """Bring back the rules of an earlier version, as a new one."""
    term_list = access.get_readable_list_for(person_of(request), list_id)
    restored = actions.restore_terms(term_list, version=version, actor=person_of(request))
    if restored.version == term_list.version:
        messages.info(request, f"The rules are those of version {version} already.")
    else:
        messages.success(
            request, f"The rules of version {version} are back, as version {restored.version}."
        )
    return redirect("hashing:rule", term_list.pk)


@require_POST
@requires(Permission.HASHING_RULES_EDIT)
def grant(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Let somebody read a restricted list."""
    term_list = access.get_readable_list_for(person_of(request), list_id)
    person = access.get_reader(ReaderForm(request.POST))
    try:
        actions.grant_terms(term_list, to=person, actor=person_of(request))
    except Invalid as invalid:
        messages.error(request, str(invalid))
    else:
        messages.success(request, f"{person.pseudonym} may read the list now.")
    return redirect("hashing:rule", term_list.pk)


@require_POST
@requires(Permission.HASHING_RULES_EDIT)
def revoke(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Hide a restricted list's rules from somebody."""
    term_list = access.get_readable_list_for(person_of(request), list_id)
    person = access.get_reader(ReaderForm(request.POST))
    try:
        actions.revoke_terms(term_list, of=person, actor=person_of(request))
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, f"{person.pseudonym} reads the list no longer.")
    return redirect("hashing:rule", term_list.pk)
