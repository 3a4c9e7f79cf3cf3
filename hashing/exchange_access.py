"""Loads exchanges for people whose role may see them. Not visible is 404."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet
from django.shortcuts import get_object_or_404

from accounts.models import User
from accounts.permissions import Permission
from hashing.exchanges import TAKES_FEEDBACK
from hashing.models import Exchange, ExchangeRun

__all__ = ["exchanges_for", "get_exchange_for", "reviews_of", "runs_of"]


def exchanges_for(user: User) -> QuerySet[Exchange]:
    """Return every exchange with its list, or none for who may not see them."""
    if not user.may(Permission.HASHING_EXCHANGES_VIEW):
        return Exchange.objects.none()
    return Exchange.objects.select_related("hash_list").order_by("name")


def get_exchange_for(user: User, id: UUID) -> Exchange:
    """Return one exchange. Raises Http404."""
    return get_object_or_404(exchanges_for(user), pk=id)


def runs_of(exchange: Exchange) -> QuerySet[ExchangeRun]:
    """Return the fetches of an exchange, newest first."""
    return exchange.runs.order_by("-pk")


def reviews_of(exchange: Exchange) -> dict[str, Any]:
    """Return how many reviews of an exchange's entries wait, were sent and were given up, and the last error."""
    counts = dict(exchange.reviews.order_by().values_list("state").annotate(count=Count("pk")))
    failed = exchange.reviews.exclude(last_error="").order_by("-due_at").first()
    return {
        "waiting": counts.get("waiting", 0),
        "sent": counts.get("sent", 0),
        "failed": counts.get("failed", 0),
        "last_error": failed.last_error if failed else "",
        "is_possible": exchange.kind in TAKES_FEEDBACK,
    }
