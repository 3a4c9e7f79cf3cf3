"""The auditor's pages: the log, one entry, exports, checking the chains."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.audit_log import (
    as_csv,
    as_ndjson,
    case_meant,
    entries_for,
    get_entry_for,
    lines_of,
    slice_of,
)
from accounts.destinations import is_htmx
from accounts.permissions import Permission
from accounts.searches import searched, stored_search
from core import audit
from core.audit_events import AuditEvent
from core.audit_job import last_check, request_check
from core.audit_words import SAID, facts_of
from core.foreign import plain_dashes

_ID = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
_CASE = forms.TextInput(
    attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "C-000010"}
)
_DAY = forms.DateInput(attrs={"type": "date"})
NOT_A_DAY = "Not understood. Give the day as 2026-11-30."


def _areas() -> list[tuple[str, str]]:
    names = sorted({event.value.partition(".")[0] for event in AuditEvent})
    return [("", "All"), *((name, name.replace("_", " ")) for name in names)]


def _events() -> list[Any]:
    """Return every event in words, grouped by its area."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for event in AuditEvent:
        area = event.value.partition(".")[0]
        groups.setdefault(area, []).append((event.value, SAID[event]))
    return [
        ("", "All"),
        *((area.replace("_", " ").capitalize(), groups[area]) for area in sorted(groups)),
    ]


_KINDS = {"C": "case", "R": "report", "ESC": "referral"}


def _unknown(typed: str) -> str:
    """Return what to say of a number that leads to no case: which kind it would be of, and how each kind looks."""
    looks = "Cases look like C-000010, reports like R-000004, referrals like ESC-2026-000007."
    head = plain_dashes(typed).upper().partition("-")[0]
    kind = _KINDS.get(head, "case, report or referral")
    return f"No {kind} has this number, or it belongs to no case. {looks}"


class AuditFilterForm(forms.Form):
    """Narrow the log. Every field is optional."""

    use_required_attribute = False

    area = forms.ChoiceField(choices=_areas, required=False)
    event = forms.ChoiceField(choices=_events, required=False)
    actor = forms.CharField(label="Who", max_length=120, required=False, widget=_ID)
    case = forms.CharField(
        label="Case, report or referral", max_length=64, required=False, widget=_CASE
    )
    chain = forms.CharField(max_length=80, required=False, widget=_ID)
    subject = forms.CharField(label="Subject id", max_length=64, required=False, widget=_ID)
    ip = forms.GenericIPAddressField(label="IP address", required=False, widget=_ID)
    start = forms.DateField(
        label="From", required=False, widget=_DAY, error_messages={"invalid": NOT_A_DAY}
    )
    end = forms.DateField(
        label="To", required=False, widget=_DAY, error_messages={"invalid": NOT_A_DAY}
    )
    after_reset = forms.BooleanField(label="Only after a reset", required=False)

    def clean_case(self) -> str:
        """Return the id of the case that is meant, whatever number of it was typed."""
        typed = str(self.cleaned_data["case"]).strip()
        if not typed:
            return ""
        if not (meant := case_meant(typed)):
            raise forms.ValidationError(_unknown(typed))
        return meant

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins."""
        cleaned = super().clean() or {}
        start, end = cleaned.get("start"), cleaned.get("end")
        if start and end and end < start:
            self.add_error("end", "This day is before the first one.")
        return cleaned

    @property
    def wanted(self) -> dict[str, Any]:
        """The filters that were set."""
        return {name: value for name, value in self.cleaned_data.items() if value}


def _cursor(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


_PRIVATE = ("actor", "case", "chain", "subject", "ip")
"""Filters that name somebody or something; no address may hold them."""


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.AUDIT_VIEW)
@stored_search(*_PRIVATE)
def index(request: HttpRequest) -> HttpResponse:
    """List entries, newest first, narrowed by the filters. The look itself is recorded."""
    user = person_of(request)
    typed = searched(request)
    form = AuditFilterForm(typed or None)
    is_valid = form.is_valid() or not typed
    wanted = form.wanted if typed and form.is_valid() else {}
    entries = entries_for(user, **wanted) if is_valid else entries_for(user).none()
    audit.record_apart(
        AuditEvent.AUDIT_VIEWED, actor=user, filters={k: str(v) for k, v in wanted.items()}
    )
    context = {
        "filter_form": form,
        "slice": slice_of(
            entries, before=_cursor(request, "before"), after=_cursor(request, "after")
        ),
        "is_filtered": bool(wanted),
        "is_understood": is_valid,
        "check": last_check(),
    }
    template = "accounts/_audit_entries.html" if is_htmx(request) else "accounts/audit.html"
    return render(request, template, context, status=200 if is_valid else 422)


@require_safe
@requires(Permission.AUDIT_VIEW)
def entry(request: HttpRequest, id: int) -> HttpResponse:
    """Show one entry: its columns, the hashed line, its place in the chain."""
    user = person_of(request)
    detail = get_entry_for(user, id)
    audit.record_apart(AuditEvent.AUDIT_ENTRY_VIEWED, actor=user, entry=detail.entry.pk)
    shown = detail.entry
    (line,) = lines_of([shown])
    facts = [
        ("Event", shown.event),
        ("Case", line.case or "–"),
        ("Who", f"{shown.actor_label} ({shown.actor_kind})"),
        ("Actor id", shown.actor_id or "–"),
        ("Subject", f"{line.subject.capitalize()} {shown.subject_id}".strip() or "–"),
        ("IP address", shown.ip or "–"),
        ("Request", shown.request_id or "–"),
        ("Client", shown.user_agent or "–"),
    ]
    if mark := shown.data.get("after_reset"):
        said = (
            f"Administrators let somebody in anew as {shown.actor_label} at "
            f"{mark[:16].replace('T', ' ')} UTC. For 30 days it may be somebody else who acts here."
        )
        facts.insert(3, ("After a reset", said))
    context = {"detail": detail, "line": line, "facts": facts, "data": facts_of(shown.data)}
    return render(request, "accounts/audit_entry.html", context)


@require_safe
@requires(Permission.AUDIT_EXPORT)
@stored_search(*_PRIVATE, page="accounts:audit")
def export(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Stream the filtered entries, oldest first, as CSV or NDJSON. The export is recorded first."""
    user = person_of(request)
    form = AuditFilterForm(searched(request))
    if not form.is_valid():
        messages.error(request, "Correct the filter first: nothing was exported.")
        return redirect("accounts:audit")
    kind = "csv" if request.GET.get("format") == "csv" else "ndjson"
    entries = entries_for(user, **form.wanted)
    audit.record_apart(
        AuditEvent.AUDIT_EXPORTED,
        actor=user,
        format=kind,
        filters={k: str(v) for k, v in form.wanted.items()},
    )
    lines, media_type = (
        (as_csv(entries), "text/csv; charset=utf-8")
        if kind == "csv"
        else (as_ndjson(entries), "application/x-ndjson")
    )
    stamp = timezone.now().strftime("%Y%m%d-%H%M%S")
    return StreamingHttpResponse(
        lines,
        content_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="holdfast-audit-{stamp}.{kind}"'},
    )


@require_safe
@requires(Permission.AUDIT_VIEW)
def check_state(request: HttpRequest) -> HttpResponse:
    """Return the banner that says when the chains were checked last, for htmx to refresh."""
    return render(request, "accounts/_audit_check.html", {"check": last_check()})


@require_POST
@requires(Permission.AUDIT_VIEW)
def check(request: HttpRequest) -> HttpResponse:
    """Ask a worker to check all chains."""
    asked = request_check(actor=person_of(request))
    if is_htmx(request):
        return render(request, "accounts/_audit_check.html", {"check": last_check()})
    messages.info(
        request, "The check has been asked for." if asked else "A check is on its way already."
    )
    return redirect("accounts:audit")
