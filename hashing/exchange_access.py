"""Loads exchanges for people whose role may see them. Not visible is 404."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from accounts.models import User
from accounts.permissions import Permission
from hashing.models import Exchange, ExchangeRun

__all__ = ["exchanges_for", "get_exchange_for", "runs_of"]


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
