"""Reports that people enter by hand. Nothing typed and no file sent is lost when something is missing."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid
from reports import access, actions
from reports.actions import DuplicateReport
from reports.door import check
from reports.forms import ReportForm, add_errors
from reports.models import Source, Upload
from reports.payloads import ReportPayload

CREATE = Permission.REPORTS_CREATE
ON_A_PAGE = 50
MOST_FILES = 50


@require_http_methods(["GET", "HEAD", "POST"])
@requires(CREATE)
def new(request: HttpRequest) -> HttpResponse:
    """Enter a report. Files that arrived stay attached while the rest is put right."""
    user, source = person_of(request), actions.staff_source()
    if request.method != "POST":
        form = ReportForm(initial={"token": uuid.uuid4()})
        return _page(request, form, [], status=200)
    form = ReportForm(request.POST)
    kept = _kept(request, source, user)
    for sentence in _take_files(request, source, user, kept):
        form.add_error("files", sentence)
    if form.is_valid():
        try:
            payload = check(ReportPayload, form.document([upload.pk for upload in kept]))
            report = actions.submit_report(source, payload=payload, entered_by=user, actor=user)
        except Invalid as invalid:
            add_errors(form, invalid)
        except DuplicateReport as sent_twice:
            return redirect("reports:report", sent_twice.report.pk)
        else:
            messages.success(request, f"{report} was received and waits for its scan.")
            return redirect("reports:report", report.pk)
    return _page(request, form, kept, status=422)


@require_POST
@requires(CREATE)
def search(request: HttpRequest) -> HttpResponse:
    """Suggest accounts or groups for what is typed (fragment). Posted: an id stands in no address."""
    user = person_of(request)
    kind = "group" if request.POST.get("subject_kind") == "group" else "account"
    typed = request.POST.get("subject_id", "")
    found = access.search_subjects(user, kind, typed)
    if len(typed.strip()) >= 3:
        audit.record_apart(
            AuditEvent.DIRECTORY_SEARCHED, actor=user, kind=kind, found=[row.pk for row in found]
        )
    return render(request, "reports/_subject_matches.html", {"subjects": found})


@require_safe
@requires(CREATE)
def report(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Show where a report stands to the person who entered it."""
    user = person_of(request)
    found = access.get_entered_report_for(user, id)
    audit.record_apart(AuditEvent.REPORT_VIEWED, actor=user, subject=found)
    return render(request, "reports/report.html", {"report": found, "items": found.items.all()})


@require_safe
@requires(CREATE)
def index(request: HttpRequest) -> HttpResponse:
    """List the reports that this person entered."""
    found = access.entered_reports_for(person_of(request))
    page = Paginator(found, ON_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "reports/entered.html", {"page": page})


def _kept(request: HttpRequest, source: Source, user: User) -> list[Upload]:
    ids = []
    for text in request.POST.getlist("kept")[:MOST_FILES]:
        try:
            ids.append(uuid.UUID(text))
        except ValueError:
            continue
    return list(access.uploads_for_form(source, user, ids))


def _take_files(request: HttpRequest, source: Source, user: User, kept: list[Upload]) -> list[str]:
    """Attach the files of this request to ``kept``; return a sentence for each that could not be."""
    wrong = []
    for file in request.FILES.getlist("files"):
        name = file.name or "file"
        if len(kept) >= MOST_FILES:
            wrong.append(f"{name}: a report takes at most {MOST_FILES} files.")
            continue
        try:
            kept.append(
                actions.create_upload(
                    source,
                    file.blob,  # type: ignore[attr-defined]  # core.uploads.VaultUpload
                    name=name,
                    uploaded_by=user,
                    actor=user,
                )
            )
        except Invalid as invalid:
            wrong += [
                f"{name}: {sentence}" for found in invalid.errors.values() for sentence in found
            ]
    return wrong


def _page(
    request: HttpRequest, form: ReportForm, kept: list[Upload], *, status: int
) -> HttpResponse:
    return render(request, "reports/new.html", {"form": form, "kept": kept}, status=status)
