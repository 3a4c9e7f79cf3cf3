"""What an order that was carried out says of an account or a group: the platform has told us so itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.audit import Actor
from moderation.models import Enforcement, OrderResult, ResultState
from moderation.platform_status import ACCOUNT_STATUS, GROUP_STATUS
from reports.actions import upsert_account, upsert_group
from reports.choices import PlatformStatus
from reports.models import Account, Group, Source
from reports.payloads import AccountPayload, GroupPayload

__all__ = ["tell_directory"]


def tell_directory(order: Enforcement, *, source: Source, at: datetime, actor: Actor) -> None:
    """Let the directory say what the platform did to an order's target: an account that it has banned is banned.

    Of several orders about one target the one with the largest number counts, whenever the platform spoke of it: a
    ban of long ago that is said to be done late bans nobody who was unbanned since. It is told as of when it was done,
    so that what the platform told of the target later stands. Where an order is not done any more (``at``), and the
    directory still says that it is, the status is not known. In the caller's transaction, by the directory's own
    verbs, so that who said it and when is kept there. An order that changes no status, such as a warning, says nothing.
    """
    if order.account is not None and order.verb in ACCOUNT_STATUS:
        told = _telling(
            order, ACCOUNT_STATUS, order.account.platform_status, at, account=order.account
        )
        if told:
            payload = AccountPayload.model_validate(told)
            upsert_account(source, order.account.external_id, payload=payload, actor=actor)
    if order.group is not None and order.verb in GROUP_STATUS:
        told = _telling(order, GROUP_STATUS, order.group.platform_status, at, group=order.group)
        if told:
            shape = GroupPayload.model_validate(told)
            upsert_group(source, order.group.external_id, payload=shape, actor=actor)


def _telling(
    order: Enforcement,
    statuses: dict[str, str],
    now_said: str,
    at: datetime,
    **target: Account | Group,
) -> dict[str, Any]:
    """Return what to tell of the target as the directory's payload; nothing where nothing follows."""
    done = (
        OrderResult.objects.filter(
            stands=True,
            state=ResultState.DONE,
            enforcement__in=Enforcement.objects.filter(verb__in=statuses, **target),
        )
        .order_by("-enforcement__sequence")
        .values_list("enforcement__verb", "counts_at")
        .first()
    )
    if done is not None:
        verb, since = done
        return {"platform_status": statuses[verb], "as_of": since.isoformat()}
    if now_said == statuses[order.verb]:
        return {"platform_status": PlatformStatus.UNKNOWN.value, "as_of": at.isoformat()}
    return {}
