"""Text rules: lists, their rules, import, export, and trying a text."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from accounts.searches import searched, stored_search
from core.errors import Invalid, Refused
from hashing import actions, trial
from hashing import term_access as access
from hashing.models import TermList
from hashing.rule_files import csv_of
from hashing.term_forms import (
    BuildForm,
    TermListForm,
    TermListSettingsForm,
    TermsForm,
    TermsImportForm,
    TryForm,
    settings_of,
    step_names,
)
from hashing.views.lists import add_errors

FLAGS_SHOWN = 10
CHANGES_SHOWN = 20


@require_safe
@requires(Permission.HASHING_RULES_VIEW)
def listing(request: HttpRequest) -> HttpResponse:
    """All lists."""
    return render(
        request, "hashing/rules.html", {"lists": access.term_lists_for(person_of(request))}
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_RULES_VIEW)
@stored_search("search")
def detail(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """One list: its rules, its versions and the flags that rest on it."""
    person = person_of(request)
    term_list = access.get_term_list_for(person, list_id)
    may_read = access.may_read(person, term_list)
    search = searched(request).get("search", "").strip()
    page, rules = (
        access.terms_page(term_list, request.GET.get("page"), search=search)
        if may_read
        else (None, [])
    )
    context = {
        "term_list": term_list,
        "may_read": may_read,
        "search": search,
        "page": page,
        "rules": rules,
        "surfaces": access.surface_names(term_list),
        "steps": step_names(term_list),
        "changes": access.changes_of(term_list)[:CHANGES_SHOWN],
        "readers": access.readers_of(term_list) if term_list.is_restricted else [],
        "others": access.people_who_could_read(term_list) if term_list.is_restricted else [],
        "suppressed": access.suppressed_count(term_list),
        "flags": access.flags_of_terms(term_list)[:FLAGS_SHOWN],
        "flag_count": access.flags_of_terms(term_list).count(),
    }
    if request.headers.get("HX-Target") == "rules-of-list":
        return render(request, "hashing/_rules_of_list.html", context)
    return render(request, "hashing/rule.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_RULES_EDIT)
def new(request: HttpRequest) -> HttpResponse:
    """Create a list."""
    form = TermListForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            term_list = actions.create_term_list(**form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, f"“{term_list}” was created. Write its rules now.")
            return redirect("hashing:rule_terms", term_list.pk)
    status = 422 if request.method == "POST" else 200
    return render(
        request, "hashing/rule_form.html", {"form": form, "term_list": None}, status=status
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_RULES_EDIT)
def edit(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Change what a list is, where and how it looks, who reads it or whether it is in force."""
    term_list = access.get_readable_list_for(person_of(request), list_id)
    form = TermListSettingsForm(request.POST or None, initial=settings_of(term_list))
    if request.method == "POST" and form.is_valid():
        try:
            actions.change_term_list(term_list, **form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, f"“{form.cleaned_data['name']}” was changed.")
            return redirect("hashing:rule", term_list.pk)
    status = 422 if request.method == "POST" else 200
    return render(
        request, "hashing/rule_form.html", {"form": form, "term_list": term_list}, status=status
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_RULES_EDIT)
def terms(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Write the rules of a list, or take them from a file."""
    term_list = access.get_readable_list_for(person_of(request), list_id)
    if request.method != "POST" and access.is_long(term_list):
        messages.info(request, "This list is too long to edit as text: export, change, import it.")
        return redirect("hashing:rule_import", term_list.pk)
    initial = {"terms": access.terms_as_text(term_list), "version": term_list.version}
    form = TermsForm(request.POST or None, request.FILES or None, initial=initial)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                changed = actions.set_terms(
                    term_list,
                    form.cleaned_data["terms"],
                    version=form.cleaned_data["version"],
                    actor=person_of(request),
                )
            except Invalid as invalid:
                add_errors(form, invalid)
            except Refused as refused:
                # The page comes back with everything that was written and the version to compare with.
                status = refused.status
                form = _on_top_of(term_list, form, refused)
            else:
                messages.success(request, _in_words(term_list, changed))
                return redirect("hashing:rule", term_list.pk)
    return render(
        request, "hashing/rule_terms.html", {"form": form, "term_list": term_list}, status=status
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_RULES_EDIT)
def build(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Put one rule together from fields and add it to a list."""
    term_list = access.get_readable_list_for(person_of(request), list_id)
    form = BuildForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                changed = actions.add_terms(term_list, [form.line], actor=person_of(request))
            except Invalid as invalid:
                add_errors(form, invalid)
            else:
                messages.success(request, _in_words(term_list, changed))
                return redirect("hashing:rule", term_list.pk)
    return render(
        request, "hashing/rule_build.html", {"form": form, "term_list": term_list}, status=status
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_RULES_EDIT)
def import_file(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Take rules from a file: add them to those of the list, or replace these."""
    term_list = access.get_readable_list_for(person_of(request), list_id)
    form = TermsImportForm(
        request.POST or None, request.FILES or None, initial={"version": term_list.version}
    )
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            said = form.cleaned_data
            take = actions.set_terms if said["mode"] == "replace" else actions.add_terms
            try:
                changed = take(
                    term_list, said["terms"], version=said["version"], actor=person_of(request)
                )
            except Invalid as invalid:
                form.add_error("file", [s for some in invalid.errors.values() for s in some])
            except Refused as refused:
                status = refused.status
                form.add_error(None, refused.message)
            else:
                messages.success(request, _in_words(term_list, changed))
                return redirect("hashing:rule", term_list.pk)
    return render(
        request, "hashing/rule_import.html", {"form": form, "term_list": term_list}, status=status
    )


@require_safe
@requires(Permission.HASHING_RULES_EDIT)
def export(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """A copy of the rules as CSV. That somebody took it is recorded."""
    term_list = access.get_readable_list_for(person_of(request), list_id)
    answer = HttpResponse(
        csv_of(access.rules_of(term_list)), content_type="text/csv; charset=utf-8"
    )
    name = f"{term_list.slug}-v{term_list.version}.csv"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["Cache-Control"] = "no-store"
    actions.record_export(term_list, actor=person_of(request))
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_RULES_VIEW)
def try_text(request: HttpRequest) -> HttpResponse:
    """Show what would fire on a text. Keeps nothing."""
    form = TryForm(request.POST or None)
    context: dict[str, object] = {"form": form, "result": None}
    status = 200
    if request.method == "POST":
        if form.is_valid():
            context["result"] = trial.try_text(
                form.cleaned_data["text"],
                form.cleaned_data["surface"],
                unread=access.unread_lists_for(person_of(request)),
            )
        else:
            status = 422
    template = "hashing/_trial.html" if request.headers.get("HX-Request") else "hashing/try.html"
    return render(request, template, context, status=status)


def _on_top_of(term_list: TermList, form: TermsForm, refused: Refused) -> TermsForm:
    again = TermsForm(
        {"terms": form.cleaned_data["terms"], "version": access.version_of(term_list)}
    )
    again.is_valid()
    again.add_error(None, refused.message)
    return again


def _in_words(before: TermList, after: TermList) -> str:
    if after.version == before.version:
        return "Nothing changed."
    return f"“{after}” is now version {after.version} and counts from the next item on."
