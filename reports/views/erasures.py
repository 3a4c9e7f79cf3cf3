"""Requests to erase that wait, and those that were carried out."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from reports import access
from reports.models import ErasureState

ON_A_PAGE = 50


@require_safe
@requires(Permission.ERASURES_VIEW)
def index(request: HttpRequest) -> HttpResponse:
    """List requests to erase, those that wait first."""
    user = person_of(request)
    audit.record_apart(AuditEvent.ERASURES_VIEWED, actor=user)
    found = access.erasures_for(user)
    waiting = found.filter(state=ErasureState.WAITING).count()
    context = {
        "page": Paginator(found, ON_A_PAGE).get_page(request.GET.get("page")),
        "waiting": waiting,
        "waiting_title": "1 request waits" if waiting == 1 else f"{waiting:,} requests wait",
    }
    return render(request, "reports/erasures.html", context)
