"""Hash lists: looking, importing, retiring."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import person_of, requires
from accounts.permissions import Permission
from accounts.searches import searched, stored_search
from core.errors import Invalid
from hashing import access, actions, list_access, lookup
from hashing.automatic import new_entries, why_not_approve
from hashing.forms import (
    DigestSearchForm,
    EntryFilterForm,
    EntryForm,
    HashListForm,
    HashListSettingsForm,
    ImportForm,
    RetireForm,
)
from hashing.models import HashList

ENTRIES_A_PAGE = 20
FLAGS_SHOWN = 10
IMPORTS_SHOWN = 5
READ_AT_ONCE = 512 * 1024
"""Bytes of a CSV file that are read while the browser waits."""
SETTINGS = (
    "name",
    "category",
    "origin",
    "description",
    "pdq_threshold",
    "phash_threshold",
    "dhash_threshold",
    "whash_threshold",
    "video_compared_percent",
    "video_query_percent",
    "video_run_seconds",
    "flood_percent",
    "is_negative",
    "is_active",
)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_VIEW)
@stored_search("digest")
def listing(request: HttpRequest) -> HttpResponse:
    """All hash lists, and whether a digest is on one of them."""
    form = DigestSearchForm(searched(request) or None)
    digest = form.cleaned_data["digest"].strip() if form.is_valid() else ""
    found = []
    if digest:
        found = list(access.find_digest_for(person_of(request), digest)[:100])
        actions.record_search(query=digest, found=len(found), actor=person_of(request))
    return render(
        request,
        "hashing/lists.html",
        {
            "lists": access.hash_lists_for(person_of(request)),
            "form": form,
            "digest": digest,
            "found": found,
            "index": lookup.index_status(),
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_VIEW)
@stored_search("search")
def detail(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """One list: its entries, imports and the flags that rest on it."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    form = EntryFilterForm(searched(request) or None)
    narrowed = form.cleaned_data if form.is_valid() else {"search": "", "state": ""}
    entries = access.entries_of(hash_list, **narrowed)
    page = Paginator(entries, ENTRIES_A_PAGE).get_page(request.GET.get("page"))
    context = {"hash_list": hash_list, "page": page}
    if request.headers.get("HX-Target") == "entries":
        return render(request, "hashing/_entries.html", context)
    flags = access.flags_of_list(hash_list)
    context |= {
        "form": form,
        "counts": access.counts_of(hash_list),
        "flags": flags[:FLAGS_SHOWN],
        "flag_count": flags.count(),
        "imports": access.imports_of(hash_list)[:IMPORTS_SHOWN],
        "precision": list_access.precision_of(flags),
    }
    if person_of(request).may(Permission.HASHING_LISTS_APPROVE):
        context |= {
            "new_entries": new_entries(hash_list),
            "why_not_approve": why_not_approve(hash_list, person_of(request)),
        }
    return render(request, "hashing/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_EDIT)
def new(request: HttpRequest) -> HttpResponse:
    """Create a list."""
    form = HashListForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            hash_list = actions.create_hash_list(**form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, f"“{hash_list}” was created. Import its entries now.")
            return redirect("hashing:list_import", hash_list.pk)
    return _form(request, "hashing/list_form.html", {"form": form, "hash_list": None})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_EDIT)
def edit(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Change a list's name, category, thresholds or whether it is in force."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    initial = {name: getattr(hash_list, name) for name in SETTINGS}
    form = HashListSettingsForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            actions.change_hash_list(hash_list, **form.settings(), actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, f"“{form.cleaned_data['name']}” was changed.")
            return redirect("hashing:list", hash_list.pk)
    return _form(request, "hashing/list_form.html", {"form": form, "hash_list": hash_list})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_EDIT)
def import_file(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Import a CSV file; its problems are shown before anything is kept."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    form = ImportForm(request.POST or None, request.FILES or None)
    result = None
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        if file.size > READ_AT_ONCE or not file.name.lower().endswith(".csv"):
            return _import_later(request, hash_list, form)
        try:
            with file.open() as stream:
                result = actions.import_csv(
                    hash_list,
                    stream,
                    file_name=file.name,
                    skip_bad_rows=form.cleaned_data["skip_bad_rows"],
                    most_rows=actions.MOST_ROWS_IN_A_PAGE,
                    actor=person_of(request),
                )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            if result.is_done:
                messages.success(request, _in_words(result))
                return redirect("hashing:list", hash_list.pk)
    context = {"form": form, "hash_list": hash_list, "result": result}
    return _form(request, "hashing/list_import.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_EDIT)
def add_entry(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Put one digest on a list by hand."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.add_entry(hash_list, **form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, "The digest is on the list and counts from the next item on.")
            return redirect("hashing:list", hash_list.pk)
    return _form(request, "hashing/entry_form.html", {"form": form, "hash_list": hash_list})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_EDIT)
def retire_entry(request: HttpRequest, entry_id: int) -> HttpResponse:
    """Take an entry out of force, with a reason."""
    entry = access.get_entry_for(person_of(request), entry_id)
    form = RetireForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.retire_entry(entry, **form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, "The entry is retired and matches nothing from now on.")
            return redirect("hashing:list", entry.hash_list_id)
    return _form(request, "hashing/entry_retire.html", {"form": form, "entry": entry})


@require_POST
@requires(Permission.HASHING_LISTS_EDIT)
def restore_entry(request: HttpRequest, entry_id: int) -> HttpResponse:
    """Put a retired entry in force again."""
    entry = access.get_entry_for(person_of(request), entry_id)
    actions.restore_entry(entry, actor=person_of(request))
    messages.success(request, "The entry is in force again.")
    return redirect("hashing:list", entry.hash_list_id)


def _import_later(request: HttpRequest, hash_list: HashList, form: ImportForm) -> HttpResponse:
    """Let a worker read a large file, or one that is not CSV."""
    file = form.cleaned_data["file"]
    try:
        later = actions.ask_import(
            hash_list,
            file.blob,
            file_name=file.name,
            skip_bad_rows=form.cleaned_data["skip_bad_rows"],
            actor=person_of(request),
        )
    except Invalid as invalid:
        add_errors(form, invalid)
        return _form(
            request,
            "hashing/list_import.html",
            {"form": form, "hash_list": hash_list, "result": None},
        )
    return redirect("hashing:import", later.pk)


def add_errors(form: forms.Form, invalid: Invalid) -> None:
    """Show what an action found wrong at the fields concerned."""
    for field, sentences in invalid.errors.items():
        form.add_error(field if field in form.fields else None, sentences)


def _form(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    status = 422 if request.method == "POST" else 200
    return render(request, template, context, status=status)


def _in_words(result: actions.ImportResult) -> str:
    parts = [f"{result.added:,} added"]
    if result.known:
        retired = f", {result.retired:,} of them retired" if result.retired else ""
        parts.append(f"{result.known:,} on the list already{retired}")
    if result.duplicates:
        parts.append(f"{result.duplicates:,} twice in the file")
    if result.refused:
        parts.append(f"{result.refused:,} bad rows left out")
    if result.ignored:
        parts.append(f"columns that were not read: {', '.join(result.ignored)}")
    return f"{result.rows:,} rows read: {'; '.join(parts)}."
