"""Text rules: term lists, their versions, and trying a text."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid, Refused
from hashing import access, actions, trial
from hashing.forms import TermListForm, TermListSettingsForm, TermsForm, TryForm
from hashing.models import TermList
from hashing.views.lists import add_errors

FLAGS_SHOWN = 10
CHANGES_SHOWN = 20
SETTINGS = ("name", "category", "description", "surfaces", "is_active")


@require_GET
@requires(Permission.HASHING_RULES_VIEW)
def listing(request: HttpRequest) -> HttpResponse:
    """All term lists."""
    return render(
        request, "hashing/rules.html", {"lists": access.term_lists_for(person_of(request))}
    )


@require_GET
@requires(Permission.HASHING_RULES_VIEW)
def detail(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """One term list: its terms, its versions and the flags that rest on it."""
    term_list = access.get_term_list_for(person_of(request), list_id)
    flags = access.flags_of_terms(term_list)
    context = {
        "term_list": term_list,
        "terms": access.terms_of(term_list),
        "surfaces": access.surface_names(term_list),
        "changes": access.changes_of(term_list)[:CHANGES_SHOWN],
        "flags": flags[:FLAGS_SHOWN],
        "flag_count": flags.count(),
    }
    return render(request, "hashing/rule.html", context)


@require_http_methods(["GET", "POST"])
@requires(Permission.HASHING_RULES_EDIT)
def new(request: HttpRequest) -> HttpResponse:
    """Create a term list."""
    form = TermListForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            term_list = actions.create_term_list(**form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, f"“{term_list}” was created. Write its terms now.")
            return redirect("hashing:rule_terms", term_list.pk)
    status = 422 if request.method == "POST" else 200
    return render(
        request, "hashing/rule_form.html", {"form": form, "term_list": None}, status=status
    )


@require_http_methods(["GET", "POST"])
@requires(Permission.HASHING_RULES_EDIT)
def edit(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Change a term list's name, category, surfaces or whether it is in force."""
    term_list = access.get_term_list_for(person_of(request), list_id)
    initial = {name: getattr(term_list, name) for name in SETTINGS}
    form = TermListSettingsForm(request.POST or None, initial=initial)
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


@require_http_methods(["GET", "POST"])
@requires(Permission.HASHING_RULES_EDIT)
def terms(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Write the terms of a list, or take them from a file."""
    term_list = access.get_term_list_for(person_of(request), list_id)
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


@require_http_methods(["GET", "POST"])
@requires(Permission.HASHING_RULES_VIEW)
def try_text(request: HttpRequest) -> HttpResponse:
    """Show what would fire on a text. Keeps nothing."""
    form = TryForm(request.POST or None)
    context: dict[str, object] = {"form": form, "result": None}
    status = 200
    if request.method == "POST":
        if form.is_valid():
            context["result"] = trial.try_text(
                form.cleaned_data["text"], form.cleaned_data["surface"]
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
