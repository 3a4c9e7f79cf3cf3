"""Appeals that wait for a lead, and saying that the decision stands."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused
from core.views import wants_problem
from moderation import actions, case_page, order_access
from moderation.views.answers import refused_page, see

MOST = 100


@require_safe
@requires(Permission.DECISIONS_OVERTURN)
def appeals(request: HttpRequest) -> HttpResponse:
    """List the appeals that wait, the oldest first."""
    user = person_of(request)
    audit.record_apart(AuditEvent.APPEALS_VIEWED, actor=user)
    waiting = order_access.appeals_for(user)
    context = {"appeals": waiting[:MOST], "total": waiting.count(), "me": user}
    return render(request, "moderation/appeals.html", context)


@require_POST
@requires(Permission.DECISIONS_OVERTURN)
def appeal_uphold(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Say that the decision stands."""
    user = person_of(request)
    found = order_access.get_appeal_for(user, id)
    case = found.enforcement.decision.case
    try:
        actions.uphold_appeal(found, reason=request.POST.get("reason", ""), actor=user)
    except (Invalid, Refused) as no:
        if wants_problem(request):
            raise
        said = no if isinstance(no, Refused) else Refused(str(no), status=422)
        return refused_page(request, case, said)
    messages.success(
        request, "The decision stands. The platform reads it as the answer to the appeal."
    )
    return see(case_page.case_url(case))
