"""What an order that was carried out says of an account or a group: the platform has told us so itself."""

from __future__ import annotations

from typing import Any

from core.audit import Actor
from moderation.models import Enforcement, EnforcementState
from moderation.platform_status import ACCOUNT_STATUS, GROUP_STATUS
from reports.actions import upsert_account, upsert_group
from reports.choices import PlatformStatus
from reports.models import Source
from reports.payloads import AccountPayload, GroupPayload

__all__ = ["tell_directory"]


def tell_directory(order: Enforcement, *, source: Source, actor: Actor) -> None:
    """Let the directory say what the platform did to an order's target: an account that it has banned is banned.

    Of several orders about one target the one with the largest number counts, whenever the platform spoke of it:
    a ban of long ago that is said to be done late bans nobody who was unbanned since. Where none is done any more, the
    status is not known. In the caller's transaction, by the directory's own verbs, so that who said it and when is kept
    there. An order that changes no status, such as a warning, says nothing.
    """
    if order.account is not None and order.verb in ACCOUNT_STATUS:
        status = _newest(ACCOUNT_STATUS, account=order.account_id)
        payload = AccountPayload.model_validate({"platform_status": status})
        upsert_account(source, order.account.external_id, payload=payload, actor=actor)
    if order.group is not None and order.verb in GROUP_STATUS:
        status = _newest(GROUP_STATUS, group=order.group_id)
        shape = GroupPayload.model_validate({"platform_status": status})
        upsert_group(source, order.group.external_id, payload=shape, actor=actor)


def _newest(statuses: dict[str, str], **target: Any) -> str:
    verb = (
        Enforcement.objects.filter(verb__in=statuses, state=EnforcementState.DONE, **target)
        .order_by("-sequence")
        .values_list("verb", flat=True)
        .first()
    )
    return statuses[verb] if verb else str(PlatformStatus.UNKNOWN)
