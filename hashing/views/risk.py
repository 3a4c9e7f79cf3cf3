"""Groups and accounts by risk, the weights with their dry run, and links found outside."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from accounts.searches import searched, stored_search
from core.errors import Invalid, Refused
from hashing import actions, charts, risk, risk_access
from hashing.models import LinkImportState, RiskPolicy
from hashing.risk_forms import LinkImportForm, LinkSearchForm, RiskFilterForm, RiskPolicyForm

VIEW, EDIT = Permission.HASHING_RISK_VIEW, Permission.HASHING_RISK_EDIT
LINKS = Permission.HASHING_LINKS_VIEW
SCORES_A_PAGE = 25
VERSIONS_SHOWN = 20
CHANGES_SHOWN = 10
IMPORTS_A_PAGE = 20
GROUPS_SHOWN = 50
BANDS = [f"{start + 1}–{start + 10}" for start in range(0, 100, 10)]


@require_http_methods(["GET", "HEAD", "POST"])
@requires(VIEW)
@stored_search("q")
def listing(request: HttpRequest) -> HttpResponse:
    """Groups and accounts that the person may see, the riskiest first."""
    form = RiskFilterForm(searched(request) or None)
    said: dict[str, Any] = (
        form.cleaned_data if form.is_valid() else {"q": "", "kind": "", "above": ""}
    )
    rows = risk_access.scores_for(
        person_of(request), kind=said["kind"], only_above=bool(said["above"]), search=said["q"]
    )
    context = {
        "form": form,
        "page": Paginator(rows, SCORES_A_PAGE).get_page(request.GET.get("page")),
        "policy": actions.current_risk_policy(),
        "waiting": risk_access.waiting_marks(),
    }
    is_part = request.headers.get("HX-Target") == "risks"
    return render(request, "hashing/_risks.html" if is_part else "hashing/risks.html", context)


@require_safe
@requires(VIEW)
def detail(request: HttpRequest, score_id: int) -> HttpResponse:
    """One score: what adds to it, how it moved, and what does not add."""
    row = risk_access.get_score_for(person_of(request), score_id)
    named = {each["key"] for each in row.contributions}
    context = {
        "row": row,
        "silent": [each for each in risk.signals_of(row.kind) if each.key not in named],
        "policy": actions.current_risk_policy(),
        "history": [
            (datetime.fromisoformat(each["at"]), each["score"])
            for each in reversed(row.history[-CHANGES_SHOWN:])
        ],
    }
    return render(request, "hashing/risk.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(EDIT)
def policy(request: HttpRequest) -> HttpResponse:
    """The weights: change them, see first what that would do, go back to an earlier version."""
    user = person_of(request)
    current = actions.current_risk_policy()
    base = _earlier(request, current)
    form = RiskPolicyForm.of(base, request.POST if request.method == "POST" else None)
    if base.version != current.version:
        form.initial["based_on"] = current.version
    runs: list[Any] = []
    refused = ""
    if request.method == "POST" and form.is_valid():
        if "try" in request.POST:
            runs = _try(request, form, current)
        else:
            try:
                made = actions.change_risk_policy(weights=form.weights, **form.settings, actor=user)
            except Invalid as invalid:
                form.add_errors(invalid.errors)
            except Refused as no:
                refused = no.message
            else:
                messages.success(
                    request,
                    f"Version {made.version} counts. What is rated is rated again in the background.",
                )
                return redirect("hashing:risk_policy")
    context = {
        "form": form,
        "policy": current,
        "base": base,
        "refused": refused,
        "runs": runs,
        "versions": risk_access.policies_for(user)[:VERSIONS_SHOWN],
    }
    is_wrong = bool(form.errors or refused)
    return render(request, "hashing/risk_policy.html", context, status=422 if is_wrong else 200)


def _earlier(request: HttpRequest, current: RiskPolicy) -> RiskPolicy:
    """Return the version whose values the form begins with."""
    asked = request.GET.get("version", "")
    if not asked.isdecimal() or len(asked) > 9:
        return current
    return (
        risk_access.policies_for(person_of(request)).filter(version=int(asked)).first() or current
    )


def _try(request: HttpRequest, form: RiskPolicyForm, current: RiskPolicy) -> list[Any]:
    """Return for groups and accounts what the typed weights would change, with a drawing."""
    said = form.settings
    found = []
    for kind, label in (("group", "Groups"), ("account", "Accounts")):
        run = risk_access.dry_run(
            person_of(request),
            kind,
            weights=form.weights[kind],
            open_at=said[f"{kind}_open_at"],
            now_open_at=getattr(current, f"{kind}_open_at"),
        )
        drawing = charts.bars(
            f"{label} by score then",
            f"{run.above_then:,} at or above {said[f'{kind}_open_at']}",
            BANDS,
            [[("looked", count)] for count in run.bands_then],
            marks=["1", "50", "100"],
            legend=[("looked", label.lower())],
        )
        found.append({"label": label, "run": run, "chart": drawing})
    return found


# ── Links ─────────────────────────────────────────────────────────────────────────────────────
@require_http_methods(["GET", "HEAD", "POST"])
@requires(LINKS)
@stored_search("link")
def links(request: HttpRequest) -> HttpResponse:
    """Imports of links found outside, and whether one link is known."""
    user = person_of(request)
    form = LinkSearchForm(searched(request) or None)
    asked = form.cleaned_data["link"].strip() if form.is_valid() else ""
    found = risk_access.find_link_for(user, asked)
    context = {
        "form": form,
        "asked": asked,
        "listed": found.listed[:GROUPS_SHOWN],
        "groups": found.groups[:GROUPS_SHOWN],
        "leads_to": found.of,
        "page": Paginator(risk_access.link_imports_for(user), IMPORTS_A_PAGE).get_page(
            request.GET.get("page")
        ),
    }
    return render(request, "hashing/links.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LINKS_IMPORT)
def links_new(request: HttpRequest) -> HttpResponse:
    """Import a file of links."""
    is_sent = request.method == "POST"
    form = LinkImportForm(request.POST if is_sent else None, request.FILES if is_sent else None)
    if is_sent and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            made = actions.ask_link_import(
                file.blob,
                place=form.cleaned_data["place"],
                file_name=file.name,
                skip_bad_rows=form.cleaned_data["skip_bad_rows"],
                actor=person_of(request),
            )
        except Invalid as invalid:
            for name, sentences in invalid.errors.items():
                form.add_error(name if name in form.fields else None, sentences)
        else:
            return redirect("hashing:link_import", made.pk)
    status = 422 if is_sent else 200
    return render(request, "hashing/link_form.html", {"form": form}, status=status)


@require_safe
@requires(LINKS)
def link_import(request: HttpRequest, import_id: uuid.UUID) -> HttpResponse:
    """One import of links: what came of it and which groups it leads to; asks again while it waits."""
    user = person_of(request)
    found = risk_access.get_link_import_for(user, import_id)
    groups = risk_access.groups_led_to(user, found)
    context = {
        "import": found,
        "is_moving": found.state == LinkImportState.WAITING,
        "groups": groups[:GROUPS_SHOWN] if found.state == LinkImportState.DONE else [],
        "seconds": (timezone.now() - found.created_at).total_seconds(),
    }
    is_part = request.headers.get("HX-Target") == "link-import"
    template = "hashing/_link_import.html" if is_part else "hashing/link_import.html"
    return render(request, template, context)


@require_POST
@requires(Permission.HASHING_LINKS_IMPORT)
def link_switch(request: HttpRequest, import_id: uuid.UUID, verb: str) -> HttpResponse:
    """Undo or redo an import of links."""
    found = risk_access.get_link_import_for(person_of(request), import_id)
    if verb == "undo":
        count = actions.undo_link_import(found, actor=person_of(request))
        messages.success(request, f"{count:,} links were withdrawn. The import can be redone.")
    elif verb == "redo":
        count = actions.redo_link_import(found, actor=person_of(request))
        messages.success(request, f"{count:,} links count again.")
    else:
        raise Http404
    return redirect("hashing:link_import", found.pk)
