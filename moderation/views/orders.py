"""Orders that the platform could not carry out, for leads."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Refused
from core.views import wants_problem
from moderation import actions, order_access
from moderation.views.answers import see

ON_A_PAGE = 50
LOOKED_AFTER = 20


@require_safe
@requires(Permission.DELIVERIES_REPLAY)
def orders(request: HttpRequest) -> HttpResponse:
    """List orders that came back, and below what was looked after last."""
    user = person_of(request)
    audit.record_apart(AuditEvent.ORDERS_VIEWED, actor=user)
    context = {
        "page": Paginator(order_access.came_back_for(user), ON_A_PAGE).get_page(
            request.GET.get("page")
        ),
        "looked_after": order_access.came_back_for(user, is_open=False)[:LOOKED_AFTER],
    }
    return render(request, "moderation/orders.html", context)


@require_POST
@requires(Permission.DELIVERIES_REPLAY)
def order_seen(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Note that a lead knows of it."""
    user = person_of(request)
    actions.mark_result_seen(order_access.get_came_back_for(user, id), actor=user)
    messages.success(request, "Marked as seen. The case keeps what the platform said.")
    return see(reverse("moderation:orders"))


@require_POST
@requires(Permission.DELIVERIES_REPLAY)
def order_anew(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Give the order once more."""
    user = person_of(request)
    try:
        actions.give_order_anew(order_access.get_came_back_for(user, id), actor=user)
    except Refused as refused:
        if wants_problem(request):
            raise
        messages.warning(request, refused.message)
    else:
        messages.success(
            request, "The order is given anew. What the platform says then shows here."
        )
    return see(reverse("moderation:orders"))
