"""What an order that was carried out says of an account or a group: the platform has told us so itself."""

from __future__ import annotations

from datetime import datetime

from core.audit import Actor
from moderation.models import Enforcement
from moderation.platform_status import ACCOUNT_STATUS, GROUP_STATUS
from reports.actions import upsert_account, upsert_group
from reports.models import Source
from reports.payloads import AccountPayload, GroupPayload

__all__ = ["tell_directory"]


def tell_directory(order: Enforcement, *, source: Source, at: datetime, actor: Actor) -> None:
    """Let the directory say what the platform did: an account that it has banned is banned, since ``at``.

    In the caller's transaction, by the directory's own verbs, so that who said it and when is kept there. An order
    that changes no status, such as a warning, says nothing.
    """
    if order.account is not None and (status := ACCOUNT_STATUS.get(order.verb)):
        payload = AccountPayload.model_validate({"platform_status": status})
        upsert_account(source, order.account.external_id, payload=payload, actor=actor)
    if order.group is not None and (status := GROUP_STATUS.get(order.verb)):
        shape = GroupPayload.model_validate({"platform_status": status})
        upsert_group(source, order.group.external_id, payload=shape, actor=actor)
