"""The operations page: what runs, what waits, what fails."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import person_of, requires
from accounts.destinations import is_htmx
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.operations import overview


@require_safe
@requires(Permission.JOBS_VIEW)
def index(request: HttpRequest) -> HttpResponse:
    """Show queues, workers, failures, sweeps and checks; htmx refreshes the figures."""
    if is_htmx(request):
        return render(request, "accounts/_jobs.html", {"overview": overview()})
    audit.record_apart(AuditEvent.JOBS_VIEWED, actor=person_of(request))
    return render(request, "accounts/jobs.html", {"overview": overview()})
