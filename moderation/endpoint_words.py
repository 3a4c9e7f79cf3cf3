"""What an endpoint hears, in words."""

from __future__ import annotations

from dataclasses import dataclass

from moderation.actions.orders import hears_orders
from moderation.models import NoticeKind, Verb, WebhookEndpoint


@dataclass(frozen=True, slots=True)
class Hears:
    """Orders and messages that an endpoint is sent; ``is_deaf``: none of either, whatever is decided."""

    orders: str
    messages: str
    is_deaf: bool


def what_it_hears(endpoint: WebhookEndpoint) -> Hears:
    """Return what is sent to an endpoint, its source loaded. A paused one hears the same, later."""
    of = endpoint.source.name if endpoint.source else "the platform"
    messages = [NoticeKind(kind).label for kind in endpoint.events]
    if not hears_orders(endpoint):
        orders = f"none: {of} is not the platform"
    else:
        orders = ", ".join(Verb(verb).label for verb in endpoint.verbs) or "all"
    said = f"{', '.join(messages)} (reports of {of})" if messages else "none"
    return Hears(orders, said, is_deaf=not messages and not hears_orders(endpoint))
