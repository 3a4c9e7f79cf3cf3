"""Whether and how a list counts, its imports, its export, one entry's history."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid
from hashing import access, actions, list_access
from hashing.list_forms import PauseForm, PreviewForm
from hashing.lookup import IndexNotReady
from hashing.models import HashList, ImportState
from hashing.views.lists import add_errors

FLAGS_SHOWN = 10
MOVING = {ImportState.WAITING, ImportState.READING, ImportState.WRITING}


@require_safe
@requires(Permission.HASHING_LISTS_VIEW)
def import_detail(request: HttpRequest, import_id: uuid.UUID) -> HttpResponse:
    """One import: how far it is, what it came to, its bad rows; asks again by itself while it moves."""
    file_import = list_access.get_import_for(person_of(request), import_id)
    share = file_import.read_bytes * 100 // file_import.size if file_import.size else 0
    seconds = (timezone.now() - file_import.began_at).total_seconds() if file_import.began_at else 0
    context = {
        "import": file_import,
        "hash_list": file_import.hash_list,
        "is_moving": file_import.state in MOVING,
        "share": min(share, 100),
        "rate": round(file_import.rows / seconds) if seconds >= 1 else None,
        "left": round(seconds * (100 - share) / share) if share >= 3 else None,
    }
    is_fragment = request.headers.get("HX-Target") == "import"
    template = "hashing/_import.html" if is_fragment else "hashing/import.html"
    return render(request, template, context)


@require_safe
@requires(Permission.HASHING_LISTS_VIEW)
def import_problems(request: HttpRequest, import_id: uuid.UUID) -> HttpResponse:
    """The bad rows of an import as a file."""
    file_import = list_access.get_import_for(person_of(request), import_id)
    answer = HttpResponse(list_access.problems_as_csv(file_import), content_type="text/csv")
    answer["Content-Disposition"] = 'attachment; filename="bad-rows.csv"'
    return answer


@require_POST
@requires(Permission.HASHING_LISTS_EDIT)
def import_switch(request: HttpRequest, import_id: uuid.UUID, verb: str) -> HttpResponse:
    """Cancel, undo or redo an import."""
    file_import = list_access.get_import_for(person_of(request), import_id)
    person = person_of(request)
    if verb == "cancel":
        actions.cancel_import(file_import, actor=person)
        messages.success(request, "The import was cancelled. Nothing of it counts.")
    elif verb == "undo":
        count = actions.undo_import(file_import, actor=person)
        messages.success(request, f"{count:,} entries were retired. The import can be redone.")
    elif verb == "redo":
        count = actions.redo_import(file_import, actor=person)
        messages.success(request, f"{count:,} entries are in force again.")
    else:
        raise Http404
    return redirect("hashing:import", file_import.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_EDIT)
def pause(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Let a list match nothing for a while."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    form = PauseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        until = timezone.now() + timedelta(hours=form.cleaned_data["hours"])
        try:
            actions.disable_list(
                hash_list, until=until, reason=form.cleaned_data["reason"], actor=person_of(request)
            )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, "The list pauses and matches nothing until then.")
            return redirect("hashing:list", hash_list.pk)
    status = 422 if request.method == "POST" else 200
    return render(
        request, "hashing/list_pause.html", {"form": form, "hash_list": hash_list}, status=status
    )


@require_POST
@requires(Permission.HASHING_LISTS_EDIT)
def resume(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """End a list's pause."""
    return _verb(request, list_id, actions.enable_list, "The list counts again.")


@require_POST
@requires(Permission.HASHING_LISTS_APPROVE)
def release(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """End a list's quarantine."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    actions.release_list(hash_list, actor=person_of(request))
    messages.success(
        request,
        "The list counts again. What came in meanwhile is scanned once more; this page says how far.",
    )
    return redirect("hashing:list", list_id)


@require_POST
@requires(Permission.HASHING_LISTS_APPROVE)
def automatic(request: HttpRequest, list_id: uuid.UUID, verb: str) -> HttpResponse:
    """Ask that a list acts automatically, approve it as a second person, or stop it."""
    verbs: dict[str, tuple[Callable[..., Any], str]] = {
        "ask": (actions.ask_automatic, "You asked for it. Another person has to approve."),
        "approve": (actions.approve_automatic, "The list acts automatically from now on."),
        "withdraw": (actions.withdraw_automatic, "The request was taken back."),
        "stop": (actions.stop_automatic, "The list no longer acts automatically."),
    }
    if verb not in verbs:
        raise Http404
    action, words = verbs[verb]
    if verb == "approve":
        asked = request.POST.get("asked_version", "")
        # Without a number, or with one that is none, it is no request that anybody looked at.
        version = int(asked) if asked.isdecimal() and len(asked) <= 9 else 0
        action = functools.partial(action, asked_version=version)
    return _verb(request, list_id, action, words)


@require_safe
@requires(Permission.HASHING_LISTS_EDIT)
def export(request: HttpRequest, list_id: uuid.UUID, form: str) -> StreamingHttpResponse:
    """A whole list as a file."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    if form not in list_access.EXPORT_FORMATS:
        raise Http404
    actions.record_list_export(hash_list, form=form, actor=person_of(request))
    answer = StreamingHttpResponse(
        list_access.export_rows(hash_list, form), content_type=list_access.EXPORT_FORMATS[form]
    )
    answer["Content-Disposition"] = f'attachment; filename="{hash_list.slug}.{form}"'
    answer["Cache-Control"] = "no-store"
    return answer


@require_safe
@requires(Permission.HASHING_LISTS_VIEW)
def entry(request: HttpRequest, entry_id: int) -> HttpResponse:
    """One entry: where it comes from, what rests on it, what reviews said."""
    found = access.get_entry_for(person_of(request), entry_id)
    flags = list_access.flags_of_entry(found)
    context = {
        "entry": found,
        "hash_list": found.hash_list,
        "flags": flags[:FLAGS_SHOWN],
        "flag_count": flags.count(),
        "precision": list_access.precision_of(flags),
    }
    return render(request, "hashing/entry.html", context)


@require_safe
@requires(Permission.HASHING_LISTS_VIEW)
def preview(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """What another threshold would have done to what came in during the last 30 days."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    form = PreviewForm(request.GET or None)
    context: dict[str, Any] = {"form": form, "hash_list": hash_list}
    status = 200
    if form.is_valid():
        try:
            context["preview"] = list_access.preview_threshold(hash_list, **form.cleaned_data)
        except IndexNotReady as waiting:
            form.add_error(None, f"Nothing can be compared yet: {waiting.reason}.")
    elif request.GET:
        status = 422
    is_fragment = request.headers.get("HX-Target") == "preview"
    template = "hashing/_preview.html" if is_fragment else "hashing/list_preview.html"
    return render(request, template, context, status=status)


def _verb(
    request: HttpRequest, list_id: uuid.UUID, action: Callable[..., HashList], words: str
) -> HttpResponse:
    action(access.get_hash_list_for(person_of(request), list_id), actor=person_of(request))
    messages.success(request, words)
    return redirect("hashing:list", list_id)
